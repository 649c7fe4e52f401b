"""Patterns of names and paths: git's answers, and time that does not grow with the stars."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from heliosfs.trees.patterns import PatternList, parse_lines, parse_pattern
from heliosfs.trees.wildmatch import literal_length, matcher


def ignored(line: bytes, *paths: bytes, is_dir: bool = False) -> list[bytes]:
    """The paths that a line fits, where no directory above them is looked at."""
    patterns = [each for each in parse_lines(line) if is_dir or not each[1].is_only_directory]
    found = PatternList(patterns)
    return [path for path in paths if found.last(path, path.rpartition(b"/")[2]) > 0]


@pytest.mark.parametrize(
    ("line", "fits", "fits_not"),
    [
        (b"a[!b]c", b"axc", b"a/c"),
        (b"d/a[!b]c", b"d/axc", b"d/a/c"),
        (b"d/a?c", b"d/axc", b"d/a/c"),
        (b"d/*c", b"d/abc", b"d/a/c"),
        (b"a[^b]c", b"axc", b"abc"),
        (b"\\[a]", b"[a]", b"a"),
        (b"[\\]]x", b"]x", b"\\x"),
        (b"[]-]x", b"-x", b"[x"),
        (b"[[:digit:][:upper:]].o", b"A.o", b"a.o"),
        (b"[[:space:]]", b"\t", b"\x0b"),
        (b"[![:alpha:]]", b"\xe9", b"e"),
        (b"x/a[!b]**/c", b"x/ac/c", b"x/ac/d/c"),
        (b"a/**/b", b"a/b", b"a/bb"),
        (b"a/**/b", b"a/x/y/b", b"a/x/yb"),
        (b"**/b/c", b"b/c", b"ab/c"),
        (b"a/**", b"a/x/y", b"a"),
        (b"**/a[bc]", b"x/y/ab", b"x/y/aab"),
        (b"a**/b", b"a/x/b", b"b"),
        (b"\\a\\**", b"a*b", b"ab"),
        (b"a\\ ", b"a ", b"a"),
        (b"a  ", b"a", b"a  "),
        (b"a\\\\ ", b"a\\", b"a"),
        (b"\\#a", b"#a", b"a"),
        (b"\\!a", b"!a", b"a"),
        (b"a\r", b"a", b"a\r"),
        (b"\xef\xbb\xbfa", b"a", b"\xef\xbb\xbfa"),
        (b"[z-a]", b"z", b"a"),
        (b"[[:a]", b":", b"b"),
        (b"?", b"\xe9", b"\xc3\xa9"),
        (b"*.\xff", b"a.\xff", b"a.\xfe"),
        (b"a\0b", b"a", b"a\0b"),
        (b"*x*y*", b"aXxaya", b"ayax"),
    ],
)
def test_what_fits(line: bytes, fits: bytes, fits_not: bytes) -> None:
    assert ignored(line, fits, fits_not) == [fits]


@pytest.mark.parametrize(
    "line",
    [
        b"[",
        b"a[",
        b"[!",
        b"[]",
        b"[[:nope:]]",
        b"a\\",
        b"/",
        b"//",
        b"!",
        b"#a",
        b" ",
    ],
)
def test_lines_that_fit_nothing(line: bytes) -> None:
    assert ignored(line, b"a", b"z", b"[", b"a[", b"#a", b" ", b"a/b", b":", is_dir=True) == []


def test_the_last_one_that_fits_decides() -> None:
    lines = [b"x.o", b"*.o", b"?.o", b"/x.o", b"x*", b"x.o", b"**/x.o", b"d/*"]
    for order in itertools.permutations(range(4)):
        found = PatternList((at, parse_pattern(lines[which])) for at, which in enumerate(order))
        assert found.last(b"x.o", b"x.o") == 3
    found = PatternList(enumerate(map(parse_pattern, lines)))
    assert found.last(b"x.o", b"x.o") == 6
    assert found.last(b"d/x.o", b"x.o") == 7
    assert found.last(b"e/y.o", b"y.o") == 2
    assert found.last(b"e/y.c", b"y.c") == -1


def test_directories() -> None:
    assert parse_pattern(b"!a/b/") == (b"a/b", True, True, False)
    assert ignored(b"a/", b"a", b"x/a") == []
    assert ignored(b"a/", b"a", b"x/a", b"ab", is_dir=True) == [b"a", b"x/a"]
    assert ignored(b"/a/", b"a", b"x/a", is_dir=True) == [b"a"]


def test_texts_with_slashes_and_either_case() -> None:
    assert matcher(b"*.md")(b"docs/a.md")
    assert not matcher(b"*.md", crosses_slash=False)(b"docs/a.md")
    assert matcher(b"docs/**.md")(b"docs/x/a.md")
    assert matcher(b"A[B-C]?", ignore_case=True)(b"aBx")
    assert matcher(b"readme", ignore_case=True)(b"README")
    assert not matcher(b"readme")(b"README")
    assert not matcher(b"[")(b"[")
    assert literal_length(b"a/b\\*") == 3


def test_all_small_patterns_against_one_translated_for_the_library() -> None:
    """The library's own engine, which goes back, is right where it is quick."""
    random_ = random.Random(1)
    names = [bytes(each) for size in range(6) for each in itertools.product(b"ab/", repeat=size)]
    for _ in range(300):
        pattern = b"".join(
            random_.choices([b"a", b"b", b"*", b"?", b"/", b"[ab]"], k=random_.randrange(1, 7))
        )
        for is_path in (False, True):
            one = b"[^/]" if is_path else b"."
            words = {b"*": one + b"*", b"?": one, b"[": b"["}
            if is_path and b"**" in pattern:
                continue
            translated = b"".join(words.get(bytes((each,)), bytes((each,))) for each in pattern)
            wanted = re.compile(translated, re.DOTALL)
            fits = matcher(pattern, crosses_slash=not is_path)
            found = [name for name in names if fits(name)]
            assert found == [name for name in names if wanted.fullmatch(name)], pattern


def test_many_stars_take_no_longer() -> None:
    """An engine that goes back takes a million steps for this, and for a longer name no end."""
    name = b"a" * 40
    for text in (b"*a*a*a*a*a*b", b"**/*a*a*a*a*a*b", b"x/*a*a*a*a*b/**/c"):
        assert ignored(text, name, b"x/" + name) == []
        assert ignored(text.removesuffix(b"b"), name) == ([name] if b"x/" not in text else [])
    deep = b"/".join([b"a"] * 60)
    assert ignored(b"a/**/a/**/a/**/a/**/b", deep) == []
    assert ignored(b"a/**/a/**/a/**/a/**/a", deep) == [deep]
    assert not matcher(b"*a" * 60 + b"b")(b"a" * 4000)


def test_patterns_longer_than_a_name() -> None:
    assert ignored(b"?" * 250, b"a" * 250, b"a" * 251) == [b"a" * 250]
    assert ignored(b"?" * 250 + b"*b", b"a" * 250 + b"b", b"a" * 250) == [b"a" * 250 + b"b"]
    assert ignored(b"[ab]*" * 30_000, b"ab" * 100) == []
    assert ignored(b"[ab]" * 300 + b"/x", b"ab" * 150 + b"/x", b"x") == [b"ab" * 150 + b"/x"]
