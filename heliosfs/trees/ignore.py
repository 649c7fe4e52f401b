"""Ignore rules: the paths that `.heliosignore` files keep out of commits (gitignore(5))."""

from __future__ import annotations

import stat
from functools import lru_cache
from typing import NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Objects
from heliosfs.trees.files import read_file
from heliosfs.trees.patterns import PatternList, parse_lines
from heliosfs.trees.stored import find_entry

IGNORE_NAME = b".heliosignore"


class Patterns(NamedTuple):
    """Parsed ignore file."""

    of_files: PatternList
    of_directories: PatternList
    """All patterns, including those that end with a slash and match directories only."""
    negated: frozenset[int]
    """Numbers of the lines that begin with `!`."""


class IgnoreRules(NamedTuple):
    """Rules that apply in a directory: patterns of its own ignore file, then the rules above."""

    patterns: Patterns
    oid: Oid
    """Id of the ignore file's content."""
    place: bytes
    """Path of the directory with a slash at its end; b"" is the root."""
    above: IgnoreRules | None

    @property
    def key(self) -> tuple[object, ...]:
        """Return a hashable value that is equal for equal rules."""
        return self.place, self.oid, self.above.key if self.above is not None else None

    def ignores(self, path: bytes, *, is_dir: bool) -> bool:
        """Return True if a path is ignored; no directory above it may be ignored already.

        The last matching pattern decides, and an ignore file in a deeper directory takes
        precedence over those above.
        """
        found = self.match(path, is_dir=is_dir)
        return found is not None and found[1] not in found[0].patterns.negated

    def match(self, path: bytes, *, is_dir: bool) -> tuple[IgnoreRules, int] | None:
        """Return the rules and the line number (from 1) that decide about a path, or None."""
        name = path.rpartition(b"/")[2]
        rules: IgnoreRules | None = self
        while rules is not None:
            patterns = rules.patterns.of_directories if is_dir else rules.patterns.of_files
            line = patterns.last(path[len(rules.place) :], name)
            if line >= 0:
                return rules, line
            rules = rules.above
        return None


def rules_in(
    store: Objects, directory: Entry, place: bytes, above: IgnoreRules | None
) -> IgnoreRules | None:
    """Return the rules that apply in a directory, given those that apply `above` it."""
    found = find_entry(store, directory, IGNORE_NAME)
    if found is None or not stat.S_ISREG(found.mode) or not found.size:
        return above
    return IgnoreRules(_parse(read_file(store, found)), found.oid, place, above)


@lru_cache(maxsize=64)
def _parse(data: bytes) -> Patterns:
    patterns = parse_lines(data)
    return Patterns(
        PatternList(each for each in patterns if not each[1].is_only_directory),
        PatternList(patterns),
        frozenset(number for number, pattern in patterns if pattern.is_negated),
    )
