"""A process that dies at any write of a garbage collection, a disk that fails at any."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lmdb.verify import verify

from heliosfs.clock import FixedClock
from heliosfs.commands.gc import collect
from heliosfs.commands.table import run
from heliosfs.errors import StoreError
from heliosfs.repo import keys
from heliosfs.repo.check import check_store
from heliosfs.repo.gc import forgetting, recall
from heliosfs.repo.gc.retention import KeepDecision, Retention
from heliosfs.repo.repository import Repository
from heliosfs.steps import Progress, Turn, run_to_end
from heliosfs.store.encoding import packs
from heliosfs.store.gc import packcopy, repack, sweep
from heliosfs.store.l2 import database as lmdbstore
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from tests.crash.faulty import Died, FaultyDirectory
from tests.crash.scenario import after_death
from tests.stores import open_local
from tests.tree_builder import IDENTITY, TreeBuilder

NEVER = 1 << 30
TEXT = b"line\n" * 400
EVERYTHING = Retention(since_ns=2**62, operation_count=2, keeps_unreached=False)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the steps of a collection so small that there are many."""
    monkeypatch.setattr(sweep, "_REMOVED", 12)
    monkeypatch.setattr(repack, "_STEP_BYTES", 3_000)
    monkeypatch.setattr(sweep, "_LISTED", 20)
    monkeypatch.setattr(forgetting, "_STATE_COUNT", 4)
    monkeypatch.setattr(lmdbstore, "RECENT_MAX", 8)
    monkeypatch.setattr(packs, "PACK_MAX_BYTES", 200_000)
    monkeypatch.setattr(packcopy, "_COPY_STEP_BYTES", 60_000)


class Life:
    """A repository with much to collect, and commits that are made while that is done."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.directory = FaultyDirectory(path, NEVER)
        self.store = LocalStore(self.directory, create=True, cache_bytes=1 << 20)
        self.repository = Repository.open(self.store, FixedClock(), IDENTITY)
        self.trees: dict[str, bytes] = {}
        """Commit -> what its file holds; of those that were acknowledged."""
        self.head = ""
        for number in range(8):
            self.commit(number)
            if number % 3 == 1:
                self.work()
        self.run("branch", "idea")
        self.run("reset", "--hard", "HEAD~5")
        self.head = self._head()
        self.run("branch", "-D", "idea")
        self.work()
        for number in range(3):
            self.files.write(b"draft", b"draft %d" % number * 300)
            self.repository.checkpoint()
            self.work()

    @property
    def files(self) -> TreeBuilder:
        return TreeBuilder(self.repository.root.workspace)

    def run(self, *argv: str) -> None:
        run(self.repository, self.repository.root, list(argv))

    def commit(self, number: int) -> None:
        content = TEXT + b"edit %d\n" % number + TEXT + bytes(range(number))
        self.files.write(b"file", content)
        self.files.write(b"d/%d" % (number % 3), os.urandom(200) * number)
        if number < 6:
            self.files.write(b"large/%d" % number, os.urandom(70_000))
            if number % 3:
                self.files.remove(b"large/%d" % (number - 1))
        self.run("commit", "-m", f"{number}")
        self.head = self._head()
        self.trees[self.head] = content

    def _head(self) -> str:
        head = self.repository.root.head
        assert head is not None
        return head.hex()

    def work(self) -> None:
        work = self.store.plan_drain()
        if work is not None:
            work.execute()
            work.apply()

    def prepare(self) -> None:
        """Collect, then make garbage that the next collection finds without looking at the rest."""
        run_to_end(collect(self.repository, EVERYTHING), self.store)
        for number in range(30, 36):
            self.files.write(b"draft", b"another draft %d" % number * 200)
            self.repository.checkpoint()
            self.commit(number)
            self.work()
        self.files.remove(b"draft")
        self.commit(36)
        self.work()

    def collect(self, *, packs: bool = True) -> None:
        """Collect with commits in between, some of them equal to what goes."""
        turns = 0
        number = 20
        for step in collect(self.repository, EVERYTHING, packs=packs):
            if not isinstance(step, (Turn, Progress)):
                try:
                    step.execute()
                finally:
                    step.apply()
            turns += 1
            if turns % 6 == 3:
                self.commit(number)
                number += 1
            if turns % 12 == 4:
                self.work()
        self.work()
        assert turns > (40 if packs else 15)


def reopened(path: Path) -> Repository:
    return Repository.open(open_local(path), FixedClock(), IDENTITY)


def assert_sound(path: Path, life: Life, *, acknowledged: bool = True, base_count: int = 6) -> None:
    """Everything that is listed can be read, and what was acknowledged is there."""
    repository = reopened(path)
    assert run_to_end(check_store(repository), repository.store).problems == []
    listed = {oid.hex() for oid in repository.history.ids()}
    for oid in repository.history.ids():
        files = TreeBuilder(repository.snapshot(oid))
        if oid.hex() in life.trees:
            assert files.read(b"file") == life.trees[oid.hex()]
    if acknowledged:
        assert life.head in listed
        head = repository.root.head
        assert head is not None and head.hex() == life.head
    run_to_end(collect(repository, EVERYTHING), repository.store)
    assert run_to_end(check_store(repository), repository.store).problems == []
    # One that looks at everything: what was tolerated before goes, too.
    repository.store.put(keys.GC_HANDOVER, None)
    run_to_end(collect(repository, EVERYTHING), repository.store)
    checked = run_to_end(check_store(repository), repository.store)
    assert checked.problems == []
    left: Any = repository.store.stats().objects
    assert left <= checked.objects + base_count, "more than what deltas need"
    repository.close()
    assert verify(str(path / FILE)) == []


def die_at(path: Path, step: int, *, recalls: bool) -> tuple[Life, bool]:
    life = Life(path)
    if recalls:
        life.prepare()
    life.directory.fail_at = life.directory.count + step
    try:
        life.collect(packs=not recalls)
    except Died:
        return life, True
    life.directory.fail_at = NEVER
    life.store.close()
    return life, False


def at_every_step(
    tmp_path: Path, look: Callable[[Path, Life], None], *, recalls: bool = False
) -> None:
    for step in range(1, 200):
        path = tmp_path / f"{step}"
        life, is_dead = die_at(path, step, recalls=recalls)
        if not is_dead:
            assert step > (10 if recalls else 20)
            assert_sound(path, life, base_count=12 if recalls else 6)
            return
        look(after_death(path), life)
        shutil.rmtree(path)
    pytest.fail("the collection did not complete")


def test_death_at_every_step(tmp_path: Path) -> None:
    at_every_step(tmp_path, assert_sound)


@pytest.fixture
def recalled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let lost trees not matter; whether each collection relied on the one before."""
    monkeypatch.setattr(recall, "OBJECTS_FOR_A_LOST_TREE", 0)
    used: list[bool] = []
    hand_over = recall.Recall.hand_over

    def noting(made: recall.Recall, decision: KeepDecision) -> bytes | None:
        used.append(made.is_used)
        return hand_over(made, decision)

    monkeypatch.setattr(recall.Recall, "hand_over", noting)
    return used


@pytest.mark.parametrize("loses_power", [False, True])
def test_the_end_at_every_step_of_one_that_relies_on_the_one_before(
    tmp_path: Path, recalled: list[bool], loses_power: bool
) -> None:
    def look(left: Path, life: Life) -> None:
        if loses_power:
            for file in left.glob("journal-*"):
                os.truncate(file, life.directory.sizes.get(file.name, 0))
        # The next collection, in `assert_sound`, may rely on what was handed over before the end.
        assert_sound(left, life, acknowledged=not loses_power, base_count=12)

    at_every_step(tmp_path, look, recalls=True)
    assert sum(recalled) > 20


def test_power_loss_at_every_step(tmp_path: Path) -> None:
    """The process dies, and of the journal only what was synced is left."""

    def look(left: Path, life: Life) -> None:
        for file in left.glob("journal-*"):
            os.truncate(file, life.directory.sizes.get(file.name, 0))
        assert_sound(left, life, acknowledged=False)

    at_every_step(tmp_path, look)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failure_at_every_step(tmp_path: Path, error: int) -> None:
    """It is told, the repository goes on to be used, and so does the next process."""
    for step in range(1, 200):
        path = tmp_path / f"{step}"
        life = Life(path)
        life.directory.error = error
        life.directory.fail_at = life.directory.count + step
        told: StoreError | None = None
        try:
            life.collect()
        except StoreError as caught:
            told = caught
        if life.directory.count < life.directory.fail_at:
            assert told is None
            return
        assert told is None or told.errno == error
        assert_sound(after_death(path), life)
        shutil.rmtree(path)
    pytest.fail("the collection did not complete")
