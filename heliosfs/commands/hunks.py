"""Hunks of a unified diff, and the spaces and words that a comparison may look at instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from heliosfs.repo.linediff import Effort, Range, changed_ranges

_HEADING_BYTES = 80
_NO_NEWLINE = b"\\ No newline at end of file\n"
_SPACES = re.compile(rb"[ \t\r\v\f]+")
_WORD = re.compile(rb"[^ \t\r\n\v\f]+")


class Spaces(Enum):
    """The spaces that count when lines are compared."""

    ALL = "all"
    AT_END_IGNORED = "ignore-space-at-eol"
    AMOUNT_IGNORED = "ignore-space-change"
    IGNORED = "ignore-all-space"


class Words(Enum):
    """A way to mark changed words within lines (--word-diff)."""

    NONE = "none"
    PLAIN = "plain"
    PORCELAIN = "porcelain"


def compared_lines(lines: list[bytes], spaces: Spaces) -> list[bytes]:
    """The lines as they are compared."""
    if spaces is Spaces.ALL:
        return lines
    if spaces is Spaces.IGNORED:
        return [_SPACES.sub(b"", line).rstrip(b"\n") for line in lines]
    if spaces is Spaces.AT_END_IGNORED:
        return [line.rstrip() for line in lines]
    return [_SPACES.sub(b" ", line.rstrip()) for line in lines]


def hunks(
    old: list[bytes],
    new: list[bytes],
    ranges: list[Range],
    context: int,
    words: Words = Words.NONE,
) -> bytes:
    """The hunks that turn `old` into `new`; lines around a change are those of `new`."""
    groups = [[ranges[0]]]
    for each in ranges[1:]:
        if each.start - groups[-1][-1].stop > 2 * context:
            groups.append([])
        groups[-1].append(each)
    pieces: list[bytes] = []
    heading = b""
    looked = 0
    for group in groups:
        start = max(group[0].start - context, 0)
        heading = next(
            (found for at in range(start - 1, looked - 1, -1) if (found := _heading(old[at]))),
            heading,
        )
        looked = start
        pieces += _hunk(old, new, group, context, heading, words)
    return b"".join(pieces)


def _heading(line: bytes) -> bytes:
    """What git writes after the spans of the hunks below a line that begins like a definition."""
    if line[:1].isalpha() or line[:1] in (b"_", b"$"):
        return b" " + line[:_HEADING_BYTES].rstrip()
    return b""


def _hunk(
    old: list[bytes],
    new: list[bytes],
    group: list[Range],
    context: int,
    heading: bytes,
    words: Words,
) -> Iterator[bytes]:
    start = max(group[0].start - context, 0)
    new_start = group[0].new_start - (group[0].start - start)
    stop = min(group[-1].stop + context, len(old))
    new_stop = group[-1].new_stop + (stop - group[-1].stop)
    spans = f"-{_span(start, stop)} +{_span(new_start, new_stop)}"
    yield f"@@ {spans} @@".encode() + heading + b"\n"
    at = new_start
    for each in group:
        yield from _context(new[at : each.new_start], words)
        removed, added = old[each.start : each.stop], new[each.new_start : each.new_stop]
        if words is Words.NONE:
            yield from _lines(b"-", removed)
            yield from _lines(b"+", added)
        else:
            yield _by_words(b"".join(map(_whole, removed)), b"".join(map(_whole, added)), words)
        at = each.new_stop
    yield from _context(new[at:new_stop], words)


def _span(start: int, stop: int) -> str:
    count = stop - start
    first = start + 1 if count else start
    return str(first) if count == 1 else f"{first},{count}"


def _lines(sign: bytes, lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield sign + line
        if not line.endswith(b"\n"):
            yield b"\n" + _NO_NEWLINE


def _context(lines: list[bytes], words: Words) -> Iterator[bytes]:
    if words is Words.NONE:
        yield from _lines(b" ", lines)
    for line in lines if words is not Words.NONE else ():
        yield _whole(line) if words is Words.PLAIN else b" " + _whole(line) + b"~\n"


def _whole(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _by_words(old: bytes, new: bytes, words: Words) -> bytes:
    """The new text with what was removed and added marked (diff.c, `diff_words_show`)."""
    if not new:
        return _marked(old, b"-", words)
    before, after = (list(_WORD.finditer(text)) for text in (old, new))
    pieces: list[bytes] = []
    at = 0
    ranges = changed_ranges([each[0] for each in before], [each[0] for each in after], Effort())
    for start, stop, new_start, new_stop in ranges:
        begin, end = _extent(after, new_start, new_stop)
        old_begin, old_end = _extent(before, start, stop)
        pieces.append(_marked(new[at:begin], b" ", words))
        pieces.append(_marked(old[old_begin:old_end], b"-", words))
        pieces.append(_marked(new[begin:end], b"+", words))
        at = end
    pieces.append(_marked(new[at:], b" ", words))
    return b"".join(pieces)


def _extent(words: list[re.Match[bytes]], start: int, stop: int) -> tuple[int, int]:
    """From where to where some words go; of none, the place after the word before."""
    if start < stop:
        return words[start].start(), words[stop - 1].end()
    at = words[start - 1].end() if start else 0
    return at, at


_STYLES = {
    (Words.PLAIN, b" "): (b"", b""),
    (Words.PLAIN, b"-"): (b"[-", b"-]"),
    (Words.PLAIN, b"+"): (b"{+", b"+}"),
}


def _marked(text: bytes, sign: bytes, words: Words) -> bytes:
    """A text with marks around its part of each line."""
    before, after = _STYLES.get((words, sign), (sign, b"\n"))
    newline = b"\n" if words is Words.PLAIN else b"~\n"
    parts = [before + part + after if part else b"" for part in text.split(b"\n")]
    return newline.join(parts)
