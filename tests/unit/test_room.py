"""A full disk, or a store at its limit, refuses writes before bytes are taken in."""

from __future__ import annotations

import errno
import os

import pytest

from heliosfs.clock import FixedClock
from heliosfs.config.settings import Layer
from heliosfs.errors import StoreFull
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.repository import Repository
from heliosfs.store.memory import MemoryStore
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.naming import Naming
from heliosfs.vfs.room import RESERVE_BYTES
from tests.tree_builder import IDENTITY

MIB = 1024 * 1024


class SmallStore(MemoryStore):
    """Lies on a disk that has `free_bytes` left."""

    free_bytes = 100 * MIB

    def disk(self) -> os.statvfs_result:
        blocks = self.free_bytes // 4096
        return os.statvfs_result((4096, 4096, 1 << 20, blocks, blocks, 1000, 1000, 1000, 0, 255))


def write(store: SmallStore, repository: Repository, count: int) -> int:
    """Write MiB after MiB until that is refused; how many were taken."""
    filesystem = FileSystem(repository)
    files = Files(filesystem)
    node = Naming(filesystem).create(repository.root.workspace.root, b"f%d" % count, 0o100644, 0, 0)
    handle = files.handles[files.open(node, os.O_WRONLY)]
    for number in range(count):
        try:
            files.write(handle, number * MIB, bytes(MIB))
        except StoreFull:
            return number
    return count


def test_a_full_disk_refuses_and_takes_again_when_there_is_room() -> None:
    store = SmallStore()
    repository = Repository.open(store, FixedClock(), IDENTITY)
    assert write(store, repository, 200) == 50 - RESERVE_BYTES // MIB
    assert write(store, repository, 1) == 0
    repository.root.commit("it still commits")
    store.free_bytes = 1000 * MIB
    assert write(store, repository, 100) == 100


def test_max_size_refuses() -> None:
    store = SmallStore()
    store.free_bytes = 1000 * MIB
    repository = Repository.open(store, FixedClock(), IDENTITY)
    repository.configure(Configuration(None, [Layer("test", "storage:\n  max_size: 20MB\n")]))
    assert write(store, repository, 200) == 20 - RESERVE_BYTES // MIB


def test_a_small_write_names_what_is_full() -> None:
    store = SmallStore()
    store.free_bytes = 0
    repository = Repository.open(store, FixedClock(), IDENTITY)
    filesystem = FileSystem(repository)
    files = Files(filesystem)
    node = Naming(filesystem).create(repository.root.workspace.root, b"f", 0o100644, 0, 0)
    handle = files.handles[files.open(node, os.O_WRONLY)]
    with pytest.raises(StoreFull, match="the disk of the store is full") as caught:
        files.write(handle, 0, b"x")
    assert caught.value.errno == errno.ENOSPC
    assert node.size == 0
