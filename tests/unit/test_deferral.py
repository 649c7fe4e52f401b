"""Deferred compression: what is added in a hurry is compressed later, and its pack is deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.steps import drain, perform
from heliosfs.store.base import NewObject
from heliosfs.store.encoding import packs
from heliosfs.store.local import LocalStore
from tests.stores import finish, open_local

SIZE = 100_000
TEXTS = [b"line %d of a text\n" % number * (SIZE // 16) for number in range(40)]
RANDOM = os.urandom(SIZE)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_MAX_BYTES", 10 * SIZE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = open_local(tmp_path)
    yield opened
    opened.close()


def add(store: LocalStore, *contents: bytes, is_urgent: bool = True) -> list[Oid]:
    work = store.plan_add([NewObject(Kind.BLOB, data) for data in contents], is_urgent=is_urgent)
    perform(work)
    store.publish()
    return list(work.oids)


def compress(store: LocalStore) -> int:
    """Compress all that is deferred; return the number of steps."""
    count = 0
    while (work := store.plan_compress()) is not None:
        perform(work)
        count += 1
    return count


def pack_bytes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(path.glob("pack-*"))}


def test_what_was_added_in_a_hurry_is_compressed_later(store: LocalStore, tmp_path: Path) -> None:
    oids = add(store, *TEXTS)
    drain(store)
    before = store.stats()
    assert sum(pack_bytes(tmp_path).values()) == sum(map(len, TEXTS))
    assert compress(store) == 2
    assert sum(pack_bytes(tmp_path).values()) < sum(map(len, TEXTS)) // 20
    after = store.stats()
    assert after.stored_bytes < before.stored_bytes // 20
    assert after.file_bytes < before.file_bytes // 2
    assert (after.objects, after.logical_bytes) == (before.objects, before.logical_bytes)
    assert [store.read(oid, Kind.BLOB) for oid in oids] == TEXTS
    assert store.inspect().problems() == []
    store.close()
    again = open_local(tmp_path)
    assert [again.read(oid, Kind.BLOB) for oid in oids] == TEXTS
    assert compress(again) == 0
    again.close()


def test_it_takes_the_same_space_as_what_was_compressed_at_once(
    store: LocalStore, tmp_path: Path
) -> None:
    other_path = tmp_path / "other"
    other_path.mkdir()
    other = open_local(other_path)
    add(store, *TEXTS)
    add(other, *TEXTS, is_urgent=False)
    drain(store)
    drain(other)
    compress(store)
    # The order differs no more than the names of the packs do.
    assert sum(pack_bytes(tmp_path).values()) == sum(pack_bytes(other_path).values())
    other.close()


def test_what_cannot_shrink_is_not_deferred(store: LocalStore, tmp_path: Path) -> None:
    add(store, RANDOM)
    drain(store)
    assert store.plan_compress() is None
    assert pack_bytes(tmp_path) == {"pack-1": SIZE}


def test_nothing_is_compressed_before_l2_has_it(store: LocalStore) -> None:
    oid, *_ = add(store, *TEXTS)
    assert store.plan_compress() is None
    work = store.plan_drain()
    assert work is not None
    work.execute()
    # The owner still reads it at the place that it has in memory.
    assert store.plan_compress() is None
    work.apply()
    assert store.plan_compress() is not None
    assert store.read(oid, Kind.BLOB) == TEXTS[0]


def test_nothing_is_compressed_beside_a_collection_or_a_bulk(store: LocalStore) -> None:
    add(store, *TEXTS)
    drain(store)
    collection = store.collect()
    assert store.plan_compress() is None
    collection.close()
    bulk = store.bulk()
    assert store.plan_compress() is None
    bulk.close()
    assert compress(store) == 2


def test_a_collection_that_begins_meanwhile_reads_the_old_place(
    store: LocalStore, tmp_path: Path
) -> None:
    oids = add(store, *TEXTS[:3])
    drain(store)
    work = store.plan_compress()
    assert work is not None
    collection = store.collect()
    with collection.snapshot():
        perform(work)
        assert [collection.read(oid, Kind.BLOB) for oid in oids] == TEXTS[:3]
    collection.close()
    assert "pack-1" in pack_bytes(tmp_path)
    add(store, TEXTS[9])
    drain(store)
    compress(store)
    assert list(pack_bytes(tmp_path)) == ["pack-2"]
    assert [store.read(oid, Kind.BLOB) for oid in oids] == TEXTS[:3]


def test_a_damaged_object_stays_damaged(store: LocalStore, tmp_path: Path) -> None:
    oids = add(store, *TEXTS[:3])
    drain(store)
    with open(tmp_path / "pack-1", "r+b") as file:
        file.seek(len(TEXTS[0]) + 1000)
        file.write(b"another text")
    compress(store)
    # Its place is the old one, in the pack that is left for it.
    assert "pack-1" in pack_bytes(tmp_path)
    with pytest.raises(CorruptObject):
        store.read(oids[1], Kind.BLOB)
    assert [store.read(oids[at], Kind.BLOB) for at in (0, 2)] == [TEXTS[0], TEXTS[2]]


def test_a_hurry_goes_on_in_another_pack(store: LocalStore, tmp_path: Path) -> None:
    add(store, *TEXTS[:2])
    drain(store)
    compress(store)
    assert list(pack_bytes(tmp_path)) == ["pack-2"]
    oids = add(store, *TEXTS[2:4])
    assert list(pack_bytes(tmp_path)) == ["pack-2", "pack-3"]
    # The same again is known.
    add(store, *TEXTS[2:4])
    drain(store)
    compress(store)
    assert list(pack_bytes(tmp_path)) == ["pack-2"]
    assert [store.read(oid, Kind.BLOB) for oid in oids] == TEXTS[2:4]


def test_an_aggressive_collection_compresses_what_another_run_left(
    store: LocalStore, tmp_path: Path
) -> None:
    oids = add(store, *TEXTS, RANDOM)
    drain(store)
    store.close()
    again = open_local(tmp_path)
    assert again.plan_compress() is None
    collection = again.collect()
    with collection.snapshot():
        for oid in oids:
            collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_pack)
    finish(collection.plan_sweep)
    collection.close()
    assert collection.packed_bytes > sum(map(len, TEXTS)) * 0.9
    assert sum(pack_bytes(tmp_path).values()) < SIZE + sum(map(len, TEXTS)) // 20
    assert [again.read(oid, Kind.BLOB) for oid in oids] == [*TEXTS, RANDOM]
    assert again.inspect().problems() == []
    again.close()
