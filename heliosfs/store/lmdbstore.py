"""L2: payloads, their index and the drained state, in one LMDB file."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import lmdb

from heliosfs.errors import CorruptObject, StoreError, StoreFull
from heliosfs.objects.ids import Oid
from heliosfs.store.codecs import DecodeError
from heliosfs.store.directory import Directory
from heliosfs.store.payload import Payload, decode_chain, unpack
from heliosfs.store.pending import Changes
from heliosfs.store.residency import unmap_pages

FILE = "objects.lmdb"
_UNMAP_AFTER = 512
"""Objects read from L2 before the pages that were mapped for them are given back."""
_MAP_BYTES = 64 * 1024**3
"""Address space, not disk: grows by doubling."""
_LMDB_0_9 = 0
"""0.9 and 1.0 refuse each other's files; all tools read those of 0.9."""
_CHAIN_MAX = 256
_NUMBER = struct.Struct(">Q")
_TOTALS = struct.Struct("<QQQQQ8s")
_TOTALS_KEY = b"totals"


class Totals(NamedTuple):
    """What L2 holds, written with every transaction."""

    next_number: int = 1
    """Under which the next payload is stored."""
    objects: int = 0
    stored_bytes: int = 0
    logical_bytes: int = 0
    batch: int = 0
    """The number of the last batch of which all is here."""
    salt: bytes = b""
    """8 random bytes, made with the store, that mark the journal's records as its own."""


class Insert(NamedTuple):
    """A new object: its pieces go under consecutive numbers, from `number` on."""

    oid: Oid
    number: int
    pieces: list[bytes]


class Reader:
    """A read transaction of the thread that writes, which cannot grow the map meanwhile."""

    def __init__(
        self,
        txn: lmdb.Transaction[bytes],
        index: lmdb._Database,
    ) -> None:
        """The default database of `txn` is that of the payloads."""
        self._txn = txn
        self._index = index

    def find(self, oid: Oid) -> int | None:
        """The number of an object's payload."""
        raw = self._txn.get(oid, db=self._index)
        return None if raw is None else _NUMBER.unpack(raw)[0]

    def chain(self, number: int) -> list[Payload]:
        """A payload after all that it needs to be decoded; DecodeError."""
        return _read_chain(self._txn, number)


class ObjectDatabase:
    """Read by the owner's thread, read and written by one other at a time.

    Transactions are short: one that reads keeps pages from being used again.  The owner
    holds the guard while one of its own is open, for growing the map would end it.
    """

    def __init__(self, directory: Directory) -> None:
        """StoreError when the file is no sound LMDB file."""
        self._directory = directory
        self._guard = threading.Lock()
        self._map_bytes = _MAP_BYTES
        self._loads = 0
        with _lmdb_errors("cannot open"):
            self._env = lmdb.open(
                directory.path_of(FILE),
                map_size=self._map_bytes,
                subdir=False,
                mode=0o600,
                max_dbs=4,
                max_spare_txns=1,
                lib_version=_LMDB_0_9,
            )
            try:
                self._map_bytes = self._env.info()["map_size"]
                self._check_length()
                self._file = directory.identity(FILE)
                self._env.reader_check()
                self._index = self._env.open_db(b"index")
                self._payloads = self._env.open_db(b"payloads")
                self._state = self._env.open_db(b"state")
                self._meta = self._env.open_db(b"meta")
                with self._env.begin(db=self._meta) as txn:
                    raw = txn.get(_TOTALS_KEY)
            except BaseException:
                self._env.close()
                raise
        if raw is not None:
            self.totals = Totals(*_TOTALS.unpack(raw))
        else:
            self._write_first()

    def _write_first(self) -> None:
        try:
            self.write([], {}, Totals(salt=os.urandom(8)))
        except BaseException:
            self._env.close()
            raise

    def close(self) -> None:
        """Idempotent; no transaction may be open."""
        self._env.close()

    def find(self, oid: Oid) -> int | None:
        """The number of an object's payload: 1 us."""
        try:
            with self._guard:
                txn = self._env.begin(db=self._index)
                try:
                    raw = txn.get(oid)
                finally:
                    txn.abort()
        except lmdb.Error as error:
            raise _mapped("cannot read", error) from error
        return None if raw is None else _NUMBER.unpack(raw)[0]

    def load(self, oid: Oid) -> tuple[list[Payload], bytes] | None:
        """An object's chain and its bytes, not checked against its id; CorruptObject."""
        number = self.find(oid)
        if number is None:
            return None
        self._loads += 1
        if self._loads % _UNMAP_AFTER == 0:
            unmap_pages(*self._file)
        try:
            chain = self.chain(number)
            return chain, decode_chain(chain)[-1]
        except DecodeError as error:
            raise CorruptObject(f"object {oid.hex()} is damaged: {error}") from error

    def chain(self, number: int) -> list[Payload]:
        """A payload after all that it needs to be decoded; DecodeError."""
        try:
            with self._guard:
                txn = self._env.begin(db=self._payloads)
                try:
                    return _read_chain(txn, number)
                finally:
                    txn.abort()
        except lmdb.Error as error:
            raise _mapped("cannot read", error) from error

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A reader for the thread that is about to write; not open while it writes."""
        with _lmdb_errors("cannot read"), self._env.begin(db=self._payloads) as txn:
            yield Reader(txn, self._index)

    def get_state(self, key: bytes) -> bytes | None:
        """The drained state under a key."""
        try:
            with self._guard:
                txn = self._env.begin(db=self._state)
                try:
                    return txn.get(key)
                finally:
                    txn.abort()
        except lmdb.Error as error:
            raise _mapped("cannot read", error) from error

    def scan_state(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """The drained state under a prefix, in key order."""
        found = []
        with self._guard, _lmdb_errors("cannot read"), self._env.begin(db=self._state) as txn:
            cursor = txn.cursor()
            more = cursor.set_range(prefix)
            while more:
                key, value = cursor.item()
                if not key.startswith(prefix):
                    break
                found.append((key, value))
                more = cursor.next()
        return found

    def write(self, inserts: list[Insert], state: Changes, totals: Totals) -> None:
        """One transaction, on the disk when this returns.  StoreError, StoreFull: nothing of it is.

        `totals` are those after it.  Not on the owner's thread: it waits for the disk.
        """
        while True:
            try:
                with _lmdb_errors("cannot write"):
                    self._try_write(inserts, state, totals)
            except _MapFull:
                self._grow()
            else:
                self.totals = totals
                return

    def _try_write(self, inserts: list[Insert], state: Changes, totals: Totals) -> None:
        txn = self._env.begin(write=True)
        try:
            for oid, number, pieces in inserts:
                for index, piece in enumerate(pieces, number):
                    txn.put(_NUMBER.pack(index), piece, append=True, db=self._payloads)
                txn.put(oid, _NUMBER.pack(number), db=self._index)
            for key, value in state.items():
                if value is None:
                    txn.delete(key, db=self._state)
                else:
                    txn.put(key, value, db=self._state)
            txn.put(_TOTALS_KEY, _TOTALS.pack(*totals), db=self._meta)
            self._directory.commit(txn)
        except BaseException:
            txn.abort()
            raise

    def _grow(self) -> None:
        with self._guard, _lmdb_errors("cannot grow"):
            self._env.set_mapsize(self._map_bytes * 2)
            self._map_bytes *= 2

    def _check_length(self) -> None:
        """Reading behind the end of a mapped file that was cut short would kill the process."""
        with self._env.begin() as txn:
            page_bytes = txn.stat()["psize"]
        wanted = (self._env.info()["last_pgno"] + 1) * page_bytes
        length = self._directory.length(FILE)
        if length < wanted:
            raise StoreError(f"{FILE} has {length} bytes where {wanted} were written")


class _MapFull(StoreError):
    """The map must grow; never leaves this module."""


def _read_chain(txn: lmdb.Transaction[bytes], number: int) -> list[Payload]:
    chain = []
    at: int | None = number
    while at is not None:
        data = txn.get(_NUMBER.pack(at))
        if data is None:
            raise DecodeError(f"payload {at} is missing")
        payload = unpack(at, data)
        if payload.further:
            payload = unpack(at, _join(txn, at, data, payload.further))
        chain.append(payload)
        if len(chain) > _CHAIN_MAX:
            raise DecodeError(f"payload {number} ends a chain that is too long")
        at = payload.base
    chain.reverse()
    return chain


def _join(txn: lmdb.Transaction[bytes], number: int, first: bytes, count: int) -> bytes:
    pieces = [first]
    for index in range(number + 1, number + 1 + count):
        piece = txn.get(_NUMBER.pack(index))
        if piece is None:
            raise DecodeError(f"payload {number} lacks its piece {index}")
        pieces.append(piece)
    return b"".join(pieces)


def _mapped(what: str, error: lmdb.Error) -> StoreError:
    text = f"{what} {FILE}: {error}"
    if isinstance(error, lmdb.MapFullError):
        return _MapFull(text)
    if isinstance(error, lmdb.DiskError):
        return StoreFull(text)
    return StoreError(text)


@contextmanager
def _lmdb_errors(what: str) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise _mapped(what, error) from error
