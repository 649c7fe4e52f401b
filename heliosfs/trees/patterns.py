r"""Lists of patterns as git's ignore and attribute files have them (gitignore(5)).

A pattern is compared with the path from the directory of its file, or, if it has no slash but at
its end, with the name alone.  The last pattern that fits decides.  Most patterns are a name, or a
star and an ending: these are found without looking at each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from heliosfs.trees.wildmatch import (
    ANY,
    DIRS,
    STAR,
    Automaton,
    Matcher,
    Token,
    literal_length,
    tokens_of,
)

_PATTERN_MAX_BYTES = 64 * 1024
"""A longer pattern with wildcards fits nothing: no path is so long."""
_LIBRARY_MAX = 200
"""Tokens of a pattern that `re` is given: it takes 5 us for each to be compiled."""
_NOTHING: Matcher = lambda text: False  # noqa: E731 (a value of the type, not a function)


class Pattern(NamedTuple):
    """One pattern, read."""

    text: bytes
    """Without the marks below."""
    is_negated: bool = False
    """It began with `!`."""
    is_only_directory: bool = False
    """It ended with a slash."""
    is_name: bool = False
    """It has no other slash."""


def parse_pattern(line: bytes) -> Pattern:
    """Read a pattern from a line that has one."""
    is_negated = line.startswith(b"!")
    text = line[is_negated:]
    is_only_directory = text.endswith(b"/")
    text = text[: len(text) - is_only_directory]
    return Pattern(text, is_negated, is_only_directory, b"/" not in text)


def parse_lines(data: bytes) -> list[tuple[int, Pattern]]:
    r"""Read an ignore file: its patterns, with the numbers of their lines from 1 on.

    Nothing in it is an error: what git cannot make sense of fits nothing.

    >>> parse_lines(b"#x\n\n!a /\\ \r\n")
    [(3, Pattern(text=b'a /\\ ', is_negated=True, is_only_directory=False, is_name=False))]
    """
    found: list[tuple[int, Pattern]] = []
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(b"#"):
            continue
        line = line.removesuffix(b"\r").partition(b"\0")[0]
        found.append((number, parse_pattern(_without_spaces(line))))
    return found


def _without_spaces(line: bytes) -> bytes:
    r"""Cut off spaces at the end; one behind a backslash stays."""
    end = len(line.rstrip(b" "))
    if end == len(line):
        return line
    backslashes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + backslashes % 2]


class PatternList:
    """Patterns in the order in which they count more and more."""

    __slots__ = ("_endings", "_endings_at", "_names", "_others", "_paths")

    def __init__(self, patterns: Iterable[tuple[int, Pattern]]) -> None:
        """Take numbered patterns; `last` returns their numbers, which must rise."""
        self._names: dict[bytes, int] = {}
        self._paths: dict[bytes, int] = {}
        endings: dict[bytes, int] = {}
        others: list[tuple[int, bool, bytes, Matcher]] = []
        for number, pattern in patterns:
            text, is_name = _simplified(pattern)
            if literal_length(text) == len(text):
                (self._names if is_name else self._paths)[text] = number
            elif is_name and text[:1] == b"*" and literal_length(text[1:]) == len(text) - 1:
                endings[text[1:]] = number
            else:
                others.append((number, is_name, *_test(text, is_name=is_name)))
        self._endings = tuple(endings)
        self._endings_at = sorted(
            ((number, ending) for ending, number in endings.items()), reverse=True
        )
        self._others = others[::-1]

    def last(self, path: bytes, name: bytes) -> int:
        """Return the number of the last pattern that fits a path, whose last part is `name`; or -1.

        Cost: 1 us for 50 patterns of the usual kinds.
        """
        best = self._names.get(name, -1)
        if self._paths:
            best = max(best, self._paths.get(path, -1))
        if self._endings and name.endswith(self._endings):
            for at, ending in self._endings_at:
                if at <= best:
                    break
                if name.endswith(ending):
                    best = at
                    break
        for at, is_name, needle, fits in self._others:
            if at <= best:
                break
            text = name if is_name else path
            if needle in text and fits(text):
                return at
        return best


def test_of(pattern: Pattern) -> tuple[bool, Matcher]:
    """Return whether a pattern is compared with the name alone, and the test for that."""
    text, is_name = _simplified(pattern)
    if literal_length(text) == len(text):
        return is_name, text.__eq__
    if is_name and text[:1] == b"*" and literal_length(text[1:]) == len(text) - 1:
        ending = text[1:]
        return True, lambda name: name.endswith(ending)
    needle, fits = _test(text, is_name=is_name)
    return is_name, lambda text: needle in text and fits(text)


def _simplified(pattern: Pattern) -> tuple[bytes, bool]:
    """Return the text to compare, and whether with the name alone."""
    text = pattern.text
    if pattern.is_name:
        return text, True
    if text.startswith(b"/"):
        return text[1:], False
    rest = text.lstrip(b"*")
    if len(text) - len(rest) >= 2 and rest[:1] == b"/" and rest.count(b"/") == 1:
        # `**/name` is the name, in any directory; but a name has stars of one kind only.
        return rest[1:], True
    return text, False


def _test(text: bytes, *, is_name: bool) -> tuple[bytes, Matcher]:
    """Return bytes that are in everything that fits, and the test itself."""
    if len(text) > _PATTERN_MAX_BYTES:
        return b"", _NOTHING
    if is_name:
        tokens = tokens_of(text, is_path=False)
        return (
            (b"", _NOTHING)
            if tokens is None
            else (_needle(tokens), _compiled(tokens, is_path=False))
        )
    # Before 2.52 git took the pattern from its first wildcard on, so that stars behind a literal
    # stood at its beginning: in `a**/b` they are any directories.
    prefix = text[: literal_length(text)]
    tokens = tokens_of(text[len(prefix) :], is_path=True)
    if tokens is None:
        return b"", _NOTHING
    whole = [*(frozenset((byte,)) for byte in prefix), *tokens]
    if tokens == [ANY]:
        return prefix, _beginning(prefix)
    return _needle(whole), _compiled(whole, is_path=True)


def _beginning(prefix: bytes) -> Matcher:
    return lambda text: text.startswith(prefix)


def _compiled(tokens: Sequence[Token], *, is_path: bool) -> Matcher:
    """Return the quickest test whose time is bounded."""
    stars = [token for token in tokens if not isinstance(token, frozenset)]
    if len(stars) > 1 or stars == [DIRS] or len(tokens) > _LIBRARY_MAX:
        return Automaton(list(tokens), is_path=is_path).fits
    # With one star the library goes back over it once for each length: no worse than ours.
    star = rb"[^/]*" if is_path and stars == [STAR] else rb".*"
    parts = [_set(token) if isinstance(token, frozenset) else star for token in tokens]
    found = re.compile(b"".join(parts), re.DOTALL).fullmatch
    return lambda text: found(text) is not None


def _set(chosen: frozenset[int]) -> bytes:
    if not chosen:
        return b"(?!)"
    if len(chosen) <= 128:
        return b"[%s]" % b"".join(b"\\x%02x" % byte for byte in sorted(chosen))
    others = sorted(set(range(256)) - chosen)
    return b"[^%s]" % b"".join(b"\\x%02x" % byte for byte in others) if others else b"."


def _needle(tokens: Sequence[Token]) -> bytes:
    """Return the longest run of bytes that everything has in it that the tokens fit."""
    runs = [bytearray()]
    for token in tokens:
        if isinstance(token, frozenset) and len(token) == 1:
            runs[-1] += bytes(token)
        else:
            runs.append(bytearray())
    return bytes(max(runs, key=len))
