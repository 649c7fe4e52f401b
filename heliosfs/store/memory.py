"""A store in memory that keeps the whole contract but survives nothing; for tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.addition import HashedAddition
from heliosfs.store.base import Addition, NewObject, StoreStats, Work
from heliosfs.store.pending import check_key


class _Object(NamedTuple):
    kind: Kind
    data: bytes


class MemoryStore:
    """Objects in one dict, state in another.

    `drop_unpublished` leaves what a crash would leave.
    """

    def __init__(self) -> None:
        self.objects: dict[Oid, _Object] = {}
        self.state: dict[bytes, bytes] = {}
        self._added: list[Oid] = []
        self._replaced: dict[bytes, bytes | None] = {}
        self._hits = 0
        self._logical_bytes = 0

    def read(self, oid: Oid, kind: Kind) -> bytes:
        found = self.objects.get(oid)
        if found is None:
            raise MissingObject(f"object {oid.hex()} is not in the store")
        if object_id(kind, found.data) != oid:
            raise CorruptObject(f"object {oid.hex()} does not have its bytes")
        self._hits += 1
        return found.data

    def contains(self, oid: Oid) -> bool:
        return oid in self.objects

    def add(
        self,
        oid: Oid,
        kind: Kind,
        data: bytes,
        base: Oid | None = None,
        *,
        is_cold: bool = False,
    ) -> None:
        if oid not in self.objects:
            self.objects[oid] = _Object(kind, data)
            self._added.append(oid)
            self._logical_bytes += len(data)

    def plan_add(self, objects: Sequence[NewObject]) -> Addition:
        return HashedAddition(objects, self.add)

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        check_key(key)
        self._replaced.setdefault(key, self.state.get(key))
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(item for item in self.state.items() if item[0].startswith(prefix)))

    def publish(self) -> None:
        self._added.clear()
        self._replaced.clear()

    def drop_unpublished(self) -> None:
        """Go back to the last publish."""
        for oid in self._added:
            self._logical_bytes -= len(self.objects.pop(oid).data)
        for key, value in self._replaced.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.publish()

    @property
    def pending_bytes(self) -> int:
        return 0

    @property
    def memory_bytes(self) -> int:
        return 0

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        """There is no cache, and nothing is encoded."""

    def disk(self) -> os.statvfs_result:
        return os.statvfs("/")

    def plan_sync(self) -> Work | None:
        return None

    def plan_drain(self) -> Work | None:
        return None

    def stats(self) -> StoreStats:
        return StoreStats(
            hits=self._hits,
            objects=len(self.objects),
            stored_bytes=self._logical_bytes,
            logical_bytes=self._logical_bytes,
        )

    def close(self) -> None:
        self.drop_unpublished()
