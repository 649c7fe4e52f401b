"""Ignore rules: the paths that `.heliosignore` files keep out of commits (gitignore(5)).

A line `#!include:.gitignore`, as in files of gcloud, takes in git's own rules from its directory
down: each `.gitignore`, and `info/exclude` of each `.git` directory.  In one directory they are
asked in the order of git, after `.heliosignore`: `.gitignore`, the directories above it, and
`info/exclude` after those.
"""

from __future__ import annotations

import stat
from functools import lru_cache
from typing import NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Objects
from heliosfs.trees.files import read_file
from heliosfs.trees.patterns import PatternList, parse_lines
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.stored import find_entry

IGNORE_NAME = b".heliosignore"
GIT_IGNORE_NAME = b".gitignore"
_EXCLUDE_NAME = DOT_GIT + b"/info/exclude"
_INCLUDE = b"#!include:.gitignore"
"""Line of a `.heliosignore`, a remark for git, that takes in git's ignore files."""


class Patterns(NamedTuple):
    """Parsed ignore file."""

    of_files: PatternList
    of_directories: PatternList
    """All patterns, including those that end with a slash and match directories only."""
    negated: frozenset[int]
    """Numbers of the lines that begin with `!`."""
    takes_in_git: bool
    """True if git's ignore files count from here down."""


class IgnoreRules(NamedTuple):
    """Rules that apply in a directory: patterns of its own ignore file, then the rules above."""

    patterns: Patterns
    oid: Oid
    """Id of the ignore file's content."""
    place: bytes
    """Path of the directory with a slash at its end; b"" is the root."""
    above: IgnoreRules | None
    name: bytes = IGNORE_NAME
    """Path of the ignore file in its directory."""
    takes_in_git: bool = False
    """True if git's ignore files count in this directory and below."""

    @property
    def source(self) -> bytes:
        """Path of the ignore file."""
        return self.place + self.name

    @property
    def key(self) -> tuple[object, ...]:
        """Return a hashable value that is equal for equal rules."""
        return self.source, self.oid, self.above.key if self.above is not None else None

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
    own = _patterns_at(store, directory, IGNORE_NAME)
    takes_in_git = above is not None and above.takes_in_git
    takes_in_git |= own is not None and own[0].takes_in_git
    rules = above
    # The last one is asked first.
    for name in (_EXCLUDE_NAME, GIT_IGNORE_NAME) if takes_in_git else ():
        found = _patterns_at(store, directory, name)
        if found is not None:
            rules = IgnoreRules(*found, place, rules, name, takes_in_git=True)
    if own is not None:
        rules = IgnoreRules(*own, place, rules, takes_in_git=takes_in_git)
    return rules


def _patterns_at(store: Objects, directory: Entry, name: bytes) -> tuple[Patterns, Oid] | None:
    """Return the patterns of an ignore file and its id; None if there is none, or an empty one."""
    found = find_entry(store, directory, name)
    if found is None or not stat.S_ISREG(found.mode) or not found.size:
        return None
    return _parse(read_file(store, found)), found.oid


@lru_cache(maxsize=256)
def _parse(data: bytes) -> Patterns:
    patterns = parse_lines(data)
    return Patterns(
        PatternList(each for each in patterns if not each[1].is_only_directory),
        PatternList(patterns),
        frozenset(number for number, pattern in patterns if pattern.is_negated),
        any(line.rstrip() == _INCLUDE for line in data.split(b"\n")),
    )
