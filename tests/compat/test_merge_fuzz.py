"""A small seeded run of the merge fuzzer, and histories in which it once found a difference."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.compat.merge_fuzz import (
    FILE,
    LINK,
    SUBMODULE,
    Author,
    Both,
    Node,
    Tree,
    compare,
    history,
)

TEXT = b"".join(b"line %d\n" % number for number in range(12))


def sub(number: int) -> tuple[bytes, bytes]:
    return SUBMODULE, b"%040d" % number


@pytest.mark.parametrize(("seed", "repeats"), [(1, False), (700, True)])
def test_merges_are_those_of_git(tmp_path: Path, seed: int, repeats: bool) -> None:
    assert list(compare(tmp_path, seed, 40, repeats=repeats)) == []


def test_histories_are_what_they_are_said_to_be() -> None:
    """Histories of these seeds cross, and have links, submodules, binary files, clean merges."""
    kinds: set[bytes] = set()
    crossed = 0
    for seed in range(1, 61):
        nodes = history(Author(Random(seed), repeats=False))
        crossed += any(len(node.parents) == 2 for node in nodes)
        kinds |= {mode for node in nodes for mode, _ in node.tree.values()}
        kinds |= {b"binary" for node in nodes for _, data in node.tree.values() if b"\0" in data}
    assert crossed > 30
    assert kinds >= {FILE, b"100755", LINK, SUBMODULE, b"binary"}


CROSSED: dict[str, tuple[Tree, Tree, Tree, Tree, Tree]] = {
    # base; one, two: the merge bases; ours, theirs: the merges of them, to be merged.
    "a base made a directory a file": (
        {b"c/b": (FILE, TEXT)},
        {b"c": (FILE, b"other\n")},
        {b"d/b": (FILE, TEXT)},
        {b"c": (FILE, b"other\n")},
        {b"d/b": (FILE, TEXT)},
    ),
    "a base made a directory a submodule": (
        {b"c": sub(2)},
        {b"c/e": (FILE, TEXT)},
        {b"c": sub(3)},
        {b"b": (FILE, TEXT)},
        {b"c": (FILE, b"file\n")},
    ),
    "a base moved a link, the other made a submodule of it": (
        {b"a": (LINK, b"a")},
        {b"b/c": (LINK, b"a")},
        {b"a": sub(4)},
        {b"b/c": (LINK, b"a")},
        {b"a": (LINK, b"d/b")},
    ),
    "a base moved a submodule, the other moved it on": (
        {b"a/c": sub(3), b"e": (FILE, TEXT)},
        {b"b": sub(3), b"e": (FILE, TEXT)},
        {b"a/c": sub(5), b"e": (FILE, TEXT)},
        {b"a/c": sub(5), b"e": (FILE, TEXT)},
        {b"a/c": sub(5), b"b": (FILE, b"file\n"), b"e": (FILE, TEXT)},
    ),
    "a base has files of one content under two names": (
        {b"a/x": (FILE, TEXT), b"d/e/b": (FILE, b"1\n")},
        {b"a/x": (FILE, TEXT), b"d": (FILE, TEXT)},
        {b"d/c/e": (FILE, TEXT)},
        {b"d/c/e": (FILE, TEXT)},
        {b"d": (FILE, TEXT), b"e": (FILE, b"2\n")},
    ),
    "binary files were added by both": (
        {b"a": (FILE, TEXT)},
        {b"a": (FILE, TEXT), b"b": (FILE, b"\0one")},
        {b"a": (FILE, TEXT), b"b": (FILE, b"\0two")},
        {b"a": (FILE, TEXT), b"b": (FILE, b"\0one")},
        {b"a": (FILE, TEXT), b"b": (FILE, b"\0two")},
    ),
    "links were added by both": (
        {b"a": (FILE, TEXT)},
        {b"a": (FILE, TEXT), b"b": (LINK, b"one")},
        {b"a": (FILE, TEXT), b"b": (LINK, b"two")},
        {b"a": (FILE, TEXT), b"b": (LINK, b"one")},
        {b"a": (FILE, TEXT)},
    ),
}


@pytest.mark.parametrize("name", CROSSED)
@pytest.mark.parametrize("turned", [False, True])
def test_criss_cross(tmp_path: Path, name: str, turned: bool) -> None:
    base, one, two, ours, theirs = CROSSED[name]
    if turned:
        one, two, ours, theirs = two, one, theirs, ours
    nodes = [Node([], base), Node([0], one), Node([0], two), Node([1, 2], ours)]
    both = Both(tmp_path / "git")
    written = both.write([*nodes, Node([2, 1], theirs)])
    both.send()
    (our_mark, our_oid), (their_mark, their_oid) = written[-2:]
    by_git, here = both.by_git(our_mark, their_mark), both.by_heliosfs(our_oid, their_oid)
    assert here[0] == by_git[0], (by_git, here)
    assert not here[0] or here[1] == by_git[1]
