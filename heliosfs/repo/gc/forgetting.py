"""The state that names what a garbage collection removes: it goes before the objects do."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from heliosfs.objects.tree import TIME_MAX_NS
from heliosfs.repo import keys
from heliosfs.repo.gc.retention import KeptLog
from heliosfs.repo.gc.roots import dead_slots, kept_for_undo, log_of, saves_of
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps

_STATE_COUNT = 256
"""Keys that are removed before a turn: 0.5 ms."""
_COMMIT_COUNT = 64
"""Commits of which this is done: what else may be known of each is looked up in L2."""


def count_operations(repository: Repository, logs: Mapping[int, KeptLog]) -> Steps[int]:
    """Return how many operations `forget_operations` would drop."""
    count = 0
    for slot, kept in list(logs.items()):
        count += max(0, kept.first - log_of(repository, slot).first)
        yield TURN
    for slot in dead_slots(repository):
        count += max(0, _end_of(repository, slot) - log_of(repository, slot).first)
        yield TURN
    return count


def _end_of(repository: Repository, slot: int) -> int:
    """Return the sequence after that of the last operation."""
    last = log_of(repository, slot).last
    return last.sequence + 1 if last else 0


def forget_operations(
    repository: Repository, logs: Mapping[int, KeptLog], since_ns: int
) -> Steps[int]:
    """Drop old operations, and the remains of deleted branches; return how many."""
    count = 0
    for slot, kept in logs.items():
        count += yield from _drop_operations(repository, slot, kept.first)
        if saves_of(repository, slot).drop_before(since_ns):
            repository.store.publish()
        # Even without a change: a slot takes 30 us to look at, and there may be thousands.
        yield TURN
    for slot in dead_slots(repository):
        count += yield from _drop_operations(repository, slot, _end_of(repository, slot))
        # Not before the log is gone: `dead_slots` finds the slot by this if the collection is
        # ended early.
        repository.store.put(keys.of_slot(keys.WORK, slot), None)
        saves_of(repository, slot).drop_before(TIME_MAX_NS)
        repository.store.publish()
        yield TURN
    return count


def _drop_operations(repository: Repository, slot: int, first: int) -> Steps[int]:
    count = 0
    begin = log_of(repository, slot).first
    # The tree that was staged before an operation, and its stash entries, serve only its undo.
    served = deque(kept_for_undo(repository, slot, first) if begin < first else ())
    while dropped := log_of(repository, slot).drop_before(first, _STATE_COUNT):
        begin += dropped
        while served and served[0][0] < begin:
            repository.store.put(served.popleft()[1], None)
        repository.store.publish()
        count += dropped
        yield TURN
    return count


def forget_commits(repository: Repository) -> Steps[int]:
    """Remove the doomed commits from all lists; return how many."""
    count = 0
    while taken := repository.history.forget(_COMMIT_COUNT):
        for oid in taken:
            repository.experiments.forget_scores(oid)
        repository.store.publish()
        count += len(taken)
        yield TURN
    return count
