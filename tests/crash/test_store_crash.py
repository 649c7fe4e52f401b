"""A process that dies at any write of the store, a disk that fails at any, and what is left."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import heliosfs
from heliosfs.errors import StoreError, StoreFull
from heliosfs.objects.ids import Kind, object_id
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.l2 import encoder, environment
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from heliosfs.workspace.inodes import BLOCK_COUNT, InodeTable
from tests.crash.faulty import Died, FaultyDirectory, UnwritableDirectory
from tests.crash.scenario import Scenario, after_death, check, check_open
from tests.stores import open_local


def steps() -> Iterator[int]:
    """Yield as many steps as the scenario has; tests check that the last one completes it."""
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


@pytest.mark.parametrize("per_transaction", [encoder.TXN_OBJECTS, 3])
def test_death_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_transaction: int
) -> None:
    """The steps include those between the transactions of one drain."""
    monkeypatch.setattr(encoder, "TXN_OBJECTS", per_transaction)
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
    """The process dies, and of the journal and the packs only what was synced is left."""
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
        is_known = directory.failure is None or "read-only since the mount" in str(told)
        wanted = error if is_known else errno.EIO
        assert told is None or told.errno == wanted
        check(after_death(path), scenario, scenario.published)
        if directory.count < step:
            assert told is None
            return
    pytest.fail("the scenario did not complete")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_killed_store_on_a_disk_that_takes_nothing_is_read(tmp_path: Path, error: int) -> None:
    """From whichever step of the open on: all is there, and a publish is refused."""
    scenario = Scenario()
    first = tmp_path / "first"
    assert die_at(first, 30, scenario) is not None
    assert scenario.published
    left = after_death(first)
    refused = 0
    for step in steps():
        path = tmp_path / f"{step}"
        shutil.copytree(left, path)
        directory = UnwritableDirectory(path, step, error)
        store = LocalStore(directory)
        if store.refusal is None:
            assert step > 4
            break
        refused += 1
        assert (store.refusal.errno, "read-only" in str(store.refusal)) == (
            errno.EROFS if error == errno.EROFS else errno.ENOSPC,
            True,
        )
        check_open(store, scenario, scenario.published)
        count = directory.count
        store.put(b"head", b"x")
        with pytest.raises(type(store.refusal), match="read-only since the mount"):
            store.publish()
        with pytest.raises(type(store.refusal)):
            store.collect()
        assert store.plan_drain() is None
        if directory.failure is None:
            assert store.plan_sync() is None
        store.close()
        # The lock gets the pid back that it had.
        assert directory.count - count <= 1
        check(path, scenario, scenario.published)
    else:
        pytest.fail("the open did not complete")
    assert refused > 3


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


def test_state_that_changes_during_a_drain_that_fails_stays_newer(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.ENOSPC)
    store = LocalStore(directory, create=True)
    for key in (b"changed", b"removed", b"left"):
        store.put(key, b"old")
    store.publish()
    work = store.plan_drain()
    assert work is not None
    store.put(b"changed", b"new")
    store.put(b"removed", None)
    store.publish()
    directory.fail_at = directory.count + 1
    with pytest.raises(StoreFull):
        work.execute()
    work.apply()
    expected = {b"changed": b"new", b"left": b"old"}
    for _ in range(2):
        assert dict(store.scan(b"")) == expected
        work = store.plan_drain()
        if work is not None:
            work.execute()
            work.apply()
    store.close()
    store = open_local(tmp_path)
    assert dict(store.scan(b"")) == expected
    store.close()


def test_a_close_during_a_drain_that_never_ran(tmp_path: Path) -> None:
    store = open_local(tmp_path)
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
    # Nor is a batch taken of which nothing is in a pack.
    store.put(b"head", b"2")
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        store.publish()
    drain = store.plan_drain()
    assert drain is not None
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        drain.execute()
    drain.apply()
    assert store.get(b"head") == b"1"
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        store.close()
    check(tmp_path, scenario, 1)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("is_closed", [True, False])
def test_an_open_that_fails_at_any_step_leaves_no_file_open(
    tmp_path: Path, error: int, *, is_closed: bool
) -> None:
    (tmp_path / "store").mkdir()
    store = open_local(tmp_path / "store")
    Scenario().publish(store, 1)
    if is_closed:
        store.close()
    for step in range(1, 100):
        path = tmp_path / f"{step}"
        shutil.copytree(tmp_path / "store", path)
        directory = FaultyDirectory(path, step, error)
        before = set(os.listdir("/proc/self/fd"))
        with suppress(StoreError):
            LocalStore(directory).close()
        # The directory's own was open before.
        assert len(os.listdir("/proc/self/fd")) == len(before) - 1
        if directory.count < step:
            assert step > 8
            store.close()
            return
    pytest.fail("the store did not open")


@pytest.mark.parametrize("step", [3, 5], ids=["its bytes", "its name"])
def test_a_sync_of_a_file_beside_that_failed_ends_publishing(tmp_path: Path, step: int) -> None:
    """The directory's sync is about the names of the store, too."""
    directory = FaultyDirectory(tmp_path, 1 << 30, errno.EIO)
    store = LocalStore(directory, create=True)
    scenario = Scenario()
    scenario.publish(store, 1)
    table = InodeTable()
    table.go_on(store.file_beside("inodes"))
    directory.fail_at = directory.count + step
    # Files stay readable.
    assert [table.allocate() for _ in range(BLOCK_COUNT + 1)][-1] == BLOCK_COUNT + 1
    assert directory.count == directory.fail_at
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        store.plan_sync()
    with pytest.raises(StoreError, match="what reached the disk is not known"):
        scenario.publish(store, 2)
    table.end()
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
    monkeypatch.setattr(environment, "MAP_BYTES", 256 * 1024)
    store = open_local(tmp_path)
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
    store = open_local(tmp_path)
    for oid, data in kept:
        assert store.read(oid, Kind.BLOB) == data
    store.close()


def damage(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_a_damaged_payload_is_reported_and_never_returned(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    data = os.urandom(3_000)
    oid = object_id(Kind.BLOB, data)
    store.add(oid, Kind.BLOB, data)
    store.publish()
    store.close()

    def flip(content: bytearray) -> None:
        content[content.index(data[1_000:1_100])] ^= 1

    damage(tmp_path / FILE, flip)
    store = open_local(tmp_path)
    assert store.contains(oid)
    for _ in range(2):
        with pytest.raises(StoreError, match=oid.hex()):
            store.read(oid, Kind.BLOB)
    store.close()


def test_a_database_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    for _ in range(300):
        data = os.urandom(1_000)
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data)
    store.publish()
    store.close()
    os.truncate(tmp_path / FILE, 100_000)
    with pytest.raises(StoreError, match="is damaged: page"):
        open_local(tmp_path)


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    open_local(tmp_path).close()
    (tmp_path / FILE).write_bytes(b"not a database" * 1_000)
    with pytest.raises(StoreError, match=f"{FILE} is damaged: neither of the two meta pages"):
        open_local(tmp_path)


def test_death_of_a_process(tmp_path: Path) -> None:
    """A child that is gone in the middle of its work, without any clean-up."""
    scenario = Scenario()
    child = os.fork()
    if not child:
        try:
            store = open_local(tmp_path)
            for number in range(1, 6):
                scenario.publish(store, number)
            store.put(b"head", b"never published")
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    scenario.published = scenario.trying = 5
    check(tmp_path, scenario, 5)


CHANGES = re.compile(
    r"\bos\.(ftruncate|truncate|write|pwritev?|unlink|rename|replace|link|mkdir|fsync|fdatasync"
    r"|posix_fallocate)\("
)


def test_all_changes_of_a_store_go_through_its_directory() -> None:
    """A change beside it would be one that no crash test cuts off."""
    package = Path(heliosfs.__file__).parent / "store"
    found = {
        str(path.relative_to(package)): CHANGES.findall(path.read_text())
        for path in package.rglob("*.py")
        if path.name != "directory.py" and CHANGES.search(path.read_text())
    }
    # Room for LMDB's lock file, of which nothing is kept, and the directory of a mirror, which is a
    # cache.
    assert found == {"l2/environment.py": ["posix_fallocate"], "sidefile.py": ["mkdir"]}


def test_the_lock_is_released_through_the_directory(tmp_path: Path) -> None:
    directory = FaultyDirectory(tmp_path, 1 << 30)
    store = LocalStore(directory, create=True)
    Scenario().publish(store, 1)
    lock = store._lock.fd
    seen: list[int] = []
    truncate = directory.truncate

    def noting(fd: int, size: int) -> None:
        seen.append(fd)
        truncate(fd, size)

    directory.truncate = noting  # type: ignore[method-assign]
    store.close()
    assert seen[-1] == lock
    assert (tmp_path / "lock").read_bytes() == b""
