"""Which lines differ between two files, with an effort that is bounded.

Patience diff (Bram Cohen): lines that occur once on both sides anchor the comparison, and
the rest falls apart into small pieces.  Where nothing anchors and the piece is small, difflib
compares it; a large piece, or one met after the effort is spent, counts as replaced.  So
the result is always right, and not always the shortest.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import NamedTuple

DEFAULT_EFFORT = 2_000_000
_SMALL_PRODUCT = 4096


class Range(NamedTuple):
    """Lines `start:stop` of the old file became lines `new_start:new_stop` of the new one."""

    start: int
    stop: int
    new_start: int
    new_stop: int


class Effort:
    """How many lines may still be looked at; several comparisons can share one."""

    def __init__(self, line_count: int = DEFAULT_EFFORT) -> None:
        self.left = line_count

    def spend(self, line_count: int) -> bool:
        """Take so much from what is left; False when there is not enough."""
        self.left -= line_count
        return self.left >= 0


def split_lines(data: bytes) -> list[bytes]:
    r"""The lines with their newlines; the last one may have none.

    >>> split_lines(b"a\r\nb")
    [b'a\r\n', b'b']
    """
    *lines, rest = data.split(b"\n")
    lines = [line + b"\n" for line in lines]
    return [*lines, rest] if rest else lines


def changed_ranges(old: list[bytes], new: list[bytes], effort: Effort) -> list[Range]:
    """What differs, in order; no two ranges touch."""
    ranges = []
    at = new_at = 0
    ends = [*sorted(_matches(old, new, effort)), (len(old), len(new), 0)]
    for start, new_start, length in ends:
        if at < start or new_at < new_start:
            ranges.append(Range(at, start, new_at, new_start))
        at, new_at = start + length, new_start + length
    return ranges


def _matches(old: list[bytes], new: list[bytes], effort: Effort) -> list[tuple[int, int, int]]:
    """Runs of equal lines: where in the old file, where in the new one, how many."""
    found = []
    pending = [Range(0, len(old), 0, len(new))]
    while pending:
        start, stop, new_start, new_stop = pending.pop()
        head = 0
        limit = min(stop - start, new_stop - new_start)
        while head < limit and old[start + head] == new[new_start + head]:
            head += 1
        tail = 0
        limit -= head
        while tail < limit and old[stop - 1 - tail] == new[new_stop - 1 - tail]:
            tail += 1
        if head:
            found.append((start, new_start, head))
        if tail:
            found.append((stop - tail, new_stop - tail, tail))
        rest = Range(start + head, stop - tail, new_start + head, new_stop - tail)
        if rest.start < rest.stop and rest.new_start < rest.new_stop:
            pending += _split(old, new, rest, effort, found)
    return found


def _split(
    old: list[bytes],
    new: list[bytes],
    rest: Range,
    effort: Effort,
    found: list[tuple[int, int, int]],
) -> list[Range]:
    """The pieces to look at next; what difflib matches goes into `found`."""
    start, stop, new_start, new_stop = rest
    if not effort.spend(stop - start + new_stop - new_start):
        return []
    anchors = _anchors(old, new, rest)
    if anchors:
        corners = [(start, new_start), *anchors, (stop, new_stop)]
        return [Range(low[0], high[0], low[1], high[1]) for low, high in pairwise(corners)]
    product = (stop - start) * (new_stop - new_start)
    if product <= _SMALL_PRODUCT and effort.spend(product):
        from difflib import SequenceMatcher

        matcher = SequenceMatcher(None, old[start:stop], new[new_start:new_stop], autojunk=False)
        found += [
            (start + at, new_start + new_at, length)
            for at, new_at, length in matcher.get_matching_blocks()
            if length
        ]
    return []


def _anchors(old: list[bytes], new: list[bytes], rest: Range) -> list[tuple[int, int]]:
    """The longest rising sequence of lines that occur once in each of the two pieces."""
    places = _once(old, rest.start, rest.stop)
    new_places = _once(new, rest.new_start, rest.new_stop)
    pairs = [(at, new_places[line]) for line, at in places.items() if line in new_places]
    tops: list[int] = []
    piles: list[int] = []
    before = []
    for index, (_, new_at) in enumerate(pairs):
        pile = bisect_left(tops, new_at)
        before.append(piles[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(new_at)
            piles.append(index)
        else:
            tops[pile] = new_at
            piles[pile] = index
    anchors = []
    index = piles[-1] if piles else -1
    while index >= 0:
        anchors.append(pairs[index])
        index = before[index]
    return anchors[::-1]


def _once(lines: list[bytes], start: int, stop: int) -> dict[bytes, int]:
    """The lines that occur once, in order, and where."""
    places: dict[bytes, int] = {}
    repeated = set()
    for at in range(start, stop):
        line = lines[at]
        if line in places:
            repeated.add(line)
        places[line] = at
    for line in repeated:
        del places[line]
    return places
