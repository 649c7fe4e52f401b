"""Lives of a repository on a recorded disk, and what it was told on the way.

Each life is a function that takes a `Life` and does what a mount would do; works that sync run on
threads of their own, which stop within each sync and let others go on.  What happens next is drawn
from a seed, so that a life is the same each time.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

from heliosfs.clock import FixedClock
from heliosfs.commands.gc import collect
from heliosfs.commands.table import run
from heliosfs.config.document import assign
from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, object_id
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.contents import make_whole
from heliosfs.remote.fetch import fetch
from heliosfs.remote.upload import SMALL_BYTES
from heliosfs.repo.check import check_store
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.repository import Repository
from heliosfs.steps import Progress, Steps, Turn, Work
from heliosfs.store.base import NewObject
from heliosfs.store.local import LocalStore
from heliosfs.store.sidefile import BesideFile
from tests.crash.disk import LEFT_LOCK, Disk, Failing, RecordingDirectory, record
from tests.crash.faulty import Died
from tests.remote.machines import Machine
from tests.tree_builder import IDENTITY, TreeBuilder

APART = b"git/"
"""Keys that an import writes straight to L2, beside what waits in the journal."""
SIDE_FILES = ("helios.yaml", "inodes")
TEXT = b"line\n" * 60
LARGE_BYTES = 66_000
EVERYTHING = Retention(since_ns=2**62, operation_count=2, keeps_unreached=False)
_BLOCKED_SECONDS = 0.5

T = TypeVar("T")


class Picture(NamedTuple):
    """The whole state of a store, in two parts that are written apart."""

    state: bytes
    apart: bytes


NOTHING = Picture(b"", b"")


def picture_of(store: LocalStore) -> Picture:
    """Return digests of the whole state; the ids in it say what the objects are."""
    main, apart = sha256(), sha256()
    counts = [0, 0]
    for key, value in store.scan(b""):
        is_apart = key.startswith(APART)
        counts[is_apart] += 1
        (apart if is_apart else main).update(b"%d %d " % (len(key), len(value)) + key + value)
    return Picture(
        main.digest() if counts[0] else b"",
        apart.digest() if counts[1] else b"",
    )


class Told:
    """Versions of one thing, with the moments from which each may be, or must be, on the disk."""

    def __init__(self, first: object) -> None:
        self.versions: list[object] = [first]
        self._begun = [0]
        """The moment from which a version may be on the disk."""
        self._promises: list[tuple[int, int]] = [(0, 0)]
        """Moments, and the number of the version that is safe from then on."""

    def version(self, begun: int, value: object) -> None:
        if value != self.versions[-1]:
            self.versions.append(value)
            self._begun.append(begun)

    def promise(self, moment: int, number: int) -> None:
        if number > self._promises[-1][1]:
            self._promises.append((moment, number))

    def safe_at(self, moment: int) -> int:
        """Return the number of the version that must be there after a cut at a moment."""
        return max(number for at, number in self._promises if at < moment or not at)

    def allowed_at(self, moment: int) -> list[object]:
        """Return the versions that may be there."""
        return self.versions[self.safe_at(moment) : bisect_left(self._begun, moment) or 1]


class Job:
    """A work on a thread, which stops within each of its syncs until it is told to go on."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.error: BaseException | None = None
        self.is_done = False
        self._is_ended = False
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._stopped.acquire(timeout=_BLOCKED_SECONDS)

    def _run(self) -> None:
        try:
            self.work.execute()
        except BaseException as error:  # noqa: BLE001 (told to who applies it)
            self.error = error
        self.is_done = True
        self._stopped.release()

    def is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def pause(self) -> None:
        self._stopped.release()
        self._go.acquire(timeout=20)
        if self._is_ended:
            raise Died

    def go_on(self) -> None:
        """Let it run to its next sync, or until it waits for a lock that another one has."""
        if not self.is_done:
            self._go.release()
            self._stopped.acquire(timeout=_BLOCKED_SECONDS)

    def end(self) -> None:
        """Let its process be dead."""
        self._is_ended = True
        while not self.is_done:
            self.go_on()
        self._thread.join(20)

    def finish(self) -> None:
        """Let it run to its end, and apply it.  What the work raised."""
        for _ in range(1000):
            if self.is_done:
                break
            self.go_on()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.work.apply()
        if self.error is not None:
            raise self.error


class WatchedStore(LocalStore):
    """A store that tells of each publish."""

    on_publish: Callable[[int], None]
    recorded: Disk

    def publish(self) -> None:
        begun = self.recorded.now
        super().publish()
        self.on_publish(begun)


class Life:
    """A repository on a disk that is recorded, and what was promised."""

    def __init__(
        self, path: Path, seed: int, disk: Disk | None = None, failing: Failing | None = None
    ) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.disk = disk or Disk()
        self.disk.failing = failing
        self.disk.on_sync = self._pause
        self.clock = FixedClock()
        self.told = {"state": Told(b""), "apart": Told(b"")}
        self.told |= {name: Told(None) for name in SIDE_FILES}
        self.jobs: list[Job] = []
        """Slow jobs: each goes on when it is drawn."""
        self._awaited: list[Job] = []
        """Jobs that the life waits for, while it lets others act."""
        self.number = 0
        self.has_failed = False
        self.store: WatchedStore
        self.directory: RecordingDirectory
        self.pusher: Machine
        self.repository: Repository

    # What a process does.

    def open(self) -> None:
        """Open the store, and compare it with what was published."""
        directory = self.directory = record(self.path, self.disk)
        begun = self.disk.now
        self.store = WatchedStore(directory, create=True, cache_bytes=1 << 20)
        self.store.recorded = self.disk
        self.store.on_publish = self._published
        self._published(begun)
        self.repository = Repository.open(self.store, self.clock, IDENTITY)

    def close(self) -> None:
        self.finish_all()
        self._published(self.disk.now)
        self.repository.checkpoint()
        self.store.close()
        self._promise(self._newest())

    def kill(self) -> None:
        """End the process, in the middle of its syncs; the system, and what it has, stays."""
        left = self.path.with_name(self.path.name + "-next")
        shutil.copytree(self.path, left)
        self.disk.adopt(left)
        # Whatever the dead one still does, when it is told, is done to files that nobody sees.
        self.directory.is_dead = True
        for job in self.jobs:
            job.end()
        self.jobs.clear()
        abandon(self.path)
        self.path = left

    def leave_lock(self) -> None:
        """Let the lock, which is never synced, be as before it was emptied at the close."""
        (self.path / "lock").write_bytes(LEFT_LOCK)

    def kill_and_open(self) -> None:
        """A killed process loses nothing that was published."""
        before = picture_of(self.store)
        self.kill()
        self.open()
        # Of what a failed sync did not write, the next process reads what the disk has.
        assert self.has_failed or picture_of(self.store) == before

    @property
    def files(self) -> TreeBuilder:
        return TreeBuilder(self.repository.root.workspace)

    def verb(self, *argv: str) -> None:
        run(self.repository, self.repository.root, list(argv))

    # What users and the keeper do.

    def write(self) -> None:
        """Write small files, one that lies in a pack, or an edit of it."""
        self.number += 1
        number = self.number
        self.files.write(b"notes", TEXT + b"edit %d\n" % number + TEXT)
        self.files.write(b"d/%d" % (number % 5), self.chance.randbytes(300))
        if number % 3 == 1:
            self.write_large(b"large/%d" % (number % 4))

    def write_large(self, path: bytes) -> None:
        """Write what goes to a pack at once, from a thread."""
        data = self.chance.randbytes(LARGE_BYTES)
        work = self.store.plan_add([NewObject(Kind.BLOB, data)])
        job = Job(work)
        job.start()
        job.finish()
        self.files.write(path, data)

    def commit(self) -> None:
        self.write()
        self.verb("commit", "-q", "-m", f"{self.number}")

    def save(self) -> None:
        """An automatic save."""
        self.write()
        self.repository.checkpoint()

    def sync(self) -> None:
        """Save and wait for the disk, as the keeper, `commit --sync` and fsync of a file do."""
        self.repository.checkpoint()
        self.sync_published()

    def sync_published(self) -> None:
        newest = self._newest()
        work = self.store.plan_sync()
        if work is not None:
            job = Job(work)
            self._run_beside(job, lambda: None)
        self._promise(newest)

    def drain(self, others: Callable[[], None] = lambda: None) -> None:
        """Drain, and let others act within its syncs."""
        work = self.store.plan_drain()
        if work is not None:
            self._run_beside(Job(work), others)

    def begin_sync(self) -> None:
        """Begin a sync that is slow; `go_on` lets it go on, and promises when it has returned."""
        newest = self._newest()
        work = self.store.plan_sync()
        if work is None:
            self._promise(newest)
            return
        job = _Syncing(work, newest)
        self.jobs.append(job)
        job.start()

    def begin_drain(self) -> None:
        work = self.store.plan_drain()
        if work is not None:
            job = Job(work)
            self.jobs.append(job)
            job.start()

    def go_on(self) -> None:
        """Let one of those that wait in a sync go on to the next one, or to its end."""
        if self.jobs:
            job = self.chance.choice(self.jobs)
            job.go_on()
            if job.is_done:
                self.jobs.remove(job)
                self._finished(job)

    def finish_all(self) -> None:
        while self.jobs:
            job = self.jobs.pop(0)
            # Another one may wait for a lock that a third one holds.
            for each in [*self.jobs, job] * 3:
                each.go_on()
            with self.failures():
                self._finished(job)

    def _finished(self, job: Job) -> None:
        job.finish()
        if isinstance(job, _Syncing):
            self._promise(job.newest)

    def collect(self, others: Callable[[], None]) -> None:
        """Collect garbage, all that can go, with others between and within the steps."""
        self._drive(collect(self.repository, EVERYTHING, packs=True), others)

    def add_lazy_remote(self) -> None:
        """Add a remote, with somebody who pushes to it, from which fetches bring no contents."""
        self.pusher = Machine(MemoryBucket())
        remotes = self.repository.remotes
        with self.repository.transaction:
            remotes.add("origin", "memory:")
            remotes.notes.leave_contents("origin", is_lazy=True)

    def fetch_lazily(self, others: Callable[[], None]) -> None:
        """Let the other one push some files, and fetch without their contents."""
        self.number += 1
        pushed = {f"p{at}": self.chance.randbytes(SMALL_BYTES // 2) for at in range(3)}
        self.pusher.commit("pushed", **{f"n{self.number}": b"few", **pushed})
        self.pusher.push()
        self._drive(fetch(self.repository, self.pusher.bucket, "origin"), others)
        assert self.store.promises.remotes == ["origin"]

    def bring_contents(self, others: Callable[[], None]) -> None:
        """Bring all contents that are promised."""
        self._drive(make_whole(self.repository, lambda url: self.pusher.bucket), others)

    def check(self, others: Callable[[], None]) -> None:
        """Look at every object, as fsck does."""
        checked = self._drive(check_store(self.repository), others)
        assert checked.problems == []

    def configure(self, number: int) -> None:
        text = assign("", "ai_optimizations.snapshot_retention", str(number), "helios.yaml")
        self._replace("helios.yaml", text.encode())

    def number_inodes(self, number: int) -> None:
        self._replace("inodes", b"%020d\n" % number)

    def write_beside(self) -> None:
        """Replace the configuration or the inode numbers."""
        self.number += 1
        self.chance.choice((self.configure, self.number_inodes))(self.number)

    def bulk(self, number: int) -> None:
        """Write objects and state straight to L2, as an import does."""
        writing = self.store.bulk()
        base = None
        for part in range(5):
            data = TEXT + b"import %d part %d\n" % (number, part) + TEXT
            oid = object_id(Kind.BLOB, data)
            writing.add(oid, Kind.BLOB, data, base)
            base = oid
        large = self.chance.randbytes(LARGE_BYTES)
        writing.add(object_id(Kind.BLOB, large), Kind.BLOB, large)
        writing.put_all({APART + b"head": b"%d" % number, APART + b"x/%d" % number: b"here"})
        begun = self.disk.now
        work = writing.plan_write()
        assert work is not None
        try:
            self._run_beside(Job(work), self.commit)
        finally:
            writing.close()
            # Also after a failure, of which it is not known whether the disk has it.
            self.told["apart"].version(begun, picture_of(self.store).apart)
        self.told["apart"].promise(self.disk.now, len(self.told["apart"].versions) - 1)

    def failures(self) -> _Failures:
        """Return a context in which a disk that fails may be told of."""
        return _Failures(self)

    # How it is recorded.

    def _replace(self, name: str, data: bytes) -> None:
        told, begun = self.told[name], self.disk.now
        try:
            BesideFile(self.directory, name).replace(data)
        finally:
            told.version(begun, data)
        told.promise(self.disk.now, len(told.versions) - 1)

    def _run_beside(self, job: Job, others: Callable[[], None]) -> None:
        self._awaited.append(job)
        job.start()
        while not job.is_done:
            with self.failures():
                others()
            job.go_on()
        self._awaited.remove(job)
        job.finish()

    def _drive(self, steps: Steps[T], others: Callable[[], None]) -> T:
        try:
            while True:
                step = next(steps)
                if not isinstance(step, (Turn, Progress)):
                    self._run_beside(Job(step), others)
                elif self.chance.random() < 0.1:
                    with self.failures():
                        others()
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    def _pause(self) -> None:
        for job in (*self.jobs, *self._awaited):
            if job.is_here():
                job.pause()

    def _published(self, begun: int) -> None:
        found = picture_of(self.store)
        self.told["state"].version(begun, found.state)

    def _newest(self) -> int:
        return len(self.told["state"].versions) - 1

    def _promise(self, newest: int) -> None:
        self.told["state"].promise(self.disk.now, newest)


class _Syncing(Job):
    def __init__(self, work: Work, newest: int) -> None:
        super().__init__(work)
        self.newest = newest


class _Failures(suppress):
    """Errors of a disk that fails are told; where none fails there are none."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, StoreError) and self._life.disk.failing is not None:
            self._life.has_failed = True
            return True
        return False


def abandon(path: Path) -> None:
    """Close what a process that ended has open below a path, but for files that are mapped.

    Of these, whoever has mapped them closes the descriptor, which could be that of another file by
    then.
    """
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            is_mapped = ".lmdb" in target or "/promises-" in target
            if target.startswith(f"{path}/") and not is_mapped:
                os.close(int(name))


def everything(life: Life) -> Iterator[Callable[[], None]]:
    """Draw what happens next, for ever."""
    weights = {
        life.commit: 6,
        life.save: 3,
        life.begin_sync: 4,
        life.begin_drain: 3,
        life.go_on: 12,
        life.sync: 2,
        life.write_beside: 1,
    }
    while True:
        yield life.chance.choices(list(weights), list(weights.values()))[0]
