"""A process that dies, or a disk that fails, at any write of a bulk, and what is left."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.l2 import database as lmdbstore
from heliosfs.store.l2 import encoder
from heliosfs.store.local import LocalStore
from tests.crash.faulty import Died, FaultyDirectory
from tests.crash.scenario import Scenario, after_death


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several for each write, and an index that grows."""
    monkeypatch.setattr(encoder, "TXN_OBJECTS", 3)
    monkeypatch.setattr(lmdbstore, "RECENT_MAX", 20)


class BulkScenario:
    """Bulk writes, each with state that names an object of it, beside a batch."""

    def __init__(self) -> None:
        self.trying = self.written = 0
        self.is_done = False

    def run(self, directory: Directory) -> None:
        store = LocalStore(directory, create=True, cache_bytes=1 << 20)
        bulk = store.bulk()
        base = None
        for number in range(1, 9):
            self.trying = number
            for part in range(7):
                data = Scenario.blob(number * 100 + part)
                oid = object_id(Kind.BLOB, data)
                bulk.add(oid, Kind.BLOB, data, base)
                base = oid
            large = Scenario.large(number)
            bulk.add(object_id(Kind.BLOB, large), Kind.BLOB, large)
            bulk.put_all({b"git/head": b"%d" % number, b"git/last": base})
            work = bulk.plan_write()
            assert work is not None
            try:
                work.execute()
            finally:
                work.apply()
            self.written = number
            store.put(b"head", b"%d" % number)
            store.publish()
        bulk.close()
        store.close()
        self.is_done = True


def check_bulk(path: Path, scenario: BulkScenario) -> None:
    """Check that all that was written is there, and that state names no object that is missing."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        store = LocalStore.open(fd, create=True, cache_bytes=1 << 20)
    finally:
        os.close(fd)
    head = int(store.get(b"git/head") or b"0")
    assert scenario.written <= head <= scenario.trying
    assert int(store.get(b"head") or b"0") <= head
    for number in range(1, head + 1):
        for part in range(7):
            data = Scenario.blob(number * 100 + part)
            assert store.read(object_id(Kind.BLOB, data), Kind.BLOB) == data
        large = Scenario.large(number)
        assert store.read(object_id(Kind.BLOB, large), Kind.BLOB) == large
    if head:
        assert store.get(b"git/last") == object_id(Kind.BLOB, Scenario.blob(head * 100 + 6))
    store.close()


@pytest.mark.parametrize("loses_power", [False, True])
def test_all_that_was_written_is_left_whenever_it_dies(tmp_path: Path, loses_power: bool) -> None:
    for step in range(1, 400):
        path = tmp_path / f"{step}"
        path.mkdir()
        scenario = BulkScenario()
        directory = FaultyDirectory(path, step)
        try:
            scenario.run(directory)
        except Died:
            left = after_death(path)
            if loses_power:
                for file in (*left.glob("journal-*"), *left.glob("pack-*")):
                    os.truncate(file, directory.sizes.get(file.name, 0))
            check_bulk(left, scenario)
            shutil.rmtree(left)
        else:
            assert step > 30
            return
    pytest.fail("the scenario did not complete")


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_all_that_was_written_is_left_when_the_disk_fails(tmp_path: Path, error: int) -> None:
    for step in range(1, 400):
        path = tmp_path / f"{step}"
        path.mkdir()
        scenario = BulkScenario()
        directory = FaultyDirectory(path, step, error)
        with suppress(StoreError, OSError):
            scenario.run(directory)
        left = after_death(path)
        check_bulk(left, scenario)
        if scenario.is_done and directory.count < step:
            assert step > 30
            return
    pytest.fail("the scenario did not complete")
