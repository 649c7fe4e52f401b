r"""Lists of patterns as in git's ignore and attributes files (gitignore(5)).

A pattern is compared with the path relative to the directory of its file or, if it has no slash
except at its end, with the name alone.  The last matching pattern decides.  Most patterns are a
plain name, or a star and a suffix: these are looked up in a table instead of tried one by one.
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
"""Longest pattern with wildcards that can match; no path is longer than that."""
_LIBRARY_MAX = 200
"""Most tokens of a pattern that is compiled with `re`, which takes 5 us for each token."""
_NOTHING: Matcher = lambda text: False  # noqa: E731 (a value of the type, not a function)


class Pattern(NamedTuple):
    """Parsed pattern."""

    text: bytes
    """Pattern without the marks below."""
    is_negated: bool = False
    """True if the pattern began with `!`."""
    is_only_directory: bool = False
    """True if the pattern ended with a slash."""
    is_name: bool = False
    """True if the pattern has no other slash, and so is compared with names alone."""


def parse_pattern(line: bytes) -> Pattern:
    """Parse a line of an ignore file, or a pattern of attributes, that is not empty."""
    is_negated = line.startswith(b"!")
    text = line[is_negated:]
    is_only_directory = text.endswith(b"/")
    text = text[: len(text) - is_only_directory]
    return Pattern(text, is_negated, is_only_directory, b"/" not in text)


def parse_lines(data: bytes) -> list[tuple[int, Pattern]]:
    r"""Parse an ignore file; return its patterns with their line numbers, which start at 1.

    Nothing is an error: a pattern that is malformed for git matches nothing.

    >>> parse_lines(b"#x\n\n!a /\\ \r\n")
    [(3, Pattern(text=b'a /\\ ', is_negated=True, is_only_directory=False, is_name=False))]
    """
    found: list[tuple[int, Pattern]] = []
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(b"#"):
            continue
        line = line.removesuffix(b"\r").partition(b"\0")[0]
        found.append((number, parse_pattern(without_spaces(line))))
    return found


def without_spaces(line: bytes) -> bytes:
    r"""Strip trailing spaces, but not one that follows a backslash."""
    end = len(line.rstrip(b" "))
    if end == len(line):
        return line
    backslashes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + backslashes % 2]


class PatternList:
    """List of patterns in which a later one takes precedence."""

    __slots__ = ("_endings", "_endings_at", "_names", "_others", "_paths")

    def __init__(self, patterns: Iterable[tuple[int, Pattern]]) -> None:
        """Take patterns with increasing numbers, which are the results of `last`."""
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
        """Return the number of the last pattern that matches a path, or -1.

        `name` is the last part of the path.  Cost: 1 us for 50 patterns of the usual kinds.
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
    """Return a bool, True if the pattern is compared with the name alone, and the test."""
    text, is_name = _simplified(pattern)
    if literal_length(text) == len(text):
        return is_name, text.__eq__
    if is_name and text[:1] == b"*" and literal_length(text[1:]) == len(text) - 1:
        ending = text[1:]
        return True, lambda name: name.endswith(ending)
    needle, fits = _test(text, is_name=is_name)
    return is_name, lambda text: needle in text and fits(text)


def _simplified(pattern: Pattern) -> tuple[bytes, bool]:
    """Return the pattern's text, and True if it is compared with the name alone."""
    text = pattern.text
    if pattern.is_name:
        return text, True
    if text.startswith(b"/"):
        return text[1:], False
    rest = text.lstrip(b"*")
    if len(text) - len(rest) >= 2 and rest[:1] == b"/" and rest.count(b"/") == 1:
        # `**/name` means the name in any directory, and stars in it are those of a name.
        return rest[1:], True
    return text, False


def _test(text: bytes, *, is_name: bool) -> tuple[bytes, Matcher]:
    """Return bytes that occur in every text that matches, and the test itself."""
    if len(text) > _PATTERN_MAX_BYTES:
        return b"", _NOTHING
    if is_name:
        tokens = tokens_of(text, is_path=False)
        return (
            (b"", _NOTHING)
            if tokens is None
            else (_needle(tokens), _compiled(tokens, is_path=False))
        )
    # Before 2.52 git matched the pattern from its first wildcard on, so stars that follow a
    # literal prefix stood at the beginning: in `a**/b` they match any directories.
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
    """Return the fastest test whose time is bounded: a regular expression or an automaton."""
    stars = [token for token in tokens if not isinstance(token, frozenset)]
    if len(stars) > 1 or stars == [DIRS] or len(tokens) > _LIBRARY_MAX:
        return Automaton(list(tokens), is_path=is_path).fits
    # With one star `re` backtracks once for each length of it, which is no worse than our own.
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
    """Return the longest run of bytes that occurs in every text that the tokens match."""
    runs = [bytearray()]
    for token in tokens:
        if isinstance(token, frozenset) and len(token) == 1:
            runs[-1] += bytes(token)
        else:
            runs.append(bytearray())
    return bytes(max(runs, key=len))
