"""Histogram diff: the longest common run of the rarest lines, then what lies on both sides of it.

It is the comparison of JGit and, in merges, of git: an extension of Bram Cohen's patience diff to
lines that occur more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heliosfs.repo.lines.myers import Budget

_CHAIN_MAX = 64
"""Largest number of occurrences of a line at which a run may begin."""


class Part(NamedTuple):
    """A part of both sequences."""

    start: int
    stop: int
    new_start: int
    new_stop: int


def compare(
    old: Sequence[int], new: Sequence[int], changed: tuple[bytearray, bytearray], budget: Budget
) -> list[Part]:
    """Mark the differences in `changed`; return the parts that need another comparison.

    These are the parts that have only frequent items in common.
    """
    left: list[Part] = []
    pending = [Part(0, len(old), 0, len(new))]
    while pending:
        part = pending.pop()
        start, stop, new_start, new_stop = part
        run, has_common = None, False
        if start < stop and new_start < new_stop:
            if budget.spend(stop - start + new_stop - new_start):
                run, has_common = _Finder(old, new, part, budget).find()
            # All common lines are frequent: Myers' algorithm does better there, and the caller uses
            # it.
            if run is None and has_common:
                left.append(part)
                continue
        if run is None:
            changed[0][start:stop] = b"\1" * (stop - start)
            changed[1][new_start:new_stop] = b"\1" * (new_stop - new_start)
            continue
        # Both sides of the run are compared on their own, without recursion.
        pending.append(Part(start, run.start, new_start, run.new_start))
        pending.append(Part(run.stop, stop, run.new_stop, new_stop))
    return left


class _Finder:
    """A search of a part for the run to begin with."""

    def __init__(self, old: Sequence[int], new: Sequence[int], part: Part, budget: Budget) -> None:
        self._old = old
        self._new = new
        self._part = part
        self._budget = budget
        self._places: dict[int, list[int]] = {}
        """Places of each item on the old side, in order."""
        for at in range(part.start, part.stop):
            self._places.setdefault(old[at], []).append(at)
        self._best: Part | None = None
        self._rarity = _CHAIN_MAX + 1
        """Number of occurrences on the old side of the rarest item of the best run."""

    def find(self) -> tuple[Part | None, bool]:
        """Return the run, and True if there is anything in common at all."""
        has_common = False
        at = self._part.new_start
        while at < self._part.new_stop:
            places = self._places.get(self._new[at])
            if places is None:
                at += 1
                continue
            has_common = True
            at = self._look(at, places) if len(places) <= self._rarity else at + 1
        return (self._best, True) if self._rarity <= _CHAIN_MAX else (None, has_common)

    def _look(self, new_at: int, places: list[int]) -> int:
        """Try every run through an item of the new side; return where to look next."""
        following = new_at + 1
        seen = -1
        for at in places:
            # Inside the run before, which began at an earlier place and was as long as it could be.
            if at < seen:
                continue
            run, rarity = self._run(at, new_at, len(places))
            seen = run.stop
            following = max(following, run.new_stop)
            best = self._best
            if (
                best is None
                or run.stop - run.start > best.stop - best.start
                or rarity < self._rarity
            ):
                self._best, self._rarity = run, rarity
        return following

    def _run(self, at: int, new_at: int, rarity: int) -> tuple[Part, int]:
        """Return the equal items around a pair, and the count of the rarest of them."""
        old, new, part = self._old, self._new, self._part
        start, new_start, stop, new_stop = at, new_at, at + 1, new_at + 1
        while (
            start > part.start
            and new_start > part.new_start
            and (old[start - 1] == new[new_start - 1])
        ):
            start -= 1
            new_start -= 1
            # Nothing is rarer than once, so the look-up would tell nothing new.
            if rarity > 1:
                rarity = min(rarity, len(self._places[old[start]]))
        while stop < part.stop and new_stop < part.new_stop and old[stop] == new[new_stop]:
            if rarity > 1:
                rarity = min(rarity, len(self._places[old[stop]]))
            stop += 1
            new_stop += 1
        self._budget.spend(stop - start)
        return Part(start, stop, new_start, new_stop), rarity
