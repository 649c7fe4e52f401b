"""Behaviour of a repository's store beyond the contract."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lmdb.verify import verify

from heliosfs.errors import CorruptObject, NotFound, StoreBusy, StoreError, StoreFormat
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.base import BatchSeen
from heliosfs.store.directory import Directory
from heliosfs.store.l2 import database as lmdbstore
from heliosfs.store.l2 import environment
from heliosfs.store.l2.environment import FILE
from heliosfs.store.layout import is_closed_cleanly
from heliosfs.store.local import LocalStore
from heliosfs.store.rescue import DamagedStore


def open_store(path: Path, *, create: bool = True, cache_bytes: int = 1 << 20) -> LocalStore:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return LocalStore.open(fd, create=create, cache_bytes=cache_bytes)
    finally:
        os.close(fd)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


def add(store: LocalStore, data: bytes, base: Oid | None = None, kind: Kind = Kind.BLOB) -> Oid:
    oid = object_id(kind, data)
    store.add(oid, kind, data, base)
    return oid


def run(work: Work | None) -> None:
    assert work is not None
    work.execute()
    work.apply()


def drain(store: LocalStore) -> None:
    store.publish()
    run(store.plan_drain())


def forget(store: LocalStore) -> None:
    """Empty L1."""
    store.tune(0, prefer_zstd=False)
    store.tune(1 << 20, prefer_zstd=False)


def versions(count: int, size: int = 11_000) -> list[bytes]:
    made = random.Random(7)
    data = bytearray(made.randbytes(size))
    found = []
    for number in range(count):
        at = made.randrange(size - 8)
        data[at : at + 8] = b"%08d" % number
        found.append(bytes(data))
    return found


def test_there_is_no_store_where_none_was_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no heliosfs store"):
        open_store(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_made_beside_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "journal-of-mine").write_text("mine too")
    open_store(tmp_path).close()
    open_store(tmp_path, create=False).close()
    assert (tmp_path / "format").read_text() == "heliosfs store\nversion 3\n"
    assert (tmp_path / "notes").read_text() == "mine"
    assert (tmp_path / "journal-of-mine").read_text() == "mine too"


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_format_is_refused_and_says_what_to_do(tmp_path: Path, *, create: bool) -> None:
    open_store(tmp_path).close()
    (tmp_path / "format").write_text("heliosfs store\nversion 7\n")
    with pytest.raises(StoreFormat, match=r"format 7.*knows formats 1 to 6.*newer heliosfs"):
        open_store(tmp_path, create=create)


@pytest.mark.parametrize("text", ["", "tar", "heliosfs store\nversion x\n"])
def test_a_format_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "format").write_text(text)
    with pytest.raises(StoreFormat, match="not that of a heliosfs store"):
        open_store(tmp_path)


def test_nobody_reads_the_files_of_a_store_that_is_open(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    directory = Directory(fd)
    before = os.listdir("/proc/self/fd")
    for look in (lambda: DamagedStore(fd), lambda: is_closed_cleanly(directory)):
        with pytest.raises(StoreBusy, match="a process has the store open: unmount it first"):
            look()
    assert os.listdir("/proc/self/fd") == before
    store.close()
    assert is_closed_cleanly(directory)
    damaged = DamagedStore(fd)
    with pytest.raises(StoreBusy):
        open_store(tmp_path)
    damaged.close()
    open_store(tmp_path).close()
    directory.close()
    os.close(fd)


def test_an_open_store_is_busy_and_names_its_process(tmp_path: Path, store: LocalStore) -> None:
    with pytest.raises(StoreBusy, match=f"process {os.getpid()} has the store open"):
        open_store(tmp_path)
    store.close()
    open_store(tmp_path).close()


def test_a_store_is_busy_for_another_process(tmp_path: Path, store: LocalStore) -> None:
    script = (
        "import os, sys\n"
        "from heliosfs.errors import StoreBusy\n"
        "from heliosfs.store.local import LocalStore\n"
        "try:\n"
        "    LocalStore.open(os.open(sys.argv[1], os.O_RDONLY))\n"
        "except StoreBusy as error:\n"
        "    print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert answer.stdout == f"process {os.getpid()} has the store open\n"


def test_a_store_that_failed_to_open_lets_go(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(b"damaged" * 3_000)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StoreError):
        open_store(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    (tmp_path / FILE).write_bytes(content)
    open_store(tmp_path).close()


def test_a_closed_store_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = open_store(tmp_path)
    for number in range(5):
        add(store, b"%d" % number * 100)
        store.publish()
        run(store.plan_sync())
        run(store.plan_drain())
    add(store, b"the last")
    store.publish()
    store.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_the_first_read_goes_to_l2(store: LocalStore) -> None:
    ids = [add(store, data) for data in versions(3)]
    store.read(ids[0], Kind.BLOB)
    drain(store)
    store.read(ids[1], Kind.BLOB)
    stats = store.stats()
    assert (stats.hits, stats.misses) == (2, 0)
    assert stats.cache_bytes > 0
    forget(store)
    store.read(ids[2], Kind.BLOB)
    store.read(ids[2], Kind.BLOB)
    stats = store.stats()
    assert (stats.hits, stats.misses) == (3, 1)


@pytest.mark.parametrize("every", [1, 10, 600])
def test_versions_are_small_and_chains_short(store: LocalStore, every: int) -> None:
    data = versions(600)
    base = None
    for number, content in enumerate(data, 1):
        base = add(store, content, base)
        if number % every == 0:
            drain(store)
    whole = 3 * len(data[0])
    assert store.stats().stored_bytes < whole + 600 * 60
    l2 = store._l2
    # Whole chains, without what was decoded before.
    l2.bases.capacity_bytes = 0
    l2.bases.known.clear()
    depths = []
    for content in data:
        found = l2.load(object_id(Kind.BLOB, content))
        assert found is not None
        depths.append(len(found[0]) - 1)
    assert max(depths) == 30
    assert depths[:18] == [*range(16), 1, 2]
    assert depths[256] == depths[512] == 0


def test_a_commit_brings_its_ancestors(store: LocalStore) -> None:
    """They were decoded with it, and a walk reads them next: one read of L2 for sixteen."""
    commits: list[Oid] = []
    for number in range(64):
        data = b"commit %d of a long line of commits" % number + bytes(100)
        commits.append(add(store, data, commits[-1] if commits else None, Kind.COMMIT))
        drain(store)
    forget(store)
    before = store.stats().misses
    for number, oid in reversed(list(enumerate(commits))):
        assert store.read(oid, Kind.COMMIT).startswith(b"commit %d of" % number)
    assert store.stats().misses - before <= 5


def test_versions_that_branch_off(store: LocalStore) -> None:
    data = versions(20)
    ids: list[Oid] = []
    for content in data:
        ids.append(add(store, content, ids[-1] if ids else None))
    drain(store)
    branches = []
    for oid, content in zip(ids, data, strict=True):
        edited = content + b"of a branch"
        branches.append((add(store, edited, oid), edited))
    drain(store)
    forget(store)
    for oid, content in (*zip(ids, data, strict=True), *branches):
        assert store.read(oid, Kind.BLOB) == content


def test_a_damaged_base_is_not_built_upon(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    first = b"a first version " + os.urandom(1_500)
    base = add(store, first)
    store.publish()
    store.close()
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    content[content.index(first[500:600])] ^= 1
    path.write_bytes(content)
    store = open_store(tmp_path)
    second = first + b"more"
    oid = add(store, second, base)
    drain(store)
    forget(store)
    assert store.read(oid, Kind.BLOB) == second
    with pytest.raises(CorruptObject, match=base.hex()):
        store.read(base, Kind.BLOB)
    store.close()


def test_a_damaged_object_is_sound_once_it_is_added_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    data = b"what is wanted back " + os.urandom(1_500)
    oid = add(store, data)
    commit = add(store, data, kind=Kind.COMMIT)
    store.publish()
    store.close()
    path = tmp_path / FILE
    content = path.read_bytes()
    path.write_bytes(content.replace(data[500:600], bytes(100)))
    store = open_store(tmp_path)
    for each, kind in ((oid, Kind.BLOB), (commit, Kind.COMMIT)):
        with pytest.raises(CorruptObject, match=each.hex()):
            store.read(each, kind)
        add(store, data, kind=kind)
        drain(store)
        forget(store)
        assert store.read(each, kind) == data
    store.close()
    store = open_store(tmp_path)
    assert store.read(oid, Kind.BLOB) == data
    assert store.stats().objects == 4
    store.close()


@pytest.mark.parametrize("recent_max", [0, 5, 12, 100])
def test_objects_are_found_after_reopening_wherever_they_are_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recent_max: int
) -> None:
    monkeypatch.setattr(lmdbstore, "RECENT_MAX", recent_max)
    kept: dict[Oid, bytes] = {}
    base = None
    for turn in range(6):
        store = open_store(tmp_path)
        for content in versions(15, 3_000 + turn):
            base = add(store, content, base)
            kept[base] = content
            if len(kept) % 4 == 0:
                drain(store)
        store.publish()
        store.close()
    store = open_store(tmp_path)
    for oid, content in kept.items():
        assert store.read(oid, Kind.BLOB) == content
    assert store.stats().objects == len(kept)
    store.close()


def test_a_file_with_free_pages_is_copied_when_it_is_closed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(40):
        store.put(b"key", os.urandom(100_000))
        store.put(b"n/%d" % number, b"%d" % number)
        drain(store)
    oid = add(store, b"an object" * 1_000)
    drain(store)
    before = (tmp_path / FILE).stat().st_size
    store.close()
    assert (tmp_path / FILE).stat().st_size < before / 2
    assert sorted(os.listdir(tmp_path)) == ["format", "lock", FILE, "witness"]
    assert verify(str(tmp_path / FILE)) == []
    store = open_store(tmp_path)
    assert len(list(store.scan(b"n/"))) == 40
    assert store.read(oid, Kind.BLOB) == b"an object" * 1_000
    inode = (tmp_path / FILE).stat().st_ino
    store.close()
    assert (tmp_path / FILE).stat().st_ino == inode


def test_state_that_changes_during_a_drain_stays_newer(store: LocalStore) -> None:
    for key in (b"published", b"gathered", b"left", b"removed"):
        store.put(key, b"1")
    store.publish()
    work = store.plan_drain()
    store.put(b"published", b"2")
    store.put(b"removed", None)
    store.publish()
    store.put(b"gathered", b"2")
    run(work)
    expected = {b"gathered": b"2", b"left": b"1", b"published": b"2"}
    assert dict(store.scan(b"")) == expected
    drain(store)
    assert dict(store.scan(b"")) == expected


def test_an_object_added_again_during_a_drain(store: LocalStore) -> None:
    oid = add(store, b"wanted twice" * 20)
    store.publish()
    work = store.plan_drain()
    add(store, b"wanted twice" * 20)
    store.publish()
    run(work)
    assert store.plan_drain() is None
    assert store.read(oid, Kind.BLOB) == b"wanted twice" * 20
    assert store.stats().objects == 1


def test_a_sync_planned_before_a_drain_that_freed_its_segments(store: LocalStore) -> None:
    works = []
    for number in range(6):
        add(store, b"%d" % number * 50)
        store.publish()
        works.append(store.plan_sync())
        run(store.plan_drain())
    for work in works:
        run(work)
    assert store.plan_sync() is None


def test_the_owner_works_on_while_a_thread_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads go on while the map grows; what is read is what was added."""
    monkeypatch.setattr(environment, "MAP_BYTES", 512 * 1024)
    store = open_store(tmp_path, cache_bytes=0)
    kept: list[tuple[Oid, bytes]] = []
    source = random.Random(1)
    for _ in range(8):
        for _ in range(20):
            data = source.randbytes(20_000)
            kept.append((add(store, data, kept[-1][0] if kept else None), data))
        store.publish()
        work = store.plan_drain()
        assert work is not None
        thread = threading.Thread(target=work.execute)
        thread.start()
        while thread.is_alive():
            oid, data = source.choice(kept)
            assert store.read(oid, Kind.BLOB) == data
            assert store.contains(oid)
            add(store, source.randbytes(100))
            store.put(b"turn", oid)
            store.publish()
            assert store.get(b"turn") == oid
        thread.join()
        work.apply()
    store.close()
    store = open_store(tmp_path)
    for oid, data in kept:
        assert store.read(oid, Kind.BLOB) == data
    store.close()


def test_a_close_waits_for_the_drain_of_a_thread(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    ids = [add(store, data) for data in versions(100)]
    store.publish()
    work = store.plan_drain()
    assert work is not None
    thread = threading.Thread(target=work.execute)
    thread.start()
    store.close()
    thread.join(30)
    assert not thread.is_alive()
    work.apply()
    store = open_store(tmp_path)
    assert all(store.contains(oid) for oid in ids)
    store.close()


@pytest.mark.parametrize(
    "name", ["lock", "format.new", "store.lmdb", "store.lmdb-lock", "store.lmdb.new", "journal-1"]
)
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo"])
def test_no_file_of_a_store_is_followed_elsewhere(tmp_path: Path, name: str, kind: str) -> None:
    """A directory that somebody else made must not have the user's files written over."""
    precious = tmp_path / "precious"
    precious.write_text("of the user\n")
    store = tmp_path / "store"
    store.mkdir()
    if kind == "fifo":
        os.mkfifo(store / name)
    else:
        os.symlink("../precious" if kind == "link" else "../nothing", store / name)
    fd = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(StoreError):
            LocalStore.open(fd, create=True).close()
    finally:
        os.close(fd)
    assert precious.read_text() == "of the user\n"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["lock", "format", "store.lmdb"])
def test_no_file_of_another_user_is_taken_for_the_store_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A user who may write to the directory of a store, but does not own it, adds nothing to it."""
    open_store(tmp_path).close()
    other = os.geteuid() + 12345
    (inode,) = {path.stat().st_ino for path in tmp_path.rglob(name)}

    def foreign(real: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def status(*place: Any, **options: Any) -> os.stat_result:
            found = list(real(*place, **options))
            found[4] = other if found[1] == inode else found[4]
            return os.stat_result(found)

        return status

    monkeypatch.setattr(os, "fstat", foreign(os.fstat))
    monkeypatch.setattr(os, "stat", foreign(os.stat))
    with pytest.raises(StoreError, match=f"{name} in the store belongs to another user"):
        open_store(tmp_path)


def test_a_record_calls_safe_what_a_sync_has_returned_for(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put(b"a", b"1")
    store.publish()
    work = store.plan_sync()
    store.put(b"a", b"2")
    store.publish()
    run(work)
    store.put(b"a", b"3")
    store.publish()
    batches = [each for each in store.inspect().journal() if isinstance(each, BatchSeen)]
    assert [(batch.number, batch.durable) for batch in batches] == [(1, 0), (2, 0), (3, 1)]
    store.close()


def test_what_a_drain_did_not_move_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = open_store(tmp_path / "store")
    for number in range(3):
        store.put(b"%d" % number, b"here")
        store.publish()
        work = store.plan_drain()
        assert work is not None
        work.apply()
    shutil.copytree(tmp_path / "store", tmp_path / "left")
    store.close()
    left = open_store(tmp_path / "left")
    assert [key for key, _ in left.scan(b"")] == [b"0", b"1", b"2"]
    left.close()
