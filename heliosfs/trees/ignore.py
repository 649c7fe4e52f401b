"""Ignore files: which names a `.heliosignore` keeps out of commits (gitignore(5))."""

from __future__ import annotations

import stat
from functools import lru_cache
from typing import NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.patterns import PatternList, parse_lines
from heliosfs.trees.stored import find_entry

IGNORE_NAME = b".heliosignore"


class Patterns(NamedTuple):
    """An ignore file, read."""

    of_files: PatternList
    of_directories: PatternList
    """The patterns that can match a directory: all of them."""
    negated: frozenset[int]
    """The lines that begin with `!`."""


class IgnoreRules(NamedTuple):
    """The patterns that hold in a directory: those of its own ignore file, then those above."""

    patterns: Patterns
    oid: Oid
    """The content of the ignore file."""
    place: bytes
    """The path of the directory with a slash at its end; b"" is the root."""
    above: IgnoreRules | None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for rules that are equal."""
        return self.place, self.oid, self.above.key if self.above is not None else None

    def ignores(self, path: bytes, *, is_dir: bool) -> bool:
        """Return True if a path in the directory is ignored, given that no directory above it is.

        The last pattern that fits decides, and a file of a deeper directory before those above.
        """
        found = self.match(path, is_dir=is_dir)
        return found is not None and found[1] not in found[0].patterns.negated

    def match(self, path: bytes, *, is_dir: bool) -> tuple[IgnoreRules, int] | None:
        """Return the file that decides about a path, and its line, from 1 on; None if none does."""
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
    store: Store, directory: Entry, place: bytes, above: IgnoreRules | None
) -> IgnoreRules | None:
    """Read the rules that hold in a directory; `above` are those of the directory around it."""
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
