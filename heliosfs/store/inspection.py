"""Looking into a store on a disk: records, chains, state by layer, and the journal as it lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from zlib import crc32

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.base import BatchSeen, FileSeen, Link, ObjectSeen, StateSeen
from heliosfs.store.directory import Directory, store_error, store_errors
from heliosfs.store.encoding.codecs import Codec, DecodeError
from heliosfs.store.encoding.places import PackedObject, decode_location
from heliosfs.store.journal.journal import CHECKED_FROM, RECORD_HEAD, RECORD_MAGIC
from heliosfs.store.journal.replay import segment_names
from heliosfs.store.journal.table import ObjectItem, StateItem, read_items
from heliosfs.store.l2 import btree
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.environment import FILE, TABLE_FLAGS
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import Payload
from heliosfs.store.l2.statecheck import state_problems
from heliosfs.store.l2.states import StateReader
from heliosfs.store.l2.totals import look_at_totals
from heliosfs.store.layout import is_closed_cleanly
from heliosfs.store.pending import Pending

_CHAIN_MAX = 256
_TABLE_MAX_BYTES = 64 * 1024 * 1024
"""A table that says to be larger is damage."""


class LocalInspection:
    """Looks at what a store has now; each call is one short transaction at most."""

    def __init__(
        self,
        directory: Directory,
        database: ObjectDatabase,
        pending: Mapping[Oid, Pending],
        above: Callable[[bytes], Iterator[tuple[bytes, bytes | None, str]]],
    ) -> None:
        """`pending` and `above` are the store's own."""
        self._directory = directory
        self._database = database
        self._pending = pending
        self._above = above

    def ids(self, prefix: str, limit: int) -> list[Oid]:
        found = dict.fromkeys(oid for oid in self._pending if oid.hex().startswith(prefix))
        whole = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        with self._database.guarded_reading() as snapshot:
            for number in snapshot.numbers_with_prefix(whole):
                if len(found) >= limit:
                    break
                try:
                    oid = snapshot.oid_of(number)
                except DecodeError:
                    continue
                if oid.hex().startswith(prefix):
                    found[oid] = None
        return list(islice(found, limit))

    def kind(self, oid: Oid) -> Kind | None:
        pending = self._pending.get(oid)
        if pending is not None:
            return pending.kind
        with self._database.guarded_reading() as snapshot:
            payload = _payload_of(snapshot, oid)
        return payload.kind if payload else None

    def layers(self, oid: Oid) -> list[str]:
        with self._database.guarded_reading() as snapshot:
            is_stored = _payload_of(snapshot, oid) is not None
        return [*(["pending"] if oid in self._pending else []), *(["L2"] if is_stored else [])]

    def chain(self, oid: Oid) -> list[Link]:
        found: list[Link] = []
        with self._database.guarded_reading() as snapshot:
            payload = _payload_of(snapshot, oid)
            try:
                while payload is not None and len(found) < _CHAIN_MAX:
                    found.append(_link(payload))
                    payload = snapshot.payload(payload.base) if payload.base else None
            except DecodeError as error:
                raise CorruptObject(f"object {oid.hex()} is damaged: {error}") from error
        return found

    def state(self, prefix: bytes, limit: int) -> list[StateSeen]:
        above = [StateSeen(*item) for item in islice(self._above(prefix), limit)]
        hidden = {key for key, _, _ in self._above(prefix)}
        with self._database.guarded_reading() as snapshot:
            below = (
                StateSeen(key, value, "L2")
                for key, value in StateReader(snapshot).expanded(prefix)
                if key not in hidden
            )
            return [*above, *islice(below, limit - len(above))]

    def problems(self) -> list[str]:
        directory, database = self._directory, self._database
        # Nobody may write meanwhile: a walk must not pass from one transaction into the next.
        with database.writing:
            found = _page_problems(directory)
            if not found:
                with database.reading() as snapshot:
                    state = state_problems(snapshot, database.totals)
                    found = [f"{FILE}: {text}" for text in state]
            with store_errors("cannot look at the packs"):
                found += database.packs.problems(database.uses)
        return found

    def journal(self) -> Iterator[BatchSeen | FileSeen]:
        return _read_files(self._directory, self._database.totals.salt)


def read_journal(dir_fd: int) -> Iterator[BatchSeen | FileSeen]:
    """Read the journal of a store that nobody has open, and leave all as it is.

    To open the store would move what the journal has to L2 first.  Raise StoreBusy or StoreError.
    """
    directory = Directory(dir_fd)
    try:
        with store_errors("cannot read the store"):
            was_clean = is_closed_cleanly(directory)
            salt = look_at_totals(directory, was_clean=was_clean).salt
        yield from _read_files(directory, salt)
    finally:
        directory.close()


def _page_problems(directory: Directory) -> list[str]:
    """Look at every page of L2; return a line for each problem."""
    try:
        fd = directory.open(FILE, os.O_RDONLY)
        try:
            return [f"{FILE}: {text}" for text in btree.problems(fd, TABLE_FLAGS)]
        finally:
            os.close(fd)
    except OSError as error:
        # What cannot be read is a finding of a check, and no end of it.
        return [str(store_error(f"{FILE} cannot be read", error))]


def _payload_of(snapshot: Snapshot, oid: Oid) -> Payload | None:
    try:
        numbers = snapshot.numbers_of(oid)
        return snapshot.payload(numbers[0]) if numbers else None
    except DecodeError:
        return None


def _link(payload: Payload) -> Link:
    codec, stored_bytes, place = payload.codec, len(payload.body), "record"
    if codec == Codec.PACKED:
        try:
            at, _ = decode_location(payload.body)
        except IndexError as error:
            raise DecodeError(
                f"object {payload.number} has a damaged location in a pack"
            ) from error
        codec, stored_bytes, place = at.codec, at.length, f"pack-{at.pack} at {at.offset}"
    return Link(
        payload.number,
        payload.base,
        payload.position,
        payload.kind,
        Codec(codec).name.lower(),
        payload.size,
        stored_bytes,
        place,
    )


def _read_files(directory: Directory, salt: bytes) -> Iterator[BatchSeen | FileSeen]:
    """Yield what the files of a journal have, in the order of their names.  Raise StoreError."""
    seed = crc32(salt)
    with store_errors("cannot read the journal"):
        names = sorted(segment_names(directory), key=lambda name: int(name.rpartition("-")[2]))
        for name in names:
            fd = directory.open(name, os.O_RDONLY)
            try:
                at = 0
                while (batch := _read_batch(fd, name, at, seed)) is not None:
                    yield batch
                    at = batch.end
                yield FileSeen(name, at, os.fstat(fd).st_size)
            finally:
                os.close(fd)


def _read_batch(fd: int, name: str, at: int, seed: int) -> BatchSeen | None:
    """Read a record without the bytes of its objects, which are not checked."""
    head = os.pread(fd, RECORD_HEAD.size, at)
    if len(head) < RECORD_HEAD.size or not head.startswith(RECORD_MAGIC):
        return None
    _, check, table_bytes, content_bytes, number, durable = RECORD_HEAD.unpack(head)
    if table_bytes > _TABLE_MAX_BYTES:
        return None
    table = os.pread(fd, table_bytes, at + RECORD_HEAD.size)
    end = at + RECORD_HEAD.size + table_bytes + content_bytes
    if crc32(head[CHECKED_FROM:] + table, seed) != check or end > os.fstat(fd).st_size:
        return None
    objects: list[ObjectSeen] = []
    state: list[tuple[bytes, bytes | None]] = []
    for item in read_items(table, 0, len(table)):
        if isinstance(item, StateItem):
            state.append((item.key, item.value))
        else:
            objects.append(ObjectSeen(item.oid, item.kind, item.size, _held(item)))
    return BatchSeen(name, at, end, number, durable, objects, state)


def _held(item: ObjectItem) -> str:
    if item.elsewhere is None:
        return "bytes"
    if isinstance(item.elsewhere, PackedObject):
        place = item.elsewhere.place
        return f"pack-{place.pack} at {place.offset}"
    return f"{len(item.elsewhere.edits)} edits of {item.elsewhere.base.hex()}"
