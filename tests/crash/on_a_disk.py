"""A process that works on a store of a real disk, and says on standard output how far it is.

    python -m tests.crash.on_a_disk work DIRECTORY SEED
    python -m tests.crash.on_a_disk check DIRECTORY SEED

It says `begun WHAT DIGEST` before something may be on the disk, `done WHAT` once it would outlive
this process, and `safe WHAT COUNT` when a sync has returned for the first COUNT of those begun.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from heliosfs.clock import FixedClock
from heliosfs.commands.gc import collect
from heliosfs.commands.table import run
from heliosfs.errors import StoreError
from heliosfs.repo.check import check_store
from heliosfs.repo.repository import Repository
from heliosfs.steps import Work, perform, run_to_end
from heliosfs.store.directory import Directory
from heliosfs.store.local import LocalStore
from heliosfs.store.sidefile import BesideFile
from tests.crash.lives import EVERYTHING, LARGE_BYTES, TEXT, picture_of
from tests.tree_builder import IDENTITY, TreeBuilder

_SECONDS_MAX = 20
_NS = 10**9
SIDE_FILE = "inodes"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Said:
    """Numbers of what was begun."""

    def __init__(self) -> None:
        self.counts = {"state": 0, SIDE_FILE: 0}
        self._last = {"state": "", SIDE_FILE: ""}

    def begun(self, what: str, digest: str) -> None:
        if digest != self._last[what]:
            self._last[what] = digest
            self.counts[what] += 1
            say("begun", what, digest)


class TellingStore(LocalStore):
    """A store that tells of each publish, before and after it."""

    said: Said

    def publish(self) -> None:
        self.said.begun("state", state_of(self))
        super().publish()
        say("done", "state")


def state_of(store: LocalStore) -> str:
    return picture_of(store).state.hex() or "-"


def side_of(path: Path) -> str:
    """Return a digest of the side file, or `-` without one."""
    try:
        return sha256((path / SIDE_FILE).read_bytes()).hexdigest()
    except FileNotFoundError:
        return "-"


class _Thread(threading.Thread):
    """A work that is executed beside others."""

    def __init__(self, work: Work, count: int) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.count = count
        """Number of states that are safe if it is a sync; 0 for another work."""
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.work.execute()
        except BaseException as error:  # noqa: BLE001 (raised by who applies the work)
            self.error = error


class Worker:
    """A repository in use: commits, saves, syncs and drains at once, collections, new processes."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._chance = random.Random(seed)
        self._said = Said()
        self._threads: list[_Thread] = []
        self._number = seed * 1000
        self._said.begun(SIDE_FILE, side_of(path))
        self._open()

    def _open(self) -> None:
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        self._directory = Directory(fd)
        os.close(fd)
        self._store = TellingStore(self._directory, create=True, cache_bytes=1 << 20)
        self._store.said = self._said
        self._said.begun("state", state_of(self._store))
        clock = FixedClock(1_700_000_000 * _NS + self._number * _NS)
        self._repository = Repository.open(self._store, clock, IDENTITY)

    def step(self) -> None:
        """Do something, and apply what threads have done."""
        weights: dict[Callable[[], None], int] = {
            self._commit: 8, self._save: 3, self._begin_sync: 6, self._begin_drain: 3,
            self._sync: 3, self._side: 1, self._reopen: 1, self._collect: 1, self._idle: 3,
        }  # fmt: skip
        self._chance.choices(list(weights), list(weights.values()))[0]()
        for thread in [each for each in self._threads if not each.is_alive()]:
            self._threads.remove(thread)
            self._finish(thread)

    def insist(self) -> None:
        """Go on after a failure: nothing more may be called safe."""
        for _ in range(5):
            for act in (self._commit, self._sync, self._side):
                with suppress(StoreError, OSError):
                    act()

    def _finish(self, thread: _Thread) -> None:
        thread.join()
        thread.work.apply()
        if thread.error is not None:
            raise thread.error
        if thread.count:
            say("safe", "state", thread.count)

    def _commit(self) -> None:
        self._write()
        run(self._repository, self._repository.root, ["commit", "-q", "-m", f"{self._number}"])

    def _save(self) -> None:
        self._write()
        self._repository.checkpoint()

    def _write(self) -> None:
        self._number += 1
        number = self._number
        files = TreeBuilder(self._repository.root.workspace)
        files.write(b"notes", TEXT + b"edit %d\n" % number + TEXT)
        files.write(b"d/%d" % (number % 7), self._chance.randbytes(300))
        if number % 3 == 0:
            files.write(b"large/%d" % (number % 5), self._chance.randbytes(LARGE_BYTES))

    def _begin_sync(self) -> None:
        count = self._said.counts["state"]
        work = self._store.plan_sync()
        if work is not None:
            self._threads.append(_Thread(work, count))
        else:
            say("safe", "state", count)

    def _begin_drain(self) -> None:
        work = self._store.plan_drain()
        if work is not None:
            self._threads.append(_Thread(work, 0))

    def _sync(self) -> None:
        self._repository.checkpoint()
        count = self._said.counts["state"]
        work = self._store.plan_sync()
        if work is not None:
            perform(work)
        say("safe", "state", count)

    def _side(self) -> None:
        data = b"%020d\n" % self._chance.randrange(10**15)
        self._said.begun(SIDE_FILE, sha256(data).hexdigest())
        BesideFile(self._directory, SIDE_FILE).replace(data)
        say("done", SIDE_FILE)
        say("safe", SIDE_FILE, self._said.counts[SIDE_FILE])

    def _collect(self) -> None:
        self._settle()
        run_to_end(collect(self._repository, EVERYTHING, packs=True), self._store)

    def _reopen(self) -> None:
        self._settle()
        self._repository.checkpoint()
        self._store.close()
        say("safe", "state", self._said.counts["state"])
        self._open()

    def _settle(self) -> None:
        while self._threads:
            self._finish(self._threads.pop(0))

    def _idle(self) -> None:
        time.sleep(self._chance.random() * 0.02)


def work(path: Path, seed: int) -> None:
    """Work until the disk fails, or for `_SECONDS_MAX`."""
    end = time.monotonic() + _SECONDS_MAX
    worker = None
    say("ready", "-")
    try:
        worker = Worker(path, seed)
        while time.monotonic() < end:
            worker.step()
    except StoreError as error:
        say("failed", str(error).replace("\n", " "))
        if worker is not None:
            worker.insist()
    except OSError as error:
        # A verb may meet the disk beside the store.
        say("failed", error)


def check(path: Path, seed: int) -> None:
    """Say what is there and what is wrong; write again, sync, and stay until input ends."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    store = LocalStore.open(fd, cache_bytes=1 << 20, create=True)
    say("found", "state", state_of(store))
    say("found", SIDE_FILE, side_of(path))
    clock = FixedClock((1_800_000_000 + seed) * _NS)
    repository = Repository.open(store, clock, IDENTITY)
    for problem in run_to_end(check_store(repository), store).problems:
        say("problem", problem.place, problem.text)
    TreeBuilder(repository.root.workspace).write(b"after", b"after %d\n" % seed * 5_000)
    run(repository, repository.root, ["commit", "-q", "-m", f"after {seed}"])
    sync = store.plan_sync()
    assert sync is not None
    perform(sync)
    say("wrote", "state", state_of(store))
    sys.stdin.read()
    # As a power cut would: nothing is closed.
    os._exit(0)


if __name__ == "__main__":
    {"work": work, "check": check}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
