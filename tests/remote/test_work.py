"""Uncommitted work travels to another machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.errors import Stale, UsageError
from heliosfs.repo import machine
from heliosfs.repo.ref_names import check_name
from tests.failing_store import FailingStore
from tests.tree_builder import Stage
from tests.verb_scenarios import picture


@pytest.fixture
def two(tmp_path: Path) -> tuple[Stage, Stage]:
    """Two machines with the same commit."""
    url = f"file://{tmp_path}/remote"
    one, other = Stage(), Stage()
    one.run("remote", "add", "origin", url)
    one.commit("first", a=b"1\n", d=b"gone soon\n", **{".heliosignore": b"*.log\n"})
    one.run("push")
    other.run("remote", "add", url)
    other.run("pull", "-q", "origin", "main")
    return one, other


def edit(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"new/b", b"3\n")
    stage.files.write(b"x.log", b"ignored\n")
    stage.files.remove(b"d")


def name_of(stage: Stage, branch: str = "main") -> str:
    return machine.work_branch(machine.machine_name(stage.repository), branch)


def test_another_machine_takes_the_work_over(two: tuple[Stage, Stage]) -> None:
    one, other = two
    edit(one)
    one.run("add", "a")
    before = (one.head, one.run("status", "--porcelain"), one.run("oplog"), one.run("log", "--all"))
    reply = one.run("push", "--work")
    there = name_of(one)
    assert f" * [new branch] uncommitted work -> {there}\n" in reply
    assert before[:3] == (one.head, one.run("status", "--porcelain"), one.run("oplog"))
    assert one.run("branch") == "* main\n"
    assert one.run("log", "main") == before[3]
    assert one.run("push") == "Everything up-to-date\n"
    other.run("fetch")
    other.run("checkout", "-b", "mine", f"origin/{there}")
    assert other.files.read(b"a") == b"2\n"
    assert other.files.read(b"new/b") == b"3\n"
    assert {b"d", b"x.log"}.isdisjoint(other.files.tree())
    assert "uncommitted work of main on " in other.run("log", "-1", "--format=%s")
    # As uncommitted changes again.
    other.run("reset", "HEAD~1")
    assert other.head == one.head
    assert other.run("status", "--porcelain") == " M a\n D d\n A new/b\n"


def test_the_work_comes_into_a_branch_that_is_there(two: tuple[Stage, Stage]) -> None:
    one, other = two
    edit(one)
    one.run("push", "--work")
    other.run("fetch")
    other.commit("meanwhile", other=b"4\n")
    other.run("merge", "--squash", f"origin/{name_of(one)}")
    assert other.files.read(b"a") == b"2\n"
    assert other.files.read(b"other") == b"4\n"
    assert other.run("log", "-1", "--format=%s") == "meanwhile\n"


def test_the_next_one_replaces_it_and_the_last_one_deletes_it(two: tuple[Stage, Stage]) -> None:
    one, other = two
    there = name_of(one)
    assert one.run("push", "--work") == "Everything up-to-date\n"
    edit(one)
    one.run("push", "--work")
    first = one.run("rev-parse", f"origin/{there}")
    assert one.run("push", "--work", "origin") == "Everything up-to-date\n"
    assert one.run("rev-parse", f"origin/{there}") == first
    one.files.write(b"a", b"5\n")
    reply = json.loads(one.run("push", "--work", "--json"))
    assert [(each["name"], each["forced"]) for each in reply["pushed"]] == [(there, False)]
    other.run("fetch")
    assert other.run("show", f"origin/{there}:a") == "5\n"
    one.run("commit", "-q", "-m", "done")
    assert f" - [deleted] {there}\n" in one.run("push", "--work")
    assert other.run("fetch", "-p").count("[deleted]") == 1
    # A push of the branch deletes it, too, but not while something is uncommitted.
    one.files.write(b"a", b"6\n")
    one.run("push", "--work")
    assert "deleted" not in one.run("push")
    one.run("commit", "-q", "-m", "done")
    assert f" - [deleted] {there}\n" in one.run("push")
    assert "machines" not in one.run("branch", "-r")


def test_each_branch_has_its_own(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("branch", "side")
    one.live("side").write(b"a", b"side\n")
    one.files.write(b"a", b"main\n")
    one.run("push", "--work")
    one.run("push", "--work", branch="side")
    other.run("fetch")
    for branch in ("main", "side"):
        assert other.run("show", f"origin/{name_of(one, branch)}:a") == f"{branch}\n"
    one.live("side").write(b"a", b"side again\n")
    one.run("reset", "--hard")
    one.run("branch", "third")
    one.live("third").write(b"a", b"third\n")
    reply = one.run("push", "--work", "--all", "origin")
    assert " + " not in reply
    assert [line.split()[-1] for line in reply.splitlines()[1:-1]] == [
        *(name_of(one, branch) for branch in ("side", "third", "main")),
    ]
    other.run("fetch", "--prune")
    assert other.run("show", f"origin/{name_of(one, 'side')}:a") == "side again\n"
    assert other.run("branch", "-r").count("machines/") == 2
    assert one.run("push", "--work", "--all") == "Everything up-to-date\n"
    one.run("branch", "-D", "third")
    assert f" - [deleted] {name_of(one, 'third')}\n" in one.run("push", "--work", "--all")
    one.run("checkout", "-q", "HEAD~0")
    with pytest.raises(UsageError, match="check out a branch"):
        one.run("push", "--work")
    for words in (["--tags"], ["-d"], ["--force-with-lease"], ["origin", "main"]):
        with pytest.raises(UsageError):
            one.run("push", "--work", *words)


def test_the_first_commit_need_not_be_there(tmp_path: Path) -> None:
    one, other = Stage(), Stage()
    for stage in (one, other):
        stage.run("remote", "add", f"file://{tmp_path}/remote")
    one.files.write(b"a", b"nothing was committed yet\n")
    one.run("push", "--work")
    other.run("fetch")
    other.run("checkout", "-b", "mine", f"origin/{name_of(one)}")
    assert other.files.read(b"a") == b"nothing was committed yet\n"


def test_its_lease_is_only_its_own(two: tuple[Stage, Stage]) -> None:
    one, other = two
    there = name_of(one)
    edit(one)
    one.run("push", "--work")
    other.run("fetch")
    other.run("checkout", "-b", "mine", f"origin/{there}")
    # The other one has taken it over: this one has gone on, and pushes again.
    other.run("push", "--delete", "origin", there)
    one.files.write(b"a", b"5\n")
    assert f"-> {there}\n" in one.run("push", "--work")
    # Somebody pushed into it, as into any branch.
    other.run("fetch")
    other.run("reset", "--hard", f"origin/{there}")
    other.commit("somebody else", a=b"6\n")
    other.run("push", "origin", f"mine:{there}")
    one.files.write(b"a", b"7\n")
    with pytest.raises(Stale, match="was moved by"):
        one.run("push", "--work")
    one.run("fetch")
    with pytest.raises(Stale, match=f"push --delete origin {there}"):
        one.run("push", "--work")
    one.run("commit", "-q", "-m", "done")
    assert "deleted" not in one.run("push")
    assert other.run("rev-parse", "HEAD") == one.run("rev-parse", f"origin/{there}")


def test_a_merge_that_is_open_brings_both_sides(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("branch", "side")
    one.live("side").write(b"a", b"side\n")
    one.run("commit", "-q", "-m", "side", branch="side")
    one.commit("mine", a=b"mine\n")
    one.run("merge", "--markers", "side")
    one.run("push", "--work")
    other.run("fetch")
    parents = other.run("rev-parse", f"origin/{name_of(one)}^1", f"origin/{name_of(one)}^2")
    assert parents == one.run("rev-parse", "main", "side")
    one.run("merge", "--abort")
    assert "deleted" in one.run("push", "--work")


def test_a_failed_push_leaves_no_trace(tmp_path: Path) -> None:
    """Refs, files, log and stage are as before, whatever fails in the store."""
    url = f"file://{tmp_path}/remote"
    step = 1
    while True:
        store = FailingStore()
        one = Stage(store)
        if step == 1:
            one.run("remote", "add", url)
        else:
            with one.repository.transaction:
                one.repository.remotes.add("origin", url)
        one.commit("first", a=b"1\n", d=b"2\n")
        edit(one)
        one.repository.checkpoint()
        before = picture(one.repository)
        # A commit that nothing names may be left, until a collection.
        before.pop("commits")
        store.arm(step, lambda: OSError("no"))
        try:
            one.run("push", "--work")
        except OSError:
            store.arm(0, OSError)
            after = picture(one.repository)
            after.pop("commits")
            assert after == before, step
            step += 7
            continue
        break
    assert step > 20
    assert one.run("branch") == "* main\n"


def test_the_name_of_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_bytes(b"0123456789abcdef\n")
    monkeypatch.setattr(machine, "_MACHINE_ID", str(file))
    stage = Stage()

    def name() -> str:
        with stage.repository.transaction:
            return machine.machine_name(stage.repository)

    first = name()
    check_name(machine.work_branch(first, "a/b"))
    stage.reopen()
    assert name() == first
    file.unlink()
    assert name() == first
    file.write_bytes(b"another machine, to which the store was copied\n")
    second = name()
    assert second != first
    assert name() == second
    assert b"another" not in b"".join(value for _, value in stage.store.scan(b"repo/"))
