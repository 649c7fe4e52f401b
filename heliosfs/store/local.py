"""The store of a repository: journal, L1 and L2 in one directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from heliosfs.errors import Busy, CorruptObject, MissingObject, StoreError
from heliosfs.objects.ids import Kind, Oid
from heliosfs.steps import Work
from heliosfs.store.addition import PackedAddition
from heliosfs.store.base import Addition, Bulk, Collection, Edit, Inspection, NewObject, StoreStats
from heliosfs.store.bulk import LocalBulk
from heliosfs.store.cache import Cached, ObjectCache
from heliosfs.store.directory import Directory, disk_bytes
from heliosfs.store.drain import Drain, Sync, Waiting
from heliosfs.store.edited import DEPTH_MAX, Edited, is_worth_it
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, Packed, encode_large
from heliosfs.store.gc.collection import LocalCollection
from heliosfs.store.inspection import LocalInspection
from heliosfs.store.l2.compact import compact
from heliosfs.store.l2.environment import FILE
from heliosfs.store.layers import StateLayers
from heliosfs.store.layout import (
    release_lock,
)
from heliosfs.store.opening import open_parts
from heliosfs.store.pending import Batches, Cold, Pending, bytes_of

DEFAULT_CACHE_BYTES = 512 * 1024 * 1024


class LocalStore(StateLayers):
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
    ) -> None:
        """Take over `directory`.  See `open`."""
        self._directory = directory
        try:
            self._lock_fd, self._l2, self._journal = open_parts(directory, create=create)
        except BaseException:
            directory.close()
            raise
        super().__init__(self._l2)
        self._closed = False
        self._cache = ObjectCache(cache_bytes)
        self._prefer_zstd = False
        self._pending: dict[Oid, Pending] = {}
        self._pending_bytes = 0
        self._pending_hits = 0
        self._batch: list[Pending] = []
        self._published: list[Pending] = []
        self._drain: Drain | None = None
        self._collection: LocalCollection | None = None
        self._collection_count = 0
        self._bulk: LocalBulk | None = None

    @classmethod
    def open(
        cls, dir_fd: int, *, cache_bytes: int = DEFAULT_CACHE_BYTES, create: bool = False
    ) -> LocalStore:
        """Open the store in a directory, or create one there; the caller keeps the descriptor.

        On return, everything that a crash left in the journal is in L2.  NotFound if there is no
        store, StoreFormat if it cannot be read, StoreBusy if another process has it open,
        StoreError if it is damaged.
        """
        return cls(Directory(dir_fd), cache_bytes=cache_bytes, create=create)

    def read(self, oid: Oid, kind: Kind) -> bytes:
        pending = self._pending.get(oid)
        if pending is not None:
            self._pending_hits += 1
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
            raise MissingObject(f"object {oid.hex()} is not in the store")
        chain, data = found
        _check_kind(oid, kind, chain[-1].kind)
        if len(data) >= PACKED_FROM_BYTES:
            # It would push out much, and the page cache has it.
            return data
        if len(chain) == 1:
            encoded = codecs.Encoded(codecs.Codec(chain[0].codec), chain[0].body)
        else:
            # It was decoded from a chain, which the next read from L1 need not do again.
            encoded = codecs.encode(data)
        self._cache.put(oid, Cached(kind, len(data), *encoded))
        return data

    def contains(self, oid: Oid) -> bool:
        if oid in self._pending:
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
        if oid in self._pending:
            return
        # A small object is looked up by the drain, off this thread (`Snapshot.missing`).  During a
        # collection none is: it may be about to sweep the copy that L2 has.
        is_looked_up = len(data) >= PACKED_FROM_BYTES and self._collection is None
        if is_looked_up and self._l2.has(oid, kind, data):
            return
        held: bytes | Edited = data
        if edits and base is not None:
            held = self._edited(base, len(data), edits) or data
        # What Pending() does, without its call.
        fields = (oid, kind, held, base)
        pending = tuple.__new__(Cold if is_cold else Pending, fields)
        self._pending[oid] = pending
        self._pending_bytes += len(held)
        self._batch.append(pending)

    def _edited(self, base: Oid, size: int, edits: Sequence[Edit]) -> Edited | None:
        """Return an object as its edits, if that saves enough and its base stays until L2 has it.

        While a collection runs, return None: the collection may remove a base that only the edits
        need.
        """
        # I40: the base of an edited object stays until L2 has made a delta of it.
        if not is_worth_it(size, edits) or self._collection is not None:
            return None
        below = self._pending.get(base)
        if below is None:
            return Edited(base, size, edits) if self._l2.names(base) else None
        depth = below.data.depth + 1 if isinstance(below.data, Edited) else 1
        return Edited(base, size, edits, depth) if depth <= DEPTH_MAX else None

    def plan_add(self, objects: Sequence[NewObject]) -> Addition:
        collected = self._collection_count

        def is_safe() -> bool:
            """Return True if no collection has begun since the plan: nothing was removed."""
            return self._collection_count == collected

        return PackedAddition(objects, self.add, self._write_packed, self._name_packed, is_safe)

    def _write_packed(self, oid: Oid, kind: Kind, data: bytes) -> Pending | None:
        """Write a large object to a pack, on any thread; return None if the store has it."""
        if oid in self._pending:
            return None
        if self._collection is None and self._l2.has(oid, kind, data):
            return None
        place = self._l2.packs.append(encode_large(data, prefer_zstd=self._prefer_zstd))
        return Pending(oid, kind, Packed(place, len(data)), None)

    def _name_packed(self, pending: Pending) -> None:
        if pending.oid not in self._pending:
            self._pending[pending.oid] = pending
            self._batch.append(pending)

    def bulk(self) -> Bulk:
        self._check_alone()
        self._bulk = LocalBulk(self._l2, self._bulk_closed, prefer_zstd=self._prefer_zstd)
        return self._bulk

    def _bulk_closed(self) -> None:
        self._bulk = None

    def _check_alone(self) -> None:
        if self._collection is not None:
            raise Busy("a garbage collection is under way")
        if self._bulk is not None:
            raise Busy("an import is under way")

    def publish(self) -> None:
        """Publish the batch with one write to the journal."""
        if not self._batch and not self._batch_state:
            return
        try:
            self._journal.append(self._batch, self._batch_state)
        except StoreError:
            self.abandon()
            raise
        # I33: published only once the record is written.
        self._published += self._batch
        self._batch = []
        self._publish_state()

    @property
    def pending_bytes(self) -> int:
        if self._drain is not None and self._drain.slices:
            self._release(self._drain)
        return self._pending_bytes

    @property
    def memory_bytes(self) -> int:
        return self.pending_bytes + self._cache.used_bytes

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        self._cache.resize(cache_bytes)
        self._prefer_zstd = prefer_zstd

    def disk(self) -> os.statvfs_result:
        return self._directory.disk()

    def plan_sync(self) -> Work | None:
        """Return work as the contract says; StoreError if an earlier sync has failed."""
        self._directory.check()
        if self._journal.durable == self._journal.number:
            return None
        return Sync(self._directory, self._journal, self._l2.packs, self._synced)

    def _synced(self, sync: Sync) -> None:
        # I35: `durable` is raised only after the sync that covers the batch has returned.
        if sync.succeeded:
            journal = self._journal
            assert sync.number <= journal.number
            journal.durable = max(journal.durable, sync.number)
            journal.names_synced = max(journal.names_synced, sync.names_made)
            self._l2.packs.end_sync(sync.packs)

    def plan_drain(self) -> Work | None:
        """Return work as the contract says; None, too, while another drain is under way."""
        if self._drain is not None or not (self._published or self._published_state):
            return None
        journal = self._journal
        # The drain frees whole segments, so what comes from now on needs a new one.
        journal.rotate()
        self._drain = Drain(
            self._l2,
            self._directory,
            Batches(self._published, self._drain_state(), journal.number),
            journal.segments_up_to(journal.number),
            self._cache.capacity_bytes,
            self._drained,
            prefer_zstd=self._prefer_zstd,
        )
        self._published = []
        return self._drain

    def _drained(self, work: Drain) -> None:
        # A cancelled drain may be applied twice: by `close`, and by whoever executed it.
        if work is not self._drain:
            return
        self._drain = None
        self._release(work)
        self._drained_state(succeeded=work.succeeded)
        if not work.succeeded:
            self._published = work.left() + self._published
            return
        # L2 has the batches on the disk, so they are safe without a sync of the journal.
        self._journal.durable = max(self._journal.durable, work.last)
        self._journal.free(work.segments)

    def _release(self, drain: Drain) -> None:
        """Drop from memory the objects that a running drain has brought to L2."""
        pending = self._pending
        while drain.slices:
            # I31: an object leaves memory when L2 has it.
            objects, cached = drain.slices.popleft()
            for item in objects:
                del pending[item[0]]
            self._pending_bytes -= sum([len(item[2]) for item in objects])
            self._cache.put_all(cached)

    def collect(self) -> Collection:
        self._check_alone()
        self._make_whole()
        self._collection_count += 1
        self._collection = LocalCollection(self._l2, self._pending, self._settling, self._collected)
        return self._collection

    def _make_whole(self) -> None:
        """Replace edited objects of the batch by their bytes: a sweep may remove their base."""
        for at, item in enumerate(self._batch):
            if isinstance(item.data, Edited):
                data = self.read(item.oid, item.kind)
                self._pending_bytes += len(data) - len(item.data)
                self._batch[at] = self._pending[item.oid] = item._replace(data=data)

    def _settling(self) -> Callable[[], Work | None]:
        """Return a function that plans work until everything published now is in L2."""
        number = self._journal.number

        def plan() -> Work | None:
            if self._l2.totals.batch >= number:
                return None
            return self.plan_drain() if self._drain is None else Waiting(self._drain)

        return plan

    def _collected(self) -> None:
        self._collection = None

    def stats(self) -> StoreStats:
        totals = self._l2.totals
        return StoreStats(
            hits=self._cache.hits + self._pending_hits,
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
        return LocalInspection(self._directory, self._l2, self._pending, self.above)

    def close(self) -> None:
        """Close the store; StoreError if L2 did not take all, which the journal keeps then."""
        if self._closed:
            return
        self._closed = True
        if self._collection is not None:
            self._collection.close()
        try:
            if self._drain is not None:
                self._drain.cancel()
                self._drain.apply()
            try:
                _run(self.plan_drain())
            finally:
                # Even after a failed drain: then the next open needs the journal.
                _run(self.plan_sync())
        finally:
            is_drained = not (self._published or self._published_state)
            is_safe = is_drained and self._directory.failure is None
            # What reached the disk is not known after a failure: the next open reads it all.
            self._journal.close(drained=is_safe)
            try:
                if is_safe:
                    compact(self._directory, self._l2)
            finally:
                self._let_go()

    def _let_go(self) -> None:
        self._l2.close()
        release_lock(self._lock_fd)
        self._directory.close()


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
