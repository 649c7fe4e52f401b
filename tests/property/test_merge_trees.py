"""merge of trees with every kind of entry at colliding paths: it ends, and the tree is sound."""

from __future__ import annotations

import stat
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliosfs.errors import Conflicted
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.trees.stored import read_entries
from tests.tree_builder import Stage, TreeBuilder

PATHS = [b"d", b"d/a", b"d/a/b", b"e", b"e/a", b"f"]
TEXTS = [b"", b"1\n2\n3\n", b"1\n2\n3\n4\n", b"x\n2\n3\n", b"\0"]


def edit(random: Random, files: TreeBuilder, who: bytes) -> None:
    """A few changes that the tree allows."""
    for _ in range(random.randint(0, 6)):
        tree = files.tree()
        path, other = random.choice(PATHS), random.choice(PATHS)
        mode = tree[path][0] if path in tree else 0
        is_free = other not in tree and fits(tree, other)
        action = random.choice(["write", "write", "write", "mkdir", "remove", "rename", "more"])
        if action == "write" and fits(tree, path) and (not mode or stat.S_ISREG(mode)):
            files.write(path, random.choice([*TEXTS, b"1\n2\n3\n" + who, b"\0" + who]))
        elif action == "mkdir" and is_free:
            files.directory(other)
        elif action == "remove" and mode:
            files.remove(path)
        elif action == "rename" and mode and is_free and not other.startswith(path + b"/"):
            files.rename(path, other)
        elif action == "more" and mode and not stat.S_ISLNK(mode):
            files.chmod(path, random.choice([0o600, 0o644, 0o755]))
            if stat.S_ISREG(mode) and is_free:
                files.link(path, other)
        elif action == "more" and is_free:
            files.symlink(other, who)


def fits(tree: dict[bytes, tuple[int, bytes]], path: bytes) -> bool:
    """Return True if nothing but directories lies above a path."""
    above = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
    return all(stat.S_ISDIR(tree[each][0]) for each in above if each in tree)


def check(store: Store, root: Entry) -> None:
    """Check that each directory is as its entry says."""
    pending = [root]
    while pending:
        directory = pending.pop()
        raws = read_entries(store, TreeId(directory.oid))
        entries = [decode_entry(raw)[0] for raw in raws]
        names = [entry.name for entry in entries]
        assert names == sorted(set(names))
        below = [entry for entry in entries if entry.is_dir]
        assert directory.size == len(below)
        assert directory.links_below == any(each.group or each.links_below for each in entries)
        pending += below


@pytest.mark.parametrize("option", ["--no-ff", "--ours", "--theirs", "--markers"])
@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_any_trees(option: str, random: Random) -> None:
    stage = Stage()
    edit(random, stage.files, b"base")
    edit(random, stage.files, b"base")
    stage.run("commit", "--allow-empty")
    stage.run("branch", "x")
    edit(random, stage.live("x"), b"theirs")
    stage.run("commit", "--allow-empty", branch="x")
    edit(random, stage.files, b"ours")
    stage.run("commit", "--allow-empty")
    before = stage.files.tree()
    try:
        stage.run("merge", "--no-ff", option, "x")
    except Conflicted:
        assert option == "--no-ff"
        assert stage.files.tree() == before
        return
    after = stage.files.tree()
    check(stage.store, stage.view.state().root)
    stage.reopen()
    assert stage.files.tree() == after
    if stage.view.merging is None:
        assert stage.run("status", "-s") == ""
    stage.run("undo")
    assert stage.files.tree() == before
