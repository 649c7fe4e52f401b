"""Every verb on a real store whose disk fails, or whose process dies, at each of its writes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import StoreError
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from tests.crash.faulty import Died, FaultyDirectory
from tests.tree_builder import IDENTITY
from tests.verb_scenarios import SCENARIOS, Scenario, build, carry_out, picture, prepare

LATER_NS = 1_800_000_000 * 10**9
FAILURES = (None, errno.ENOSPC, errno.EIO)
"""Failures of a write: None if the process dies, else the error with which the system refuses."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has everything that the scenarios need."""
    path = tmp_path_factory.mktemp("built")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    repository = Repository.open(LocalStore.open(fd, create=True), FixedClock(), IDENTITY)
    os.close(fd)
    build(repository)
    repository.close()
    return path


def _open(path: Path, start_ns: int) -> tuple[FaultyDirectory, Repository]:
    directory = FaultyDirectory(path, 10**9)
    clock = FixedClock(start_ns=start_ns)
    return directory, Repository.open(LocalStore(directory), clock, IDENTITY)


def _copies(built: Path, scratch: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield Path(shutil.copytree(built, scratch / str(number)))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_half_done_on_the_disk(scenario: Scenario, built: Path, tmp_path: Path) -> None:
    copies = _copies(built, tmp_path)
    for error in FAILURES:
        nth, has_failed = 1, True
        while has_failed:
            path = next(copies)
            directory, repository = _open(path, LATER_NS)
            prepare(repository, scenario)
            before = picture(repository)
            repository.checkpoint()
            directory.fail_at, directory.error = directory.count + nth, error
            has_failed = False
            try:
                carry_out(repository, scenario)
            except (StoreError, Died):
                has_failed = True
                directory.error = None
            if error is None and has_failed:
                # What a dead process held in memory is gone; its lock goes with it.
                dead = Path(shutil.copytree(path, tmp_path / "dead"))
                _, again = _open(dead, 2 * LATER_NS)
                assert picture(again) == before, f"died at write {nth}"
                again.close()
                shutil.rmtree(dead)
            directory.fail_at = 10**9
            if error is not None and has_failed:
                assert picture(repository) == before, f"write {nth} failed"
                carry_out(repository, scenario)
            if error is not None or not has_failed:
                after = picture(repository)
                repository.close()
                _, again = _open(path, 2 * LATER_NS)
                assert picture(again) == after
            nth += 1
        assert nth > 2, "no write of this verb could fail"
