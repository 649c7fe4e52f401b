"""Comparison of two files by lines, as `diff`, `blame` and merges need it.

The equal beginning and end are cut off, lines become numbers, and one of two comparisons goes over
the rest: that of Myers (`lines/myers.py`), as in git's diff and blame, or the histogram diff of its
merges (`lines/histogram.py`).  Then changes are moved to where git shows them (`lines/slides.py`).

The result is always a correct difference.  If an effort is spent, lines that were not compared
count as replaced.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import NamedTuple

from heliosfs.repo.lines import histogram, myers
from heliosfs.repo.lines.slides import choose_positions

DEFAULT_EFFORT = 2_000_000


class Method(Enum):
    """The method of comparison."""

    MYERS = "myers"
    """Shortest difference, shown where a cut of the text reads best."""
    HISTOGRAM = "histogram"
    """Difference that begins at rare lines, for merges."""


class ChangedRange(NamedTuple):
    """Lines `start:stop` of the old file became lines `new_start:new_stop` of the new one."""

    start: int
    stop: int
    new_start: int
    new_stop: int


class Effort:
    """The number of lines that may still be examined; several comparisons can share one."""

    def __init__(self, line_count: int = DEFAULT_EFFORT) -> None:
        self.left = line_count

    def spend(self, line_count: int) -> bool:
        """Subtract `line_count`; return False if there was not enough left."""
        self.left -= line_count
        return self.left >= 0


def split_lines(data: bytes) -> list[bytes]:
    r"""Return the lines with their newlines; the last one may have none.

    >>> split_lines(b"a\r\nb")
    [b'a\r\n', b'b']
    """
    *lines, rest = data.split(b"\n")
    lines = [line + b"\n" for line in lines]
    return [*lines, rest] if rest else lines


def changed_ranges(
    old: list[bytes],
    new: list[bytes],
    effort: Effort,
    method: Method = Method.MYERS,
    shown: tuple[list[bytes], list[bytes]] | None = None,
) -> list[ChangedRange]:
    """Return the differences, in order; no two ranges touch.

    `shown` are the lines as they are, if `old` and `new` lack spaces that do not count.

    Cost: 1 us for each line between the first and the last difference, and more where much differs.
    """
    head, tail = _equal_ends(old, new)
    if head == len(old) == len(new):
        return []
    changed = bytearray(len(old)), bytearray(len(new))
    if method is Method.HISTOGRAM:
        # How rare a line is counts in the whole file.
        head = tail = 0
    middle = _compared(old, new, (head, tail), effort, method)
    for marks, part in zip(changed, middle, strict=True):
        marks[head : head + len(part)] = part
    # Only diffs for people are moved to where they read best; git's merges do not, either.
    by_indent = method is Method.MYERS
    before, after = shown or (old, new)
    choose_positions(old, changed[0], changed[1], by_indent=by_indent, shown=before)
    choose_positions(new, changed[1], changed[0], by_indent=by_indent, shown=after)
    return _ranges(*changed)


def _equal_ends(old: list[bytes], new: list[bytes]) -> tuple[int, int]:
    """Return the number of equal lines at the beginning, and of those at the end of the rest."""
    limit = min(len(old), len(new))
    pairs = enumerate(zip(old, new))  # noqa: B905 - as far as both go
    head = next((at for at, (one, other) in pairs if one != other), limit)
    limit -= head
    tail = 0
    while tail < limit and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def _compared(
    old: list[bytes], new: list[bytes], ends: tuple[int, int], effort: Effort, method: Method
) -> tuple[bytearray, bytearray]:
    """Return the marks of the lines between the equal ends."""
    head, tail = ends
    numbers: dict[bytes, int] = {}
    sides = [
        [numbers.setdefault(line, len(numbers)) for line in lines[head : len(lines) - tail]]
        for lines in (old, new)
    ]
    changed = bytearray(len(sides[0])), bytearray(len(sides[1]))
    parts = [histogram.Part(0, len(sides[0]), 0, len(sides[1]))]
    beside: list[int] = []
    sizes: tuple[int, int] | None = len(old), len(new)
    if method is Method.HISTOGRAM:
        parts = histogram.compare(sides[0], sides[1], changed, effort)
        sizes = None
    else:
        equal = [*old[:head], *old[len(old) - tail :]]
        beside = [numbers[line] for line in equal if line in numbers]
    for start, stop, new_start, new_stop in parts:
        pieces = sides[0][start:stop], sides[1][new_start:new_stop]
        counts = Counter(pieces[0] + beside), Counter(pieces[1] + beside)
        lengths = sizes or (len(pieces[0]), len(pieces[1]))
        marks = bytearray(len(pieces[0])), bytearray(len(pieces[1]))
        myers.compare(pieces[0], pieces[1], counts, lengths, marks, effort)
        changed[0][start:stop] = marks[0]
        changed[1][new_start:new_stop] = marks[1]
    return changed


def _ranges(changed: bytearray, new_changed: bytearray) -> list[ChangedRange]:
    """Return the changed lines of both sides, as ranges."""
    ranges: list[ChangedRange] = []
    at = new_at = 0
    while True:
        start, new_start = changed.find(1, at), new_changed.find(1, new_at)
        if start < 0 and new_start < 0:
            return ranges
        gap = start - at if start >= 0 else len(changed)
        new_gap = new_start - new_at if new_start >= 0 else len(new_changed)
        kept = min(gap, new_gap)
        start, new_start = at + kept, new_at + kept
        at, new_at = _end(changed, start), _end(new_changed, new_start)
        ranges.append(ChangedRange(start, at, new_start, new_at))


def _end(changed: bytearray, start: int) -> int:
    """Return where the changed lines that begin at `start` end; there may be none."""
    stop = changed.find(0, start)
    return stop if stop >= 0 else len(changed)
