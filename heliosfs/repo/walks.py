"""Walks: the selection and order of the commits in a log (git-log(1)).

A walk yields a turn for each commit that it has read and does not show, so that its driver can let
other tasks run (`steps`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.history import History
from heliosfs.steps import TURN, Steps, Turn

_DOUBTS = 5
"""Number of further commits that are read once all are hidden, in case of wrong clocks."""


class WalkStep(NamedTuple):
    """Decision about one commit: is the commit shown, and where does the walk continue?"""

    parents: tuple[CommitId, ...]
    """Commits where the walk continues."""
    is_shown: bool = True


class Visit(NamedTuple):
    """A commit that a walk yields, with its nearest ancestors that the walk yields."""

    oid: CommitId
    commit: Commit
    parents: Sequence[CommitId]
    """Nearest ancestors that the walk yields."""


Stepper = Callable[[CommitId, Commit], WalkStep]


def whole(oid: CommitId, commit: Commit) -> WalkStep:
    """Return the step of a walk over all commits: continue at all parents of the commit."""
    return WalkStep(tuple(dict.fromkeys(commit.parents)))


def first_parent(oid: CommitId, commit: Commit) -> WalkStep:
    """Return the step at a commit in a walk along first parents: continue at the first one.

    Such a walk leaves out the commits of merged branches.
    """
    return WalkStep(commit.parents[:1])


def excluded_commits(
    history: History, tips: Sequence[CommitId], excluded: Sequence[CommitId]
) -> Steps[set[CommitId]]:
    """Return the commits that `excluded` reach, as far as `tips` may reach them, in steps.

    Cost: the commits that only one side reaches, and those as young as the common ones.
    """
    marks: dict[CommitId, bool] = {}
    visible: set[CommitId] = set()
    queue: list[tuple[int, CommitId]] = []

    def mark(oid: CommitId, *, is_hidden: bool) -> None:
        if marks.get(oid, not is_hidden) != is_hidden and (oid not in marks or is_hidden):
            marks[oid] = is_hidden
            (visible.discard if is_hidden else visible.add)(oid)
            heapq.heappush(queue, (-history.read(oid).committer.seconds, oid))

    for oid in excluded:
        mark(oid, is_hidden=True)
    for oid in tips:
        mark(oid, is_hidden=False)
    doubts = _DOUBTS
    while queue and doubts:
        doubts = _DOUBTS if visible else doubts - 1
        _, oid = heapq.heappop(queue)
        visible.discard(oid)
        for parent in history.read(oid).parents:
            mark(parent, is_hidden=marks[oid])
        yield TURN
    return {oid for oid, is_hidden in marks.items() if is_hidden}


def by_date(
    history: History,
    tips: Sequence[CommitId],
    hidden: Collection[CommitId] = (),
    step: Stepper = whole,
) -> Iterator[Visit | Turn]:
    """Yield the commits in git's order: the newest of all whose child was yielded.

    It reads the commits that it yields, and their parents.  The parents of a visit are those of the
    step.
    """
    for oid, commit, found in _visits(history, tips, hidden, step):
        yield Visit(oid, commit, found.parents) if found.is_shown else TURN


def topological(
    history: History,
    tips: Sequence[CommitId],
    hidden: Collection[CommitId] = (),
    step: Stepper = whole,
) -> Iterator[Visit | Turn]:
    """Yield the commits with no parent before its children, one line of history after another.

    It reads all of them before it yields the first.
    """
    visits = {}
    for oid, commit, found in _visits(history, tips, hidden, step):
        visits[oid] = commit, found
        yield TURN
    children = dict.fromkeys(visits, 0)
    for _, found in visits.values():
        for parent in found.parents:
            if parent in children:
                children[parent] += 1
    ready = [oid for oid in visits if not children[oid]]
    # A stack: one line of history is finished before the next one begins.
    ready.reverse()
    shown: dict[CommitId, CommitId | None] = {}
    while ready:
        oid = ready.pop()
        commit, found = visits[oid]
        if found.is_shown:
            nearest = (_nearest(visits, parent, shown) for parent in found.parents)
            yield Visit(oid, commit, [each for each in dict.fromkeys(nearest) if each is not None])
        for parent in found.parents:
            if parent in children:
                children[parent] -= 1
                if not children[parent]:
                    ready.append(parent)


def _visits(
    history: History, tips: Sequence[CommitId], hidden: Collection[CommitId], step: Stepper
) -> Iterator[tuple[CommitId, Commit, WalkStep]]:
    seen: set[CommitId] = set()
    ready: list[tuple[int, int, CommitId, Commit]] = []

    def note(oid: CommitId) -> None:
        if oid not in seen and oid not in hidden:
            seen.add(oid)
            commit = history.read(oid)
            heapq.heappush(ready, (-commit.committer.seconds, len(seen), oid, commit))

    for oid in tips:
        note(oid)
    while ready:
        _, _, oid, commit = heapq.heappop(ready)
        found = step(oid, commit)
        yield oid, commit, found
        for parent in found.parents:
            note(parent)


def _nearest(
    visits: dict[CommitId, tuple[Commit, WalkStep]],
    oid: CommitId,
    known: dict[CommitId, CommitId | None],
) -> CommitId | None:
    """Return the commit, or its first ancestor, that is shown; None if there is none."""
    way = []
    at: CommitId | None = oid
    while at is not None and at not in known:
        way.append(at)
        if at not in visits:
            at = None
            break
        found = visits[at][1]
        if found.is_shown:
            break
        at = found.parents[0] if found.parents else None
    answer = known.get(at, at) if at is not None else None
    for each in way:
        known[each] = answer
    return answer
