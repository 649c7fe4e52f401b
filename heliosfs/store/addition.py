"""Additions that hash objects, and write large ones, on another thread than the store's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.pending import Pending


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
        write: Callable[[Oid, Kind, bytes], Pending | None],
        name: Callable[[Pending], None],
        is_safe: Callable[[], bool],
    ) -> None:
        """Prepare the work.

        `write` runs on any thread, and returns None if the store has the object.  `is_safe` is
        called in `apply`: it returns True if an object that the store had then cannot be gone.
        """
        super().__init__(objects, add)
        self._write = write
        self._name = name
        self._is_safe = is_safe
        self._found: set[Oid] = set()
        self._written: dict[Oid, Pending] = {}

    def execute(self) -> None:
        """Hash and write.  StoreError, StoreFull."""
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

    def apply(self) -> None:
        if not self.oids:
            return
        for written in self._written.values():
            self._name(written)
        # A collection that began since may have removed what was found.
        there = self._found if self._is_safe() else set()
        for oid, (kind, data, base, edits) in zip(self.oids, self._objects, strict=True):
            if oid not in there:
                self._add(oid, kind, data, base, edits=edits)
