"""Hunks of a unified diff, and the spaces and words that a comparison may look at instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from heliosfs.commands.colours import PLAIN, Paint, Role
from heliosfs.repo.lines.compare import ChangedRange, Effort, changed_ranges

_HEADING_BYTES = 80
_NO_NEWLINE = b"\\ No newline at end of file\n"
_BLANKS = b" \t\r\n"
"""Bytes that git takes for spaces: other than in C, \\v and \\f are none."""
_SPACES = re.compile(rb"[ \t\r]+")
_NO_CHARACTER = re.compile("[\ufffe\uffff]")
_WORD = re.compile(rb"[^ \t\r\n]+")


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
    COLOUR = "color"
    PORCELAIN = "porcelain"


def compared_lines(lines: list[bytes], spaces: Spaces) -> list[bytes]:
    """Return the lines without the spaces that do not count."""
    if spaces is Spaces.ALL:
        return lines
    if spaces is Spaces.IGNORED:
        return [_SPACES.sub(b"", line).rstrip(b"\n") for line in lines]
    if spaces is Spaces.AT_END_IGNORED:
        return [line.rstrip(_BLANKS) for line in lines]
    return [_SPACES.sub(b" ", line.rstrip(_BLANKS)) for line in lines]


def hunks(
    old: list[bytes],
    new: list[bytes],
    ranges: list[ChangedRange],
    context: int,
    words: Words = Words.NONE,
    paint: Paint = PLAIN,
) -> bytes:
    """Return the hunks that turn `old` into `new`; the lines around a change come from `new`."""
    hunk = _Hunks(old, new, context, words, paint)
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
        pieces += hunk.pieces(group, heading)
    return b"".join(pieces)


def _heading(line: bytes) -> bytes:
    """Return the text after a hunk's second @@: this line, if it begins a definition."""
    if line[:1].isalpha() or line[:1] in (b"_", b"$"):
        return b" " + _whole_characters(line[:_HEADING_BYTES].rstrip(_BLANKS))
    return b""


def _whole_characters(text: bytes) -> bytes:
    """Return the beginning of a text that is UTF-8, as git does (utf8.c, `pick_one_utf8_char`)."""
    try:
        found = text.decode()
    except UnicodeDecodeError as error:
        found = text[: error.start].decode()
    return _NO_CHARACTER.split(found, maxsplit=1)[0].encode()


class _Hunks:
    """Writer of the hunks of one file."""

    def __init__(
        self, old: list[bytes], new: list[bytes], context: int, words: Words, paint: Paint
    ) -> None:
        self._old = old
        self._new = new
        self._context = context
        self._words = words
        self._paint = paint
        self._ends = _blank_ends(old, new) if paint.is_on else None

    def pieces(self, group: list[ChangedRange], heading: bytes) -> Iterator[bytes]:
        """Yield the hunk of some changes that are near each other."""
        old, new, words = self._old, self._new, self._words
        start = max(group[0].start - self._context, 0)
        new_start = group[0].new_start - (group[0].start - start)
        stop = min(group[-1].stop + self._context, len(old))
        new_stop = group[-1].new_stop + (stop - group[-1].stop)
        yield self._paint.hunk_head(f"-{_span(start, stop)} +{_span(new_start, new_stop)}", heading)
        at = new_start
        for each in group:
            yield from self._context_around(at, each.new_start)
            removed, added = old[each.start : each.stop], new[each.new_start : each.new_stop]
            if words is Words.NONE:
                yield from self._lines(b"-", removed)
                past_end = len(new)
                # As in git, not where the hunk shows nothing of the old file.
                if self._ends is not None and start < stop and each.stop >= self._ends[0]:
                    past_end = self._ends[1]
                yield from self._lines(b"+", added, past_end - each.new_start)
            else:
                before, after = (b"".join(map(_whole, lines)) for lines in (removed, added))
                yield _by_words(before, after, words, self._paint)
            at = each.new_stop
        yield from self._context_around(at, new_stop)

    def _lines(self, sign: bytes, lines: list[bytes], past_end: int = 0) -> Iterator[bytes]:
        for number, line in enumerate(lines):
            if not self._paint.is_on:
                yield sign + line
            else:
                is_past_end = sign == b"+" and number >= past_end
                yield self._paint.line(sign, line, is_past_end=is_past_end)
            if not line.endswith(b"\n"):
                yield b"\n" + self._paint.note(_NO_NEWLINE)

    def _context_around(self, start: int, stop: int) -> Iterator[bytes]:
        lines, words = self._new[start:stop], self._words
        if words is Words.NONE:
            yield from self._lines(b" ", lines)
        for line in lines if words is not Words.NONE else ():
            is_porcelain = words is Words.PORCELAIN
            sign = b" " if is_porcelain else b""
            shown = _whole(line)
            if shown != b"\n":
                shown = self._paint.line(b" ", shown)[1:]
            yield sign + shown + b"~\n" * is_porcelain


def _blank_ends(old: list[bytes], new: list[bytes]) -> tuple[int, int] | None:
    """Return where blank lines at the end begin, if `new` has more of them than `old`."""
    counts = []
    for lines in (old, new):
        count = 0
        while count < len(lines) and not lines[-1 - count].strip(_BLANKS):
            count += 1
        counts.append(count)
    if counts[1] <= counts[0]:
        return None
    return len(old) - counts[0], len(new) - counts[1]


def _span(start: int, stop: int) -> str:
    count = stop - start
    first = start + 1 if count else start
    return str(first) if count == 1 else f"{first},{count}"


def _whole(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _by_words(old: bytes, new: bytes, words: Words, paint: Paint) -> bytes:
    """Mark what was removed and added in the new text (diff.c, `diff_words_show`)."""
    if not new:
        return _marked(old, b"-", words, paint)
    before, after = (list(_WORD.finditer(text)) for text in (old, new))
    pieces: list[bytes] = []
    at = 0
    ranges = changed_ranges([each[0] for each in before], [each[0] for each in after], Effort())
    for start, stop, new_start, new_stop in ranges:
        begin, end = _extent(after, new_start, new_stop)
        old_begin, old_end = _extent(before, start, stop)
        pieces.append(_marked(new[at:begin], b" ", words, paint))
        pieces.append(_marked(old[old_begin:old_end], b"-", words, paint))
        pieces.append(_marked(new[begin:end], b"+", words, paint))
        at = end
    pieces.append(_marked(new[at:], b" ", words, paint))
    return b"".join(pieces)


def _extent(words: list[re.Match[bytes]], start: int, stop: int) -> tuple[int, int]:
    """Return begin and end of some words; of none, the place after the word before."""
    if start < stop:
        return words[start].start(), words[stop - 1].end()
    at = words[start - 1].end() if start else 0
    return at, at


_MARKS = {b"-": (b"[-", b"-]"), b"+": (b"{+", b"+}")}
_PARTS = {b"-": Role.REMOVED, b"+": Role.ADDED}


def _marked(text: bytes, sign: bytes, words: Words, paint: Paint) -> bytes:
    """Put marks around a text, line by line."""
    before, after = _MARKS.get(sign, (b"", b"")) if words is Words.PLAIN else (b"", b"")
    if words is Words.PORCELAIN:
        before, after = sign, b""
    newline = b"~\n" if words is Words.PORCELAIN else b"\n"
    line_end = b"\n" if words is Words.PORCELAIN else b""
    parts = []
    for part in text.split(b"\n"):
        marked = before + part + after if part else b""
        if sign in _PARTS:
            marked = paint.raw(_PARTS[sign], marked)
        parts.append(marked + line_end if part else b"")
    return newline.join(parts)
