"""Reading ahead in a mount: what comes first, what bounds it, and that it is never in the way."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from heliosfs.daemon import prefetcher
from heliosfs.daemon.prefetcher import Prefetcher
from heliosfs.errors import PromisedObject, StoreFull
from heliosfs.objects.blob import PART_BYTES
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.tree import INDEX_FROM
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.prefetch import Worth, bring_rules, missing, ranges
from heliosfs.steps import run_to_end
from heliosfs.store.promisefile import Promise
from tests.remote.hydrating import Mount
from tests.remote.machines import Machine
from tests.remote.promised import LazyMachine, noise

pytestmark = pytest.mark.trio
SECONDS = 20
_LARGE = noise(3, 12 * PART_BYTES)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("START_SECONDS", "_PAUSE_MIN_SECONDS", "_BUSY_PAUSE_SECONDS"):
        monkeypatch.setattr(prefetcher, name, 0.001)
    monkeypatch.setattr(prefetcher, "RETRY_MIN_SECONDS", 0.01)


def _lazy(bucket: MemoryBucket) -> LazyMachine:
    """Return a machine without the contents of a tree of files of all classes."""
    one, two = Machine(bucket), LazyMachine(bucket)
    one.files.write(b"a/large", _LARGE)
    one.files.write(b"b/whole", noise(2, 200_000))
    one.files.write(b"c/small", noise(1, 30_000))
    one.files.write(b"d/.heliosignore", b"*.o\n" + b"#\n" * 40_000)
    one.commit()
    one.push()
    two.pull()
    return two


def _names(machine: LazyMachine, worth: Worth) -> list[int]:
    """Sizes of the missing contents of a class."""
    head = machine.view.head
    assert head is not None
    root = machine.repository.history.read(head).root
    return [each.size for each in missing(machine.store, root, worth) if each is not None]


async def test_classes_of_contents() -> None:
    machine = _lazy(MemoryBucket())
    assert _names(machine, Worth.RULES) == [80_004]
    assert _names(machine, Worth.SMALL) == [30_000]
    assert _names(machine, Worth.WHOLE) == [200_000]
    assert _names(machine, Worth.LARGE) == [PART_BYTES] * 12
    # Of what is the same in a tree that is whole, nothing is looked at.
    head = machine.view.head
    assert head is not None
    root = machine.repository.history.read(head).root
    assert list(missing(machine.store, root, Worth.LARGE, root)) == []
    machine.store.add(object_id(Kind.BLOB, noise(1, 30_000)), Kind.BLOB, noise(1, 30_000))
    assert _names(machine, Worth.SMALL) == []


async def test_rules_are_brought_wherever_they_are() -> None:
    rules = {
        b".gitignore": b"*.o\n",
        b"a/.heliosignore": b"*.a\n",
        b"a/b/c/.gitattributes": b"*.x text\n",
        b"large/.gitignore": b"*.b\n",
        b"one/twin/.gitignore": b"*.t\n",
        b"other/twin/.gitignore": b"*.t\n",
    }
    others = {
        b"a/x.gitignore": b"no rule\n",
        b"a/.gitignore~": b"none, either\n",
        b".heliosignore/file": b"a directory\n",
    }
    others |= {b"large/%03d" % number: b"%d\n" % number for number in range(INDEX_FROM)}
    one, two = Machine(bucket := MemoryBucket()), LazyMachine(bucket)
    for path, data in (rules | others | {b"empty/.gitignore": b""}).items():
        # Too much of it for a push that carries its contents beside the trees.
        one.files.write(path, data and data + noise(len(path), 2_000))
    one.commit()
    one.push()
    two.pull()
    run_to_end(bring_rules(two.repository, two.hydration), two.store)
    for path, data in (rules | others).items():
        oid = object_id(Kind.BLOB, data + noise(len(path), 2_000))
        assert two.store.contains(oid) == (path in rules), path


async def test_what_lies_together_is_one_range() -> None:
    def promise(pack: bytes, offset: int, stored: int) -> Promise:
        return Promise(
            Oid(pack * 31 + bytes([offset % 251])), "r", pack, 1 << 30, 0, 9, stored, offset
        )

    rows = [
        promise(b"a", 500_000, 100_000),
        promise(b"a", 0, 100_000),
        promise(b"a", 164_000, 100_000),
        promise(b"b", 164_000, 100_000),
        promise(b"b", 264_000, 3_000_000),
        promise(b"a", 0, 100_000),
    ]
    found = [[(each.pack, each.offset) for each in group] for group in ranges(rows)]
    assert found == [
        [(b"a", 0), (b"a", 164_000)],
        [(b"a", 500_000)],
        [(b"b", 164_000)],
        [(b"b", 264_000)],
    ]


class _Reading:
    """A mount whose contents are read ahead."""

    def __init__(self, count: int) -> None:
        self.mount = Mount(count)
        self.machine = self.mount.machine
        self.task = Prefetcher(self.machine.repository, self.mount.hydrator)

    def bound(self, size: str) -> None:
        self.machine.repository.configuration.set("remotes.prefetch", size)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.task.run)
            with trio.fail_after(SECONDS):
                yield
            nursery.cancel_scope.cancel()

    async def until(self, check: Callable[[], bool]) -> None:
        while not check():
            await trio.sleep(0.005)

    @property
    def here(self) -> int:
        return sum(map(self.machine.store.contains, self.mount.blobs))


async def test_everything_comes_and_then_nothing_is_asked() -> None:
    reading = _Reading(100)
    async with reading.running():
        await reading.until(lambda: reading.here == 100)
        counts = reading.machine.hydration.counts
        await reading.until(lambda: counts.prefetched_bytes == 100 * 40_000)
        # 4 MB in ranges of 1 MiB.
        assert reading.mount.bucket.requests == {"get": 4}
        reading.task.note()
        await trio.sleep(0.05)
        assert reading.mount.bucket.requests == {"get": 4}


async def test_the_next_commit_is_looked_at_for_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = _Reading(100)
    looked: list[int] = []

    def counted(*arguments: object) -> Iterator[Promise | None]:
        found = list(missing(*arguments))  # type: ignore[arg-type]
        looked.append(len(found))
        yield from found

    monkeypatch.setattr("heliosfs.remote.prefetch.missing", counted)
    async with reading.running():
        await reading.until(lambda: len(looked) == len(Worth))
        assert looked == [100] * len(Worth)
        reading.machine.files.write(b"own", b"own")
        reading.machine.commit("own")
        reading.task.note()
        await reading.until(lambda: len(looked) == 2 * len(Worth))
    assert looked[len(Worth) :] == [1] * len(Worth)


async def test_it_ends_at_its_bound_and_goes_on_when_that_is_raised() -> None:
    reading = _Reading(100)
    reading.bound("1MB")
    async with reading.running():
        await reading.until(lambda: reading.here > 0)
        await trio.sleep(0.1)
        assert reading.here == 26 * 2
        reading.bound("1GB")
        await reading.until(lambda: reading.here == 100)
    reading = _Reading(30)
    reading.bound("0B")
    async with reading.running():
        await trio.sleep(0.05)
        assert not reading.mount.bucket.requests


async def test_a_remote_that_is_away_is_asked_again_later() -> None:
    reading = _Reading(30)
    failures = threading.Semaphore(3)

    def fail(method: str, key: str) -> None:
        if failures.acquire(blocking=False):
            raise Unreachable("the server does not answer")

    reading.mount.bucket.before = fail
    async with reading.running():
        while reading.here < 30:
            reading.machine.now += 10
            await trio.sleep(0.005)
    assert reading.machine.hydration.counts.failures == 3


async def test_nothing_is_read_ahead_while_somebody_waits() -> None:
    reading = _Reading(100)
    mount = reading.mount
    mount.hold_up()
    fetch = reading.machine.hydration.begin(mount.blobs[90])
    assert fetch is not None
    async with reading.running():
        await trio.sleep(0.1)
        assert mount.bucket.requests == {"get": 1}
        mount.go_on.set()
        await reading.until(lambda: reading.here == 100)


async def test_a_disk_that_becomes_full_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    reading = _Reading(30)

    def full() -> None:
        raise StoreFull("no space is left")

    reading.machine.store.publish = full  # type: ignore[method-assign]
    async with reading.running():
        await reading.until(lambda: "contents are not read ahead: no space" in caplog.text)


async def test_a_store_without_promises_needs_no_task() -> None:
    reading = _Reading(30)
    assert reading.task.is_needed
    other = Machine(MemoryBucket())
    assert not Prefetcher(other.repository, reading.mount.hydrator).is_needed


class _Branches:
    """A mount at main and branches, each with a file of its own whose content is at the remote."""

    def __init__(self, count: int) -> None:
        self.reading = _Reading(3)
        self.machine = self.reading.machine
        bucket = self.reading.mount.bucket
        one = Machine(bucket)
        one.pull()
        oids: dict[str, Oid] = {}
        for name in (f"agent-{number}" for number in range(count)):
            one.run("checkout", "-b", name, "main")
            data = noise(len(oids) + 50, 200_000)
            one.files.write(b"own", data)
            one.commit(name)
            one.push(name)
            oids[name] = object_id(Kind.BLOB, data)
        self.machine.fetch()
        names = {}
        for name, oid in oids.items():
            self.machine.run("branch", name, f"origin/{name}")
            promise = self.machine.store.promises.find(oid)
            assert promise is not None
            names[promise.pack.hex()] = name
        self.read: list[str] = []
        """Branches whose contents were asked for, in order; `main` for the first commit."""
        bucket.before = lambda method, key: self.read.append(
            names.get(key.partition("/")[2], "main")
        )

    def enter(self, name: str) -> None:
        """Show a branch in its directory, as the look-up of its name does."""
        self.machine.repository.live_view(name)
        self.reading.task.note()


async def test_commits_of_live_branches_come_after_the_first_and_the_last_one_before() -> None:
    branches = _Branches(5)
    for name in ("agent-0", "agent-1", "agent-2", "agent-0"):
        branches.machine.repository.live_view(name)
    async with branches.reading.running():
        await branches.reading.until(lambda: len(branches.read) == 4)
        assert branches.read == ["main", "agent-0", "agent-2", "agent-1"]
        branches.enter("agent-4")
        await branches.reading.until(lambda: len(branches.read) == 5)
        await trio.sleep(0.05)
        # The others are shown nowhere.
        assert branches.read[4:] == ["agent-4"]
        branches.enter("agent-0")
        await trio.sleep(0.05)
        assert len(branches.read) == 5


async def test_a_read_in_a_live_branch_begins_it() -> None:
    branches = _Branches(1)
    reading, machine = branches.reading, branches.machine
    reading.mount.hydrator.on_missed = reading.task.note
    async with reading.running():
        await reading.until(lambda: reading.task._next() is None)
        machine.repository.live_view("agent-0")
        await trio.sleep(0.05)
        assert branches.read == ["main"]
        # A program misses something, wherever that is.
        await reading.mount.hydrator.bring(PromisedObject(reading.mount.blobs[0], "origin"))
        await reading.until(lambda: "agent-0" in branches.read)


async def test_live_branches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetcher, "_LIVE_MAX", 2)
    branches = _Branches(4)
    for name in ("agent-0", "agent-1", "agent-2", "agent-3"):
        branches.machine.repository.live_view(name)
    async with branches.reading.running():
        await branches.reading.until(lambda: len(branches.read) == 3)
        await trio.sleep(0.05)
        assert branches.read == ["main", "agent-3", "agent-2"]
    # The bound in bytes is one for all of them.
    branches = _Branches(2)
    branches.reading.bound("130kB")
    for name in ("agent-0", "agent-1"):
        branches.machine.repository.live_view(name)
    async with branches.reading.running():
        await branches.reading.until(lambda: len(branches.read) == 2)
        await trio.sleep(0.05)
        assert branches.read == ["main", "agent-1"]
        branches.reading.bound("1GB")
        await branches.reading.until(lambda: len(branches.read) == 3)


async def test_the_commit_of_the_mount_point_goes_before_one_that_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    branches = _Branches(3)
    machine, task = branches.machine, branches.reading.task
    async with branches.reading.running():
        await branches.reading.until(lambda: task._next() is None)
        assert branches.read == ["main"]
        monkeypatch.setattr(prefetcher, "START_SECONDS", 0.1)
        branches.enter("agent-0")
        await trio.sleep(0.05)
        machine.run("checkout", "agent-1")
        task.note()
        # Another live branch waits for its turn.
        branches.enter("agent-2")
        await branches.reading.until(lambda: len(branches.read) == 4)
        assert branches.read == ["main", "agent-1", "agent-2", "agent-0"]
