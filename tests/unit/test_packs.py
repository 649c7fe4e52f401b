"""Packs: what is written to them, what is read, and what is left of them after a crash."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heliosfs.errors import CorruptObject, StoreError, StoreFull
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import NewObject
from heliosfs.store.directory import Directory
from heliosfs.store.encoding import packfiles
from heliosfs.store.encoding import packs as packs_module
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode
from heliosfs.store.encoding.large import encode_large
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, Packs
from heliosfs.store.encoding.places import (
    PackLocation,
    PackUse,
    decode_location,
    decode_uses,
    encode_uses,
    with_places,
)
from heliosfs.store.local import LocalStore
from tests.crash.faulty import FaultyDirectory

RANDOM = random.Random(1).randbytes(2 * PACKED_FROM_BYTES)
TEXT = b"a line of text, again and again\n" * 4096


def open_store(path: Path) -> LocalStore:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return LocalStore.open(fd, create=True, cache_bytes=1 << 20)
    finally:
        os.close(fd)


def add(store: LocalStore, *data: bytes) -> list[Oid]:
    """Add objects as a large file adds its parts."""
    work = store.plan_add([NewObject(Kind.BLOB, each) for each in data])
    work.execute()
    work.apply()
    return work.oids


def drain(store: LocalStore) -> None:
    work = store.plan_drain()
    assert work is not None
    work.execute()
    work.apply()


def test_what_cannot_shrink_stays_as_it_is() -> None:
    assert encode_large(RANDOM) == (Codec.RAW, RANDOM)
    codec, body = encode_large(TEXT)
    assert len(body) < len(TEXT) // 10
    assert decode(codec, body, len(TEXT)) == TEXT
    assert encode_large(TEXT, prefer_zstd=True).codec == Codec.ZSTD


def test_places_and_uses_come_back() -> None:
    place = PackLocation(7, 2**40, 131_072, Codec.LZ4)
    assert decode_location(b"x" + place.encode() + b"y", 1) == (place, 1 + len(place.encode()))
    uses = with_places(
        {}, [PackLocation(1, 0, 10, 0), PackLocation(1, 90, 10, 0), PackLocation(2, 5, 5, 0)]
    )
    assert uses == {1: PackUse(100, 20), 2: PackUse(10, 5)}
    assert decode_uses(encode_uses(uses)) == uses
    assert decode_uses(b"") == {}


def test_a_large_object_takes_no_memory_and_is_written_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    parts = [random.Random(number).randbytes(128 * 1024) for number in range(8)]
    oids = add(store, *parts)
    assert store.pending_bytes == 0
    store.publish()
    drain(store)
    assert store.memory_bytes < 10_000
    assert (tmp_path / "pack-1").stat().st_size == sum(map(len, parts))
    for oid, data in zip(oids, parts, strict=True):
        assert store.read(oid, Kind.BLOB) == data
    add(store, *parts)
    assert (tmp_path / "pack-1").stat().st_size == sum(map(len, parts))
    store.close()
    store = open_store(tmp_path)
    assert [store.read(oid, Kind.BLOB) for oid in oids] == parts
    store.close()


def test_a_version_of_a_packed_object_is_a_delta_to_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (first,) = add(store, RANDOM)
    store.publish()
    for is_drained in (False, True):
        changed = RANDOM[:500] + b"changed %d" % is_drained + RANDOM[500:]
        oid = object_id(Kind.BLOB, changed)
        store.add(oid, Kind.BLOB, changed, first)
        store.publish()
        drain(store)
        assert store.read(oid, Kind.BLOB) == changed
    assert store.stats().stored_bytes < len(RANDOM) + 500
    store.close()


def test_a_version_of_what_is_damaged_is_stored_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (first,) = add(store, RANDOM)
    changed = RANDOM[:500] + b"changed" + RANDOM[500:]
    oid = object_id(Kind.BLOB, changed)
    store.add(oid, Kind.BLOB, changed, first)
    store.publish()
    with open(tmp_path / "pack-1", "r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    drain(store)
    assert store.read(oid, Kind.BLOB) == changed
    assert store.stats().stored_bytes > 2 * len(RANDOM)
    store.close()


def test_what_was_never_published_is_cut_off_at_the_next_open(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (oid,) = add(store, RANDOM)
    store.publish()
    add(store, TEXT, RANDOM + b"more")
    store.close()
    assert (tmp_path / "pack-1").stat().st_size > 2 * len(RANDOM)
    store = open_store(tmp_path)
    assert (tmp_path / "pack-1").stat().st_size == len(RANDOM)
    assert store.read(oid, Kind.BLOB) == RANDOM
    (text,) = add(store, TEXT)
    store.publish()
    store.close()
    store = open_store(tmp_path)
    assert store.read(text, Kind.BLOB) == TEXT
    store.close()


def test_a_pack_of_which_nothing_was_published_is_deleted(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    add(store, RANDOM)
    store.close()
    open_store(tmp_path).close()
    assert not list(tmp_path.glob("pack-*"))


def test_packs_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs_module, "PACK_MAX_BYTES", 100_000)
    monkeypatch.setattr(packfiles, "_OPEN_MAX", 3)
    store = open_store(tmp_path)
    parts = [random.Random(number).randbytes(70_000) for number in range(12)]
    oids = add(store, *parts)
    store.publish()
    assert len(list(tmp_path.glob("pack-*"))) == 6
    for again in range(2):
        assert [store.read(oid, Kind.BLOB) for oid in oids] == parts
        if not again:
            drain(store)
    store.close()


@pytest.mark.parametrize("is_drained", [False, True])
@pytest.mark.parametrize("harm", ["flip", "cut", "lose"])
def test_damage_is_told(tmp_path: Path, harm: str, *, is_drained: bool) -> None:
    store = open_store(tmp_path)
    (oid,) = add(store, RANDOM)
    store.publish()
    if is_drained:
        drain(store)
    pack = tmp_path / "pack-1"
    if harm == "flip":
        with open(pack, "r+b") as file:
            file.seek(5000)
            file.write(b"damage")
    elif harm == "cut":
        os.truncate(pack, 5000)
    else:
        os.unlink(pack)
        store._l2.packs.close()
    with pytest.raises(CorruptObject, match=oid.hex()):
        store.read(oid, Kind.BLOB)


def test_a_full_disk_is_told_and_the_place_used_again(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.ENOSPC)
    packs = Packs(directory)
    first = packs.append(encode_large(RANDOM))
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreFull):
        packs.append(encode_large(TEXT))
    again = packs.append(encode_large(TEXT))
    assert again.offset == first.offset + first.length
    packs.sync()
    with pytest.raises(DecodeError):
        packs.read(PackLocation(1, again.offset + 1, again.length, 0))
    packs.close()
    directory.close()


def test_after_a_sync_that_failed_nothing_is_taken(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.EIO)
    packs = Packs(directory)
    packs.append(encode_large(RANDOM))
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreError, match="a sync of the store failed"):
        packs.sync()
    with pytest.raises(StoreError, match="a sync of the store failed"):
        packs.append(encode_large(TEXT))
    packs.close()
    directory.close()


def test_a_sync_that_cannot_begin_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs_module, "PACK_MAX_BYTES", 1)
    directory = FaultyDirectory(tmp_path, 1 << 30)
    packs = Packs(directory)
    packs.append(encode_large(RANDOM))
    packs.append(encode_large(TEXT))
    before = os.listdir("/proc/self/fd")
    duplicated: list[int] = []

    def dup(fd: int) -> int:
        if duplicated:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        duplicated.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0))
        return duplicated[0]

    with monkeypatch.context() as scarce, pytest.raises(StoreError, match="too many open files"):
        scarce.setattr(os, "dup", dup)
        packs.sync()
    assert duplicated
    assert os.listdir("/proc/self/fd") == before
    packs.sync()
    packs.close()
    directory.close()


class _HeldDirectory(Directory):
    """A directory whose syncs wait until they are let go."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        super().__init__(fd)
        os.close(fd)
        self.begun, self.go = threading.Event(), threading.Event()
        self.synced: list[str] = []

    def sync(self, fd: int, *, forgets: bool = False) -> None:
        self.begun.set()
        assert self.go.wait(30)
        super().sync(fd)
        self.synced.append(os.readlink(f"/proc/self/fd/{fd}"))


def test_a_sync_beside_another_one_waits_for_the_disk_too(tmp_path: Path) -> None:
    """Data with which a sync has begun is not on the disk before that sync returned."""
    directory = _HeldDirectory(tmp_path)
    packs = Packs(directory)
    packs.append(encode_large(RANDOM))
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(packs.sync)
        assert directory.begun.wait(30)
        directory.begun.clear()
        other = threads.submit(packs.sync)
        assert directory.begun.wait(30), "the second one found nothing to do"
        assert not other.done()
        packs.append(encode_large(TEXT))
        directory.go.set()
        one.result(30)
        other.result(30)
    assert len(directory.synced) == 4
    # What was appended while they ran is nobody's yet.
    sync = packs.begin_sync()
    assert len(sync.fds) == 1
    assert not sync.names
    for fd in sync.fds:
        os.close(fd)
    packs.sync()
    assert packs.begin_sync().fds == []
    packs.close()
    directory.close()
