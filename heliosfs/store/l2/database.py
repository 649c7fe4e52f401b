"""L2: objects, their index and the drained state, in one LMDB file."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import lmdb

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.packs import (
    Packs,
    Place,
    Use,
    decode_uses,
    encode_uses,
    with_places,
    without_places,
)
from heliosfs.store.l2.bundles import Insert
from heliosfs.store.l2.change import Change
from heliosfs.store.l2.environment import (
    FILE,
    MAP_BYTES,
    PACKS_KEY,
    TOTALS_KEY,
    MapFull,
    Tables,
    check_file,
    lmdb_errors,
    mapped,
    open_environment,
    open_tables,
)
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import INDEX_KEY, Recent, Snapshot, index_entry, piece_key
from heliosfs.store.l2.record import SHORT_BYTES, Payload, decode_chain
from heliosfs.store.l2.residency import unmap_pages
from heliosfs.store.l2.states import StateReader
from heliosfs.store.pending import Changes

RECENT_MAX = 4096
"""Objects that a table in memory finds, before they go into the index together: so a drain does
not write a page of the index for each of its objects.  Read back in 4 ms when L2 is opened."""
_UNMAP_AFTER = 512
"""Objects read from L2 before the pages that were mapped for them are given back."""
_UNMAP_AFTER_BYTES = 1024 * 1024
"""The same for what one transaction writes."""
_TOTALS = struct.Struct("<QQQQQQ8s")


class Totals(NamedTuple):
    """What L2 holds, written with every transaction."""

    next_number: int = 1
    """Which the next object gets."""
    indexed: int = 1
    """The first number that is not in the index."""
    objects: int = 0
    stored_bytes: int = 0
    logical_bytes: int = 0
    batch: int = 0
    """The number of the last batch of which all is here."""
    salt: bytes = b""
    """8 random bytes, made with the store, that mark the journal's records as its own."""


class ObjectDatabase:
    """Read by the owner's thread, read and written by one other at a time.

    Transactions are short: one that reads keeps pages from being used again.  The owner
    holds the guard while one of its own is open, for growing the map would end it.
    """

    def __init__(
        self,
        directory: Directory,
        salt: bytes = b"",
        *,
        create: bool = False,
        was_clean: bool = True,
    ) -> None:
        """Open it, or make one, which gets the salt, or a random one.

        What was not closed cleanly is walked first.  StoreError when it is not sound, or not there
        and not to be made: what `format` says is here is never made anew.
        """
        self._directory = directory
        self._guard = threading.Lock()
        self._loads = 0
        self._recent = Recent({})
        self.packs = Packs(directory)
        self.uses: dict[int, Use] = {}
        """What is named of the packs."""
        self.writing = threading.Lock()
        """Held by whoever writes, from what it reads for it to its commit."""
        self._browsing = threading.Lock()
        self.is_loose = False
        """Whether records were removed or made smaller: pages in use may be half empty."""
        self.marks: Marks | None = None
        """Of the garbage collection that is under way."""
        with lmdb_errors("cannot open"):
            if not create:
                check_file(directory, FILE, is_thorough=not was_clean)
            self.env = open_environment(directory.path_of(FILE), MAP_BYTES, create=create)
            try:
                self.map_bytes = self.env.info()["map_size"]
                self._file = directory.identity(FILE)
                self.env.reader_check()
                self.tables = open_tables(self.env)
                with self.env.begin() as txn:
                    raw = txn.get(TOTALS_KEY)
                    self.uses = decode_uses(txn.get(PACKS_KEY) or b"")
                if raw is None and not create:
                    raise StoreError(f"{FILE} is empty, where the store's format says it is not")
                if raw is not None:
                    self.totals = Totals(*_TOTALS.unpack(raw))
                    self._read_recent()
                else:
                    self.totals = Totals(salt=salt or os.urandom(8))
                    self.write([], [], {}, self.totals)
            except BaseException:
                self.env.close()
                raise

    def _read_recent(self) -> None:
        try:
            with self.reading() as snapshot:
                headers = snapshot.headers(self.totals.indexed)
                self._recent = Recent({each.id[:SHORT_BYTES]: each.number for each in headers})
        except DecodeError as error:
            raise StoreError(f"{FILE} is damaged: {error}") from error

    def close(self) -> None:
        """Idempotent; no transaction may be open."""
        self.env.close()
        self.packs.close()

    def has(self, oid: Oid, kind: Kind, data: bytes) -> bool:
        """Whether the object is here and sound: 2 us when it is not, else as `load`."""
        with self._seeing() as snapshot:
            return snapshot.find(oid, kind, data) is not None

    def names(self, oid: Oid) -> bool:
        """Whether an object has this id, as far as the index tells: 2 us."""
        with self._seeing() as snapshot:
            return bool(snapshot.candidates(oid))

    def load(self, oid: Oid) -> tuple[list[Payload], bytes] | None:
        """An object's chain and its bytes, checked against its id; CorruptObject."""
        self._loads += 1
        if self._loads % _UNMAP_AFTER == 0:
            unmap_pages(*self._file)
        reason = ""
        with self._seeing() as snapshot:
            for number in snapshot.candidates(oid):
                try:
                    chain = snapshot.chain(number)
                    data = decode_chain(chain)[-1]
                except DecodeError as error:
                    reason = str(error)
                    continue
                # I30: bytes are returned only if they have the id that was asked for.
                if object_id(chain[-1].kind, data) == oid:
                    return chain, data
                reason = "its bytes have another id"
        if reason:
            raise CorruptObject(f"object {oid.hex()} is damaged: {reason}")
        return None

    def get_state(self, key: bytes) -> bytes | None:
        """The drained state under a key."""
        with self._seeing() as snapshot:
            return StateReader(snapshot).get(key)

    def scan_state(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """The drained state under a prefix, in key order."""
        with self._seeing() as snapshot:
            return StateReader(snapshot).scan(prefix)

    def reading(self) -> Reading:
        """A snapshot for the thread that writes, which cannot grow the map meanwhile."""
        return Reading(self.env, self.tables, self._recent, self.packs, None)

    @contextmanager
    def browsing(self) -> Iterator[Snapshot]:
        """A snapshot for a third thread that reads much, for some ms at a time.

        Not under the guard: a thread that takes it again and again would starve the owner.
        """
        with self._browsing:
            with self.reading() as snapshot:
                yield snapshot
            unmap_pages(*self._file)

    def _seeing(self) -> Reading:
        """A snapshot for the owner's thread."""
        return Reading(self.env, self.tables, self._recent, self.packs, self._guard)

    def write(
        self,
        inserts: list[Insert],
        found: list[tuple[bytes, int]],
        state: Changes,
        totals: Totals,
        places: Iterable[Place] = (),
    ) -> None:
        """One transaction, on the disk when this returns.  StoreError, StoreFull: nothing of it is.

        `found` are the short ids of the new objects and their numbers, `totals` those after
        it, `places` what it names of the packs, which are synced.  Not on the owner's thread:
        it waits for the disk.
        """
        # I43: numbers of objects and batches only grow.
        assert totals.next_number >= self.totals.next_number and totals.batch >= self.totals.batch
        numbers = self._recent.numbers
        recent = Recent({**numbers, **dict(found)})
        entries: list[tuple[bytes, int]] = []
        count = len(recent.numbers)
        if count > RECENT_MAX or count < len(numbers) + len(found):
            entries = [*numbers.items(), *found]
            totals = totals._replace(indexed=totals.next_number)
            recent = Recent({})
        uses = with_places(self.uses, places)
        while True:
            try:
                with lmdb_errors("cannot write"):
                    self._try_write(inserts, entries, recent, state, totals, uses)
            except MapFull:
                self._grow()
            else:
                break
        self.packs.named(places)
        written_bytes = totals.stored_bytes - self.totals.stored_bytes
        self.totals = totals
        self._recent = recent
        self.uses = uses
        if written_bytes >= _UNMAP_AFTER_BYTES:
            unmap_pages(*self._file)

    def _try_write(
        self,
        inserts: list[Insert],
        entries: list[tuple[bytes, int]],
        recent: Recent,
        state: Changes,
        totals: Totals,
        uses: Mapping[int, Use],
    ) -> None:
        tables = self.tables
        txn = self.env.begin(write=True)
        try:
            for number, pieces in inserts:
                # The first may be the bundle that was the last, and grows.
                is_new = number >= self.totals.next_number
                for index, piece in enumerate(pieces):
                    txn.put(piece_key(number, index), piece, append=is_new, db=tables.objects)
            if entries:
                values = sorted([index_entry(short, number) for short, number in entries])
                keyed = [(INDEX_KEY, value) for value in values]
                txn.cursor(tables.ids).putmulti(keyed, dupdata=True)
            if state:
                StateReader(Snapshot(txn, tables, recent, self.packs)).write(state)
            txn.put(TOTALS_KEY, _TOTALS.pack(*totals))
            if uses:
                txn.put(PACKS_KEY, encode_uses(uses))
            self._directory.commit(txn)
        except BaseException:
            txn.abort()
            raise

    def change(self, make: Callable[[Change], None]) -> Change:
        """One transaction that removes, on the disk when this returns.  As `write`.

        `make` is called once more when the map had to grow.
        """
        while True:
            try:
                with lmdb_errors("cannot write"):
                    change, totals, uses = self._try_change(make)
            except MapFull:
                self._grow()
            else:
                self.totals = totals
                self.uses = uses
                self.is_loose = True
                self.packs.named(change.places)
                return change

    def _try_change(self, make: Callable[[Change], None]) -> tuple[Change, Totals, dict[int, Use]]:
        txn = self.env.begin(write=True)
        try:
            change = Change(txn, self.tables, self.packs)
            make(change)
            before = self.totals
            totals = before._replace(
                objects=before.objects - change.objects,
                stored_bytes=before.stored_bytes - change.stored_bytes,
                logical_bytes=before.logical_bytes - change.logical_bytes,
            )
            uses = without_places(with_places(self.uses, change.places), change.lost_places)
            txn.put(TOTALS_KEY, _TOTALS.pack(*totals))
            txn.put(PACKS_KEY, encode_uses(uses))
            self._directory.commit(txn)
        except BaseException:
            txn.abort()
            raise
        return change, totals, uses

    def forget_recent(self, keeps: Callable[[int], bool]) -> None:
        """Take what is not kept out of the table of what is not in the index yet."""
        numbers = self._recent.numbers.items()
        self._recent = Recent({short: number for short, number in numbers if keeps(number)})

    def _grow(self) -> None:
        with self._browsing, self._guard, lmdb_errors("cannot grow"):
            self.env.set_mapsize(self.map_bytes * 2)
            self.map_bytes *= 2


class Reading:
    """A read transaction as a context; under the guard, if there is one."""

    __slots__ = ("_env", "_guard", "_packs", "_recent", "_tables", "_txn")

    def __init__(
        self,
        env: lmdb.Environment,
        tables: Tables,
        recent: Recent,
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
            self._end()
            raise mapped("cannot read", error) from error
        return Snapshot(self._txn, self._tables, self._recent, self._packs)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._txn.abort()
        self._end()
        if isinstance(error, lmdb.Error):
            raise mapped("cannot read", error) from error

    def _end(self) -> None:
        if self._guard is not None:
            self._guard.release()
