"""L2: objects, their index and the drained state, in one LMDB file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import lmdb

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.pace import paced
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.places import (
    PackLocation,
    PackUse,
    encode_uses,
    with_places,
    without_places,
)
from heliosfs.store.l2.bases import DecodedBases
from heliosfs.store.l2.bundles import Insert
from heliosfs.store.l2.change import ReclaimTransaction
from heliosfs.store.l2.environment import (
    FILE,
    PACKS_KEY,
    TOTALS_KEY,
    MapFull,
    Tables,
    Transaction,
    check_file,
    lmdb_errors,
    make_file,
    mapped,
    open_file,
    open_tables,
    put_in_pieces,
)
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import INDEX_KEY, Snapshot, Unindexed, index_entry, piece_key
from heliosfs.store.l2.record import NO_BASES, SHORT_BYTES, Payload, decode_chain
from heliosfs.store.l2.residency import unmap_pages
from heliosfs.store.l2.sealed import SUM_MODULUS, seal
from heliosfs.store.l2.states import StateReader
from heliosfs.store.l2.totals import Totals, emptied, read_totals, read_uses
from heliosfs.store.l2.walk import headers
from heliosfs.store.pending import Changes
from heliosfs.store.witness import Witness

RECENT_MAX = 4096
"""Objects that a table in memory finds, before they go into the index together.  So a drain need
not write an index page for each of its objects.  The table is read back in 4 ms when L2 is
opened."""
_UNMAP_AFTER = 512
"""Number of reads of L2 after which the mapped pages are released."""
_UNMAP_AFTER_BYTES = 1024 * 1024
"""Bytes written by one transaction after which the mapped pages are released."""


class ObjectDatabase:
    """The LMDB file, read by the owner's thread, and read and written by one other at a time.

    Transactions are short, because one that reads keeps old pages from being reused.  The owner
    holds the guard while it has a transaction open: growing the map would end it.
    """

    def __init__(
        self,
        directory: Directory,
        salt: bytes = b"",
        *,
        create: bool = False,
        was_clean: bool = True,
        is_read_only: bool = False,
    ) -> None:
        """Open the file, or create one with the given salt, or a random one.

        An unclean file is walked first.  With `is_read_only` nothing on the disk is altered, and
        nobody may write.  Raise StoreError if the file is damaged, or missing without `create`.
        """
        self.directory = directory
        self._guard = threading.Lock()
        self._readings = 0
        self.bases = DecodedBases()
        """Objects that were decoded a short time ago, for the owner's thread."""
        self._recent = Unindexed({})
        self.packs = Packs(directory, is_read_only=is_read_only)
        self.uses: dict[int, PackUse] = {}
        """The parts of each pack that L2 refers to."""
        self.writing = threading.Lock()
        """Lock of the writer, held from the first read of a change to its commit."""
        self._browsing = threading.Lock()
        self.is_loose = False
        """True if records were removed or made smaller, so that used pages may be half empty."""
        self.witness: Witness | None = None
        """Witness that is told of every transaction, once the store is open."""
        self.marks: Marks | None = None
        """Marks of the garbage collection that is under way."""
        with lmdb_errors("cannot open"):
            if create and FILE not in directory.names():
                totals = Totals(salt=salt or os.urandom(8))
                make_file(directory, {TOTALS_KEY: totals.encode()})
            check_file(directory, FILE, is_thorough=not was_clean, is_read_only=is_read_only)
            self.env = open_file(directory, is_read_only=is_read_only)
            try:
                self.map_bytes = self.env.info()["map_size"]
                status = directory.status(FILE)
                self._file = status.st_dev, status.st_ino
                # Slots of killed processes would keep old pages from being reused.
                self.env.reader_check()
                self.tables = open_tables(self.env, create=not is_read_only)
                self._begin()
            except BaseException:
                self.env.close()
                raise

    def _begin(self) -> None:
        """Read the totals of L2."""
        with self.env.begin() as txn:
            totals = read_totals(txn)
            self.uses = read_uses(txn)
        if totals is None:
            raise emptied()
        self.totals = totals
        self._read_recent()

    def _read_recent(self) -> None:
        try:
            with self.reading() as snapshot:
                unindexed = headers(snapshot, self.totals.indexed)
                self._recent = Unindexed({each.id[:SHORT_BYTES]: each.number for each in unindexed})
        except DecodeError as error:
            raise StoreError(f"{FILE} is damaged: {error}") from error

    def close(self) -> None:
        """Close the files; no transaction may be open.  Idempotent."""
        self.env.close()
        self.packs.close()

    def has(self, oid: Oid, kind: Kind, data: bytes | memoryview) -> bool:
        """Return True if L2 has the object, undamaged.

        Cost: 2 us if L2 does not have it, else as `load`.
        """
        with self.guarded_reading() as snapshot:
            return snapshot.find(oid, kind, data) is not None

    def candidates(self, oids: Iterable[Oid]) -> list[Oid]:
        """Return those of the ids that the index may have: 1 us each."""
        with self.guarded_reading() as snapshot:
            return [oid for oid in oids if snapshot.candidates(oid)]

    def load(self, oid: Oid) -> tuple[list[Payload], list[bytes]] | None:
        """Return an object's chain and the bytes of each of its objects.  Raise CorruptObject.

        The last one is the object, checked against its id, and the others are not checked.  A chain
        may begin after an object that was decoded a short time ago.
        """
        reason = ""
        with self.guarded_reading() as snapshot:
            for number in snapshot.candidates(oid):
                # Without the bases that were decoded before, if it is not sound with them.
                for known in (self.bases.known, NO_BASES):
                    try:
                        chain = snapshot.chain(number, known)
                        objects = decode_chain(chain, known)
                    except DecodeError as error:
                        # An earlier copy may be damaged, and a later one sound: every candidate is
                        # tried.
                        reason = str(error)
                        continue
                    last = chain[-1]
                    # I30: bytes are returned only if they have the id that was asked for.
                    if object_id(last.kind, objects[-1]) == oid:
                        if last.base is not None:
                            self.bases.keep(last, objects[-1])
                        return chain, objects
                    reason = "its bytes have another id"
        if reason:
            raise CorruptObject(f"object {oid.hex()} is damaged: {reason}")
        return None

    def get_state(self, key: bytes) -> bytes | None:
        """Return the drained state under a key, or None."""
        with self.guarded_reading() as snapshot:
            return StateReader(snapshot).get(key)

    def scan_state(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the drained state under a prefix, in key order."""
        with self.guarded_reading() as snapshot:
            return StateReader(snapshot).scan(prefix)

    def reading(self) -> Reading:
        """Return a context with a snapshot for the writing thread, which grows no map meanwhile."""
        return Reading(self.env, self.tables, self._recent, self.packs, None)

    @contextmanager
    def browsing(self) -> Iterator[Snapshot]:
        """Open a snapshot for a third thread that reads much, a few ms at a time.

        It does not take the guard: a thread that takes the guard again and again would starve the
        owner.
        """
        with self._browsing:
            with self.reading() as snapshot:
                yield snapshot
            unmap_pages(*self._file)

    def guarded_reading(self) -> Reading:
        """Return a context with a snapshot, for the owner's thread."""
        self._readings += 1
        # Mapped pages count as memory of the process until they are unmapped.
        if self._readings % _UNMAP_AFTER == 0:
            unmap_pages(*self._file)
        return Reading(self.env, self.tables, self._recent, self.packs, self._guard)

    def write(
        self,
        inserts: list[Insert],
        found: list[tuple[bytes, int]],
        state: Changes,
        totals: Totals,
        places: Iterable[PackLocation] = (),
    ) -> None:
        """Write one transaction, which is on the disk on return.

        After StoreError or StoreFull, nothing of it is on the disk.

        `found` are the short ids and numbers of the new objects, `totals` the totals with them, and
        `places` their places in packs, which must have been synced.  Do not call it on the owner's
        thread: it waits for the disk.
        """
        # I43: numbers of objects and batches only grow.
        assert totals.next_number >= self.totals.next_number and totals.batch >= self.totals.batch
        numbers = self._recent.numbers
        recent = Unindexed({**numbers, **dict(found)})
        entries: list[tuple[bytes, int]] = []
        count = len(recent.numbers)
        # Two objects with one short id cannot both be in a dict, but the index takes them.
        if count > RECENT_MAX or count < len(numbers) + len(found):
            entries = [*numbers.items(), *found]
            totals = totals._replace(indexed=totals.next_number)
            recent = Unindexed({})
        uses = with_places(self.uses, places)
        written_bytes = totals.stored_bytes - self.totals.stored_bytes
        while True:
            try:
                with lmdb_errors("cannot write"):
                    self._try_write(inserts, entries, recent, state, totals, uses)
            except MapFull:
                self._grow()
            else:
                break
        self.packs.named(places)
        self._recent = recent
        self.uses = uses
        if written_bytes >= _UNMAP_AFTER_BYTES:
            unmap_pages(*self._file)

    def _try_write(
        self,
        inserts: list[Insert],
        entries: list[tuple[bytes, int]],
        recent: Unindexed,
        state: Changes,
        totals: Totals,
        uses: Mapping[int, PackUse],
    ) -> None:
        tables = self.tables
        txn = self.env.begin(write=True)
        try:
            for number, pieces in paced(inserts):
                # The first may be the bundle that was the last, and grows.
                is_new = number >= self.totals.next_number
                for index, piece in enumerate(pieces):
                    txn.put(piece_key(number, index), piece, append=is_new, db=tables.objects)
            if entries:
                values = sorted([index_entry(short, number) for short, number in paced(entries)])
                keyed = [(INDEX_KEY, value) for value in paced(values)]
                put_in_pieces(txn.cursor(tables.ids), keyed)
            change = 0
            if state:
                change = StateReader(Snapshot(txn, tables, recent, self.packs)).write(state)
            self._commit(txn, totals, change, uses)
        except BaseException:
            txn.abort()
            raise

    def _commit(
        self, txn: Transaction, totals: Totals, seals: int, uses: Mapping[int, PackUse]
    ) -> None:
        """Commit a transaction with its totals; `seals` is added to the sum."""
        # I52: what is missing, or of an earlier time, makes another sum.
        totals = totals._replace(
            generation=self.totals.generation + 1,
            seals=(self.totals.seals + seals) % SUM_MODULUS,
        )
        txn.put(TOTALS_KEY, totals.encode())
        txn.put(PACKS_KEY, seal(PACKS_KEY, encode_uses(uses)))
        self.directory.commit(txn)
        self.totals = totals
        # I53: after the commit has returned.
        if self.witness is not None:
            self.witness.note(generation=totals.generation)

    def change(self, make: Callable[[ReclaimTransaction], None]) -> ReclaimTransaction:
        """Carry out one transaction that removes or replaces records, as `write` does.

        `make` is called again if the map had to grow.
        """
        while True:
            try:
                with lmdb_errors("cannot write"):
                    change, uses = self._try_change(make)
            except MapFull:
                self._grow()
            else:
                self.uses = uses
                self.is_loose = True
                self.packs.named(change.places)
                return change

    def _try_change(
        self, make: Callable[[ReclaimTransaction], None]
    ) -> tuple[ReclaimTransaction, dict[int, PackUse]]:
        txn = self.env.begin(write=True)
        try:
            change = ReclaimTransaction(txn, self.tables, self.packs)
            make(change)
            before = self.totals
            totals = before._replace(
                objects=before.objects - change.objects,
                stored_bytes=before.stored_bytes - change.stored_bytes,
                logical_bytes=before.logical_bytes - change.logical_bytes,
            )
            uses = without_places(with_places(self.uses, change.places), change.lost_places)
            self._commit(txn, totals, 0, uses)
        except BaseException:
            txn.abort()
            raise
        return change, uses

    def forget_recent(self, keeps: Callable[[int], bool]) -> None:
        """Remove the objects that are not kept from the table of those not yet indexed."""
        numbers = paced(self._recent.numbers.items())
        self._recent = Unindexed({short: number for short, number in numbers if keeps(number)})

    def _grow(self) -> None:
        # mdb_env_set_mapsize may be called only if no transaction is open in this process.
        with self._browsing, self._guard, lmdb_errors("cannot grow"):
            self.env.set_mapsize(self.map_bytes * 2)
            self.map_bytes *= 2


class Reading:
    """A read transaction as a context manager, under the guard if there is one."""

    __slots__ = ("_env", "_guard", "_packs", "_recent", "_tables", "_txn")

    def __init__(
        self,
        env: lmdb.Environment,
        tables: Tables,
        recent: Unindexed,
        packs: Packs,
        guard: threading.Lock | None,
    ) -> None:
        self._env = env
        self._tables = tables
        self._recent = recent
        self._packs = packs
        self._guard = guard

    def __enter__(self) -> Snapshot:
        if self._guard is not None:
            self._guard.acquire()
        try:
            self._txn = self._env.begin()
        except lmdb.Error as error:
            if self._guard is not None:
                self._guard.release()
            raise mapped("cannot read", error) from error
        return Snapshot(self._txn, self._tables, self._recent, self._packs)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._txn.abort()
        if self._guard is not None:
            self._guard.release()
        if isinstance(error, lmdb.Error):
            raise mapped("cannot read", error) from error
