"""What outlives its use, and for how long: operations, and commits that nothing reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.operation import Operation
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.working_state import State


class Retention(NamedTuple):
    """What a garbage collection keeps beside what branches, tags and working states reach."""

    since_ns: int
    """Operations and commits of this moment and later stay."""
    operation_count: int
    """How many operations of each branch stay at most."""
    keeps_unreached: bool = True
    """Whether commits that nothing reaches stay until they are older than `since_ns`."""

    def keeps(self, operation: Operation, count: int) -> bool:
        """Whether an operation stays, when `count` newer ones of its log do."""
        return count < self.operation_count and operation.time_ns >= self.since_ns


class Judgement:
    """Which of the listed commits stay.

    A commit stays when something reaches it that stays; what is kept is closed under parents.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._parents: dict[CommitId, tuple[CommitId, ...]] = {}
        self._young: list[CommitId] = []
        self.kept: set[CommitId] = set()

    def note(self, oid: CommitId, commit: Commit) -> None:
        """A commit that is listed, or that `keep` did not know."""
        self._parents[oid] = commit.parents
        retention = self._retention
        if retention.keeps_unreached and commit.committer.seconds * SECOND_NS >= retention.since_ns:
            self._young.append(oid)

    def young(self) -> list[CommitId]:
        """The commits that stay, whether anything reaches them or not."""
        return self._young

    def keep(self, tips: Iterable[CommitId]) -> list[CommitId]:
        """Keep commits and what they reach; gives those that are not known, for `note`."""
        kept, known = self.kept, self._parents
        unknown = []
        pending = list(tips)
        while pending:
            oid = pending.pop()
            if oid in kept:
                continue
            parents = known.get(oid)
            if parents is None:
                unknown.append(oid)
                continue
            kept.add(oid)
            pending += parents
        return unknown

    def doomed(self) -> set[CommitId]:
        """The listed commits that go."""
        return self._parents.keys() - self.kept


@dataclass(slots=True)
class KeptLog:
    """What stays of one operation log."""

    first: int
    """The sequence of the oldest operation that stays."""
    last: int
    """Of the newest one, when it was looked at."""
    states: list[State] = field(default_factory=list)
    """The states that undo and redo can lead to."""


def kept_operations(log: OperationLog, retention: Retention) -> Iterator[KeptLog]:
    """What stays of a log, after each operation that was looked at; the last one is the result."""
    last = log.last.sequence if log.last else 0
    kept = KeptLog(last + 1, last)
    yield kept
    for count, operation in enumerate(log.operations()):
        if not retention.keeps(operation, count):
            return
        kept.first = operation.sequence
        kept.states += (operation.before, operation.after)
        yield kept
