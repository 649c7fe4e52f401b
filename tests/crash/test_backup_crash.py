"""A backup that ends at any write of its directory: the last complete one is there, always."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import NotFound, StoreError
from heliosfs.repo import backup, store_copy
from heliosfs.repo.backup import BackupResult, back_up
from heliosfs.repo.backup_directory import MARKER, last_backup, open_backup
from heliosfs.repo.check import check_store
from heliosfs.repo.repository import Repository
from heliosfs.repo.store_copy import is_copied
from heliosfs.steps import run_to_end
from heliosfs.store import local
from heliosfs.store.directory import Directory
from tests.crash.damage import Opened
from tests.crash.disk import Disk, RecordingDirectory
from tests.crash.faulty import Died, FaultyDirectory
from tests.crash.scenario import after_death
from tests.tree_builder import IDENTITY, TreeBuilder
from tests.verb_scenarios import build

START_NS = 1_700_000_000 * 10**9
ID = "0123456789abcdef" * 2
State = dict[bytes, bytes]


class Source:
    """A repository that is backed up, and what it had at the moments of its backups."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        (path / "id").write_text(f"{ID}\n")
        self.opened = Opened(path, START_NS)
        build(self.opened.repository)
        self._files = TreeBuilder(self.opened.repository.root.workspace)
        self._count = 0
        self.work()

    def work(self) -> None:
        """Commit small files and a large one, and leave something uncommitted."""
        for _ in range(8):
            self._count += 1
            data = b"version %d\n" % self._count * 30
            self._files.write(b"file%d" % (self._count % 3), data)
            self.opened.verb("commit", "-q", "--work", "-m", f"number {self._count}")
        large = random.Random(self._count).randbytes(150_000)
        self._files.write(b"large", large)
        self.opened.verb("commit", "-q", "--work", "-m", "a large one")
        self.opened.verb("tag", f"t{self._count}")
        self._files.write(b"note", b"not committed, %d\n" % self._count)

    def back_up(self, path: Path) -> BackupResult:
        store = self.opened.store
        return run_to_end(back_up(self.opened.repository, str(path), keeps_going=False), store)

    def state(self) -> State:
        """Return all that a backup of now must have."""
        self.opened.repository.checkpoint()
        return {key: value for key, value in self.opened.store.scan(b"") if is_copied(key)}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several for each backup, of objects and of state."""
    monkeypatch.setattr(store_copy, "_COPIED_COUNT", 12)
    monkeypatch.setattr(store_copy, "_VALUES_COUNT", 40)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    source = Source(tmp_path / "source")
    yield source
    source.opened.close()


def content(path: Path) -> State | None:
    """Return the state of the backup in a directory, once it is sound; None if none is complete."""
    try:
        store = open_backup(str(path))
    except NotFound:
        return None
    try:
        assert last_backup(store) is not None
        found = {key: value for key, value in store.scan(b"") if is_copied(key)}
        repository = Repository.open(store, FixedClock(START_NS), IDENTITY, is_backup=True)
        checked = run_to_end(check_store(repository), store)
        assert checked.problems == []
        return found
    finally:
        store.close()


Make = Callable[[int], Directory]


def replace_directory(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    """Let the next store that is opened have a directory of this make."""
    monkeypatch.setattr(local, "Directory", make)


def die(held: object) -> None:
    """Do what a process that is dead does."""


def interrupted(
    source: Source, path: Path, step: int, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> FaultyDirectory | None:
    """Back up with a disk that fails at a step, or a process that dies; None if it completed."""
    with monkeypatch.context() as patch:
        directory = FaultyDirectory(path, step, error)
        replace_directory(patch, lambda fd: directory)
        if error is None:
            patch.setattr(backup, "_give_up", die)
        try:
            source.back_up(path)
        except Died:
            return directory
        except StoreError as told:
            if str(path) not in str(told):
                pytest.fail(f"which directory is not said: {told}")
            return directory
    return directory if error is not None and directory.count >= step else None


@pytest.mark.parametrize(
    ("error", "loses_power"),
    [(None, False), (None, True), (errno.ENOSPC, False), (errno.EIO, False)],
)
def test_the_last_backup_is_there_and_the_next_one_goes_on(
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: int | None,
    loses_power: bool,
) -> None:
    first = tmp_path / "first"
    source.back_up(first)
    before = content(first)
    source.work()
    wanted = source.state()
    assert before is not None and before != wanted
    seen = set()
    for step in range(1, 400):
        path = tmp_path / f"{step}"
        shutil.copytree(first, path)
        sizes = {name.name: name.stat().st_size for name in path.glob("pack-*")}
        failed = interrupted(source, path, step, monkeypatch, error)
        left = after_death(path)
        if loses_power and failed is not None:
            for file in left.glob("pack-*"):
                size = failed.sizes.get(file.name, sizes.get(file.name, 0))
                os.truncate(file, min(size, file.stat().st_size))
        found = content(left)
        assert found in (before, wanted)
        seen.add(found == wanted)
        source.back_up(left)
        assert content(left) == wanted
        shutil.rmtree(left)
        if failed is None:
            assert step > 15
            assert seen == {False, True}
            return
    pytest.fail("the backup did not complete")


@pytest.mark.parametrize("error", [None, errno.ENOSPC])
def test_a_first_backup_is_complete_or_none(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    wanted = source.state()
    for step in range(1, 400):
        path = tmp_path / f"{step}"
        path.mkdir(mode=0o700)
        failed = interrupted(source, path, step, monkeypatch, error)
        left = after_death(path)
        assert content(left) in (None, wanted)
        source.back_up(left)
        assert content(left) == wanted
        shutil.rmtree(left)
        if failed is None:
            assert step > 30
            return
    pytest.fail("the backup did not complete")


def test_a_power_cut_at_any_moment_leaves_the_last_backup(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_seconds: float
) -> None:
    """With every write that was not synced there, lost, or torn."""
    first = tmp_path / "first"
    source.back_up(first)
    before = content(first)
    source.work()
    wanted = source.state()
    path = tmp_path / "cut"
    shutil.copytree(first, path)
    disk = Disk({each.name: each.read_bytes() for each in path.iterdir()})
    disk.adopt(path)
    with monkeypatch.context() as patch:
        replace_directory(patch, lambda fd: RecordingDirectory(fd, disk))
        source.back_up(path)
    disk.seal()
    chance = random.Random(7)
    for number in range(int(long_seconds * 20) or 60):
        moment = chance.randrange(1, disk.now + 2)
        unsafe = [change.at for change in disk.unsafe_at(moment)]
        lost = frozenset(at for at in unsafe if chance.random() < chance.choice((0, 0.5, 1)))
        left = tmp_path / f"left{number}"
        left.mkdir(mode=0o700)
        for name, data in disk.state(moment, lost).items():
            (left / name).write_bytes(data)
        assert (left / MARKER).exists()
        assert content(left) in (before, wanted)
        source.back_up(left)
        assert content(left) == wanted
        shutil.rmtree(left)
