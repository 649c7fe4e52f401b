"""The store of a repository: journal, L1 and L2 in one directory."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from functools import partial

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.addition import PackedAddition
from heliosfs.store.base import Addition, Bulk, Collection, Edit, Inspection, NewObject, StoreStats
from heliosfs.store.bulk import LocalBulk
from heliosfs.store.cache import CachedObject, ObjectCache
from heliosfs.store.copying import Copying
from heliosfs.store.declared import Declaration
from heliosfs.store.deferral import Deferral
from heliosfs.store.directory import Directory, disk_bytes
from heliosfs.store.drain import Sync
from heliosfs.store.edited import EditedObject
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import CODECS
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.exclusive import Exclusive
from heliosfs.store.gc.collection import LocalCollection
from heliosfs.store.inspection import LocalInspection
from heliosfs.store.l2.bases import CAPACITY_BYTES as BASES_BYTES
from heliosfs.store.l2.compact import compact
from heliosfs.store.l2.environment import FILE
from heliosfs.store.l2.record import Payload
from heliosfs.store.layers import StateLayers
from heliosfs.store.layout import Lock, release_lock
from heliosfs.store.opening import open_parts
from heliosfs.store.pending import ColdObject, Pending, PendingObjects, bytes_of
from heliosfs.store.pieces import read_piece
from heliosfs.store.settling import Settling
from heliosfs.store.sidefile import BesideFile, directory_beside
from heliosfs.store.version import declare_shallow
from heliosfs.store.witness import Witness

_COMMIT = Kind.COMMIT
DEFAULT_CACHE_BYTES = 512 * 1024 * 1024
_BASES_SHARE = 8
"""Share of L1 that decoded bases may take beside it, where L1 is small."""


class LocalStore:
    """A store whose objects and state pass through four places: batch, journal, L1, L2.

    An object that is not in L2 yet is *pending*: it is held in memory as it was added, whether it
    is published (then the journal has it, too) or not.  A read looks into pending objects, L1 and
    L2, in this order.  Memory drops an object when a drain has moved it to L2, some MB at a time;
    what a failed drain did not move stays pending for the next one.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        create: bool = False,
        is_brief: bool = False,
    ) -> None:
        """Take over `directory`.  See `open`."""
        self._directory = directory
        try:
            parts = open_parts(directory, create=create, is_brief=is_brief)
        except BaseException:
            directory.close()
            raise
        self._lock, self._l2, self._journal = parts.lock, parts.database, parts.journal
        self._witness, self.findings = parts.witness, parts.findings
        self.promises = parts.promises
        self.refusal = parts.refusal
        self.declaration = Declaration(
            partial(declare_shallow, directory), is_shallow=parts.is_shallow
        )
        self.unclosed_by = parts.lock.holder
        """Id of the process that ended without closing the store; 0 if none did."""
        self._closed = False
        self._cache = ObjectCache(cache_bytes)
        self._pending = PendingObjects()
        self.read_piece = partial(read_piece, self._l2, self._pending)
        self._state = state = StateLayers(self._l2)
        # Bound, not passed on by methods of the store: see `StateLayers`.
        self.get, self.put = state.get, state.put
        self.scan, self.abandon = state.scan, state.abandon
        self.file_beside = partial(BesideFile, directory)
        """Return the file of a name in the store's directory, of a layer above.  Until `close`."""
        self.directory_beside = partial(directory_beside, directory)
        self.copying = partial(Copying, self._l2)
        """Return the objects and the state of L2, to copy them into another store."""
        self._settling = Settling(
            directory, self._l2, self._journal, self._cache, self._pending, state
        )
        self._exclusive = Exclusive()
        self._exclusive.refusal = parts.refusal
        self._deferral = Deferral(self._l2, self._pending, self._exclusive)
        self.plan_compress = self._deferral.plan
        self._settling.is_stopped = parts.refusal is not None
        self._pending.take_over(parts.batches.objects)
        state.take_over(parts.batches.state)

    @classmethod
    def open(
        cls,
        dir_fd: int,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        create: bool = False,
        is_brief: bool = False,
    ) -> LocalStore:
        """Open the store in a directory, or create one there; the caller keeps the descriptor.

        With `is_brief`, nothing is prepared for many batches: the first ones take a little longer.

        On return, everything that a crash left in the journal is in L2; unless the disk is full or
        read-only, which `refusal` tells then: such a store can be read.  NotFound if there is no
        store, StoreFormat if it cannot be read, StoreBusy if another process has it open,
        StoreError if it is damaged.
        """
        return cls(Directory(dir_fd), cache_bytes=cache_bytes, create=create, is_brief=is_brief)

    def read(self, oid: Oid, kind: Kind) -> bytes:
        pending = self._pending.by_oid.get(oid)
        if pending is not None:
            self._pending.hits += 1
            data = pending.data
            # Most often: without the calls of the lines below.
            if pending.kind is kind and isinstance(data, bytes):
                return data
            _check_kind(oid, kind, pending.kind)
            return bytes_of(self._l2.packs, pending, self.read)
        cached = self._cache.get(oid)
        if cached is not None:
            if cached.kind is not kind:
                _check_kind(oid, kind, cached.kind)
            return codecs.decode(cached.codec, cached.body, cached.size)
        found = self._l2.load(oid)
        if found is None:
            raise self.promises.error(oid)
        chain, objects = found
        data, last = objects[-1], chain[-1]
        if last.kind is not kind:
            _check_kind(oid, kind, last.kind)
        size = len(data)
        if size >= PACKED_FROM_BYTES:
            # It would push out much, and the page cache has it.
            return data
        if last.base is None:
            codec, body = CODECS[last.codec], last.body
        else:
            # It was decoded from a chain, which the next read from L1 need not do again.
            codec, body = codecs.encode(data)
            if kind is _COMMIT:
                self._cache.put_all(_commits_below(chain, objects))
        # What CachedObject() does, without its call: a first pass over a tree comes here for each
        # file.
        self._cache.put(oid, tuple.__new__(CachedObject, (kind, size, codec, body)))
        return data

    def contains(self, oid: Oid) -> bool:
        if oid in self._pending.by_oid:
            return True
        try:
            # `load` rather than an index lookup: short ids collide.
            return self._l2.load(oid) is not None
        except CorruptObject:
            return True

    def add(
        self,
        oid: Oid,
        kind: Kind,
        data: bytes,
        base: Oid | None = None,
        *,
        is_cold: bool = False,
        edits: Sequence[Edit] = (),
    ) -> None:
        pending = self._pending
        by_oid = pending.by_oid
        if oid in by_oid:
            return
        held: bytes | EditedObject = data
        # A small object is looked up by the drain, off this thread (`Snapshot.missing`).  During a
        # collection none is: it may be about to sweep the copy that L2 has.
        if (edits or len(data) >= PACKED_FROM_BYTES) and self._exclusive.collection is None:
            if len(data) >= PACKED_FROM_BYTES and self._l2.has(oid, kind, data):
                return
            # I40: the base of an edited object stays until L2 has made a delta of it.  A collection
            # may remove one that only edits need, so there are none while it runs.
            if edits and base is not None:
                held = pending.edited(base, len(data), edits, self._l2.candidates) or data
        # What Pending() does, without its call.
        fields = (oid, kind, held, base)
        item = tuple.__new__(ColdObject if is_cold else Pending, fields)
        by_oid[oid] = item
        pending.used_bytes += len(held)
        pending.batch.append(item)

    def plan_add(self, objects: Sequence[NewObject], *, is_urgent: bool = False) -> Addition:
        return PackedAddition(
            objects,
            self.add,
            self._pending,
            self._l2,
            self._exclusive,
            self._deferral,
            is_urgent=is_urgent,
        )

    def bulk(self) -> Bulk:
        exclusive = self._exclusive
        exclusive.check()
        prefer_zstd = self._settling.prefer_zstd
        exclusive.bulk = LocalBulk(self._l2, exclusive.end, prefer_zstd=prefer_zstd)
        return exclusive.bulk

    @property
    def has_changes(self) -> bool:
        return bool(self._state.batch)

    def publish(self) -> None:
        """Publish the batch with one write to the journal."""
        pending, state = self._pending, self._state
        if not pending.batch and not state.batch:
            return
        try:
            self._journal.append(pending.batch, state.batch)
        except StoreError:
            self.abandon()
            raise
        # I33: published only once the record is written.
        pending.published += pending.batch
        pending.batch = []
        state.publish()

    @property
    def pending_bytes(self) -> int:
        drain = self._settling.drain
        if drain is not None and drain.slices:
            self._settling.release()
        return self._pending.used_bytes

    @property
    def memory_bytes(self) -> int:
        return self.pending_bytes + self._cache.used_bytes + self._l2.bases.used_bytes

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        self._cache.resize(cache_bytes)
        self._l2.bases.capacity_bytes = min(BASES_BYTES, cache_bytes // _BASES_SHARE)
        self._settling.prefer_zstd = self._deferral.prefer_zstd = prefer_zstd

    def disk(self) -> os.statvfs_result:
        return self._directory.disk()

    def plan_sync(self) -> Work | None:
        """Return work as the contract says; StoreError if an earlier sync has failed."""
        self._directory.check()
        if self._journal.durable == self._journal.number:
            return None
        return Sync(self._directory, self._journal, self._l2.packs)

    def plan_drain(self) -> Work | None:
        """Return work as the contract says; None, too, while another drain is under way."""
        return self._settling.plan()

    def collect(self, shallow: Container[Oid] = ()) -> Collection:
        exclusive = self._exclusive
        exclusive.check()
        self._pending.make_whole(self.read)
        collection = LocalCollection(
            self._l2,
            self._pending.by_oid,
            self.promises,
            shallow,
            self._settling.until_now,
            exclusive.end,
        )
        exclusive.begin_collection(collection)
        return collection

    def stats(self) -> StoreStats:
        totals = self._l2.totals
        return StoreStats(
            hits=self._cache.hits + self._pending.hits,
            misses=self._cache.misses,
            objects=totals.objects,
            stored_bytes=totals.stored_bytes,
            logical_bytes=totals.logical_bytes,
            file_bytes=disk_bytes(self._directory, FILE)
            + self._l2.packs.disk_bytes
            + self._journal.disk_bytes(),
            cache_bytes=self._cache.used_bytes,
            pending_bytes=self.pending_bytes,
        )

    def inspect(self) -> Inspection:
        return LocalInspection(self._directory, self._l2, self._pending.by_oid, self._state.above)

    def close(self) -> None:
        """Close the store; StoreError if L2 did not take all, which the journal keeps then."""
        if self._closed:
            return
        self._closed = True
        if self._exclusive.collection is not None:
            self._exclusive.collection.close()
        is_writable = self.refusal is None
        try:
            self._settling.stop()
            if is_writable:
                try:
                    _run(self.plan_drain())
                finally:
                    # Even after a failed drain: then the next open needs the journal.
                    _run(self.plan_sync())
        finally:
            is_done = self._settling.is_done and self._directory.failure is None
            is_safe = is_writable and is_done
            # What reached the disk is not known after a failure: the next open reads it all.
            self._journal.close(drained=is_safe)
            try:
                if is_safe:
                    compact(self._directory, self._l2)
            finally:
                self._l2.close()
                _release(
                    self._directory,
                    self._lock,
                    self._witness,
                    is_safe=is_safe,
                    is_writable=is_writable,
                )


def _release(
    directory: Directory, lock: Lock, witness: Witness | None, *, is_safe: bool, is_writable: bool
) -> None:
    """Write down how a store was left, and let other processes open it.  Raise StoreError."""
    try:
        if witness is not None:
            # I62: after the last write to L2, of whose bytes the witness has the sum.  The sync of
            # a compaction may have failed, too.
            is_closed = is_safe and directory.failure is None
            witness.close(FILE if is_closed else None)
    finally:
        is_clean = is_safe and directory.failure is None
        was_clean = lock.was_clean and not is_writable
        holder = 0 if is_writable else lock.holder
        try:
            is_clean = is_clean or was_clean
            release_lock(directory, lock.fd, is_clean=is_clean, holder=holder)
        finally:
            directory.close()


def _commits_below(chain: list[Payload], objects: list[bytes]) -> list[tuple[Oid, CachedObject]]:
    """Return the commits that one is a delta to, most of them its nearest ancestors.

    Whoever reads a commit most often reads its parents next, and they were decoded anyway.
    """
    found = []
    for payload, data in zip(chain[:-1], objects[:-1], strict=True):
        # The record of a commit has all of its id, so it can be compared.
        if payload.kind is _COMMIT and object_id(_COMMIT, data) == payload.id:
            entry = CachedObject(_COMMIT, len(data), codecs.Codec.RAW, data)
            found.append((Oid(payload.id), entry))
    return found


def _run(work: Work | None) -> None:
    if work is not None:
        try:
            work.execute()
        finally:
            work.apply()


def _check_kind(oid: Oid, wanted: Kind, found: Kind) -> None:
    if wanted is not found:
        raise CorruptObject(
            f"object {oid.hex()} is a {found.name.lower()}, not a {wanted.name.lower()}"
        )
