"""Packs in a garbage collection: what nobody needs of them is given back to the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.base import NewObject
from heliosfs.store.encoding import packs
from heliosfs.store.local import LocalStore
from tests.stores import finish, open_local, run, settle

SIZE = 100_000


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_MAX_BYTES", 4 * SIZE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = open_local(tmp_path)
    yield opened
    opened.close()


def add(store: LocalStore, *contents: bytes) -> list[Oid]:
    work = store.plan_add([NewObject(Kind.BLOB, data) for data in contents])
    run(work)
    store.publish()
    return list(work.oids)


def sweep(store: LocalStore, keep: list[Oid]) -> int:
    collection = store.collect()
    with collection.snapshot():
        for oid in keep:
            collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    return collection.swept.stored_bytes


def pack_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("pack-*"))


def test_packs_of_which_nothing_is_kept_are_deleted(store: LocalStore, tmp_path: Path) -> None:
    data = [os.urandom(SIZE) for _ in range(20)]
    oids = add(store, *data)
    settle(store)
    before = store.stats()
    assert pack_bytes(tmp_path) == 20 * SIZE
    kept = oids[-4:]
    assert sweep(store, kept) > 16 * SIZE
    assert pack_bytes(tmp_path) == 4 * SIZE
    after = store.stats()
    assert after.stored_bytes < before.stored_bytes - 16 * SIZE
    assert after.file_bytes < before.file_bytes - 15 * SIZE
    store.close()
    again = open_local(tmp_path)
    assert [again.read(oid, Kind.BLOB) for oid in kept] == data[-4:]
    again.close()


def test_what_is_kept_of_a_pack_that_is_mostly_dead_is_copied(
    store: LocalStore, tmp_path: Path
) -> None:
    data = [os.urandom(SIZE) for _ in range(21)]
    oids = add(store, *data)
    settle(store)
    kept, contents = oids[::4], data[::4]
    sweep(store, kept)
    assert pack_bytes(tmp_path) <= 7 * SIZE
    assert [store.read(oid, Kind.BLOB) for oid in kept] == contents
    assert sweep(store, kept) == 0
    store.close()
    again = open_local(tmp_path)
    assert [again.read(oid, Kind.BLOB) for oid in kept] == contents
    assert again.stats().objects == len(kept)
    again.close()


def test_the_pack_that_is_written_to_is_no_exception(store: LocalStore, tmp_path: Path) -> None:
    data = [os.urandom(SIZE) for _ in range(3)]
    oids = add(store, *data)
    settle(store)
    sweep(store, oids[:1])
    assert pack_bytes(tmp_path) == SIZE
    assert store.read(oids[0], Kind.BLOB) == data[0]
    sweep(store, [])
    assert pack_bytes(tmp_path) == 0
    newer = add(store, data[2])
    settle(store)
    store.close()
    again = open_local(tmp_path)
    assert again.read(newer[0], Kind.BLOB) == data[2]
    again.close()


def test_a_pack_that_is_half_alive_is_left_as_it_is(store: LocalStore, tmp_path: Path) -> None:
    data = [os.urandom(SIZE) for _ in range(8)]
    oids = add(store, *data)
    settle(store)
    sweep(store, oids[::2])
    assert pack_bytes(tmp_path) == 8 * SIZE


def test_what_waits_for_l2_keeps_its_pack(store: LocalStore, tmp_path: Path) -> None:
    """Published and not drained, or not even published."""
    first = add(store, *(os.urandom(SIZE) for _ in range(2)))
    settle(store)
    data = [os.urandom(SIZE) for _ in range(12)]
    collection = store.collect()
    finish(collection.plan_settle)
    oids = add(store, *data[:6])
    work = store.plan_add([NewObject(Kind.BLOB, each) for each in data[6:]])
    work.execute()
    finish(collection.plan_sweep)
    collection.close()
    assert not store.contains(first[0])
    work.apply()
    oids += work.oids
    store.publish()
    assert [store.read(oid, Kind.BLOB) for oid in oids] == data
    settle(store)
    store.close()
    again = open_local(tmp_path)
    assert [again.read(oid, Kind.BLOB) for oid in oids] == data
    again.close()


def test_the_same_large_object_given_again_while_it_goes(store: LocalStore) -> None:
    data = [os.urandom(SIZE) for _ in range(6)]
    oids = add(store, *data)
    settle(store)
    collection = store.collect()
    turns = iter(data)

    def act() -> None:
        item = next(turns, None)
        if item is not None:
            add(store, item)

    finish(collection.plan_settle, act)
    finish(collection.plan_sweep, act)
    collection.close()
    given = oids[: len(data) - len(list(turns))]
    assert len(given) > 3
    settle(store)
    assert [store.read(oid, Kind.BLOB) for oid in given] == data[: len(given)]


def test_counting_has_the_bytes_in_packs(store: LocalStore) -> None:
    oids = add(store, *(os.urandom(SIZE) for _ in range(5)))
    settle(store)
    collection = store.collect()
    finish(collection.plan_count)
    would = collection.swept
    collection.close()
    assert would.objects == 5
    assert sweep(store, []) == would.stored_bytes
    assert not any(store.contains(oid) for oid in oids)
