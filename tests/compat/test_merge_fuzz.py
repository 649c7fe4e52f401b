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
    "a base moved a file to where the other, which removed it, added one": (
        {b"c/b": (FILE, TEXT + b"more\n"), b"z": (FILE, b"z\n")},
        {b"a/b": (FILE, TEXT), b"z": (FILE, b"z\n")},
        {b"a/b": (FILE, b""), b"z": (FILE, b"z\n")},
        {b"a/b": (FILE, TEXT), b"z": (FILE, b"z\n")},
        {b"z": (FILE, b"z\n")},
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
    check(tmp_path, [*nodes, Node([2, 1], theirs)])


def check(tmp_path: Path, nodes: list[Node]) -> None:
    """Merge the last two commits of a history with both, and compare."""
    both = Both(tmp_path / "git")
    written = both.write(nodes)
    both.send()
    (our_mark, our_oid), (their_mark, their_oid) = written[-2:]
    by_git, here = both.by_git(our_mark, their_mark), both.by_heliosfs(our_oid, their_oid)
    assert here[0] == by_git[0], (by_git, here)
    assert not here[0] or here[1] == by_git[1]


CHANGED = TEXT + b"more\n"
IN_PLACE: dict[str, tuple[Tree, Tree, Tree]] = {
    # base; one side, which adds equal files, one of them below what was a file; the other side.
    "a changed file": (
        {b"a": (FILE, TEXT)},
        {b"c": (FILE, TEXT), b"a/x": (FILE, TEXT)},
        {b"a": (FILE, CHANGED)},
    ),
    "a changed file, whose name one has": (
        {b"a": (FILE, TEXT)},
        {b"b": (FILE, TEXT), b"a/a": (FILE, TEXT)},
        {b"a": (FILE, CHANGED)},
    ),
    "another file, that was changed": (
        {b"b": (FILE, b"other\n"), b"z": (FILE, TEXT)},
        {b"b/x": (FILE, TEXT), b"c": (FILE, TEXT)},
        {b"b": (FILE, b"changed\n"), b"z": (FILE, CHANGED)},
    ),
    "another file, that was not changed": (
        {b"b": (FILE, b"other\n"), b"z": (FILE, TEXT)},
        {b"b/x": (FILE, TEXT), b"c": (FILE, TEXT)},
        {b"b": (FILE, b"other\n"), b"z": (FILE, CHANGED)},
    ),
    "a link, that was removed": (
        {b"b": (LINK, b"z"), b"z": (FILE, TEXT)},
        {b"b/x": (FILE, TEXT), b"c": (FILE, TEXT)},
        {b"z": (FILE, CHANGED)},
    ),
    "a file, that was added": (
        {b"z": (FILE, TEXT)},
        {b"b/x": (FILE, TEXT), b"c": (FILE, TEXT)},
        {b"b": (FILE, b"added\n"), b"z": (FILE, CHANGED)},
    ),
}


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("turned", [False, True])
def test_equal_files_of_which_one_lies_below_what_was_a_file(
    tmp_path: Path, name: str, turned: bool
) -> None:
    """Git looks at once into a directory where the other side changed something, also a file."""
    base, one, two = IN_PLACE[name]
    tips = (two, one) if turned else (one, two)
    check(tmp_path, [Node([], base), *(Node([0], tree) for tree in tips)])


LEFT: dict[str, tuple[Tree, Tree, Tree]] = {
    # base; a side that moved what is there; the other one, with another kind in its old place.
    "a link, and files at both places": (
        {b"a/d": (LINK, b"a")},
        {b"d": (LINK, b"a")},
        {b"a/d": (FILE, b"one\n"), b"d": (FILE, b"two\n")},
    ),
    "a file, and links at both places": (
        {b"a/d": (FILE, TEXT)},
        {b"d": (FILE, TEXT)},
        {b"a/d": (LINK, b"a"), b"d": (LINK, b"b")},
    ),
    "a changed file, and links at both places": (
        {b"a/d": (FILE, TEXT)},
        {b"d": (FILE, CHANGED)},
        {b"a/d": (LINK, b"a"), b"d": (LINK, b"b")},
    ),
    "a file, which the other side moved, too": (
        {b"a/d": (FILE, TEXT)},
        {b"d": (FILE, TEXT)},
        {b"a/d": (LINK, b"a"), b"d": (FILE, CHANGED)},
    ),
    "a link, and another link at the new place": (
        {b"a/d": (LINK, b"a")},
        {b"d": (LINK, b"a")},
        {b"a/d": (FILE, TEXT), b"d": (LINK, b"b")},
    ),
}


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.parametrize("turned", [False, True])
def test_what_was_moved_to_where_there_is_another_kind(
    tmp_path: Path, name: str, turned: bool
) -> None:
    base, one, two = LEFT[name]
    tips = (two, one) if turned else (one, two)
    check(tmp_path, [Node([], base), *(Node([0], tree) for tree in tips)])


def lines(*numbers: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in numbers)


def test_a_nested_criss_cross(tmp_path: Path) -> None:
    """Three bases of bases, whose merge has a file under two names, one below the old one."""
    empty, first, last = (FILE, b""), (FILE, lines(1)), (FILE, lines(8))
    more = FILE, b"}\n" + lines(13, 14)
    nodes = [
        Node([], {b"a": first}),
        Node([0], {b"c": first, b"b/b": (FILE, lines(3))}),
        Node([0], {b"a/a": first}),
        Node([0], {b"a": last}),
        Node([1, 2], {b"c": empty}),
        Node([2, 1], {b"a/a": first, b"b/b": (FILE, lines(3))}),
        Node([4, 3], {b"c": empty}),
        Node([5, 3], {b"a": last}),
        Node([6], {b"c": more}),
        Node([8, 7], {b"c": more}),
        Node([7, 8], {b"c": more}),
        Node([9], {b"c": (FILE, lines(14))}),
        Node([10], {b"e/d": (FILE, lines(18) + b"}\n\n" + lines(14, 17))}),
    ]
    check(tmp_path, nodes)
