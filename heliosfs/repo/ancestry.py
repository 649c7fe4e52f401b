"""Ancestry: whether commits reach one another, and their merge bases (git-merge-base(1)).

Every question of the kind "is it an ancestor", "does a ref reach it", "what have they in common"
is answered by one walk, `_Walk`.  It may start at many tips, reads the commits that only one side
reaches and those as young as the common ones, and gives a turn after each of them.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable

from heliosfs.objects.ids import CommitId
from heliosfs.repo.history import History
from heliosfs.steps import TURN, Steps, at_once

_OURS, _THEIRS, _STALE = 1, 2, 4
_BOTH = _OURS | _THEIRS


def merge_bases(history: History, one: CommitId, *others: CommitId) -> list[CommitId]:
    """Return the best common ancestors of one commit and any of the others, the oldest first.

    None of unrelated histories, one as a rule, several after a criss-cross merge; the best are
    those that no other common ancestor reaches.  Commit dates steer the walk, and a clock that
    was wrong costs time, not the result.
    Cost: the commits that only one side reaches, and those as young as the bases.
    """
    return at_once(find_merge_bases(history, one, *others))


def find_merge_bases(history: History, one: CommitId, *others: CommitId) -> Steps[list[CommitId]]:
    """`merge_bases` in steps."""
    if one in others:
        return [one]
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
    """Result in True if `oid` is one of `tips` or an ancestor of one of them.

    All tips share one walk.  After `limit` commits it ends with False.
    """
    tips = dict.fromkeys(tips)
    if oid in tips:
        return True
    walk = _Walk(history, oid, tips)
    yield from walk.run(limit, stops_at_ours=True)
    return walk.is_reached


class _Walk:
    """From two sides towards what they have in common: git's `paint_down_to_common`.

    Each side paints what it reaches.  What has both colours is a candidate, and all below a
    candidate is stale; the walk ends when nothing else is left to visit.  Where clocks were
    wrong, a candidate may be found that is below another one (commit-reach.c).
    """

    def __init__(self, history: History, ours: CommitId, theirs: Iterable[CommitId]) -> None:
        self._history = history
        self._ours = ours
        self._colours = dict.fromkeys(theirs, _THEIRS)
        self._colours[ours] = self._colours.get(ours, 0) | _OURS
        self._queue: list[tuple[int, CommitId]] = []
        self._queued: set[CommitId] = set()
        self._fresh = 0
        """How many queued commits are not stale."""
        self._candidates: dict[CommitId, None] = {}
        for oid in self._colours:
            self._push(oid)

    @property
    def is_reached(self) -> bool:
        """True once theirs was found to reach the one commit of ours."""
        return bool(self._colours[self._ours] & _THEIRS)

    def common(self) -> list[CommitId]:
        """The common ancestors that were found, the best among them."""
        return [oid for oid in self._candidates if not self._colours[oid] & _STALE]

    def run(self, limit: int = sys.maxsize, *, stops_at_ours: bool = False) -> Steps[None]:
        """Walk, over `limit` commits at most, until nothing new can be found."""
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
