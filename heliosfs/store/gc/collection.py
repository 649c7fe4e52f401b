"""The garbage collection of a store on disk."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.outline import links_in, outline, references_in
from heliosfs.objects.references import Reference, references
from heliosfs.pace import Pace
from heliosfs.steps import Work
from heliosfs.store.base import Collection, SweepResult
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.gc.chains import Chains
from heliosfs.store.gc.recollection import Recollection, decode_recollection
from heliosfs.store.gc.removal import Removal
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import commit_oid
from heliosfs.store.l2.states import StateReader
from heliosfs.store.pending import Pending, bytes_of

_T = TypeVar("_T")


class LocalCollection:
    """A collection that marks objects in L2; pending objects stay in any case.

    An object that is added while the collection runs stays: if L2 has it already, the drain claims
    it (`Marks`), and large objects are not looked up in L2 meanwhile.
    """

    def __init__(
        self,
        database: ObjectDatabase,
        pending: Mapping[Oid, Pending],
        settling: Callable[[], Callable[[], Work | None]],
        closed: Callable[[Collection], None],
    ) -> None:
        """Begin to mark.  `pending` is the store's own dict."""
        self._database = database
        self._pending = pending
        self._closed = closed
        self._settling = settling
        self._settle: Callable[[], Work | None] | None = None
        self._marks = database.marks = Marks(database.totals.next_number)
        self._chains = Chains()
        self._entered: dict[Oid, Kind] = {}
        """Pending objects that were marked."""
        self._spared: list[int] = []
        """Commits from before the recollection that it did not reach."""
        self._removal = removal = Removal(database, self._marks)
        # Bound, not passed on by methods of the collection.
        self.plan_pack, self.plan_count = removal.plan_pack, removal.plan_count
        self.plan_sweep = removal.plan_sweep

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._database.browsing() as self._snapshot:
            yield

    def read(self, oid: Oid, kind: Kind) -> bytes:
        pending = self._pending.get(oid)
        if pending is not None:
            found, data = pending.kind, bytes_of(self._database.packs, pending, self.read)
        else:
            loaded = self._look(lambda snapshot: self._chains.load(snapshot, oid))
            if loaded is None:
                raise _missing(oid)
            found, data = loaded
        return _of_kind(oid, kind, found, data)

    def mark(self, oid: Oid) -> bool:
        return self._mark(oid) is not None

    def enter(self, kind: Kind, oid: Oid, *, reads_blob: bool = False) -> list[Reference] | None:
        numbers = self._mark(oid)
        if numbers is None:
            return None
        if kind is Kind.BLOB and not reads_blob:
            return []
        found = self._chains.find(self._snapshot, oid, numbers)
        data = (
            self.read(oid, kind) if found is None else _of_kind(oid, kind, found.kind, found.data)
        )
        try:
            if kind is not Kind.TREE:
                return references(kind, data)
            shape = outline(data) if found is None else self._chains.unknown(found)
            for blob in links_in(data, shape):
                self._mark_link(blob)
            result = references_in(data, shape)
        except (ValueError, IndexError, struct.error) as error:
            name = kind.name.lower()
            raise CorruptObject(f"{name} {oid.hex()} cannot be read: {error}") from error
        if found is not None:
            # Only now: what a later version shares with this tree is not looked at again.
            found.ends = shape.ends
        return result

    def _mark(self, oid: Oid) -> list[int] | None:
        """Mark an object; return its numbers in the snapshot; None if it was marked before."""
        # First in L2: a batch that has the object once more may never be published.
        numbers = self._snapshot.numbers_of(oid)
        if not numbers and oid in self._pending:
            is_new = oid not in self._entered
            self._entered[oid] = self._pending[oid].kind
            return [] if is_new else None
        found = numbers or self._look(lambda snapshot: snapshot.numbers_of(oid))
        if not found:
            raise _missing(oid)
        is_new = False
        for number in found:
            is_new |= self._marks.reach(number)
        return numbers if is_new else None

    def _mark_link(self, blob: Oid) -> None:
        try:
            self._mark(blob)
        except MissingObject:
            # Most links were not imported.
            return

    def _look(self, ask: Callable[[Snapshot], _T | None]) -> _T | None:
        """Ask the snapshot, then a newer one: an object pending a moment ago may be drained now."""
        found = ask(self._snapshot)
        if not found:
            with self._database.reading() as newer:
                found = ask(newer)
        return found

    def is_marked(self, oid: Oid) -> bool:
        # It is in a batch that is or will be published, and whose drain claims it.
        if oid in self._pending:
            return True
        return any(map(self._marks.keeps, self._snapshot.numbers_of(oid)))

    def recall(self, data: bytes) -> list[Reference] | None:
        marks = self._marks
        found = decode_recollection(data, self._database.totals.salt, marks.end)
        if found is None:
            return None
        marks.recall(found.first, found.reached)
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
        pending = [(kind, oid) for oid, kind in self._entered.items()]
        found = Recollection(marks.end, reached, commits, pending)
        return found.encode(self._database.totals.salt)

    def is_old(self, oid: Oid) -> bool:
        return any(map(self._marks.is_old, self._snapshot.numbers_of(oid)))

    def listed(self, prefix: bytes) -> list[Oid]:
        pace = Pace()
        found: list[Oid] = []
        state = StateReader(self._snapshot)
        spared = (number for number in self._spared if state.is_listed(prefix, number))
        found += map(self._snapshot.oid_of, spared)
        for oid in state.listed(prefix, self._marks.first):
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
        # Closed before, perhaps, and another collection is under way.
        if self._database.marks is self._marks:
            self._database.marks = None
            self._closed(self)


def _of_kind(oid: Oid, kind: Kind, found: Kind, data: bytes) -> bytes:
    if found is not kind:
        raise CorruptObject(
            f"object {oid.hex()} is a {found.name.lower()}, not a {kind.name.lower()}"
        )
    return data


def _missing(oid: Oid) -> MissingObject:
    return MissingObject(f"object {oid.hex()} is not in the store")
