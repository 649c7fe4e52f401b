"""Objects whose ids are computed on another thread than the store's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliosfs.objects.ids import Kind, Oid, object_id


class NewObject(NamedTuple):
    """What `Store.add` takes, but for the id."""

    kind: Kind
    data: bytes
    base: Oid | None = None


class Addition:
    """`Work` that hashes objects and adds them to the store's batch."""

    def __init__(
        self, objects: Sequence[NewObject], add: Callable[[Oid, Kind, bytes, Oid | None], None]
    ) -> None:
        self.oids: list[Oid] = []
        """The ids, in the order of the objects; empty unless it was executed."""
        self._objects = objects
        self._add = add

    def execute(self) -> None:
        self.oids = [object_id(kind, data) for kind, data, _ in self._objects]

    def apply(self) -> None:
        for oid, (kind, data, base) in zip(self.oids, self._objects, strict=False):
            self._add(oid, kind, data, base)
