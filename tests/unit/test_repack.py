"""Encoding what stays in less space."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Codec, Encoded
from heliosfs.store.encoding.places import decode_location
from heliosfs.store.gc.repack import Repack
from heliosfs.store.l2.record import Payload
from heliosfs.store.l2.walk import headers
from heliosfs.store.local import LocalStore
from tests.stores import finish, open_local, settle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = open_local(tmp_path)
    yield opened
    opened.close()


def add(store: LocalStore, data: bytes, kind: Kind = Kind.BLOB, base: Oid | None = None) -> Oid:
    oid = object_id(kind, data)
    store.add(oid, kind, data, base)
    return oid


def pack(store: LocalStore, *, keep: list[Oid] | None = None) -> int:
    """Pack, sweep what is not in `keep`, and return how much less the rest takes."""
    store.publish()
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        for oid in keep if keep is not None else []:
            collection.mark(oid)
    finish(collection.plan_pack)
    if keep is not None:
        finish(collection.plan_sweep)
    collection.close()
    return collection.packed_bytes


def records(store: LocalStore) -> list[Payload]:
    with store._l2.reading() as snapshot:
        return [snapshot.payload(each.number) for each in headers(snapshot, 1)]


def body_bytes(payload: Payload) -> int:
    """Return the length of a body; of a large object, that of its bytes in the pack."""
    if payload.codec == Codec.PACKED:
        return decode_location(payload.body)[0].length
    return len(payload.body)


def text(seed: int, lines: int = 300) -> bytes:
    choose = random.Random(seed)
    words = [f"word{choose.randrange(200)}" for _ in range(lines * 6)]
    return "\n".join(" ".join(words[at : at + 6]) for at in range(0, len(words), 6)).encode()


def test_texts_alone_take_less(store: LocalStore) -> None:
    data = [text(seed) for seed in range(12)]
    oids = [add(store, each) for each in data]
    store.publish()
    settle(store)
    before = store.stats()
    saved = pack(store, keep=oids)
    after = store.stats()
    assert saved > before.stored_bytes // 4
    assert after.stored_bytes == before.stored_bytes - saved
    assert (after.objects, after.logical_bytes) == (before.objects, before.logical_bytes)
    assert {each.codec for each in records(store)} == {Codec.ZSTD}
    assert [store.read(oid, Kind.BLOB) for oid in oids] == data
    assert pack(store, keep=oids) == 0


def test_texts_that_are_alike_are_found_without_a_hint(store: LocalStore) -> None:
    first = text(1)
    data = [first.replace(b"word7", b"other%d" % number) for number in range(20)]
    oids = [add(store, each) for each in data]
    pack(store, keep=oids)
    found = records(store)
    deltas = [each for each in found if each.base is not None]
    assert len(deltas) > 12
    assert {each.position for each in deltas} == {1}
    numbers = {each.number: each for each in found}
    assert all(numbers[each.base].base is None for each in deltas if each.base is not None)
    assert [store.read(oid, Kind.BLOB) for oid in oids] == data


def test_chains_keep_their_lengths(store: LocalStore, tmp_path: Path) -> None:
    data = [text(3)]
    for number in range(80):
        line = b"an edit of three hundred bytes, in some words more: %d " % number
        data.append(data[-1][: number * 90] + line * 6 + data[-1][number * 90 :])
    oids: list[Oid] = []
    for each in data:
        oids.append(add(store, each, base=oids[-1] if oids else None))
    store.publish()
    settle(store)
    before = [(each.base, each.position) for each in records(store)]
    pack(store, keep=oids)
    assert [(each.base, each.position) for each in records(store)] == before
    store.close()
    again = open_local(tmp_path)
    assert [again.read(oid, Kind.BLOB) for oid in oids] == data
    again.close()


def test_what_goes_is_not_what_others_are_made_against(store: LocalStore) -> None:
    gone, kept = text(5), text(5) + b"\none line more, and then some"
    add(store, gone)
    oid = add(store, kept)
    pack(store, keep=[oid])
    assert store.stats().objects == 1
    assert store.read(oid, Kind.BLOB) == kept


@pytest.mark.parametrize("size", [3_000, 4_070, 4_080, 9_000, 200_000, 5_000_000])
def test_large_objects_and_those_that_do_not_shrink(store: LocalStore, size: int) -> None:
    some = os.urandom(size)
    other = text(7, size // 40)
    oids = [add(store, some), add(store, other), add(store, os.urandom(100))]
    pack(store, keep=oids)
    assert store.read(oids[0], Kind.BLOB) == some
    assert store.read(oids[1], Kind.BLOB) == other
    newer = add(store, b"added after it" * 10)
    store.publish()
    settle(store)
    assert store.read(newer, Kind.BLOB) == b"added after it" * 10
    total = sum(body_bytes(each) for each in records(store))
    assert total < store.stats().stored_bytes < total + 40 * 4


def test_what_cannot_be_read_again_is_not_written(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = text(9)
    oid = add(store, data)
    monkeypatch.setattr(codecs, "squeeze", lambda data: Encoded(Codec.RAW, data[:-100]))
    with pytest.raises(StoreError, match="cannot be packed"):
        pack(store, keep=[oid])
    monkeypatch.undo()
    assert store.read(oid, Kind.BLOB) == data


def test_only_what_was_there_is_packed(store: LocalStore) -> None:
    """Objects that a drain brings stay: they may still be the end of the last bundle."""
    add(store, text(11))
    store.publish()
    settle(store)
    collection = store.collect()
    work = Repack(store._l2, collection._marks)  # type: ignore[attr-defined]
    late = add(store, text(12))
    store.publish()
    settle(store)
    while not work.is_done:
        work.step()
    collection.close()
    assert store.read(late, Kind.BLOB) == text(12)
    assert records(store)[-1].codec != Codec.ZSTD
