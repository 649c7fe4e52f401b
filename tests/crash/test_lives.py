"""A process that was killed, another one that goes on, and then a power cut.

What the first one wrote and did not sync is in the page cache: the second one reads it, and must
not build on it before it is on the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.layout import is_closed_cleanly
from heliosfs.store.local import LocalStore
from tests.simulation.disk import TMPFS, Died, Disk, SimulatedDirectory
from tests.stores import give, run

LARGE = Random(1).randbytes(PACKED_FROM_BYTES + 1)


class Lives:
    """Processes that open one store, one after another, and are killed."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk(path, Random(0))

    def open(self, *, dies_after: int = 0) -> LocalStore:
        self.disk.begin(dies_after=dies_after)
        return LocalStore(SimulatedDirectory(self.disk), create=True)

    def kill(self, store: LocalStore | None) -> None:
        if store is not None:
            store._l2.env.close()
        self.disk.end(is_killed=True)


@pytest.fixture
def lives() -> Iterator[Lives]:
    with tempfile.TemporaryDirectory(dir=TMPFS) as path:
        found = Lives(Path(path))
        yield found
        found.disk.end(is_killed=False)


@pytest.mark.parametrize("dies_after", range(1, 12))
def test_a_store_whose_making_was_killed_keeps_what_came_later(
    lives: Lives, dies_after: int
) -> None:
    """The name of `format` may be in the page cache alone."""
    try:
        lives.kill(lives.open(dies_after=dies_after))
    except Died:
        lives.kill(None)
    store = lives.open()
    [oid] = give(store, b"drained")
    run(store.plan_drain())
    lives.kill(store)
    lives.disk.cut_power(spares=False)
    store = lives.open()
    assert store.read(oid, Kind.BLOB) == b"drained"
    store.close()


def add_large(store: LocalStore) -> Oid:
    """Publish an object whose bytes go into a pack at once, as those of a large file do."""
    work = store.plan_add([NewObject(Kind.BLOB, LARGE)])
    run(work)
    store.publish()
    return object_id(Kind.BLOB, LARGE)


def test_a_body_that_a_killed_process_wrote_is_synced_before_it_is_named(lives: Lives) -> None:
    lives.open().close()
    store = lives.open()
    oid = add_large(store)
    lives.kill(store)
    store = lives.open()
    assert store.stats().objects == 1
    lives.kill(store)
    lives.disk.cut_power(spares=False)
    store = lives.open()
    assert store.read(oid, Kind.BLOB) == LARGE
    store.close()


def test_an_open_that_fails_does_not_hide_that_the_last_process_was_killed(lives: Lives) -> None:
    lives.open().close()
    store = lives.open()
    lives.kill(store)
    path = lives.disk.path / "store.lmdb"
    data = path.read_bytes()
    path.write_bytes(bytes(8192) + data[8192:])
    with pytest.raises(StoreError):
        lives.open()
    path.write_bytes(data)
    lives.disk.begin()
    directory = SimulatedDirectory(lives.disk)
    assert not is_closed_cleanly(directory)
    directory.close()
    lives.open().close()
    directory = SimulatedDirectory(lives.disk)
    assert is_closed_cleanly(directory)
    directory.close()


def test_a_close_that_fails_is_none(lives: Lives) -> None:
    lives.open().close()
    store = lives.open()
    give(store, b"kept in the journal")
    lives.disk.is_full = True
    with pytest.raises(StoreError):
        store.close()
    lives.disk.begin()
    directory = SimulatedDirectory(lives.disk)
    assert not is_closed_cleanly(directory)
    directory.close()
    store = lives.open()
    assert store.stats().objects == 1
    store.close()


def write_back(disk: Disk) -> None:
    """Let everything reach the disk, as the system does by itself after some seconds."""
    disk.begin()
    directory = SimulatedDirectory(disk)
    directory.sync_names()
    directory.close()
    for contents in disk.contents.values():
        contents.settle()


def test_a_power_cut_that_takes_the_marks_of_a_process_is_no_damage(lives: Lives) -> None:
    """Neither the pid in the lock file nor the witness is synced; L2 is, at every drain."""
    lives.open().close()
    lives.disk.end(is_killed=False)
    write_back(lives.disk)
    store = lives.open()
    [oid] = give(store, b"drained")
    run(store.plan_drain())
    lives.kill(store)
    lives.disk.cut_power(spares=False)
    (lives.disk.path / "lock").write_bytes(b"")
    store = lives.open()
    assert store.findings == []
    assert store.read(oid, Kind.BLOB) == b"drained"
    store.close()
