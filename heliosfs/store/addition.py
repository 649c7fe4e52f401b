"""Objects that are hashed, and large ones written, on another thread than the store's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.pending import Pending


class Add(Protocol):
    """`Store.add`."""

    def __call__(
        self, oid: Oid, kind: Kind, data: bytes, base: Oid | None, *, edits: Sequence[Edit]
    ) -> None: ...


class HashedAddition:
    """Computes the ids elsewhere, and then adds one object after another."""

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
    """Writes large objects that have no base to a pack, too, where it is executed."""

    def __init__(
        self,
        objects: Sequence[NewObject],
        add: Add,
        write: Callable[[Oid, Kind, bytes], Pending | None],
        name: Callable[[Pending], None],
        is_safe: Callable[[], bool],
    ) -> None:
        """`write` runs on any thread, and gives None when the store has the object.

        `is_safe` tells, when the result is taken up, whether what it had then cannot be gone.
        """
        super().__init__(objects, add)
        self._write = write
        self._name = name
        self._is_safe = is_safe
        self._found: set[Oid] = set()
        self._written: dict[Oid, Pending] = {}

    def execute(self) -> None:
        """StoreError, StoreFull."""
        super().execute()
        oids, self.oids = self.oids, []
        for oid, (kind, data, base, _) in zip(oids, self._objects, strict=True):
            if base is None and len(data) >= PACKED_FROM_BYTES and oid not in self._written:
                written = self._write(oid, kind, data)
                if written is None:
                    self._found.add(oid)
                else:
                    self._written[oid] = written
        self.oids = oids

    def apply(self) -> None:
        if not self.oids:
            return
        for written in self._written.values():
            self._name(written)
        there = self._found if self._is_safe() else set()
        for oid, (kind, data, base, edits) in zip(self.oids, self._objects, strict=True):
            if oid not in there:
                self._add(oid, kind, data, base, edits=edits)
