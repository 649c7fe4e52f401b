"""The page of invariants, their marks in the code, and the tests that it names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import heliosfs
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/explanation/invariants.md"

_MARK = re.compile(r"^ *# I(\d+): \S", re.MULTILINE)
_ROW = re.compile(r"^\| I(\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile(r"`([\w.]+)`")

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Row(NamedTuple):
    number: int
    places: set[str]
    tests: set[str]


def rows() -> list[Row]:
    return [
        Row(int(number), set(_NAME.findall(places)), set(_NAME.findall(tests)))
        for number, _, places, tests in _ROW.findall(PAGE.read_text())
    ]


def place_of(scope: Scope, line: int) -> str:
    """The qualified name of what a line lies in."""
    for each in scope.body:
        if isinstance(each, Scope) and each.lineno <= line <= (each.end_lineno or 0):
            assert not isinstance(each, ast.Module)
            return f"{each.name}.{place_of(each, line)}".rstrip(".")
    return ""


def marks() -> dict[int, set[str]]:
    """Number -> the classes and functions that bear it."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        for mark in _MARK.finditer(text):
            line = text.count("\n", 0, mark.start()) + 1
            found[int(mark[1])].add(place_of(parsed(path), line))
    return found


def test_the_numbers_follow_on_each_other() -> None:
    numbers = [row.number for row in rows()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 25


def test_what_the_page_says_is_marked_in_the_code_and_nothing_else() -> None:
    assert {row.number: row.places for row in rows()} == marks()


def test_every_test_that_is_named_exists() -> None:
    # Without their trees, which take four seconds.
    defined = {
        name
        for path in TESTS.rglob("*.py")
        for name in re.findall(r"^ *(?:async def|def|class) (\w+)", path.read_text(), re.MULTILINE)
    }
    for row in rows():
        assert row.tests, f"I{row.number} names no test"
        assert row.tests <= defined, f"I{row.number} names a test that is not there"
