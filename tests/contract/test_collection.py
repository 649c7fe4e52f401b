"""Promises of every store about a garbage collection (heliosfs/store/base.py)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliosfs.errors import Busy, CorruptObject, MissingObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.references import references
from heliosfs.objects.tree import NO_OID, Entry, encode_entry, join_leaf
from heliosfs.store.base import Collection, Store
from heliosfs.store.memory import MemoryStore
from tests.stores import World, blob, finish, give, settle

Reopen = Callable[[], Store]


@pytest.fixture(params=["memory", "pending", "drained"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(request.param, tmp_path)
    yield made
    made.store.close()


def sweep(store: Store, keep: Iterable[Oid]) -> Collection:
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        for oid in keep:
            collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    return collection


def test_what_is_not_marked_goes(world: World) -> None:
    store = world.store
    kept = give(store, b"kept" * 100, os.urandom(100_000), b"", b"k")
    gone = give(store, b"gone" * 100, os.urandom(100_000), b"g", b"gg")
    settle(store)
    before = store.stats()
    swept = sweep(store, kept).swept
    assert swept.objects == 4
    assert swept.stored_bytes > 100_000
    for _ in range(2):
        assert all(store.contains(oid) for oid in kept)
        assert not any(store.contains(oid) for oid in gone)
        after = store.stats()
        assert after.objects == len(kept)
        assert after.stored_bytes == before.stored_bytes - swept.stored_bytes
        assert after.logical_bytes == before.logical_bytes - 100_000 - 400 - 3
        store = world.reopen()
    assert store.read(kept[0], Kind.BLOB) == b"kept" * 100
    for oid in gone:
        with pytest.raises(MissingObject):
            store.read(oid, Kind.BLOB)


def test_counting_says_the_same_and_removes_nothing(world: World) -> None:
    store = world.store
    kept = give(store, b"kept" * 100)
    gone = give(store, b"gone" * 100, os.urandom(200_000), os.urandom(3_000))
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        collection.mark(kept[0])
    finish(collection.plan_count)
    would = collection.swept
    collection.close()
    assert all(store.contains(oid) for oid in gone)
    assert sweep(store, kept).swept == would
    assert would.objects == 3


def test_counting_after_an_earlier_sweep(world: World) -> None:
    store = world.store
    kept = give(store, b"kept" * 100)
    gone = give(store, b"gone" * 100, b"later" * 100)
    assert sweep(store, [*kept, gone[1]]).swept.objects == 1
    collection = store.collect()
    with collection.snapshot():
        collection.mark(kept[0])
    finish(collection.plan_count)
    would = collection.swept
    collection.close()
    assert would.objects == 1
    assert sweep(store, kept).swept == would


def test_marking_tells_what_is_new(world: World) -> None:
    store = world.store
    (oid,) = give(store, b"some bytes")
    collection = store.collect()
    with collection.snapshot():
        assert [collection.mark(oid), collection.mark(oid)] == [True, False]
        with pytest.raises(MissingObject, match="not in the store"):
            collection.mark(object_id(Kind.BLOB, b"never added"))
        assert collection.is_marked(oid)
        assert not collection.is_marked(object_id(Kind.BLOB, b"never added"))
    collection.close()


def test_scanning_for_a_collection(world: World) -> None:
    store = world.store
    store.put(b"a/1", b"x")
    store.put(b"b/1", b"y")
    store.publish()
    collection = store.collect()
    finish(collection.plan_settle)
    with collection.snapshot():
        assert collection.scan(b"a/") == [(b"a/1", b"x")]
    collection.close()


def test_reading_for_a_collection(world: World) -> None:
    store = world.store
    (oid,) = give(store, b"some bytes" * 40)
    collection = store.collect()
    before = store.stats().cache_bytes
    with collection.snapshot():
        assert collection.read(oid, Kind.BLOB) == b"some bytes" * 40
        with pytest.raises(MissingObject):
            collection.read(object_id(Kind.BLOB, b"never added"), Kind.BLOB)
        with pytest.raises(CorruptObject):
            collection.read(oid, Kind.TREE)
    assert store.stats().cache_bytes == before
    collection.close()


def test_one_at_a_time(world: World) -> None:
    collection = world.store.collect()
    with pytest.raises(Busy):
        world.store.collect()
    collection.close()
    collection.close()
    again = world.store.collect()
    collection.close()
    with pytest.raises(Busy):
        world.store.collect()
    again.close()


def test_what_is_added_meanwhile_stays_new_or_not(world: World) -> None:
    """At every point of the sweep, with everything that can happen to a batch."""
    store = world.store
    data = [bytes([number]) * 5_000 for number in range(40)] + [os.urandom(90_000)]
    give(store, *data)
    settle(store)
    collection = store.collect()
    again = data[:5] + data[-1:] + [b"new"]
    given = give(store, *again)
    turn = iter(data[5:])

    def act() -> None:
        item = next(turn, None)
        if item is not None:
            given.extend(give(store, item))
            again.append(item)

    finish(collection.plan_settle, act)
    finish(collection.plan_sweep, act)
    collection.close()
    assert len(again) > 8
    for _ in range(2):
        for oid, item in zip(given, again, strict=True):
            assert store.read(oid, Kind.BLOB) == item
        settle(store)
        store = world.reopen()


def test_a_batch_that_is_not_published_stays(world: World) -> None:
    store = world.store
    oid, kind, data = blob(b"in no batch yet" * 30)
    give(store, data)
    settle(store)
    store.add(oid, kind, data)
    collection = store.collect()
    store.add(*blob(b"later" * 50))
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    store.publish()
    settle(store)
    store = world.reopen()
    assert store.read(oid, kind) == data
    assert store.read(blob(b"later" * 50)[0], kind) == b"later" * 50


def test_a_drain_that_was_under_way_goes_on(world: World) -> None:
    store = world.store
    data = [bytes([number]) * 3_000 for number in range(20)]
    give(store, *data[:10])
    settle(store)
    for item in data:
        store.add(*blob(item))
    raw: Any = getattr(store, "_store", store)
    raw.publish()
    drain = store.plan_drain()
    if drain is not None:
        drain.execute()
    collection = store.collect()
    with collection.snapshot():
        for item in data:
            collection.mark(blob(item)[0])
    if drain is not None:
        drain.apply()
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    store = world.reopen()
    assert [store.read(blob(item)[0], Kind.BLOB) for item in data] == data


def test_what_a_kept_object_needs_stays(world: World) -> None:
    store = world.store
    data = bytearray(os.urandom(6_000).hex().encode())
    versions: list[bytes] = []
    for number in range(300):
        data[number * 31 : number * 31 + 4] = b"%04d" % number
        give(store, bytes(data), base=versions[-1] if versions else None)
        versions.append(bytes(data))
    kept = versions[::37] + versions[-1:]
    sweep(store, [blob(item)[0] for item in kept])
    for _ in range(2):
        for item in kept:
            assert store.read(blob(item)[0], Kind.BLOB) == item
        store = world.reopen()
    sweep(store, [])
    assert store.stats().objects == 0
    assert store.stats().stored_bytes == 0
    assert store.stats().logical_bytes == 0


def test_a_new_version_is_not_made_against_what_goes(world: World) -> None:
    """At no step, also when it was known already what the versions there were need."""
    for step in range(6):
        store = world.store
        old = os.urandom(20_000)
        give(store, old)
        settle(store)
        collection = store.collect()
        news: list[bytes] = []
        turns = iter(range(100))

        def act(
            step: int = step,
            turns: Iterator[int] = turns,
            store: Store = store,
            old: bytes = old,
            news: list[bytes] = news,
        ) -> None:
            if next(turns) == step:
                news.append(old[:9_000] + b"an edit" + old[9_000:])
                give(store, news[-1], base=old)

        finish(collection.plan_sweep, act)
        collection.close()
        settle(store)
        store = world.reopen()
        for item in news:
            assert store.read(blob(item)[0], Kind.BLOB) == item


def test_closed_early_it_leaves_everything(world: World) -> None:
    store = world.store
    oids = give(store, *(bytes([number]) * 100 for number in range(50)))
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        collection.mark(oids[0])
    collection.close()
    assert all(store.contains(oid) for oid in oids)
    sweep(store, oids)
    assert all(store.contains(oid) for oid in oids)


def test_space_is_used_again(world: World) -> None:
    store = world.store
    if isinstance(store, MemoryStore):
        return
    for _ in range(12):
        give(store, *(os.urandom(50_000) for _ in range(40)))
        sweep(store, [])
    assert store.stats().file_bytes < 30_000_000


def test_what_is_drained_while_it_is_looked_at_is_found(world: World) -> None:
    store = world.store
    raw: Any = getattr(store, "_store", store)
    oid, kind, data = blob(b"drained in between" * 20)
    store.add(oid, kind, data)
    raw.publish()
    collection = store.collect()
    with collection.snapshot():
        settle(store)
        assert collection.read(oid, kind) == data
        assert collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    assert store.contains(oid)


def test_entering_tells_what_an_object_refers_to(world: World) -> None:
    store = world.store
    (blob_id,) = give(store, b"content")
    file = encode_entry(Entry(b"f", stat.S_IFREG | 0o644, 0, 0, 0, 7, blob_id))
    link = encode_entry(Entry(b"l", stat.S_IFLNK | 0o777, 0, 0, 0, 0, NO_OID, target=b"content"))
    data = join_leaf([file, link])
    tree = object_id(Kind.TREE, data)
    store.add(tree, Kind.TREE, data)
    bad = object_id(Kind.TREE, b"\0not a tree")
    store.add(bad, Kind.TREE, b"\0not a tree")
    store.publish()
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        assert collection.enter(Kind.TREE, tree) == [(Kind.BLOB, blob_id)]
        assert collection.enter(Kind.TREE, tree) is None
        # The target of a link is stored as a blob, too, and is marked with the link.
        assert collection.enter(Kind.BLOB, blob_id, reads_blob=True) is None
        with pytest.raises(CorruptObject):
            collection.enter(Kind.TREE, bad)
        with pytest.raises(MissingObject):
            collection.enter(Kind.BLOB, object_id(Kind.BLOB, b"never added"))
    collection.close()


def test_entering_versions_of_a_tree_tells_all_that_they_refer_to(world: World) -> None:
    store = world.store

    def entry(at: int, data: bytes) -> bytes:
        oid = object_id(Kind.BLOB, data)
        return encode_entry(Entry(b"%02d" % at, stat.S_IFREG, 0, 0, 0, 9, oid))

    entries = [entry(at, b"%d" % at) for at in range(40)]
    trees: list[Oid] = []
    wanted: set[Oid] = set()
    for number in range(60):
        at = number * 7 % 40
        entries[at] = entry(at, b"new %d" % number)
        data = join_leaf(entries)
        oid = object_id(Kind.TREE, data)
        store.add(oid, Kind.TREE, data, trees[-1] if trees else None)
        trees.append(oid)
        wanted |= {each for _, each in references(Kind.TREE, data)}
    store.publish()
    settle(store)
    collection = store.collect()
    found: set[Oid] = set()
    with collection.snapshot():
        for oid in trees:
            told = collection.enter(Kind.TREE, oid)
            assert told is not None
            found |= {each for _, each in told}
    assert found == wanted
    collection.close()
