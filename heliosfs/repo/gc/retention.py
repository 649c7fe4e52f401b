"""Retention: the time for which operations, and commits that nothing reaches, are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.emptying import Container
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.pace import Pace, paced
from heliosfs.repo.edge import Edge
from heliosfs.repo.operation import Operation
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.working_state import State


class Retention(NamedTuple):
    """The limits of what is kept in addition to what branches, tags and working states reach."""

    since_ns: int
    """Time from which operations and commits stay."""
    operation_count: int
    """Largest number of operations that stay for each branch."""
    keeps_unreached: bool = True
    """True if commits that nothing reaches stay until they are older than `since_ns`."""

    def keeps(self, operation: Operation, count: int) -> bool:
        """Return True if an operation stays, with `count` newer ones in its log."""
        return count < self.operation_count and operation.time_ns >= self.since_ns


class KeepDecision:
    """The decision which of the listed commits stay.

    A commit stays if one that stays reaches it: the kept ones are closed under parents.

    Commits that an earlier collection kept are *old*.  They stay, and are not noted; which of them
    were reached is known.
    """

    def __init__(
        self, retention: Retention, is_old: Callable[[CommitId], bool], edge: Edge
    ) -> None:
        self._edge = edge
        self._retention = retention
        self._is_old = is_old
        self.old: set[CommitId] = set()
        """Old commits that those that stay have as parents, or that are tips."""
        self._links: dict[CommitId, CommitLinks] = {}
        self._young: list[CommitId] = []
        self.kept: set[CommitId] = set()
        self.doomed: set[CommitId] = set()
        """Noted commits that nothing has kept so far.  As a set from the beginning, because the
        difference of two large ones would hold up whoever needs it at once."""

    def note(self, oid: CommitId, links: CommitLinks) -> None:
        """Note a commit that is listed, or that `keep` did not know."""
        self._links[oid] = self._edge.cut(oid, links)
        if oid not in self.kept:
            self.doomed.add(oid)
        if self.is_young(links.seconds):
            self._young.append(oid)

    def is_young(self, seconds: int) -> bool:
        """Return True if a commit of this time stays even if nothing reaches it."""
        retention = self._retention
        return retention.keeps_unreached and seconds * SECOND_NS >= retention.since_ns

    def young(self) -> list[CommitId]:
        """Return the commits that stay even if nothing reaches them."""
        return self._young

    def keep(self, tips: Iterable[CommitId]) -> list[CommitId]:
        """Keep commits and their ancestors; return the unknown ones, for `note`."""
        kept, known, old, doomed = self.kept, self._links, self.old, self.doomed
        unknown: list[CommitId] = []
        pending, pace = list(tips), Pace()
        while pending:
            pace()
            oid = pending.pop()
            if oid in kept or oid in old:
                continue
            links = known.get(oid)
            if links is None:
                if self._is_old(oid):
                    old.add(oid)
                else:
                    unknown.append(oid)
                continue
            kept.add(oid)
            doomed.discard(oid)
            pending += links.parents
        return unknown

    def heads(self, before: Mapping[CommitId, int]) -> dict[CommitId, int]:
        """Return the commits that stay and are no parents of such, with their times.

        `before` are those of the earlier collection.
        """
        links, kept = self._links, self.kept
        found = {oid: links[oid].seconds for oid in paced(kept)}
        found.update(paced(before.items()))
        for oid in paced(kept):
            for parent in links[oid].parents:
                found.pop(parent, None)
        return found

    def containers(self) -> tuple[Container, ...]:
        """Return what grows with the history, for whoever empties it."""
        return self._links, self._young, self.kept, self.doomed, self.old

    def kept_trees(self) -> Iterator[tuple[CommitId, TreeId]]:
        """Yield the commits that stay with their trees, in the order in which they were noted."""
        kept = self.kept
        for oid, links in paced(self._links.items()):
            if oid in kept:
                yield oid, links.tree


@dataclass(slots=True)
class KeptLog:
    """The part of an operation log that stays."""

    first: int
    """Sequence of the oldest operation that stays."""
    last: int
    """Sequence of the newest operation when the log was read."""
    states: list[State] = field(default_factory=list)
    """States to which undo and redo can lead."""


def kept_operations(log: OperationLog, retention: Retention) -> Iterator[KeptLog]:
    """Yield the kept part of a log after each operation read; the last one is the result."""
    last = log.last.sequence if log.last else 0
    kept = KeptLog(last + 1, last)
    yield kept
    for count, operation in enumerate(log.operations()):
        if not retention.keeps(operation, count):
            return
        kept.first = operation.sequence
        kept.states += (operation.before, operation.after)
        yield kept
