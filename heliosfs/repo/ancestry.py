"""Ancestry of commits: which of them are ancestors, and merge bases (git-merge-base(1)).

Every question such as "is it an ancestor", "does a ref reach it" or "what have they in common" is
answered by one walk, `_Walk`.  It may start at many tips, reads the commits that only one side
reaches and those as young as the common ones, and yields a turn after each of them.

Most histories of agents are lines: a branch leaves another one, and neither merges.  There the
chains of first parents have the answer (`first_parents`), without a walk over what lies between.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable

from heliosfs.objects.ids import CommitId
from heliosfs.repo.history import History
from heliosfs.steps import TURN, Steps, at_once

_LINES_MAX = 8
"""Most tips whose chains are compared, each by itself; a walk serves all at once."""
_OURS, _THEIRS, _STALE = 1, 2, 4
_BOTH = _OURS | _THEIRS


def merge_bases(history: History, one: CommitId, *others: CommitId) -> list[CommitId]:
    """Return the best common ancestors of one commit and any of the others, the oldest first.

    The best are those that no other common ancestor reaches: none for unrelated histories, usually
    one, several after a criss-cross merge.  Commit dates steer the walk; a wrong clock costs time,
    but does not change the result.  Cost: the commits that only one side reaches, and those as
    young as the bases.
    """
    return at_once(find_merge_bases(history, one, *others))


def find_merge_bases(history: History, one: CommitId, *others: CommitId) -> Steps[list[CommitId]]:
    """Return what `merge_bases` returns, in steps."""
    if one in others:
        return [one]
    if len(others) == 1:
        met = history.first_parents.fork(one, others[0])
        # A commit that is on the other's chain is its ancestor.  Without merges above the fork,
        # what one side alone has are its descendants, which the other cannot reach.
        if met is not None and (met.is_linear or met.oid in (one, *others)):
            return [met.oid]
    walk = _Walk(history, one, others)
    yield from walk.run()
    found = walk.common()
    if len(found) > 1:
        best = []
        for oid in found:
            rest = [other for other in found if other != oid]
            if not (yield from reaches(history, rest, oid)):
                best.append(oid)
        found = best
    return sorted(found, key=lambda oid: (history.read(oid).committer.seconds, oid))


def reaches(
    history: History, tips: Iterable[CommitId], oid: CommitId, limit: int = sys.maxsize
) -> Steps[bool]:
    """Return True if `oid` is one of `tips` or an ancestor of one of them, in steps.

    The chains of a few tips are compared first; all others share one walk, which ends with False
    after `limit` commits.
    """
    tips = dict.fromkeys(tips)
    if oid in tips:
        return True
    left = []
    for tip in tips if len(tips) <= _LINES_MAX else ():
        met = history.first_parents.fork(oid, tip)
        if met is not None and met.oid == oid:
            return True
        if met is None or not met.is_linear:
            left.append(tip)
        yield TURN
    if len(tips) <= _LINES_MAX and not left:
        return False
    tips = left or tips
    walk = _Walk(history, oid, tips)
    yield from walk.run(limit, stops_at_ours=True)
    return walk.is_reached


class _Walk:
    """A walk from two sides to their common ancestors: git's `paint_down_to_common`.

    Each side paints the commits that it reaches.  A commit with both colours is a candidate, and
    all commits below a candidate are stale; the walk ends when only stale ones are left.  If clocks
    were wrong, one candidate may lie below another one (commit-reach.c).
    """

    def __init__(self, history: History, ours: CommitId, theirs: Iterable[CommitId]) -> None:
        self._history = history
        self._ours = ours
        self._colours = dict.fromkeys(theirs, _THEIRS)
        self._colours[ours] = self._colours.get(ours, 0) | _OURS
        self._queue: list[tuple[int, CommitId]] = []
        self._queued: set[CommitId] = set()
        self._fresh = 0
        """Number of queued commits that are not stale."""
        self._candidates: dict[CommitId, None] = {}
        for oid in self._colours:
            self._push(oid)

    @property
    def is_reached(self) -> bool:
        """True once a walk from theirs has reached our commit."""
        return bool(self._colours[self._ours] & _THEIRS)

    def common(self) -> list[CommitId]:
        """Return the common ancestors that were found, without those below another one."""
        return [oid for oid in self._candidates if not self._colours[oid] & _STALE]

    def run(self, limit: int = sys.maxsize, *, stops_at_ours: bool = False) -> Steps[None]:
        """Walk over at most `limit` commits, until nothing new can be found."""
        while self._fresh and limit and not (stops_at_ours and self.is_reached):
            limit -= 1
            self._visit(heapq.heappop(self._queue)[1])
            yield TURN

    def _visit(self, oid: CommitId) -> None:
        self._queued.discard(oid)
        colour = self._colours[oid]
        if not colour & _STALE:
            self._fresh -= 1
            if colour == _BOTH:
                self._candidates[oid] = None
                colour |= _STALE
        for parent in self._history.read(oid).parents:
            known = self._colours.get(parent, 0)
            if known & colour == colour:
                continue
            # It is in the queue and was counted as fresh; now it is stale.
            if parent in self._queued and colour & _STALE and not known & _STALE:
                self._fresh -= 1
            self._colours[parent] = known | colour
            self._push(parent)

    def _push(self, oid: CommitId) -> None:
        if oid in self._queued:
            return
        self._queued.add(oid)
        heapq.heappush(self._queue, (-self._history.read(oid).committer.seconds, oid))
        if not self._colours[oid] & _STALE:
            self._fresh += 1
