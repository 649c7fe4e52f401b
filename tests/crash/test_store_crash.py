"""A process that dies at any write of the store, a disk that fails at any, and what is left."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lmdb.verify import verify

from heliosfs.errors import StoreError, StoreFull
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.l2 import database as lmdbstore
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from tests.crash.faulty import Died, FaultyDirectory


class Scenario:
    """A life of a store, and what it was promised on the way."""

    def __init__(self) -> None:
        self.objects: dict[Oid, bytes] = {}
        self.state: dict[bytes, bytes | None] = {}
        self.published = 0
        """Of batches whose publish returned."""
        self.trying = 0
        self.synced = 0
        """Of batches that a sync or a drain made safe from a power cut."""

    @staticmethod
    def blob(number: int) -> bytes:
        return b"line\n" * 300 + b"edit %d\n" % number + b"tail\n" * 300

    @staticmethod
    def large(number: int) -> bytes:
        """What lies in a pack; of every third, what nothing can compress."""
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
        """As a part of a large file is saved of which little was written since."""
        data, edits = self.edited(number)
        base = object_id(Kind.BLOB, self.edited(number - 1)[0])
        if number == 1:
            before = self.edited(0)[0]
            store.add(base, Kind.BLOB, before)
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data, base, edits=edits)

    def add_large(self, store: LocalStore, number: int) -> None:
        """As written parts of a large file come, from another thread; some with a base."""
        base = object_id(Kind.BLOB, self.large(number - 1)) if number % 4 == 0 else None
        work = store.plan_add([NewObject(Kind.BLOB, self.large(number), base)])
        try:
            work.execute()
        finally:
            work.apply()

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
        store.close()
        self.synced = self.published

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
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        store = LocalStore.open(fd, create=True, cache_bytes=1 << 20)
    finally:
        os.close(fd)
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
    store.close()
    assert verify(str(path / FILE)) == []
    assert not [name for name in os.listdir(path) if name.startswith("journal-")]


def steps() -> Iterator[int]:
    """As many as the scenario has; the tests below check that the last one completes it."""
    yield from range(1, 400)


def die_at(path: Path, step: int, scenario: Scenario) -> FaultyDirectory | None:
    """Run until the death at a step, and leave the files as they are; None when it completed."""
    path.mkdir()
    directory = FaultyDirectory(path, step)
    try:
        scenario.run(directory)
    except Died:
        return directory
    return None


def after_death(path: Path) -> Path:
    """The files as the next process finds them; the dead one's are still open here."""
    left = path.with_name(path.name + "-left")
    shutil.copytree(path, left)
    return left


def test_death_at_every_step(tmp_path: Path) -> None:
    for step in steps():
        scenario = Scenario()
        path = tmp_path / f"{step}"
        died = die_at(path, step, scenario)
        check(after_death(path) if died else path, scenario, scenario.published)
        if died is None:
            assert step > 30
            return
    pytest.fail("the scenario did not complete")


def test_power_loss_at_every_step(tmp_path: Path) -> None:
    """As death, and of the journal and the packs only what was synced is left."""
    for step in steps():
        scenario = Scenario()
        path = tmp_path / f"{step}"
        died = die_at(path, step, scenario)
        if died is None:
            return
        left = after_death(path)
        for file in (*left.glob("journal-*"), *left.glob("pack-*")):
            os.truncate(file, died.sizes.get(file.name, 0))
        check(left, scenario, scenario.synced)
    pytest.fail("the scenario did not complete")


def test_death_at_every_step_of_the_recovery(tmp_path: Path) -> None:
    scenario = Scenario()
    first = tmp_path / "first"
    assert die_at(first, 30, scenario) is not None
    left = after_death(first)
    for step in steps():
        path = tmp_path / f"{step}"
        shutil.copytree(left, path)
        directory = FaultyDirectory(path, step)
        try:
            LocalStore(directory).close()
        except Died:
            check(after_death(path), scenario, scenario.published)
        else:
            assert step > 4
            return
    pytest.fail("the recovery did not complete")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failure_at_every_step(tmp_path: Path, error: int) -> None:
    """An error is told, nothing that was promised is lost, and the next open works."""
    for step in steps():
        scenario = Scenario()
        path = tmp_path / f"{step}"
        path.mkdir()
        directory = FaultyDirectory(path, step, error)
        told: StoreError | None = None
        try:
            scenario.run(directory)
        except StoreError as caught:
            told = caught
        # After a sync that failed it is not known what there is room for.
        wanted = error if directory.failure is None else errno.EIO
        assert told is None or told.errno == wanted
        check(after_death(path), scenario, scenario.published)
        if directory.count < step:
            assert told is None
            return
    pytest.fail("the scenario did not complete")


def open_store(path: Path) -> LocalStore:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return LocalStore.open(fd, create=True, cache_bytes=1 << 20)
    finally:
        os.close(fd)


def test_a_drain_that_failed_is_made_again(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.ENOSPC)
    store = LocalStore(directory, create=True)
    scenario = Scenario()
    for number in (1, 2):
        scenario.publish(store, number)
    work = store.plan_drain()
    assert work is not None
    assert store.plan_drain() is None
    scenario.publish(store, 3)
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreFull):
        work.execute()
    work.apply()
    assert store.stats().objects == 0
    assert store.get(b"head") == b"3"
    scenario.publish(store, 4)
    work = store.plan_drain()
    assert work is not None
    work.execute()
    work.apply()
    assert store.plan_drain() is None
    assert store.stats().objects == 17
    assert store.stats().pending_bytes == 0
    assert store.get(b"head") == b"4"
    store.close()
    check(tmp_path, scenario, 4)


def test_a_close_during_a_drain_that_never_ran(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    scenario = Scenario()
    scenario.publish(store, 1)
    work = store.plan_drain()
    assert work is not None
    scenario.publish(store, 2)
    store.close()
    work.execute()
    work.apply()
    check(tmp_path, scenario, 2)


def test_a_sync_that_failed_ends_publishing(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.EIO)
    store = LocalStore(directory, create=True)
    scenario = Scenario()
    scenario.publish(store, 1)
    work = store.plan_sync()
    assert work is not None
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreError, match="a sync of the store failed"):
        work.execute()
    work.apply()
    # The disk answers again; but what it has lost is not known.
    for _ in range(2):
        with pytest.raises(StoreError, match="what reached the disk is not known"):
            store.plan_sync()
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        scenario.publish(store, 2)
    drain = store.plan_drain()
    assert drain is not None
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        drain.execute()
    drain.apply()
    assert store.get(b"head") == b"1"
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        store.close()
    check(tmp_path, scenario, 1)


@pytest.mark.parametrize("draining", [False, True])
def test_a_publish_that_failed_takes_its_state_back(tmp_path: Path, *, draining: bool) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.ENOSPC)
    store = LocalStore(directory, create=True)
    scenario = Scenario()
    scenario.publish(store, 1)
    work = store.plan_drain() if draining else None
    scenario.add_large(store, 2)
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreFull):
        scenario.publish(store, 2)
    assert dict(store.scan(b"")) == {b"head": b"1", b"last/1": b"here"}
    assert store.get(b"last/2") is None
    tree = b"tree 2"
    assert store.read(object_id(Kind.TREE, tree), Kind.TREE) == tree
    scenario.publish(store, 2)
    if work is not None:
        work.execute()
        work.apply()
    assert store.get(b"head") == b"2"
    check(after_death(tmp_path), scenario, 2)
    store.close()


def test_the_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdbstore, "MAP_BYTES", 256 * 1024)
    store = open_store(tmp_path)
    kept = []
    for _ in range(60):
        data = os.urandom(PACKED_FROM_BYTES - 1_000)
        oid = object_id(Kind.BLOB, data)
        kept.append((oid, data))
        store.add(oid, Kind.BLOB, data)
        store.publish()
        work = store.plan_drain()
        assert work is not None
        work.execute()
        work.apply()
    store.close()
    store = open_store(tmp_path)
    for oid, data in kept:
        assert store.read(oid, Kind.BLOB) == data
    store.close()


def damage(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_a_damaged_payload_is_reported_and_never_returned(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    data = os.urandom(3_000)
    oid = object_id(Kind.BLOB, data)
    store.add(oid, Kind.BLOB, data)
    store.publish()
    store.close()

    def flip(content: bytearray) -> None:
        content[content.index(data[1_000:1_100])] ^= 1

    damage(tmp_path / FILE, flip)
    store = open_store(tmp_path)
    assert store.contains(oid)
    for _ in range(2):
        with pytest.raises(StoreError, match=oid.hex()):
            store.read(oid, Kind.BLOB)
    store.close()


def test_a_database_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for _ in range(300):
        data = os.urandom(1_000)
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data)
    store.publish()
    store.close()
    os.truncate(tmp_path / FILE, 100_000)
    with pytest.raises(StoreError, match="is damaged: page"):
        open_store(tmp_path)


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    (tmp_path / FILE).write_bytes(b"not a database" * 1_000)
    with pytest.raises(StoreError, match=f"{FILE} is damaged: neither of the two meta pages"):
        open_store(tmp_path)


def test_death_of_a_process(tmp_path: Path) -> None:
    """A child that is gone in the middle of its work, without any clean-up."""
    scenario = Scenario()
    child = os.fork()
    if not child:
        try:
            store = open_store(tmp_path)
            for number in range(1, 6):
                scenario.publish(store, number)
            store.put(b"head", b"never published")
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    scenario.published = scenario.trying = 5
    check(tmp_path, scenario, 5)
