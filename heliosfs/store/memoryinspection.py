"""The inspection of a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.base import BatchSeen, FileSeen, Link, StateSeen


class HeldObject(NamedTuple):
    """An object in memory."""

    kind: Kind
    data: bytes


class MemoryInspection:
    """The inspection of a store without a journal, in which every object is whole."""

    def __init__(
        self,
        objects: Mapping[Oid, HeldObject],
        scan: Callable[[bytes], Iterator[tuple[bytes, bytes]]],
    ) -> None:
        self._objects = objects
        self._scan = scan

    def ids(self, prefix: str, limit: int) -> list[Oid]:
        found = (oid for oid in self._objects if oid.hex().startswith(prefix))
        return list(islice(found, limit))

    def kind(self, oid: Oid) -> Kind | None:
        found = self._objects.get(oid)
        return found.kind if found else None

    def layers(self, oid: Oid) -> list[str]:
        return ["memory"] if oid in self._objects else []

    def chain(self, oid: Oid) -> list[Link]:
        kind, data = self._objects[oid]
        return [Link(0, None, 0, kind, "raw", len(data), len(data), "memory")]

    def state(self, prefix: bytes, limit: int) -> list[StateSeen]:
        found = (StateSeen(*item, "memory") for item in self._scan(prefix))
        return list(islice(found, limit))

    def problems(self) -> list[str]:
        return []

    def journal(self) -> Iterator[BatchSeen | FileSeen]:
        return iter(())
