"""The commits of a garbage collection: they are read on a thread, and judged."""

from __future__ import annotations

from functools import partial

from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.pace import Pace
from heliosfs.repo.gc.retention import KeepDecision
from heliosfs.repo.history import links_of, listed_in
from heliosfs.steps import Steps, on_thread
from heliosfs.store.base import Collection

_READ_COUNT = 500
"""Commits that are read in one go on the thread, and noted in one on the loop: 1 ms there."""


class CommitReader:
    """Reads commits for a decision, without the cache of the history."""

    def __init__(self, collection: Collection, decision: KeepDecision) -> None:
        self._collection = collection
        self._keep_decision = decision

    def survey(self) -> Steps[None]:
        """Let the collection read all that is new in the order in which it lies."""
        while (yield from on_thread(self._survey)):
            pass

    def note_listed(self) -> Steps[None]:
        """Note all commits that are listed and not old."""
        listed = yield from on_thread(self._listed)
        for at in range(0, len(listed), _READ_COUNT):
            yield from self._note(listed[at : at + _READ_COUNT])

    def keep(self, tips: list[CommitId]) -> Steps[None]:
        """Keep commits and everything that they reach."""
        while tips:
            tips = yield from on_thread(partial(self.keep_known, tips))
            yield from self._note(tips)

    def keep_known(self, tips: list[CommitId]) -> list[CommitId]:
        """Keep commits as far as they are known; return the unknown ones.  On any thread."""
        with self._collection.snapshot():
            return self._keep_decision.keep(tips)

    def _survey(self) -> bool:
        with self._collection.snapshot():
            return self._collection.survey()

    def _listed(self) -> list[CommitId]:
        with self._collection.snapshot():
            return listed_in(self._collection)

    def _note(self, oids: list[CommitId]) -> Steps[None]:
        for oid, links in zip(oids, (yield from on_thread(partial(self._read, oids))), strict=True):
            self._keep_decision.note(oid, links)

    def _read(self, oids: list[CommitId]) -> list[CommitLinks]:
        pace, found = Pace(), []
        with self._collection.snapshot():
            for oid in oids:
                links = self._collection.links_of(oid)
                if links is None:
                    links = links_of(oid, self._collection.read(oid, Kind.COMMIT))
                found.append(links)
                pace()
        return found
