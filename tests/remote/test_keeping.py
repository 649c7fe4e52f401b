"""Contents that a remote is about to lose, in a workspace that has left them there."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.remote import keeping
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.remote.layout import ref_key, settle_format
from heliosfs.repo.operation import Operation
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.remotes import HEADS
from tests.remote.machines import Machine

_KEPT = {f"kept/f{number}": random.Random(number).randbytes(3_000) for number in range(4)}
_IDEA = {f"idea/f{number}": random.Random(9 + number).randbytes(3_000) for number in range(3)}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("heliosfs.remote.upload.SMALL_BYTES", 0)


Say = Callable[..., bytes]


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """Run a command in the lazy clone, and return what it prints."""

    def run(*words: str, code: int = 0) -> bytes:
        os.chdir(os.environ["HOME"])
        capfdbinary.readouterr()
        assert main(["-C", "copy", *words]) == code, capfdbinary.readouterr().err
        return capfdbinary.readouterr().out

    return run


@pytest.fixture
def pusher(tmp_path: Path) -> Machine:
    """A machine that has pushed `main`, and `idea` with contents of its own."""
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    bucket.make()
    settle_format(bucket)
    machine = Machine(bucket)
    machine.commit("first", **_KEPT)
    machine.push()
    machine.run("branch", "idea")
    machine.run("checkout", "-q", "idea")
    machine.commit("second", **_IDEA)
    machine.push("idea")
    assert main(["clone", "-q", "--no-mount", f"file://{tmp_path}/remote", "copy"]) == 0
    return machine


def _delete(pusher: Machine, name: str) -> None:
    seen = pusher.repository.remotes.tracked("origin", HEADS, name)
    assert seen is not None
    pusher.bucket.delete(ref_key(HEADS, name), seen.version)


def _left(say: Say) -> int:
    """Return the number of contents that are at the remote alone."""
    found: int = json.loads(say("fsck", "--json"))["promised_count"]
    return found


def _check_idea(say: Say, revision: str) -> None:
    """Check that the contents of `idea` are here, now that the remote has none at all."""
    shutil.rmtree(Path(os.environ["HOME"], "remote"))
    for name, data in _IDEA.items():
        assert say("show", f"{revision}:{name}") == data


def test_a_branch_that_is_gone_leaves_its_contents_to_who_has_commits_of_it(
    pusher: Machine, say: Say
) -> None:
    say("checkout", "-q", "-b", "mine", "origin/idea")
    assert _left(say) == len(_KEPT) + len(_IDEA)
    _delete(pusher, "idea")
    assert b"[gone there; --prune forgets it] origin/idea" in say("fetch")
    # What `main` keeps there stays there.
    assert _left(say) == len(_KEPT)
    _check_idea(say, "mine")


def test_what_nobody_here_has_stays_there(pusher: Machine, say: Say) -> None:
    _delete(pusher, "idea")
    say("fetch")
    assert _left(say) == len(_KEPT) + len(_IDEA)


def test_a_branch_that_was_forced_leaves_them_too(pusher: Machine, say: Say) -> None:
    say("checkout", "-q", "-b", "mine", "origin/idea")
    pusher.run("reset", "--hard", "HEAD~1")
    pusher.push("idea", with_lease=True)
    say("fetch")
    assert _left(say) == len(_KEPT)
    _check_idea(say, "mine")


def test_a_branch_that_was_forced_to_a_new_commit_leaves_them_too(
    pusher: Machine, say: Say
) -> None:
    say("checkout", "-q", "-b", "mine", "origin/idea")
    pusher.run("reset", "--hard", "HEAD~1")
    pusher.commit("another", another=b"another " * 400)
    pusher.push("idea", with_lease=True)
    say("fetch")
    assert _left(say) == len(_KEPT) + 1
    _check_idea(say, "mine")


def test_contents_come_before_a_push_lets_the_remote_lose_them(pusher: Machine, say: Say) -> None:
    assert pusher.head
    say("checkout", "-q", "idea")
    say("push", "--delete", "origin", "idea")
    assert _left(say) == len(_KEPT)
    _check_idea(say, "idea")


def test_an_operation_can_be_undone_after_a_push_with_force(pusher: Machine, say: Say) -> None:
    assert pusher.head
    say("checkout", "-q", "idea")
    say("reset", "--hard", "HEAD~1")
    say("push", "--force-with-lease", "origin", "idea")
    say("undo")
    assert _left(say) == len(_KEPT)
    _check_idea(say, "idea")


def test_files_that_were_taken_from_a_branch_are_kept(pusher: Machine, say: Say) -> None:
    say("restore", "--source", "origin/idea", "--staged", "--worktree", "idea")
    _delete(pusher, "idea")
    say("fetch", "--prune")
    assert _left(say) == len(_KEPT)
    say("commit", "-q", "-m", "taken over")
    _check_idea(say, "HEAD")


def test_what_is_lost_already_is_told(pusher: Machine, say: Say, tmp_path: Path) -> None:
    say("checkout", "-q", "-b", "mine", "origin/idea")
    _delete(pusher, "idea")
    for pack in (tmp_path / "remote" / "packs.d").iterdir():
        pack.unlink()
    told = say("fetch", code=1)
    assert b"needed here, %d contents cannot be had" % len(_IDEA) in told
    assert b"origin does not have it any more" in told
    # Nor is there a reason to keep the branches from being deleted.
    say("push", "--delete", "origin", "main")


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the operations that are read."""
    read, numbers = OperationLog.read, []

    def counted(log: OperationLog, sequence: int) -> Operation:
        numbers.append(sequence)
        return read(log, sequence)

    monkeypatch.setattr(OperationLog, "read", counted)
    return numbers


def _fetched(say: Say, operations: list[int]) -> int:
    """Fetch while a branch is gone, and return the number of operations that were read."""
    operations.clear()
    assert b"[gone there; --prune forgets it] origin/idea" in say("fetch")
    return len(operations)


def test_operations_are_looked_at_once_while_a_branch_is_gone(
    pusher: Machine, say: Say, operations: list[int]
) -> None:
    for number in range(20):
        say("commit", "--allow-empty", "-q", "-m", f"{number}")
    _delete(pusher, "idea")
    assert _fetched(say, operations) > 20
    assert _fetched(say, operations) == 0
    say("commit", "--allow-empty", "-q", "-m", "one more")
    pusher.run("checkout", "-q", "main")
    pusher.commit("others go on", other=b"other")
    pusher.push()
    assert _fetched(say, operations) == 1
    # Whatever is taken from the branch after that is looked at, too.
    say("merge", "-q", "origin/idea")
    say("reset", "-q", "--hard", "HEAD~1")
    assert _left(say) == len(_KEPT) + len(_IDEA) + 1
    assert _fetched(say, operations) == 2
    assert _left(say) == len(_KEPT) + 1
    say("undo")
    _check_idea(say, "HEAD")


def test_what_is_known_is_not_so_any_more_when_another_branch_goes(
    pusher: Machine, say: Say, operations: list[int]
) -> None:
    pusher.run("branch", "twin", "idea")
    pusher.push("twin")
    say("fetch")
    say("checkout", "-q", "-b", "mine", "origin/idea")
    say("checkout", "-q", "main")
    _delete(pusher, "idea")
    assert _fetched(say, operations) > 0
    assert _fetched(say, operations) == 0
    assert _left(say) == len(_KEPT) + len(_IDEA)
    _delete(pusher, "twin")
    say("fetch")
    assert _left(say) == len(_KEPT)
    _check_idea(say, "mine")


@pytest.mark.parametrize("by", ["force", "named force", "own force", "own deletion"])
def test_what_is_known_is_not_so_any_more_when_another_branch_loses_commits(
    pusher: Machine, say: Say, operations: list[int], by: str
) -> None:
    """Bring contents that nothing else keeps there, in each way in which a branch loses them."""
    pusher.run("branch", "twin", "idea")
    pusher.push("twin")
    say("fetch")
    say("checkout", "-q", "-b", "mine", "origin/idea")
    say("checkout", "-q", "-b", "twin", "origin/main")
    _delete(pusher, "idea")
    assert _fetched(say, operations) > 0
    assert _left(say) == len(_KEPT) + len(_IDEA)
    if by == "own deletion":
        say("push", "--delete", "origin", "twin")
    elif by == "own force":
        say("push", "--force-with-lease", "origin", "twin")
    else:
        pusher.run("checkout", "-q", "twin")
        pusher.run("reset", "--hard", "HEAD~1")
        pusher.push("twin", with_lease=True)
        if by == "named force":
            say("fetch", "origin", "twin")
    say("fetch")
    assert _left(say) == len(_KEPT)
    _check_idea(say, "mine")


def test_a_record_that_cannot_be_read_says_nothing() -> None:
    for record in (b"", b"[]", b"{}", b'{"gone": 1, "seen": {}, "tips": []}', b"\xff"):
        assert not keeping._decoded(record).gone
