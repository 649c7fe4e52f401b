"""Promises of every store (heliosfs/store/base.py), checked with each of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Store
from heliosfs.store.l2 import database as lmdbstore
from heliosfs.store.l2 import encoder
from heliosfs.store.l2 import reader as snapshot
from heliosfs.store.l2 import record as payload
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore
from tests.stores import DrainableStore, blob, open_local, run

Opener = Callable[[], Store]


@pytest.fixture(
    params=[
        "memory",
        "local",
        "local-drained",
        "local-uncached",
        "local-indexed",
        "local-colliding",
    ]
)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    made: Any
    if request.param == "local-indexed":
        monkeypatch.setattr(lmdbstore, "RECENT_MAX", 3)
    if request.param == "local-colliding":
        # One object in 256 has the same short id: in the table in memory and in the index.
        monkeypatch.setattr(lmdbstore, "RECENT_MAX", 20)
        for module in (payload, snapshot, encoder, lmdbstore):
            monkeypatch.setattr(module, "SHORT_BYTES", 1)
    if request.param == "memory":
        made = MemoryStore()
    else:
        made = open_local(tmp_path)
    if request.param in ("local-drained", "local-indexed"):
        made = DrainableStore(made)
    if request.param in ("local-uncached", "local-colliding"):
        made = DrainableStore(made)
        made._cache.capacity_bytes = 0
    yield made
    made.close()


def test_an_object_is_read_back_before_and_after_publish(store: Store) -> None:
    oid, kind, data = blob(b"some bytes" * 100)
    store.add(oid, kind, data)
    assert store.read(oid, kind) == data
    assert store.contains(oid)
    store.publish()
    assert store.read(oid, kind) == data
    assert store.contains(oid)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"text " * 500, os.urandom(5_000), bytes(200_000), os.urandom(1 << 20)],
    ids=["empty", "one", "text", "random", "zeros", "large"],
)
def test_every_kind_and_shape_of_object(store: Store, kind: Kind, data: bytes) -> None:
    oid = object_id(kind, data)
    store.add(oid, kind, data)
    store.publish()
    assert store.read(oid, kind) == data
    assert store.read(oid, kind) == data


def test_objects_of_every_length_around_a_page(store: Store) -> None:
    source = random.Random(3)
    added = []
    for pages in (1, 2, 24):
        for length in range(pages * 4080 - 45, pages * 4080 + 5):
            added.append(blob(source.randbytes(length)))
            store.add(*added[-1])
    store.publish()
    for oid, kind, data in added:
        assert store.read(oid, kind) == data


def test_a_missing_object_is_named(store: Store) -> None:
    oid = object_id(Kind.BLOB, b"never added")
    assert not store.contains(oid)
    with pytest.raises(MissingObject, match=oid.hex()):
        store.read(oid, Kind.BLOB)


def test_an_object_asked_for_as_another_kind_is_corrupt(store: Store) -> None:
    oid, kind, data = blob(b"a blob is no tree")
    store.add(oid, kind, data)
    store.publish()
    for _ in range(2):
        with pytest.raises(CorruptObject, match=oid.hex()):
            store.read(oid, Kind.TREE)
    assert store.read(oid, kind) == data


def test_adding_what_is_there_changes_nothing(store: Store) -> None:
    oid, kind, data = blob(b"twice" * 50)
    store.add(oid, kind, data)
    store.publish()
    before = store.stats()
    store.add(oid, kind, data)
    store.publish()
    after = store.stats()
    assert (after.objects, after.pending_bytes) == (before.objects, before.pending_bytes)
    assert store.read(oid, kind) == data


def test_a_base_is_a_hint(store: Store) -> None:
    missing = object_id(Kind.BLOB, b"nowhere")
    old = blob(os.urandom(9_000))
    new = blob(old[2][:4_000] + b"an edit" + old[2][4_000:])
    unlike = blob(os.urandom(9_000))
    itself = blob(os.urandom(500))
    store.add(*old, base=missing)
    store.add(*new, base=old[0])
    store.add(*unlike, base=new[0])
    store.add(*itself, base=itself[0])
    store.publish()
    for oid, kind, data in (old, new, unlike, itself):
        assert store.read(oid, kind) == data


@pytest.mark.parametrize("length", [200_000, 150_000, 260_000])
def test_a_version_by_its_edits(store: Store, length: int) -> None:
    base, kind, data = blob(os.urandom(200_000))
    store.add(base, kind, data)
    for number in range(12):
        if number % 5 == 2:
            store.publish()
        at = number * 7_001
        whole = data[:at] + b"edit %d" % number + data[at + 5 + len(str(number)) :]
        whole = whole[:length].ljust(length, b"\0")
        oid = object_id(kind, whole)
        store.add(oid, kind, whole, base, edits=[(at, b"edit %d" % number)])
        assert store.read(oid, kind) == whole
        base, data = oid, whole
    store.publish()
    assert store.read(base, kind) == data


@pytest.mark.parametrize("size", [11_000, 70_000, 700_000])
def test_many_versions_of_a_file(store: Store, size: int) -> None:
    data = bytearray(os.urandom(size // 2).hex().encode())
    versions = []
    base = None
    count = 600 if size < 50_000 else 40
    for number in range(count):
        at = number * 7919 % size
        data[at : at + 5] = b"%05d" % number
        versions.append(blob(bytes(data)))
        store.add(*versions[-1], base=base)
        base = versions[-1][0]
        if number % 17 == 0:
            store.publish()
    store.publish()
    for oid, kind, content in versions:
        assert store.read(oid, kind) == content


def test_state_is_a_map(store: Store) -> None:
    assert store.get(b"key") is None
    store.put(b"key", b"one")
    assert store.get(b"key") == b"one"
    store.publish()
    assert store.get(b"key") == b"one"
    store.put(b"key", b"")
    assert store.get(b"key") == b""
    store.publish()
    assert store.get(b"key") == b""
    store.put(b"key", None)
    assert store.get(b"key") is None
    store.publish()
    assert store.get(b"key") is None
    store.put(b"never there", None)
    store.publish()
    assert store.get(b"never there") is None


def commit(number: int) -> tuple[Oid, Kind, bytes]:
    data = b"commit %d of an author whose name is long enough" % number
    return object_id(Kind.COMMIT, data), Kind.COMMIT, data


def test_lists_of_commits(store: Store) -> None:
    commits = [commit(number) for number in range(700)]
    for number, each in enumerate(commits):
        store.add(*each, base=commits[number - 1][0] if number else None)
        store.put(b"@commit/" + each[0], b"")
        store.put(b"@other/" + each[0], b"" if number % 3 else None)
        if number % 50 == 0:
            store.publish()
    store.publish()
    store.put(b"@commit/" + commits[7][0], None)
    store.publish()
    keys = sorted(b"@commit/" + oid for oid, _, _ in commits if oid != commits[7][0])
    assert list(store.scan(b"@commit/")) == [(key, b"") for key in keys]
    assert len(list(store.scan(b"@other/"))) == 466
    assert len(list(store.scan(b"@"))) == 699 + 466
    assert store.get(b"@commit/" + commits[6][0]) == b""
    assert store.get(b"@commit/" + commits[7][0]) is None
    assert store.get(b"@other/" + commits[7][0]) == b""
    assert store.get(b"@third/" + commits[7][0]) is None
    for oid, _, _ in commits[:9]:
        for length in (1, 2, 7, 20, 32):
            found = [key for key in keys if key[8 : 8 + length] == oid[:length]]
            assert [key for key, _ in store.scan(b"@commit/" + oid[:length])] == found
    store.put(b"@commit/" + commits[7][0], b"")
    store.publish()
    assert len(list(store.scan(b"@commit/"))) == 700


def test_a_list_may_name_what_is_no_commit_of_the_store(store: Store) -> None:
    missing = b"@commit/" + object_id(Kind.COMMIT, b"never added")
    tree, kind, data = object_id(Kind.TREE, b"a tree"), Kind.TREE, b"a tree"
    store.add(tree, kind, data)
    store.put(missing, b"")
    store.put(b"@commit/" + tree, b"")
    store.publish()
    assert store.get(missing) == store.get(b"@commit/" + tree) == b""
    assert list(store.scan(missing[:10])) == [(missing, b"")]
    late = b"never added"
    store.add(object_id(Kind.COMMIT, late), Kind.COMMIT, late)
    store.publish()
    assert store.get(missing) == b""
    store.put(missing, None)
    store.publish()
    assert [key for key, _ in store.scan(b"@")] == [b"@commit/" + tree]


def test_series(store: Store) -> None:
    def key(slot: int, number: int) -> bytes:
        return b"~op/" + slot.to_bytes(8, "big") + number.to_bytes(8, "big")

    commits = [commit(number) for number in range(40)]
    kept = {}
    for number in range(300):
        if number < 40:
            store.add(*commits[number])
        value = [commits[number % 40][0] + b"%d" % number, b"%d" % number, b"", b"x" * 900][
            number % 4
        ]
        for slot in (0, 1, 2**63):
            kept[key(slot, number)] = value
            store.put(key(slot, number), value)
        if number % 30 == 0:
            store.publish()
    store.publish()
    assert dict(store.scan(b"~op/")) == kept
    for number in (0, 17, 150, 299, 3, 4, 5, 6):
        kept[key(1, number)] = commits[5][0]
        store.put(key(1, number), commits[5][0])
        del kept[key(0, number)]
        store.put(key(0, number), None)
    store.put(key(7, 2**64 - 1), b"last")
    store.put(key(7, 3), b"before")
    store.publish()
    kept[key(7, 3)], kept[key(7, 2**64 - 1)] = b"before", b"last"
    assert list(store.scan(b"~op/")) == sorted(kept.items())
    assert list(store.scan(b"")) == sorted(kept.items())
    for slot in (0, 1, 7, 2**63):
        prefix = key(slot, 0)[:12]
        found = sorted(item for item in kept.items() if item[0].startswith(prefix))
        assert list(store.scan(prefix)) == found
        assert list(store.scan(key(slot, 256)[:19])) == [
            item for item in found if item[0][12:19] == key(slot, 256)[12:19]
        ]
    assert store.get(key(1, 17)) == commits[5][0]
    assert store.get(key(0, 17)) is None
    assert store.get(key(3, 17)) is None
    for number in range(300):
        store.put(key(1, number), None)
    store.publish()
    assert list(store.scan(key(1, 0)[:12])) == []


@pytest.mark.parametrize(
    "key", [b"@commit", b"@commit/" + b"i" * 31, b"~op/" + b"n" * 15, b"~" + b"n" * 16]
)
def test_keys_of_lists_and_series_have_a_shape(store: Store, key: bytes) -> None:
    with pytest.raises(ValueError, match="state key"):
        store.put(key, b"")


@pytest.mark.parametrize("key", [b"", b"x" * 401], ids=["empty", "long"])
def test_a_key_has_1_to_400_bytes(store: Store, key: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 400"):
        store.put(key, b"value")


def test_the_longest_key_and_any_bytes(store: Store) -> None:
    keys = [b"k" * 400, b"\0", b"\xff" * 400, bytes(range(256))]
    for key in keys:
        store.put(key, key[::-1])
    store.publish()
    assert [store.get(key) for key in keys] == [key[::-1] for key in keys]
    assert [key for key, _ in store.scan(b"")] == sorted(keys)


def test_scan_is_ordered_and_merges_what_is_not_published(store: Store) -> None:
    for key in (b"b/2", b"a", b"b/1", b"c", b"b"):
        store.put(key, b"old")
    store.publish()
    store.put(b"b/0", b"new")
    store.put(b"b/2", None)
    store.put(b"b/1", b"new")
    assert list(store.scan(b"b/")) == [(b"b/0", b"new"), (b"b/1", b"new")]
    assert [key for key, _ in store.scan(b"")] == [b"a", b"b", b"b/0", b"b/1", b"c"]
    assert list(store.scan(b"x")) == []


def test_scan_is_as_of_the_call(store: Store) -> None:
    store.put(b"a", b"1")
    store.publish()
    found = store.scan(b"")
    store.put(b"a", b"2")
    store.put(b"b", b"2")
    store.publish()
    assert list(found) == [(b"a", b"1")]


def test_publishing_nothing_is_nothing(store: Store) -> None:
    store.publish()
    store.publish()
    assert store.plan_drain() is None
    assert store.plan_sync() is None


def test_work_that_is_done_leaves_no_more_work(store: Store) -> None:
    store.add(*blob(b"to be moved" * 30))
    store.put(b"k", b"v")
    store.publish()
    run(store.plan_sync())
    assert store.plan_sync() is None
    run(store.plan_drain())
    assert store.plan_drain() is None
    assert store.plan_sync() is None
    assert store.stats().pending_bytes == 0


def test_stats_count_objects_and_reads(store: Store) -> None:
    oid, kind, data = blob(b"counted" * 200)
    store.add(oid, kind, data)
    store.publish()
    run(store.plan_drain())
    before = store.stats()
    assert (before.objects, before.logical_bytes) == (1, len(data))
    assert 0 < before.stored_bytes <= len(data)
    store.read(oid, kind)
    after = store.stats()
    assert after.hits + after.misses == before.hits + before.misses + 1


def test_close_twice(store: Store) -> None:
    store.put(b"k", b"v")
    store.publish()
    store.close()
    store.close()


@pytest.fixture(params=["pending", "drained"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    opened: list[LocalStore] = []

    def again() -> Store:
        if opened:
            if request.param == "drained":
                run(opened[-1].plan_drain())
            opened[-1].close()
        opened.append(open_local(tmp_path))
        return opened[-1]

    yield again
    opened[-1].close()


def test_what_was_published_is_there_after_reopen(reopen: Opener) -> None:
    store = reopen()
    kept = [blob(b"version %d " % number * 300) for number in range(20)]
    for number, item in enumerate(kept):
        store.add(*item, base=kept[number - 1][0] if number else None)
        store.put(b"head", item[0])
        store.put(b"n/%02d" % number, b"x")
        store.publish()
    store.put(b"n/03", None)
    store.publish()
    store = reopen()
    assert store.get(b"head") == kept[-1][0]
    assert [key for key, _ in store.scan(b"n/")] == [b"n/%02d" % n for n in range(20) if n != 3]
    for oid, kind, data in kept:
        assert store.contains(oid)
        assert store.read(oid, kind) == data
    store = reopen()
    assert store.get(b"head") == kept[-1][0]


def test_what_was_not_published_is_gone_after_reopen(reopen: Opener) -> None:
    store = reopen()
    published, dropped = blob(b"published"), blob(b"dropped")
    store.add(*published)
    store.put(b"k", b"published")
    store.publish()
    store.add(*dropped)
    store.put(b"k", b"dropped")
    store.put(b"other", b"dropped")
    store = reopen()
    assert store.contains(published[0])
    assert not store.contains(dropped[0])
    assert store.get(b"k") == b"published"
    assert store.get(b"other") is None
