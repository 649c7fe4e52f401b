"""The shortest edit from one sequence of numbers to another, in linear space.

E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), with the shortcuts of GNU
diff and git: items that cannot match are left out beforehand, and a search that has become long
takes the best path found so far.  So the result is always a correct difference, and nearly always
the shortest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

_MANY_MAX = 1024
_WINDOW = 100
_SNAKE = 20
_COST_MIN = 256
_FAR = 2**60

_LOST, _FOUND, _FREQUENT = 0, 1, 2


class Budget(Protocol):
    """The amount of work that may still be done."""

    def spend(self, count: int) -> bool:
        """Subtract `count`; return False if there was not enough left."""
        ...


def compare(
    old: Sequence[int],
    new: Sequence[int],
    counts: tuple[Mapping[int, int], Mapping[int, int]],
    sizes: tuple[int, int],
    changed: tuple[bytearray, bytearray],
    budget: Budget,
) -> None:
    """Mark in `changed` the items of two sequences that have no equal on the other side (0: kept).

    `counts` are the occurrences of an item on each side, and `sizes` the numbers of items, both for
    the whole files of which the sequences are parts.
    """
    places = tuple(
        _kept(items, counts[1 - side], _rough_root(sizes[side]))
        for side, items in enumerate((old, new))
    )
    for side, items in enumerate((old, new)):
        flags = bytearray(b"\1") * len(items)
        for at in places[side]:
            flags[at] = 0
        changed[side][:] = flags
    left = [old[at] for at in places[0]]
    right = [new[at] for at in places[1]]
    search = _Search(left, right, budget)
    for side, marks in enumerate(search.run()):
        at = marks.find(1)
        while at >= 0:
            changed[side][places[side][at]] = 1
            at = marks.find(1, at + 1)


def _rough_root(number: int) -> int:
    """Return a power of two near the square root."""
    return 1 << ((number.bit_length() + 1) // 2)


def _kept(items: Sequence[int], others: Mapping[int, int], many: int) -> list[int]:
    """Leave out items that the other side lacks, and frequent items among such items."""
    many = min(many, _MANY_MAX)
    states = bytearray(len(items))
    for at, item in enumerate(items):
        count = others.get(item, 0)
        states[at] = _LOST if not count else _FREQUENT if count >= many else _FOUND
    return [
        at
        for at, state in enumerate(states)
        if state == _FOUND or (state == _FREQUENT and not _is_amid_lost(states, at))
    ]


def _is_amid_lost(states: bytearray, at: int) -> bool:
    """Return True for a frequent item in a run of items most of which are lost."""
    # The item itself counts once for each direction, as in git (xdl_clean_mmatch).
    lost_total, frequent_total = 0, 2
    for step in (-1, 1):
        lost = 0
        place = at + step
        end = max(-1, at - _WINDOW - 1) if step < 0 else min(len(states), at + _WINDOW + 1)
        while place != end and states[place] != _FOUND:
            if states[place] == _LOST:
                lost += 1
            else:
                frequent_total += 1
            place += step
        # A match on one side of it may run through this item, so it is worth keeping.
        if not lost:
            return False
        lost_total += lost
    # The proportion is git's (XDL_KPDIS_RUN): other proportions give other, equally short, hunks.
    return frequent_total * 4 < frequent_total + lost_total


_Box = tuple[int, int, int, int, bool]
"""A part of both sequences, and True if its shortest path is wanted at any cost."""
_Split = tuple[int, int, bool, bool]
"""The place at which to divide a box, and for each half True if its shortest path is wanted."""


class _Search:
    """A search that divides boxes where the shortest path runs through, until none is left."""

    def __init__(self, old: list[int], new: list[int], budget: Budget) -> None:
        self._old = old
        self._new = new
        self._budget = budget
        width = len(old) + len(new) + 3
        self._shift = len(new) + 1
        self._forward = [0] * width
        self._backward = [0] * width
        self._cost_max = max(_rough_root(width), _COST_MIN)

    def run(self) -> tuple[bytearray, bytearray]:
        """Return the marks of both sides."""
        old, new = self._old, self._new
        marks = bytearray(len(old)), bytearray(len(new))
        pending: list[_Box] = [(0, len(old), 0, len(new), False)]
        while pending:
            low, high, new_low, new_high, is_exact = pending.pop()
            # Equal ends belong to some shortest path, and cost one comparison each.
            while low < high and new_low < new_high and old[low] == new[new_low]:
                low += 1
                new_low += 1
            while low < high and new_low < new_high and old[high - 1] == new[new_high - 1]:
                high -= 1
                new_high -= 1
            split = None
            if low < high and new_low < new_high:
                split = self._split(low, high, new_low, new_high, is_exact)
            # One side is used up, or the budget is: everything left counts as changed.
            if split is None:
                marks[0][low:high] = b"\1" * (high - low)
                marks[1][new_low:new_high] = b"\1" * (new_high - new_low)
                continue
            at, new_at, is_low_exact, is_high_exact = split
            pending.append((low, at, new_low, new_at, is_low_exact))
            pending.append((at, high, new_at, new_high, is_high_exact))
        return marks

    def _split(
        self, low: int, high: int, new_low: int, new_high: int, is_exact: bool
    ) -> _Split | None:
        """Search from both corners at once; return None if the budget is spent."""
        box = low, high, new_low, new_high
        forward = _Front(self._forward, self._shift, box, 1)
        backward = _Front(self._backward, self._shift, box, -1)
        # With an odd difference of lengths the paths meet in a forward step, otherwise in a
        # backward one (Myers, section 4b), so only one of the two has to look.
        is_odd = bool((forward.middle - backward.middle) & 1)
        cost = 0
        while True:
            cost += 1
            if not self._budget.spend(forward.width + backward.width + 4):
                return None
            forward.widen()
            found = self._go_forward(forward, box, backward if is_odd else None)
            if found is None:
                backward.widen()
                found = self._go_backward(backward, box, None if is_odd else forward)
            if found is not None:
                return *found, True, True
            # A half of which a search has found the path already is short: it is worth the whole
            # search.
            if is_exact:
                continue
            # The heuristic of GNU diff: after many steps, a long equal run far along its diagonal
            # is very likely on the path.
            if cost > _COST_MIN and (forward.has_snake or backward.has_snake):
                split = self._promising(box, cost, forward) or self._promising(box, cost, backward)
                if split is not None:
                    return split
            forward.has_snake = backward.has_snake = False
            # Without a promising run the box is divided where a search came furthest, so that the
            # time stays near n to the power 1.5.
            if cost >= self._cost_max:
                return self._furthest_point(box, forward, backward)

    def _go_forward(
        self, front: _Front, box: tuple[int, int, int, int], other: _Front | None
    ) -> tuple[int, int] | None:
        """Advance a step on every diagonal; return where the other front is met."""
        old, new, shift, ends = self._old, self._new, self._shift, front.ends
        _, high, _, new_high = box
        for diagonal in range(front.last, front.first - 1, -2):
            at = diagonal + shift
            below, above = ends[at - 1], ends[at + 1]
            begin = x = below + 1 if below >= above else above
            y = x - diagonal
            while x < high and y < new_high and old[x] == new[y]:
                x += 1
                y += 1
            if x - begin > _SNAKE:
                front.has_snake = True
            ends[at] = x
            if other is not None and other.first <= diagonal <= other.last and other.ends[at] <= x:
                return x, y
        return None

    def _go_backward(
        self, front: _Front, box: tuple[int, int, int, int], other: _Front | None
    ) -> tuple[int, int] | None:
        """Advance like `_go_forward`, from the other corner."""
        old, new, shift, ends = self._old, self._new, self._shift, front.ends
        low, _, new_low, _ = box
        for diagonal in range(front.last, front.first - 1, -2):
            at = diagonal + shift
            below, above = ends[at - 1], ends[at + 1]
            begin = x = below if below < above else above - 1
            y = x - diagonal
            while x > low and y > new_low and old[x - 1] == new[y - 1]:
                x -= 1
                y -= 1
            if begin - x > _SNAKE:
                front.has_snake = True
            ends[at] = x
            if other is not None and other.first <= diagonal <= other.last and x <= other.ends[at]:
                return x, y
        return None

    def _promising(self, box: tuple[int, int, int, int], cost: int, front: _Front) -> _Split | None:
        """Return the end of a long equal run that is far enough along its diagonal."""
        low, high, new_low, new_high = box
        is_forward = front.way > 0
        best = 0
        found = None
        for diagonal in range(front.last, front.first - 1, -2):
            x = front.ends[diagonal + self._shift]
            y = x - diagonal
            gone = (x - low) + (y - new_low) if is_forward else (high - x) + (new_high - y)
            value = gone - abs(diagonal - front.middle)
            # Less progress than this is what unrelated sequences show, too.
            if value <= 4 * cost or value <= best:
                continue
            if is_forward:
                is_inside = low + _SNAKE <= x < high and new_low + _SNAKE <= y < new_high
                begin, new_begin = x - _SNAKE, y - _SNAKE
            else:
                is_inside = low < x <= high - _SNAKE and new_low < y <= new_high - _SNAKE
                begin, new_begin = x, y
            run = self._old[begin : begin + _SNAKE] if is_inside else None
            if run == self._new[new_begin : new_begin + _SNAKE]:
                best = value
                found = x, y, is_forward, not is_forward
        return found

    def _furthest_point(
        self, box: tuple[int, int, int, int], forward: _Front, backward: _Front
    ) -> _Split:
        """Return the point that either search has advanced furthest to."""
        low, high, new_low, new_high = box
        best, best_x = -1, low
        for diagonal in range(forward.last, forward.first - 1, -2):
            x = min(forward.ends[diagonal + self._shift], high)
            # The end of a path may lie outside of the box; its last place inside is taken.
            if x - diagonal > new_high:
                x = new_high + diagonal
            if 2 * x - diagonal > best:
                best, best_x = 2 * x - diagonal, x
        back_best, back_x = _FAR, high
        for diagonal in range(backward.last, backward.first - 1, -2):
            x = max(backward.ends[diagonal + self._shift], low)
            if x - diagonal < new_low:
                x = new_low + diagonal
            if 2 * x - diagonal < back_best:
                back_best, back_x = 2 * x - diagonal, x
        # The half behind the front that came further was searched, so its path is known to be
        # short.
        if high + new_high - back_best < best - (low + new_low):
            return best_x, best - best_x, True, False
        return back_x, back_best - back_x, False, True


class _Front:
    """The progress of a search from one corner of a box, on each of its diagonals."""

    __slots__ = ("_least", "_most", "_shift", "ends", "first", "has_snake", "last", "middle", "way")

    def __init__(
        self, ends: list[int], shift: int, box: tuple[int, int, int, int], way: int
    ) -> None:
        low, high, new_low, new_high = box
        self.ends = ends
        """Place on the old side, by diagonal + shift; shared by all searches in this direction."""
        self.way = way
        """1 from the beginning, -1 from the end."""
        self.middle = low - new_low if way > 0 else high - new_high
        self.first = self.last = self.middle
        """First of the diagonals that it has reached."""
        self.has_snake = False
        """True if a long run of equal items was met in the last step."""
        self._shift = shift
        self._least, self._most = low - new_high, high - new_low
        ends[self.middle + shift] = low if way > 0 else high

    @property
    def width(self) -> int:
        return self.last - self.first

    def widen(self) -> None:
        """Add the next diagonals, as far as the box has some."""
        # The diagonals next to the front lose every comparison with a neighbour.
        outside = -1 if self.way > 0 else _FAR
        if self.first > self._least:
            self.first -= 1
            self.ends[self.first - 1 + self._shift] = outside
        else:
            self.first += 1
        if self.last < self._most:
            self.last += 1
            self.ends[self.last + 1 + self._shift] = outside
        else:
            self.last -= 1
