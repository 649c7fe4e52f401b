"""Attributes that the `.gitattributes` files of a tree assign to its files (gitattributes(5)).

The files are read as git reads those of a working tree: the file in the deepest directory takes
precedence, and within one file the last matching line.  `[attr]NAME` in the file at the root
defines a macro.  Only regular files have attributes here, so a pattern that ends with a slash
matches nothing.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from heliosfs.objects.tree import Entry
from heliosfs.store.base import Objects
from heliosfs.trees.files import read_file
from heliosfs.trees.patterns import parse_pattern, test_of
from heliosfs.trees.stored import find_entry
from heliosfs.trees.wildmatch import Matcher

ATTRIBUTES_NAME = b".gitattributes"

Value = bool | bytes
"""Value of an attribute: True if set, False if unset (`-NAME`), the bytes of `NAME=VALUE`."""

_LINE_MAX_BYTES = 2048
_ATTRIBUTES_MAX_BYTES = 100 * 1024 * 1024
_MACRO = b"[attr]"
_BLANK = b" \t\r\n"
_BLANKS = re.compile(rb"[ \t\r\n]+")
_NAME = re.compile(rb"[A-Za-z0-9_.][-A-Za-z0-9_.]*")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv"\\]|[0-3][0-7]{2}))*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))

_States = tuple[tuple[bytes, Value | None], ...]
"""Attributes that one line assigns; None stands for `!NAME`, which makes one unspecified."""


class _Line(NamedTuple):
    is_name: bool
    fits: Matcher
    states: _States


class _File(NamedTuple):
    """Parsed attributes file; the lines that take precedence come first."""

    lines: tuple[_Line, ...]
    macros: Mapping[bytes, _States]


class _Level(NamedTuple):
    """Lines that apply in a directory: those of its own file, then those of the level above."""

    lines: Sequence[_Line]
    place_bytes: int
    """Length of the directory's path with a slash at its end."""
    above: _Level | None


class Attributes:
    """Lookup of some attributes, named at construction, for the files of one tree."""

    def __init__(
        self, store: Objects, root: Entry | None, names: Sequence[bytes], info: bytes = b""
    ) -> None:
        """Read the file at the root.

        `info` is the content of a file that takes precedence over all those in the tree; without
        a root it is the only one.
        """
        self._store = store
        self._root = root
        self._info = _parse(info, may_define=True)
        top = _parse(self._read(root), may_define=True)
        self._macros = {**_BUILTIN.macros, **top.macros, **self._info.macros}
        self._names = frozenset(names)
        self._relevant = self._names | self._expanding(self._names)
        self._levels: dict[bytes, _Level] = {b"": _Level(self._chosen(top), 0, None)}
        self._first = _Level(self._chosen(self._info), 0, None)

    def of(self, path: bytes) -> Mapping[bytes, Value]:
        """Return the attributes of a file by name, without those that are unspecified.

        Cost: 0.2 us for each line that mentions an attribute asked for, and reading the
        attributes file of each directory once.
        """
        values: dict[bytes, Value | None] = {}
        place, _, name = path.rpartition(b"/")
        level: _Level | None = self._level(place)
        for lines, below in ((self._first.lines, path), *_lines_of(level, path)):
            for line in lines:
                if line.fits(name if line.is_name else below):
                    self._fill(values, line.states)
        return {
            name: value
            for name, value in values.items()
            if value is not None and name in self._names
        }

    def is_silent(self, place: bytes) -> bool:
        """Return True if no line can match a file that is directly in the directory `place`."""
        level: _Level | None = self._level(place)
        return not self._first.lines and not any(lines for lines, _ in _lines_of(level, b""))

    def _fill(self, values: dict[bytes, Value | None], states: _States) -> None:
        """Add the attributes that no earlier line has set; the last one of a line wins."""
        for name, value in reversed(states):
            if name not in values:
                values[name] = value
                if value is True and name in self._macros:
                    self._fill(values, self._macros[name])

    def _expanding(self, names: frozenset[bytes]) -> frozenset[bytes]:
        """Return the macros that set one of the names, directly or through other macros."""
        found: set[bytes] = set()
        while True:
            more = {
                macro
                for macro, states in self._macros.items()
                if macro not in found and any(name in names or name in found for name, _ in states)
            }
            if not more:
                return frozenset(found)
            found |= more

    def _chosen(self, file: _File) -> Sequence[_Line]:
        relevant = self._relevant
        return [line for line in file.lines if any(name in relevant for name, _ in line.states)]

    def _level(self, place: bytes) -> _Level:
        found = self._levels.get(place)
        if found is None:
            above = self._level(place.rpartition(b"/")[0])
            directory = find_entry(self._store, self._root, place) if self._root else None
            lines = self._chosen(_parse(self._read(directory), may_define=False))
            found = _Level(lines, len(place) + 1, above) if lines else above
            self._levels[place] = found
        return found

    def _read(self, directory: Entry | None) -> bytes:
        if directory is None or not directory.is_dir:
            return b""
        file = find_entry(self._store, directory, ATTRIBUTES_NAME)
        if file is None or not stat.S_ISREG(file.mode) or file.size >= _ATTRIBUTES_MAX_BYTES:
            return b""
        return read_file(self._store, file)


def _lines_of(level: _Level | None, path: bytes) -> Iterator[tuple[Sequence[_Line], bytes]]:
    while level is not None:
        yield level.lines, path[level.place_bytes :]
        level = level.above


@lru_cache(maxsize=64)
def _parse(data: bytes, *, may_define: bool) -> _File:
    """Parse an attributes file; skip the lines that git skips."""
    lines: list[_Line] = []
    macros: dict[bytes, _States] = {}
    for text in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        found = _parse_line(text.removesuffix(b"\r").partition(b"\0")[0])
        if found is None:
            continue
        pattern, states = found
        if len(pattern) > len(_MACRO) and pattern.startswith(_MACRO):
            name = pattern[len(_MACRO) :].lstrip(_BLANK)
            name = _BLANKS.split(name, maxsplit=1)[0]
            if may_define and _NAME.fullmatch(name):
                macros[name] = states
            continue
        parsed = parse_pattern(pattern)
        if not parsed.is_negated and not parsed.is_only_directory:
            lines.append(_Line(*test_of(parsed), states))
    return _File(tuple(reversed(lines)), macros)


def _parse_line(text: bytes) -> tuple[bytes, _States] | None:
    """Return the pattern of a line and the attributes it assigns; None where git skips it."""
    line = text.lstrip(_BLANK)
    if not line or line.startswith(b"#") or len(text) >= _LINE_MAX_BYTES:
        return None
    quoted = _QUOTED.match(line)
    if quoted is not None:
        pattern, rest = _ESCAPE.sub(_unescaped, quoted[1]), line[quoted.end() :]
    else:
        pattern = _BLANKS.split(line, maxsplit=1)[0]
        rest = line[len(pattern) :]
    states = [_state(word) for word in _BLANKS.split(rest) if word]
    found = tuple(state for state in states if state is not None)
    return (pattern, found) if len(found) == len(states) else None


def _state(word: bytes) -> tuple[bytes, Value | None] | None:
    name, equals, value = word.partition(b"=")
    sign = name[:1] if name[:1] in (b"-", b"!") else b""
    name = name[len(sign) :]
    if not _NAME.fullmatch(name):
        return None
    if sign:
        return name, False if sign == b"-" else None
    return name, value if equals else True


def _unescaped(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    if len(escape) == 3:
        return bytes((int(escape, 8),))
    return bytes((_LETTERS.get(escape[0], escape[0]),))


_BUILTIN = _parse(b"[attr]binary -diff -merge -text", may_define=True)
