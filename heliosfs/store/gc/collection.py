"""The garbage collection of a store on disk."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from heliosfs.objects.ids import Oid
from heliosfs.objects.references import Reference
from heliosfs.pace import Pace
from heliosfs.steps import Work
from heliosfs.store.base import Collection, SweepResult
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.gc.marking import Marking
from heliosfs.store.gc.promised import PromiseSweep
from heliosfs.store.gc.recollection import Recollection, decode_recollection
from heliosfs.store.gc.removal import Removal
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.record import commit_oid
from heliosfs.store.l2.states import StateReader
from heliosfs.store.pending import Pending
from heliosfs.store.promises import Promises


class LocalCollection:
    """A collection that marks objects in L2; pending objects stay in any case.

    An object that is added while the collection runs stays: if L2 has it already, the drain claims
    it (`Marks`), and large objects are not looked up in L2 meanwhile.
    """

    def __init__(
        self,
        database: ObjectDatabase,
        pending: Mapping[Oid, Pending],
        promises: Promises,
        shallow: Container[Oid],
        settling: Callable[[], Callable[[], Work | None]],
        closed: Callable[[Collection], None],
    ) -> None:
        """Begin to mark.  `pending` is the store's own dict; `shallow` may grow."""
        self._database = database
        self._closed = closed
        self._settling = settling
        self._settle: Callable[[], Work | None] | None = None
        self._marks = database.marks = Marks(database.totals.next_number)
        self._spared: list[int] = []
        """Commits from before the recollection that it did not reach."""
        self._removal = removal = Removal(database, self._marks)
        self._promised = promised = promises.marks()
        self._promise_sweep = partial(PromiseSweep, database, promises, promised)
        self._sweep_of_promises: PromiseSweep | None = None
        self._marking = marking = Marking(database, pending, self._marks, promised, shallow)
        # Bound, not passed on by methods of the collection.
        self.read, self.mark, self.is_marked = marking.read, marking.mark, marking.is_marked
        self.survey, self.links_of = marking.survey, marking.links_of
        self.enter, self.follow = marking.enter, marking.follow
        self.enter_surveyed = marking.enter_surveyed
        self.plan_pack, self.plan_count = removal.plan_pack, removal.plan_count
        self.plan_sweep = removal.plan_sweep

    def recall(self, data: bytes) -> list[Reference] | None:
        marks = self._marks
        found = decode_recollection(data, self._database.totals.salt, marks.end)
        if found is None:
            return None
        marks.recall(found.first, found.reached)
        # What is not entered again may need any of them.
        self._promised.keeps_all = True
        self._spared = found.commits
        return found.pending

    def remember(self) -> bytes | None:
        marks, pace = self._marks, Pace()
        reached = marks.reached()
        commits = [number for number in self._spared if not reached[number]]
        with self._database.browsing() as snapshot:
            for number in marks.kept_for_others():
                pace()
                try:
                    if commit_oid(snapshot.record(number)) is not None:
                        commits.append(number)
                except DecodeError:
                    continue
        pending = [(kind, oid) for oid, kind in self._marking.entered.items()]
        found = Recollection(marks.end, reached, commits, pending)
        return found.encode(self._database.totals.salt)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._marking.snapshot() as self._snapshot:
            yield

    def is_old(self, oid: Oid) -> bool:
        return any(map(self._marks.is_old, self._snapshot.numbers_of(oid)))

    def listed(self, prefix: bytes) -> list[Oid]:
        pace = Pace()
        found: list[Oid] = []
        state = StateReader(self._snapshot)
        spared = (number for number in self._spared if state.is_listed(prefix, number))
        found += map(self._snapshot.oid_of, spared)
        known = self._marking.commits_by_number()
        for oid in state.listed(prefix, self._marks.first, known):
            found.append(oid)
            pace()
        return found

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        pace, found = Pace(), []
        for item in StateReader(self._snapshot).expanded(prefix):
            found.append(item)
            pace()
        return found

    @property
    def packed_bytes(self) -> int:
        return self._removal.packed_bytes

    @property
    def promised_count(self) -> int:
        return self._marking.promised_count

    def plan_promises(self) -> Work | None:
        if self._sweep_of_promises is None:
            self._sweep_of_promises = self._promise_sweep()
        return None if self._sweep_of_promises.is_done else self._sweep_of_promises

    def plan_settle(self) -> Work | None:
        if self._settle is None:
            self._settle = self._settling()
        work = self._settle()
        if work is None:
            self._settle = None
        return work

    @property
    def swept(self) -> SweepResult:
        return self._removal.swept

    def close(self) -> None:
        self._marking.close()
        # Closed before, perhaps, and another collection is under way.
        if self._database.marks is self._marks:
            self._database.marks = None
            self._closed(self)
