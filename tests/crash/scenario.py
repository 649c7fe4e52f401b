"""A life of a store that ends at any write, and what must be left of it."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from lmdb.verify import verify

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work, perform
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from tests.stores import open_local


class Scenario:
    """A life of a store, and what it was promised on the way."""

    def __init__(self) -> None:
        self.objects: dict[Oid, bytes] = {}
        self.state: dict[bytes, bytes | None] = {}
        self.published = 0
        """Number of batches whose publish returned."""
        self.trying = 0
        self.synced = 0
        """Number of batches that a sync or a drain made safe from a power cut."""

    @staticmethod
    def blob(number: int) -> bytes:
        return b"line\n" * 300 + b"edit %d\n" % number + b"tail\n" * 300

    @staticmethod
    def large(number: int) -> bytes:
        """Return bytes for a pack; nothing can compress those of every third number."""
        if number % 3:
            return b"large %d\n" % number * 12_000
        return random.Random(number).randbytes(PACKED_FROM_BYTES + number)

    @staticmethod
    def edited(number: int) -> tuple[bytes, list[Edit]]:
        """A version of a large object, and what makes it of the one before."""
        edits = [(at * 5_000, b"version %d" % at) for at in range(number + 1)]
        data = bytearray(Scenario.large(0))
        for at, edit in edits:
            data[at : at + len(edit)] = edit
        return bytes(data), edits[-1:]

    def add_edited(self, store: LocalStore, number: int) -> None:
        """Add a version of a part that differs little from the one before."""
        data, edits = self.edited(number)
        base = object_id(Kind.BLOB, self.edited(number - 1)[0])
        if number == 1:
            before = self.edited(0)[0]
            store.add(base, Kind.BLOB, before)
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data, base, edits=edits)

    def add_large(self, store: LocalStore, number: int) -> None:
        """Add parts as a written large file does, from another thread; some have a base.

        Those of odd numbers are added in a hurry.
        """
        base = object_id(Kind.BLOB, self.large(number - 1)) if number % 4 == 0 else None
        large = NewObject(Kind.BLOB, self.large(number), base)
        perform(store.plan_add([large], is_urgent=number % 2 == 1))

    def publish(self, store: LocalStore, number: int) -> None:
        self.trying = number
        self.add_large(store, number)
        self.add_edited(store, number)
        data = self.blob(number)
        base = object_id(Kind.BLOB, self.blob(number - 1))
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data, base)
        tree = b"tree %d" % number
        store.add(object_id(Kind.TREE, tree), Kind.TREE, tree)
        store.put(b"head", b"%d" % number)
        store.put(b"last/%d" % (number - 1), None)
        store.put(b"last/%d" % number, b"here")
        store.publish()
        self.published = number

    def run(self, directory: Directory) -> None:
        store = LocalStore(directory, create=True, cache_bytes=1 << 20)
        for number in range(1, 13):
            self.publish(store, number)
            if number in (2, 9):
                self._work(store.plan_sync(), number)
            if number in (4, 7, 8):
                work = store.plan_drain()
                self.publish_during(store, number)
                self._work(work, number)
            if number in (7, 8):
                self.compress(store)
        store.close()
        self.synced = self.published

    def compress(self, store: LocalStore) -> None:
        """Compress what was added in a hurry, and is in L2."""
        while (work := store.plan_compress()) is not None:
            perform(work)

    def publish_during(self, store: LocalStore, number: int) -> None:
        """State that changes while a drain is under way."""
        store.put(b"during", b"%d" % number)
        store.publish()

    def _work(self, work: Work | None, number: int) -> None:
        assert work is not None
        try:
            work.execute()
        finally:
            work.apply()
        self.synced = number


def check(path: Path, scenario: Scenario, at_least: int) -> None:
    """Open what is left, and see that it is a whole number of batches, all that were promised."""
    store = open_local(path)
    check_open(store, scenario, at_least)
    store.close()
    assert verify(str(path / FILE)) == []
    assert not [name for name in os.listdir(path) if name.startswith("journal-")]


def check_open(store: LocalStore, scenario: Scenario, at_least: int) -> None:
    """The same of a store that is open."""
    head = int(store.get(b"head") or b"0")
    assert at_least <= head <= scenario.trying
    assert [key for key, _ in store.scan(b"last/")] == ([b"last/%d" % head] if head else [])
    for number in range(1, head + 1):
        for kind, data in (
            (Kind.BLOB, scenario.blob(number)),
            (Kind.BLOB, scenario.large(number)),
            (Kind.BLOB, scenario.edited(number)[0]),
            (Kind.TREE, b"tree %d" % number),
        ):
            assert store.read(object_id(kind, data), kind) == data
    assert not store.contains(object_id(Kind.TREE, b"tree %d" % (head + 1)))


def after_death(path: Path) -> Path:
    """The files as the next process finds them; the dead one's are still open here."""
    left = path.with_name(path.name + "-left")
    shutil.copytree(path, left)
    return left
