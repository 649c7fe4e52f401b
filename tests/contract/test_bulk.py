"""Promises of every store about a bulk (heliosfs/store/base.py)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import Busy, MissingObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Bulk, Store
from heliosfs.store.encoding.versions import Versions
from tests.stores import World, run

TEXT = [b"line %d of many\n" % number for number in range(300)]


@pytest.fixture(params=["memory", "pending", "drained"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(request.param, tmp_path)
    yield made
    made.store.close()


def version(number: int) -> bytes:
    """Each differs a little from the one before."""
    lines = list(TEXT)
    for at in range(number + 1):
        lines[at % len(lines)] = b"edited by %d, %d\n" % (number - number % 7, at)
    return b"".join(lines)


def add(bulk: Bulk, data: bytes, base: Oid | None = None, kind: Kind = Kind.BLOB) -> Oid:
    oid = object_id(kind, data)
    bulk.add(oid, kind, data, base)
    return oid


def test_nothing_is_there_before_a_write_and_all_of_it_after(world: World) -> None:
    store = world.store
    bulk = store.bulk()
    oid = add(bulk, b"one" * 100)
    bulk.put_all({b"git/one": oid})
    assert store.get(b"git/one") is None
    with pytest.raises(MissingObject):
        store.read(oid, Kind.BLOB)
    run(bulk.plan_write())
    assert store.get(b"git/one") == oid
    assert store.read(oid, Kind.BLOB) == b"one" * 100
    assert bulk.plan_write() is None
    bulk.close()
    again = world.reopen()
    assert again.get(b"git/one") == oid
    assert again.read(oid, Kind.BLOB) == b"one" * 100


def test_it_is_no_part_of_the_batch(world: World) -> None:
    store = world.store
    store.put(b"mine", b"unpublished")
    bulk = store.bulk()
    bulk.put_all({b"git/one": b"1"})
    run(bulk.plan_write())
    assert store.get(b"mine") == b"unpublished"
    bulk.put_all({b"git/one": None, b"git/two": b"2"})
    run(bulk.plan_write())
    assert list(store.scan(b"git/")) == [(b"git/two", b"2")]


@pytest.mark.parametrize("kind", [Kind.BLOB, Kind.TREE, Kind.COMMIT])
def test_long_chains_come_back_as_they_went_in(world: World, kind: Kind) -> None:
    bulk = world.store.bulk()
    oids: list[Oid] = []
    for number in range(530):
        oids.append(add(bulk, version(number), oids[-1] if oids else None, kind))
        if number % 100 == 99:
            run(bulk.plan_write())
    run(bulk.plan_write())
    bulk.close()
    store = world.reopen()
    for number, oid in enumerate(oids):
        assert store.read(oid, kind) == version(number)


def test_a_commit_may_have_many_children(world: World) -> None:
    bulk = world.store.bulk()
    base = add(bulk, version(0), None, Kind.COMMIT)
    children = [add(bulk, version(number), base, Kind.COMMIT) for number in range(1, 9)]
    run(bulk.plan_write())
    for number, oid in enumerate(children, 1):
        assert world.store.read(oid, Kind.COMMIT) == version(number)


@pytest.mark.parametrize("limit_bytes", [0, 20_000, 1 << 20])
def test_what_was_prepared_elsewhere_with_whatever_memory(world: World, limit_bytes: int) -> None:
    versions = Versions(limit_bytes)
    bulk = world.store.bulk()
    oids: list[Oid] = []
    for number in range(100):
        data = version(number)
        oid = object_id(Kind.BLOB, data)
        prepared = versions.encode(oid, Kind.BLOB, data, oids[-1] if oids else None)
        assert prepared is not None
        bulk.add_prepared(prepared)
        oids.append(oid)
        if number % 30 == 0:
            run(bulk.plan_write())
    run(bulk.plan_write())
    for number, oid in enumerate(oids):
        assert world.store.read(oid, Kind.BLOB) == version(number)


def test_what_the_store_has_in_a_chain_of_its_own(world: World) -> None:
    """A version that is there is not written again, and the next one goes on from it."""
    store: Store = world.store
    oids = [object_id(Kind.BLOB, version(number)) for number in range(40)]
    for number in range(20):
        base = oids[number - 1] if number else None
        store.add(oids[number], Kind.BLOB, version(number), base)
        store.publish()
    run(store.plan_drain())
    count = store.stats().objects
    bulk = store.bulk()
    for number in range(10, 40):
        # A chain that begins anew, as far as the bulk knows.
        bulk.add(
            oids[number], Kind.BLOB, version(number), oids[number - 1] if number > 10 else None
        )
    run(bulk.plan_write())
    assert store.stats().objects == count + 20
    for number, oid in enumerate(oids):
        assert store.read(oid, Kind.BLOB) == version(number)


def test_large_objects(world: World) -> None:
    bulk = world.store.bulk()
    contents = [os.urandom(200_000), b"large and alike\n" * 9_000, bytes(1 << 20)]
    oids = [add(bulk, data) for data in contents]
    oids.append(add(bulk, contents[0] + b"and more", oids[0]))
    run(bulk.plan_write())
    bulk.close()
    store = world.reopen()
    for oid, data in zip(oids, [*contents, contents[0] + b"and more"], strict=True):
        assert store.read(oid, Kind.BLOB) == data


def test_objects_that_come_again_are_stored_once(world: World) -> None:
    bulk = world.store.bulk()
    one = add(bulk, version(1))
    add(bulk, version(1))
    two = add(bulk, version(2), one)
    run(bulk.plan_write())
    add(bulk, version(2), one)
    add(bulk, version(1), two)
    run(bulk.plan_write())
    assert world.store.stats().objects == 2
    assert world.store.read(two, Kind.BLOB) == version(2)


def test_what_no_write_was_planned_for_is_dropped(world: World) -> None:
    bulk = world.store.bulk()
    kept = add(bulk, b"kept" * 99)
    run(bulk.plan_write())
    dropped = add(bulk, b"dropped" * 99)
    bulk.put_all({b"git/dropped": dropped})
    bulk.close()
    assert world.store.contains(kept)
    assert not world.store.contains(dropped)
    assert world.store.get(b"git/dropped") is None
    again = world.store.bulk()
    assert again.plan_write() is None


def test_one_at_a_time_and_none_beside_a_garbage_collection(world: World) -> None:
    store = world.store
    bulk = store.bulk()
    with pytest.raises(Busy):
        store.bulk()
    with pytest.raises(Busy):
        store.collect()
    bulk.close()
    collection = store.collect()
    with pytest.raises(Busy):
        store.bulk()
    collection.close()
    store.bulk().close()


def test_what_waits_is_counted(world: World) -> None:
    bulk = world.store.bulk()
    assert bulk.waiting_bytes == 0
    for number in range(200):
        add(bulk, b"%d" % number * 50)
    assert bulk.waiting_bytes > 0
    run(bulk.plan_write())
    assert bulk.waiting_bytes == 0


def test_a_chain_that_was_written_goes_on_by_the_journal(world: World) -> None:
    store: Store = world.store
    bulk = store.bulk()
    oids: list[Oid] = []
    for number in range(20):
        oids.append(add(bulk, version(number), oids[-1] if oids else None))
    run(bulk.plan_write())
    bulk.close()
    for number in range(20, 40):
        oids.append(object_id(Kind.BLOB, version(number)))
        store.add(oids[-1], Kind.BLOB, version(number), oids[-2])
        store.publish()
    run(store.plan_drain())
    for number, oid in enumerate(oids):
        assert store.read(oid, Kind.BLOB) == version(number)


def test_an_end_that_comes_twice_does_not_end_the_next_one(world: World) -> None:
    """Closing is idempotent, also when another bulk or collection has begun since."""
    bulk = world.store.bulk()
    bulk.close()
    collection = world.store.collect()
    bulk.close()
    with pytest.raises(Busy):
        world.store.bulk()
    collection.close()
    other = world.store.bulk()
    collection.close()
    bulk.close()
    with pytest.raises(Busy):
        world.store.collect()
    other.close()
