"""A commit that follows the last one contains what a comparison with HEAD would select."""

from __future__ import annotations

import random
from collections.abc import Callable
from unittest.mock import patch

import pytest

from heliosfs.errors import NothingToCommit
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo import ignoring
from heliosfs.trees.stored import EMPTY_TREE, trees_differ, walk_changes
from heliosfs.workspace.flush import flush
from heliosfs.workspace.flushed import EDITS_MAX, FLUSHES_MAX
from heliosfs.workspace.following import Followed, Selected, follow
from heliosfs.workspace.workspace import Workspace
from tests.tree_builder import Stage

PLACES = [b"", b"a/", b"a/b/", b"c/o/", b"c/o/d/", b".git/", b".git/info/", b"a/.git/"]
NAMES = [b"x.c", b"y.c", b"x.o", b"exclude"]
RULES = [b"*.o\n", b"o/\n", b"#!include:.gitignore\n*.o\n", b"!x.o\n"]


def committed(stage: Stage) -> tuple[Entry | None, bool]:
    """Commit, and compare with what a selection finds; return the root, and if it was followed."""
    view = stage.view
    expected = view.ignoring.select(flush(view.workspace))
    results: list[Followed | None] = []

    def followed(workspace: Workspace, selected: Selected) -> Followed | None:
        results.append(follow(workspace, selected))
        return results[-1]

    with patch.object(ignoring, "follow", followed):
        try:
            head = view.commit("work")
        except NothingToCommit:
            return None, False
    root = view.core.history.read(head).root
    assert files_of(stage, root) == files_of(stage, expected)
    assert not trees_differ(stage.store, root, expected)
    assert view.has_changes() is False
    return root, bool(results and results[0])


def files_of(stage: Stage, root: Entry) -> dict[bytes, Entry]:
    """Return every file of a tree; the times of directories are not compared.

    A directory in which nothing changed but ignored files may have that of an earlier commit.
    """
    changes = walk_changes(stage.store, EMPTY_TREE, TreeId(root.oid))
    return {path: new for path, _, new in changes if new is not None and not new.is_dir}


def filled(*extra: tuple[bytes, bytes]) -> Stage:
    stage = Stage()
    for place in PLACES:
        for name in NAMES:
            stage.files.write(place + name, b"first\n")
    for path, data in extra:
        stage.files.write(path, data)
    committed(stage)
    return stage


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_edited(seed: int, rules: bytes) -> None:
    dice = random.Random(seed)
    # What is committed before there are rules is never ignored.
    stage = filled((b".heliosignore", rules)) if seed % 2 else filled()
    stage.files.write(b".heliosignore", rules)
    count = 0
    for step in range(60):
        for _ in range(dice.randrange(1, 4)):
            edit(stage, dice, step)
        if dice.random() < 0.3:
            stage.view.checkpoint()
            edit(stage, dice, step)
        _, is_followed = committed(stage)
        count += is_followed
    # Not by comparisons alone.
    assert count > 10


def edit(stage: Stage, dice: random.Random, step: int) -> None:
    files = stage.files
    path = dice.choice(PLACES) + dice.choice(NAMES)
    what = dice.random()
    try:
        there = files.node(path)
    except AssertionError:
        there = None
    if there is None or what < 0.8:
        files.write(path, b"step %d\n" % dice.randrange(step + 1))
    elif what < 0.85:
        files.chmod(path, dice.choice([0o600, 0o644]))
    elif what < 0.9:
        files.chmod(path.rpartition(b"/")[0], dice.choice([0o700, 0o755]))
    elif what < 0.94:
        files.remove(path)
    elif what < 0.97:
        files.write(dice.choice([b"", b"a/"]) + b".gitignore", dice.choice(RULES))
    else:
        assert stage.view.head is not None
        stage.view.reset(stage.view.head)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.write(b"a/b/x.c", b"second\n"),
        lambda files: files.write(b"x.c", b"second\n"),
        lambda files: files.chmod(b"a/x.c", 0o755),
        lambda files: (files.write(b"a/x.o", b"2"), files.write(b"a/x.c", b"2")),
        lambda files: (files.write(b".git/new", b"2"), files.write(b"a/x.c", b"2")),
    ],
)
def test_edits_of_files_are_followed(change: Callable[[object], object]) -> None:
    stage = filled((b".heliosignore", b"*.o\n"))
    for _ in range(2):
        stage.files.write(b"c/o/x.c", b"between\n")
        stage.view.checkpoint()
        change(stage.files)
        root, is_followed = committed(stage)
        assert root is not None
        assert is_followed
        stage.files.write(b"c/o/x.c", b"again\n")
        assert committed(stage)[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.write(b"a/new.c", b"2"),
        lambda files: files.write(b"a/new.o", b"2"),
        lambda files: files.write(b"a/new.o/new.c", b"2"),
        lambda files: files.write(b"new.c", b"2"),
        lambda files: files.write(b"new.o", b"2"),
        lambda files: files.write(b"c/out.o/new.c", b"2"),
        lambda files: files.write(b"c/out.o/d/e/new.c", b"2"),
        lambda files: files.remove(b"c/out.o/x.c"),
        lambda files: files.remove(b"c/out.o"),
        lambda files: files.remove(b"a/x.c"),
        lambda files: files.remove(b"y.c"),
        lambda files: files.rename(b"a/x.c", b"a/x.o"),
        lambda files: files.rename(b"a/x.o", b"a/z.c"),
        lambda files: files.rename(b"a/x.c", b"c/x.c"),
        lambda files: files.write(b".git/new", b"2"),
    ],
)
@pytest.mark.parametrize("is_saved", [False, True])
def test_names_that_come_and_go_are_followed(
    change: Callable[[object], object], is_saved: bool
) -> None:
    stage = filled((b".heliosignore", b"*.o\n"), (b"c/out.o/x.c", b"1"))
    change(stage.files)
    if is_saved:
        stage.view.checkpoint()
    stage.files.write(b"x.c", b"second\n")
    root, is_followed = committed(stage)
    assert root is not None
    assert is_followed
    stage.files.write(b"a/y.c", b"again\n")
    assert committed(stage)[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.write(b".heliosignore", b"*.c\n"),
        lambda files: files.write(b"a/.gitignore", b"*.c\n"),
        lambda files: files.write(b".git/info/exclude", b"*.c\n"),
        lambda files: files.write(b"a/new/x.c", b"2"),
        lambda files: files.write(b"out/new.c", b"2"),
        lambda files: (files.remove(b"a/x.c"), files.write(b"a/x.c/new", b"2")),
        lambda files: files.remove(b"a/b"),
        lambda files: files.chmod(b"a", 0o700),
        lambda files: files.link(b"a/x.c", b"a/linked"),
    ],
)
def test_everything_else_is_compared(change: Callable[[object], object]) -> None:
    stage = filled(
        (b".heliosignore", b"#!include:.gitignore\n*.o\n"),
        (b"a/.gitignore", b"z\n"),
        (b"out/only.o", b"all in it is ignored"),
    )
    change(stage.files)
    stage.files.write(b"x.c", b"second\n")
    root, is_followed = committed(stage)
    assert root is not None
    assert not is_followed


def test_a_directory_that_is_ignored_keeps_what_was_committed_before() -> None:
    stage = filled()
    stage.files.write(b".heliosignore", b"/a/\n")
    committed(stage)
    for name in (b"a/new.c", b"a/b/new.c"):
        stage.files.write(name, b"not of HEAD")
        stage.files.write(b"a/x.c", name)
        root, is_followed = committed(stage)
        assert root is not None
        assert is_followed
        assert name not in files_of(stage, root)


def test_what_an_entry_says_inside_of_another_is_no_entry() -> None:
    """A symlink's target, or an extended attribute, can be the bytes of an ignored file's entry."""
    stage = filled((b".heliosignore", b"*.o\n"), (b"a.o", b"1"))
    node = stage.files.node(b"a.o")
    assert node.raw is not None
    holder = stage.files.node(b"x.c")
    holder.xattrs = {b"user.x": node.raw}
    holder.touch()
    committed(stage)
    stage.files.write(b"a.o", b"2")
    stage.files.write(b"y.c", b"2")
    root, is_followed = committed(stage)
    assert root is not None
    assert is_followed


def test_a_change_that_is_taken_back_is_none() -> None:
    stage = filled((b".heliosignore", b"*.o\n"))
    stage.files.write(b"x.c", b"second\n")
    stage.view.checkpoint()
    stage.files.write(b"x.c", b"first\n")
    assert committed(stage) == (None, False)


def test_no_more_is_recorded_than_pays() -> None:
    stage = filled((b".heliosignore", b"*.o\n"))
    record = stage.view.workspace.record
    for number in range(FLUSHES_MAX):
        assert record.flushes is not None
        stage.files.write(b"x.c", b"%d" % number)
        stage.view.checkpoint()
    stage.files.write(b"x.c", b"last")
    stage.view.checkpoint()
    assert record.flushes is None
    committed(stage)
    for number in range(EDITS_MAX):
        stage.files.write(b"many/%d" % number, b"1")
    assert record.flushes == []
    committed(stage)
    for number in range(EDITS_MAX + 1):
        stage.files.write(b"many/%d" % (number % EDITS_MAX), b"2")
    stage.files.write(b"x.c", b"2")
    root, is_followed = committed(stage)
    assert root is not None
    assert not is_followed


def test_nothing_is_recorded_without_rules() -> None:
    stage = Stage()
    for number in range(3):
        stage.files.write(b"a", b"%d" % number)
        stage.view.commit("work")
    assert stage.view.workspace.record.flushes is None
