"""Stores of tests: how they are opened, filled and driven, and ones that fail or drain at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.base import Store
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore


def blob(data: bytes) -> tuple[Oid, Kind, bytes]:
    return object_id(Kind.BLOB, data), Kind.BLOB, data


def run(work: Work | None) -> None:
    if work is not None:
        work.execute()
        work.apply()


def open_local(path: Path) -> LocalStore:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return LocalStore.open(fd, cache_bytes=1 << 20, create=True)
    finally:
        os.close(fd)


class DrainableStore:
    """A store whose every publish ends up in L2."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def publish(self) -> None:
        self._store.publish()
        run(self._store.plan_drain())


class World:
    """A store, and the way to open it again."""

    def __init__(self, kind: str, path: Path) -> None:
        self._kind = kind
        self._path = path
        self.store: Any = self._open()

    def _open(self) -> Any:
        if self._kind == "memory":
            return MemoryStore()
        store = open_local(self._path)
        return DrainableStore(store) if self._kind == "drained" else store

    def reopen(self) -> Store:
        if self._kind != "memory":
            self.store.close()
            self.store = self._open()
        store: Store = self.store
        return store


def give(store: Store, *contents: bytes, base: bytes | None = None) -> list[Oid]:
    oids = []
    for data in contents:
        oid, kind, _ = blob(data)
        store.add(oid, kind, data, object_id(Kind.BLOB, base) if base is not None else None)
        oids.append(oid)
    store.publish()
    return oids


def finish(plan: Callable[[], Work | None], act: Callable[[], None] = lambda: None) -> int:
    count = 0
    while (work := plan()) is not None:
        run(work)
        act()
        count += 1
        assert count < 10_000
    return count


def settle(store: Store) -> None:
    """Let nothing be pending."""
    while (work := store.plan_drain()) is not None:
        run(work)


class FailingStore(MemoryStore):
    """Store whose next publish fails when it is told so, and takes the batch's state back."""

    is_failing = False

    def publish(self) -> None:
        if self.is_failing:
            self.is_failing = False
            objects = dict(self.objects)
            self.drop_unpublished()
            self.objects.update(objects)
            raise StoreError("the disk is gone")
        super().publish()
