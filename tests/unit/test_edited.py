"""Edited objects: what a small edit of a large one takes until it is in L2, and how it lasts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import NewObject
from heliosfs.store.edited import DEPTH_MAX, EditedObject, decode_edited
from heliosfs.store.l2 import encoder
from heliosfs.store.local import LocalStore
from tests.stores import finish, open_local, run, settle

SIZE = 131_072


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = open_local(tmp_path)
    yield opened
    opened.close()


def begin(store: LocalStore) -> tuple[Oid, bytes]:
    data = os.urandom(SIZE)
    oid = object_id(Kind.BLOB, data)
    store.add(oid, Kind.BLOB, data)
    store.publish()
    settle(store)
    return oid, data


def edit(store: LocalStore, base: Oid, data: bytes, at: int) -> tuple[Oid, bytes]:
    new = os.urandom(4096)
    whole = data[:at] + new + data[at + 4096 :]
    oid = object_id(Kind.BLOB, whole)
    store.add(oid, Kind.BLOB, whole, base, edits=[(at, new)])
    return oid, whole


def test_it_takes_what_was_edited(store: LocalStore, tmp_path: Path) -> None:
    oid, data = begin(store)
    for at in range(0, 8 * 4096, 4096):
        oid, data = edit(store, oid, data, at)
        assert store.read(oid, Kind.BLOB) == data
    store.publish()
    assert store.pending_bytes == 8 * 4096
    left = tmp_path.with_name("left")
    shutil.copytree(tmp_path, left)
    again = open_local(left)
    assert again.read(oid, Kind.BLOB) == data
    assert again.pending_bytes == 0
    again.close()
    settle(store)
    assert store.pending_bytes == 0
    assert store.read(oid, Kind.BLOB) == data


def test_work_for_another_thread_makes_them_too(store: LocalStore) -> None:
    oid, data = begin(store)
    whole = data[:100] + b"edit" + data[104:]
    work = store.plan_add([NewObject(Kind.BLOB, whole, oid, [(100, b"edit")])])
    run(work)
    assert store.pending_bytes == 4
    assert store.read(work.oids[0], Kind.BLOB) == whole


def test_much_that_was_edited_is_whole(store: LocalStore) -> None:
    oid, data = begin(store)
    whole = bytes(SIZE // 2) + data[SIZE // 2 :]
    store.add(object_id(Kind.BLOB, whole), Kind.BLOB, whole, oid, edits=[(0, whole[: SIZE // 2])])
    assert store.pending_bytes == SIZE


def test_a_base_that_is_nowhere_is_none(store: LocalStore) -> None:
    data = os.urandom(SIZE)
    oid = object_id(Kind.BLOB, data)
    store.add(oid, Kind.BLOB, data, object_id(Kind.BLOB, b"nowhere"), edits=[(0, data[:10])])
    assert store.read(oid, Kind.BLOB) == data


def test_a_long_row_of_them_is_broken_by_whole_ones(store: LocalStore) -> None:
    oid, data = begin(store)
    versions = [(oid, data)]
    for number in range(3 * DEPTH_MAX):
        versions.append(edit(store, *versions[-1], number * 4096))
    store.publish()
    whole_count = 3 * DEPTH_MAX // (DEPTH_MAX + 1)
    assert whole_count * SIZE < store.pending_bytes < (whole_count + 1) * SIZE
    for each, data in versions:
        assert store.read(each, Kind.BLOB) == data
    settle(store)
    for each, data in versions:
        assert store.read(each, Kind.BLOB) == data


def test_a_transaction_holds_so_much_of_what_they_make(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "TXN_EDITED_BYTES", 3 * SIZE)
    oid, data = begin(store)
    versions = [edit(store, oid, data, number * 4096) for number in range(10)]
    store.publish()
    work = store.plan_drain()
    assert work is not None
    work.execute()
    assert len(work.slices) == 4  # type: ignore[attr-defined]
    work.apply()
    for each, data in versions:
        assert store.read(each, Kind.BLOB) == data


def test_a_collection_between_the_edit_and_its_publish(store: LocalStore) -> None:
    base, data = begin(store)
    oid, edited = edit(store, base, data, 0)
    collection = store.collect()
    during, other = edit(store, base, data, 8192)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    assert not store.contains(base)
    store.publish()
    for each, whole in ((oid, edited), (during, other)):
        assert store.read(each, Kind.BLOB) == whole
    settle(store)
    for each, whole in ((oid, edited), (during, other)):
        assert store.read(each, Kind.BLOB) == whole


def test_a_collection_after_its_publish(store: LocalStore) -> None:
    base, data = begin(store)
    oid, edited = edit(store, base, data, 0)
    store.publish()
    collection = store.collect()
    with collection.snapshot():
        assert collection.read(oid, Kind.BLOB) == edited
        collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    assert store.read(oid, Kind.BLOB) == edited


def test_one_that_makes_something_else_is_corrupt(store: LocalStore) -> None:
    base, data = begin(store)
    oid = object_id(Kind.BLOB, data[::-1])
    store.add(oid, Kind.BLOB, data[::-1], base, edits=[(0, b"not all of it")])
    with pytest.raises(CorruptObject, match="another id"):
        store.read(oid, Kind.BLOB)


def test_as_the_journal_has_it() -> None:
    base = object_id(Kind.BLOB, b"base")
    edited = EditedObject(base, SIZE, [(0, b""), (5, b"edit"), (70_000, bytes(300))])
    encoded = edited.encode()
    found, end = decode_edited(b"x" + encoded + b"y", 1, SIZE)
    assert (found.base, found.size, found.edits) == (base, SIZE, edited.edits)
    assert end == len(encoded) + 1
