"""Merge bases: the best common ancestors of two commits (git-merge-base(1))."""

from __future__ import annotations

import heapq

from heliosfs.objects.ids import CommitId
from heliosfs.repo.history import History

_OURS, _THEIRS, _STALE = 1, 2, 4
_BOTH = _OURS | _THEIRS


def merge_bases(history: History, ours: CommitId, theirs: CommitId) -> list[CommitId]:
    """The common ancestors that no other common ancestor reaches, the oldest first.

    None of unrelated histories, one as a rule, several after a criss-cross merge.  Commit
    dates steer the walk, and a clock that was wrong costs time, not the result.
    Cost: the commits that only one side reaches, and those as young as the bases.
    """
    found = _common(history, ours, theirs)
    if len(found) > 1:
        found = [oid for oid in found if not _is_below(history, oid, found)]
    return sorted(found, key=lambda oid: (history.read(oid).committer.seconds, oid))


def is_ancestor(history: History, oid: CommitId, of: CommitId) -> bool:
    """Whether `oid` is `of` or reachable from it.  Cost: as `merge_bases`."""
    return oid == of or oid in _common(history, oid, of)


def _is_below(history: History, oid: CommitId, others: list[CommitId]) -> bool:
    return any(other != oid and is_ancestor(history, oid, other) for other in others)


def _common(history: History, ours: CommitId, theirs: CommitId) -> list[CommitId]:
    """Common ancestors, the best among them: git's `paint_down_to_common` (commit-reach.c).

    Each side paints what it reaches.  What has both colours is a candidate, and all below
    a candidate is stale; the walk ends when nothing else is left to visit.  Where clocks were
    wrong, a candidate may be found that is below another one.
    """
    if ours == theirs:
        return [ours]
    colours = {ours: _OURS, theirs: _THEIRS}
    queue: list[tuple[int, CommitId]] = []
    queued: set[CommitId] = set()
    fresh = 0

    def push(oid: CommitId) -> int:
        if oid in queued:
            return 0
        queued.add(oid)
        heapq.heappush(queue, (-history.read(oid).committer.seconds, oid))
        return 0 if colours[oid] & _STALE else 1

    fresh += push(ours) + push(theirs)
    candidates: list[CommitId] = []
    while fresh:
        _, oid = heapq.heappop(queue)
        queued.discard(oid)
        colour = colours[oid]
        if not colour & _STALE:
            fresh -= 1
            if colour == _BOTH:
                candidates.append(oid)
                colour |= _STALE
        for parent in history.read(oid).parents:
            known = colours.get(parent, 0)
            if known & colour == colour:
                continue
            if parent in queued and colour & _STALE and not known & _STALE:
                fresh -= 1
            colours[parent] = known | colour
            fresh += push(parent)
    return [oid for oid in dict.fromkeys(candidates) if not colours[oid] & _STALE]
