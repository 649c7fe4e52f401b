"""Additions that hash objects, and write large ones, on another thread than the store's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.deferral import Deferral
from heliosfs.store.encoding.codecs import Codec, encode
from heliosfs.store.encoding.large import compressed_part, is_part, looks_compressible
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, Body
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
            self._add(oid, kind, bytes(data), base, edits=edits)


class PackedAddition(HashedAddition):
    """An addition that also writes large objects without a base to a pack, on any thread."""

    def __init__(
        self,
        objects: Sequence[NewObject],
        add: Add,
        pending: PendingObjects,
        database: ObjectDatabase,
        exclusive: Exclusive,
        deferral: Deferral,
        *,
        is_urgent: bool,
    ) -> None:
        """Prepare the work of a store, to which `add`, `pending` and the others belong.

        With `is_urgent`, compress nothing now.
        """
        super().__init__(objects, add)
        self._pending = pending
        self._database = database
        self._exclusive = exclusive
        self._collection_count = exclusive.collection_count
        self._deferral = deferral
        self._is_urgent = is_urgent
        self._deferred: list[Oid] = []
        self._found: set[Oid] = set()
        self._written: list[Pending] = []

    def execute(self) -> None:
        """Hash and write.  Raise StoreError or StoreFull."""
        super().execute()
        # Empty until all is written: `apply` then adds nothing after a failure.
        oids, self.oids = self.oids, []
        large: dict[Oid, NewObject] = {}
        for oid, each in zip(oids, self._objects, strict=True):
            if each.base is None and len(each.data) >= PACKED_FROM_BYTES:
                large.setdefault(oid, each)
        self._drop_known(large)
        bodies: dict[Oid, Body] = {}
        deferred: dict[Oid, Body] = {}
        later: list[Oid] = []
        for oid, each in large.items():
            if self._is_urgent and looks_compressible(each.data):
                deferred[oid] = Codec.RAW, each.data
                continue
            bodies[oid] = self._encode(oid, each)
            if bodies[oid][0] == Codec.RAW and is_part(each.kind, len(each.data)):
                later.append(oid)
        # With one write for all of them: each call waits for the interpreter twice.
        packs = self._database.packs
        places = packs.append_all([*bodies.values()])
        places += packs.append_all([*deferred.values()], are_deferred=True)
        for oid, place in zip((*bodies, *deferred), places, strict=True):
            kind, data, _, _ = large[oid]
            self._written.append(Pending(oid, kind, PackedObject(place, len(data)), None))
        self._deferred = [*later, *deferred]
        self.oids = oids

    def _encode(self, oid: Oid, each: NewObject) -> Body:
        """Return the body of an object: as it is, if there is no time, or it does not shrink."""
        kind, data, _, _ = each
        body: Body | None = None
        prefer_zstd = self._deferral.prefer_zstd
        if not self._is_urgent and is_part(kind, len(data)):
            body = compressed_part(oid, data, prefer_zstd=prefer_zstd)
        elif not self._is_urgent and looks_compressible(data):
            body = encode(data, prefer_zstd=prefer_zstd)
        return body or (Codec.RAW, data)

    def _drop_known(self, large: dict[Oid, NewObject]) -> None:
        """Drop the objects that the store has from those to write."""
        found = {oid for oid in large if oid in self._pending.by_oid}
        # A collection may be about to sweep the copy that L2 has.
        if self._exclusive.collection is None:
            for oid in self._database.candidates(large):
                kind, data, _, _ = large[oid]
                if oid not in found and self._database.has(oid, kind, data):
                    found.add(oid)
        self._found = found
        for oid in found:
            del large[oid]

    def apply(self) -> None:
        if not self.oids:
            return
        for written in self._written:
            self._pending.append(written)
        self._deferral.waiting += self._deferred
        # A collection that began since may have removed what was found.
        is_safe = self._exclusive.collection_count == self._collection_count
        there = self._found if is_safe else set()
        for oid, (kind, data, base, edits) in zip(self.oids, self._objects, strict=True):
            if oid not in there and oid not in self._pending.by_oid:
                self._add(oid, kind, bytes(data), base, edits=edits)
