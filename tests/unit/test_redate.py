"""The times that verbs leave: links, modes, ignored files, clocks that go back, and the cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from heliosfs.clock import AHEAD_MAX_NS, Clock, FixedClock, SystemClock
from heliosfs.objects.ids import TreeId
from heliosfs.repo.configuration import Configuration
from heliosfs.store.sidefile import MemoryFile
from heliosfs.trees import stored
from heliosfs.trees.stored import find_entry
from heliosfs.workspace.nodes import FileNode
from heliosfs.workspace.unloading import unload
from tests.tree_builder import Stage

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


@pytest.fixture
def stage() -> Stage:
    return Stage()


def mtimes(stage: Stage, *paths: bytes) -> list[int]:
    return [stage.files.node(path).mtime_ns for path in paths]


def test_names_of_one_file_have_one_time(stage: Stage) -> None:
    """One of the names may lie in a directory in which nothing changed."""
    stage.files.write(b"d/one", b"linked")
    stage.files.link(b"d/one", b"e/two")
    first = stage.commit("two names")
    stage.files.remove(b"d/one")
    stage.files.write(b"d/one", b"another file")
    stage.commit("one of them is another")
    (before_ns,) = mtimes(stage, b"e/two")
    for _ in range(2):
        stage.run("reset", "--hard", first)
        assert stage.files.node(b"d/one") is stage.files.node(b"e/two")
        assert mtimes(stage, b"d/one")[0] > before_ns
        assert stage.files.node(b"d/one").link_count == 2
        stage.reopen()
        assert stage.files.node(b"d/one") is stage.files.node(b"e/two")
        assert stage.run("status", "--short") == ""
        stage.run("undo")
        assert stage.files.read(b"d/one") == b"another file"


def test_a_link_that_leads_elsewhere_is_new_and_one_that_does_not_is_not(stage: Stage) -> None:
    stage.files.symlink(b"same", b"target")
    stage.files.symlink(b"other", b"here")
    stage.files.write(b"kind", b"a file")
    first = stage.commit()
    for name in (b"other", b"kind"):
        stage.files.remove(name)
        stage.files.symlink(name, b"there")
    stage.commit()
    before = mtimes(stage, b"same", b"other", b"kind")
    stage.run("reset", "--hard", first)
    after = mtimes(stage, b"same", b"other", b"kind")
    assert after[0] == before[0]
    assert after[1] > max(before)
    assert after[2] > max(before)


def test_a_mode_alone_moves_the_change_time_and_nothing_else(stage: Stage) -> None:
    first = stage.commit(tool=b"#!/bin/sh\n", other=b"x")
    stage.files.chmod(b"tool", 0o755)
    stage.commit()
    node, root = stage.files.node(b"tool"), stage.view.workspace.root
    before = node.ino, node.mtime_ns, root.mtime_ns
    ctime_ns = node.ctime_ns
    stage.run("reset", "--hard", first)
    node = stage.files.node(b"tool")
    assert (node.ino, node.mtime_ns, root.mtime_ns) == before
    assert node.ctime_ns > ctime_ns
    assert oct(node.mode) == "0o100644"


@pytest.mark.parametrize("with_ignored", [False, True])
def test_what_a_checkout_redated_is_compared_once(
    stage: Stage, with_ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each status after it costs what was edited since, also where ignored files lie beside."""
    for number in range(40):
        stage.files.write(b"d%d/file" % number, b"one")
    if with_ignored:
        stage.files.write(b".heliosignore", b"*.o\n")
        stage.files.write(b"d3/file.o", b"output")
    first = stage.commit()
    for number in range(40):
        stage.files.write(b"d%d/file" % number, b"the second")
    stage.commit()
    stage.run("reset", "--hard", first)
    assert stage.run("status", "--short") == ""
    read: list[TreeId] = []
    changed_entries = stored.changed_entries

    def counted(store: object, old: TreeId, new: TreeId) -> object:
        read.append(new)
        return changed_entries(store, old, new)  # type: ignore[arg-type]

    for module in ("stored", "select"):
        monkeypatch.setattr(f"heliosfs.trees.{module}.changed_entries", counted)
    assert stage.run("status", "--short") == ""
    assert len(read) < 10
    stage.files.write(b"d7/file", b"edited")
    read.clear()
    assert stage.run("status", "--short") == " M d7/file\n"
    assert len(read) < 15
    stage.run("commit", "-m", "third")
    assert stage.run("show", "--stat").count(" | ") == 1
    if with_ignored:
        assert stage.files.read(b"d3/file.o") == b"output"


def test_the_trees_that_are_remembered_survive_a_collection(stage: Stage) -> None:
    first = stage.commit(a=b"one", b=b"same")
    stage.commit(a=b"the second")
    stage.run("reset", "--hard", first)
    stage.files.write(b"a", b"edited")
    assert stage.run("status", "--short") == " M a\n"
    stage.run("gc", "--remove-old-snapshots", "--before=0s")
    assert stage.run("status", "--short") == " M a\n"
    assert "+edited" in stage.run("diff")
    stage.reopen()
    assert stage.run("status", "--short") == " M a\n"


def test_snapshots_keep_the_times_of_their_commit(stage: Stage) -> None:
    first = stage.commit(a=b"one")
    committed_ns = mtimes(stage, b"a")
    stage.commit(a=b"two!")
    stage.run("reset", "--hard", first)
    assert stage.view.head is not None
    root = stage.repository.history.read(stage.view.head).root
    entry = find_entry(stage.store, root, b"a")
    assert entry is not None
    assert [entry.mtime_ns] == committed_ns
    assert mtimes(stage, b"a")[0] > committed_ns[0]


def test_a_branch_comes_with_its_files_and_new_times_for_what_differs(stage: Stage) -> None:
    stage.commit(a=b"main", same=b"same")
    stage.run("branch", "side")
    stage.live("side").write(b"a", b"side, uncommitted")
    (before_ns, same_ns) = mtimes(stage, b"a", b"same")
    stage.run("checkout", "side")
    assert stage.files.read(b"a") == b"side, uncommitted"
    assert mtimes(stage, b"a")[0] > before_ns
    assert mtimes(stage, b"same") == [same_ns]
    shown = mtimes(stage, b"a", b"same")
    stage.crash()
    assert mtimes(stage, b"a", b"same") == shown, "as it was published with the verb"
    assert stage.run("status", "--short") == " M a\n"


def test_the_configuration_holds_from_the_first_checkout_on(stage: Stage) -> None:
    stage.repository.configure(Configuration(MemoryFile(b"checkout:\n  times: commit\n")))
    first = stage.commit(a=b"one")
    committed_ns = mtimes(stage, b"a")
    stage.commit(a=b"two!")
    stage.run("reset", "--hard", first)
    assert mtimes(stage, b"a") == committed_ns
    stage.run("branch", "side")
    stage.live("side").write(b"a", b"three!")
    stage.run("reset", "--hard", "HEAD", branch="side")
    assert stage.live("side").node(b"a").mtime_ns == committed_ns[0]


@pytest.mark.parametrize("clock", [SystemClock(), FixedClock()])
def test_a_clock_gives_later_times_whatever_was_set(clock: Clock) -> None:
    now_ns = clock.now_ns()
    clock.note(now_ns + HOUR_NS)
    times = [clock.later_ns() for _ in range(3)]
    assert times == sorted(set(times))
    assert times[0] > now_ns + HOUR_NS
    clock.note(now_ns + HOUR_NS + 2 * AHEAD_MAX_NS)
    assert clock.later_ns() < now_ns + 2 * HOUR_NS, "a time that was made up"
    clock.note(0)
    assert clock.later_ns() > times[-1]


def test_a_clock_that_was_set_back_gives_later_times(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before_ns = clock.now_ns()
    monkeypatch.setattr(time, "time_ns", lambda: before_ns - HOUR_NS)
    assert clock.now_ns() == before_ns - HOUR_NS
    assert clock.later_ns() > before_ns


def test_a_verb_after_the_clock_was_set_back_and_a_mount(stage: Stage) -> None:
    first = stage.commit(a=b"one")
    stage.commit(a=b"two!")
    output_ns = stage.clock.now_ns()
    stage.run("reset", "--hard", "HEAD")
    stage.clock.time_ns -= HOUR_NS
    stage.crash()
    stage.run("reset", "--hard", first)
    assert mtimes(stage, b"a")[0] > output_ns


def test_what_is_unloaded_has_no_earlier_change_time_afterwards(stage: Stage) -> None:
    stage.files.write(b"d/a", b"one")
    stage.files.write(b"d/b", b"two")
    stage.commit()
    workspace = stage.view.workspace
    node = stage.files.node(b"d/a")
    assert isinstance(node, FileNode)
    node.touch()
    workspace.working_set.write(node, 0, b"ONE")
    node.mtime_ns, node.ctime_ns = 5, stage.clock.now_ns()
    stage.run("commit", "-m", "with a time of long ago")
    changed_ns = node.ctime_ns
    unload(workspace, node)
    again = stage.files.node(b"d/a")
    assert again.ino != node.ino
    assert again.mtime_ns == 5
    assert again.ctime_ns >= changed_ns


def test_the_page_says_what_the_default_is() -> None:
    page = Path(__file__).parents[2] / "docs/reference/configuration.md"
    assert "| `checkout.times` | now or commit | `now` |" in page.read_text()
