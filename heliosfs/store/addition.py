"""Additions that hash objects, and write large ones, on another thread than the store's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, encode_large
from heliosfs.store.encoding.places import PackedObject
from heliosfs.store.exclusive import Exclusive
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.pending import Pending, PendingObjects


class Add(Protocol):
    """The signature of `Store.add`."""

    def __call__(
        self, oid: Oid, kind: Kind, data: bytes, base: Oid | None, *, edits: Sequence[Edit]
    ) -> None: ...


class HashedAddition:
    """An addition that computes ids on any thread, and adds the objects one by one."""

    def __init__(self, objects: Sequence[NewObject], add: Add) -> None:
        self.oids: list[Oid] = []
        self._objects = objects
        self._add = add

    def execute(self) -> None:
        self.oids = [object_id(kind, data) for kind, data, _, _ in self._objects]

    def apply(self) -> None:
        for oid, (kind, data, base, edits) in zip(self.oids, self._objects, strict=False):
            self._add(oid, kind, data, base, edits=edits)


class PackedAddition(HashedAddition):
    """An addition that also writes large objects without a base to a pack, on any thread."""

    def __init__(
        self,
        objects: Sequence[NewObject],
        add: Add,
        pending: PendingObjects,
        database: ObjectDatabase,
        exclusive: Exclusive,
        *,
        prefer_zstd: bool,
    ) -> None:
        """Prepare the work of a store, to which `add`, `pending` and the others belong."""
        super().__init__(objects, add)
        self._pending = pending
        self._database = database
        self._exclusive = exclusive
        self._collection_count = exclusive.collection_count
        self._prefer_zstd = prefer_zstd
        self._found: set[Oid] = set()
        self._written: dict[Oid, Pending] = {}

    def execute(self) -> None:
        """Hash and write.  Raise StoreError or StoreFull."""
        super().execute()
        # Empty until all is written: `apply` then adds nothing after a failure.
        oids, self.oids = self.oids, []
        for oid, (kind, data, base, _) in zip(oids, self._objects, strict=True):
            if base is None and len(data) >= PACKED_FROM_BYTES and oid not in self._written:
                written = self._write(oid, kind, data)
                if written is None:
                    self._found.add(oid)
                else:
                    self._written[oid] = written
        self.oids = oids

    def _write(self, oid: Oid, kind: Kind, data: bytes) -> Pending | None:
        """Write a large object to a pack; return None if the store has it."""
        if oid in self._pending.by_oid:
            return None
        # A collection may be about to sweep the copy that L2 has.
        if self._exclusive.collection is None and self._database.has(oid, kind, data):
            return None
        place = self._database.packs.append(encode_large(data, prefer_zstd=self._prefer_zstd))
        return Pending(oid, kind, PackedObject(place, len(data)), None)

    def apply(self) -> None:
        if not self.oids:
            return
        for written in self._written.values():
            self._pending.append(written)
        # A collection that began since may have removed what was found.
        is_safe = self._exclusive.collection_count == self._collection_count
        there = self._found if is_safe else set()
        for oid, (kind, data, base, edits) in zip(self.oids, self._objects, strict=True):
            if oid not in there:
                self._add(oid, kind, data, base, edits=edits)
