"""Working states of a repository: kept over reopening, whoever looked at them before."""

from __future__ import annotations

import pytest

from heliosfs.errors import Busy, NotFound
from heliosfs.repo.repository import Repository
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import IDENTITY, Stage, TreeBuilder


def test_uncommitted_changes_survive_reopening() -> None:
    stage = Stage()
    stage.files.write(b"a/b", b"1")
    stage.reopen()
    assert stage.files.read(b"a/b") == b"1"


@pytest.mark.parametrize("verb", ["status", "diff", "commit"])
def test_a_look_at_the_changes_does_not_keep_them_from_being_saved(verb: str) -> None:
    stage = Stage()
    stage.commit(a=b"1")
    if verb == "commit":
        node = stage.files.node(b"a")
        node.mtime_ns = 42
        node.touch()
        with pytest.raises(Exception, match="nothing to commit"):
            stage.run("commit")
        stage.reopen()
        assert stage.files.node(b"a").mtime_ns == 42
    else:
        stage.files.write(b"b", b"2")
        stage.run(verb)
        stage.reopen()
        assert stage.files.read(b"b") == b"2"


def test_a_checkpoint_is_what_a_crash_leaves() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1")
    stage.repository.checkpoint()
    stage.files.write(b"a", b"2")
    stage.crash()
    assert stage.files.read(b"a") == b"1"


def test_a_checkpoint_without_changes_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.commit(a=b"1")
    stage.reopen()
    monkeypatch.setattr(stage.store, "publish", lambda: pytest.fail("published"))
    stage.repository.checkpoint()
    assert stage.run("status", "-s") == ""
    stage.repository.checkpoint()


def test_opening_at_a_branch() -> None:
    store = MemoryStore()
    stage = Stage(store)
    stage.commit(a=b"1")
    stage.run("branch", "x")
    repository = Repository.open(store, stage.clock, IDENTITY, "x")
    assert repository.root.branch == "x"
    assert not repository.is_new
    with pytest.raises(NotFound):
        Repository.open(store, stage.clock, IDENTITY, "nope")
    assert Repository.open(MemoryStore(), stage.clock, IDENTITY, "trunk").root.branch == "trunk"


def test_a_snapshot_is_the_tree_of_its_commit() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    first = stage.view.head
    stage.commit(a=b"2")
    assert first is not None
    snapshot = stage.repository.snapshot(first)
    assert snapshot.read_only
    node = snapshot.lookup(snapshot.root, b"a")
    assert node is not None
    assert stage.files.workspace.working_set.read(node, 0, 9) == b"1"  # type: ignore[arg-type]


def test_hard_links_come_back() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1")
    stage.files.link(b"a", b"d/b")
    stage.commit("links")
    stage.files.remove(b"d")
    assert stage.run("status").splitlines()[2:] == [
        "\tlinks changed:   a",
        "\tdeleted:         d/b",
    ]
    stage.run("reset", "--hard")
    assert stage.files.node(b"a") is stage.files.node(b"d/b")
    assert stage.run("status", "-s") == ""
    stage.reopen()
    assert stage.files.node(b"a") is stage.files.node(b"d/b")


def test_a_branch_is_shown_at_one_place() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    repository = stage.repository
    with pytest.raises(Busy, match="checked out at the mount point"):
        repository.live_view("main")
    stage.run("branch", "x")
    live = repository.live_view("x")
    TreeBuilder(live.workspace).write(b"b", b"2")
    stage.run("checkout", "x")
    assert repository.views() == [repository.root]
    assert live.workspace.is_closed
    assert stage.files.read(b"b") == b"2"


def test_a_slot_is_given_once() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    stage.run("branch", "x")
    slot = stage.repository.refs.branch("x").slot
    stage.run("branch", "-d", "x")
    stage.reopen()
    stage.run("branch", "x")
    assert stage.repository.refs.branch("x").slot > slot
