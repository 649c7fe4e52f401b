"""Slides: the place of a change that could be shown at several places, by git's rules (xdiffi.c).

A group of changed lines can slide up or down while the line that it gains is equal to the one that
it loses.  It goes as far down as it can, or to where the other side has a change, too, or, with the
indent heuristic of Michael Haggerty, to where a cut of the text reads best.
"""

from __future__ import annotations

from typing import NamedTuple

_SLIDING_MAX = 100
_BLANKS_MAX = 20
_INDENT_MAX = 200
_INDENT_WEIGHT = 60


def choose_positions(
    lines: list[bytes],
    changed: bytearray,
    other: bytearray,
    *,
    by_indent: bool,
    shown: list[bytes] | None = None,
) -> None:
    """Move the groups of changed lines of one side to where they are shown.

    `other` has the marks of the other side, which stay as they are.  `shown` are the lines whose
    indent counts, if the compared ones were made of them.
    """
    places = _places(other)
    at = kept = 0
    while (start := changed.find(1, at)) >= 0:
        kept += start - at
        stop = changed.find(0, start)
        stop = stop if stop >= 0 else len(lines)
        group = _Group(lines, shown or lines, changed, start, stop, kept)
        group.choose_positions(places, by_indent=by_indent)
        at, kept = group.stop, group.kept


def _places(changed: bytearray) -> set[int]:
    """Return the places of a side's changes, as numbers of kept lines before them."""
    found = set()
    at = kept = 0
    while (start := changed.find(1, at)) >= 0:
        kept += start - at
        found.add(kept)
        stop = changed.find(0, start)
        if stop < 0:
            break
        at = stop
    return found


class _Group:
    """Adjacent changed lines."""

    def __init__(
        self,
        lines: list[bytes],
        shown: list[bytes],
        changed: bytearray,
        start: int,
        stop: int,
        kept: int,
    ) -> None:
        self._lines = lines
        self._shown = shown
        self._changed = changed
        self.start = start
        self.stop = stop
        self.kept = kept
        """Number of kept lines before it."""

    def choose_positions(self, places: set[int], *, by_indent: bool) -> None:
        size = 0
        first = matching = -1
        # Sliding may join the group with another one, which then slides with it: again, until it
        # has its size.
        while size != self.stop - self.start:
            size = self.stop - self.start
            while self._move_up():
                pass
            first = self.stop
            matching = self.stop if self.kept in places else -1
            while self._down():
                if self.kept in places:
                    matching = self.stop
        if self.stop == first:
            return
        # Next to a change of the other side it reads as one change of both; git prefers that to any
        # indent.
        if matching >= 0:
            while self.kept not in places:
                self._move_up()
        elif by_indent:
            best = self._best(first, size)
            while self.stop > best:
                self._move_up()

    def _move_up(self) -> bool:
        lines, changed = self._lines, self._changed
        if not self.start or lines[self.start - 1] != lines[self.stop - 1]:
            return False
        self.start -= 1
        self.stop -= 1
        changed[self.start] = 1
        changed[self.stop] = 0
        # It ran into the group above: the two are one from here on.
        while self.start and changed[self.start - 1]:
            self.start -= 1
        self.kept -= 1
        return True

    def _down(self) -> bool:
        lines, changed = self._lines, self._changed
        if self.stop == len(lines) or lines[self.start] != lines[self.stop]:
            return False
        changed[self.start] = 0
        changed[self.stop] = 1
        self.start += 1
        self.stop += 1
        while self.stop < len(lines) and changed[self.stop]:
            self.stop += 1
        self.kept += 1
        return True

    def _best(self, first: int, size: int) -> int:
        """Return the end, from `first` on, with the best cuts before and after the group."""
        best, best_score = self.stop, None
        for stop in range(
            max(first, self.stop - size - 1, self.stop - _SLIDING_MAX), self.stop + 1
        ):
            cuts = [_cut(self._shown, stop), _cut(self._shown, stop - size)]
            score = _Score(sum(each.indent for each in cuts), sum(each.penalty for each in cuts))
            # The last of equal places wins: the one furthest down, as in git.
            if best_score is None or score.compared(best_score) <= 0:
                best, best_score = stop, score
        return best


class _Score(NamedTuple):
    """The badness of a cut in the text."""

    indent: int
    penalty: int

    def compared(self, other: _Score) -> int:
        sign = (self.indent > other.indent) - (self.indent < other.indent)
        return _INDENT_WEIGHT * sign + self.penalty - other.penalty


def _cut(lines: list[bytes], at: int) -> _Score:
    """Score a cut before the line `at`; the weights are those that git has found by trial."""
    is_end = at >= len(lines)
    own = -1 if is_end else _indent(lines[at])
    blanks_before, before = _nearest(lines, range(at - 1, -1, -1))
    blanks_after, after = _nearest(lines, range(at + 1, len(lines)))
    blanks_after = 1 + blanks_after if own == -1 else 0
    blanks = blanks_before + blanks_after
    penalty = (before == -1 and not blanks_before) + 21 * is_end - 30 * blanks + 6 * blanks_after
    indent = own if own != -1 else after
    if indent != -1 and before != -1:
        if indent > before:
            penalty += 10 if blanks else -4
        elif indent < before:
            is_outdent = after != -1 and after > indent
            penalty += 17 if blanks else 24 if is_outdent else 23
    return _Score(indent, penalty)


def _nearest(lines: list[bytes], places: range) -> tuple[int, int]:
    """Return the number of blank lines that come first, and the indent after them; -1 for none."""
    blanks = 0
    for at in places:
        indent = _indent(lines[at])
        if indent != -1:
            return blanks, indent
        blanks += 1
        if blanks == _BLANKS_MAX:
            return blanks, 0
    return blanks, -1


def _indent(line: bytes) -> int:
    """Return the width of the blanks at the beginning of a line; -1 for a line of blanks."""
    width = 0
    for byte in line:
        if byte == 0x20:
            width += 1
        elif byte == 0x09:
            width += 8 - width % 8
        elif byte not in b"\n\r":
            return width
        if width >= _INDENT_MAX:
            return _INDENT_MAX
    return -1
