"""Inode numbers do not come again, from one mount to the next."""

from __future__ import annotations

import pytest

from heliosfs.errors import StoreError, StoreFull
from heliosfs.store.sidefile import MemoryFile
from heliosfs.workspace.inodes import BLOCK_COUNT, ROOT_INO, InodeTable, problem_of


class FullDisk(MemoryFile):
    """A file that cannot be written."""

    def replace(self, data: bytes) -> None:
        raise StoreFull("no space left")


class FailedDisk(MemoryFile):
    """A file of which it is not known what reached the disk."""

    def replace(self, data: bytes) -> None:
        raise StoreError("a sync of the store failed")


def mounted(file: MemoryFile) -> InodeTable:
    """A table as a mount has it, its root included."""
    table = InodeTable()
    assert table.allocate() == ROOT_INO
    table.go_on(file)
    return table


def test_a_mount_goes_on_where_the_last_one_ended() -> None:
    file = MemoryFile()
    seen: set[int] = set()
    for _ in range(3):
        table = mounted(file)
        numbers = [table.allocate() for _ in range(5)]
        assert not seen & set(numbers)
        seen.update(numbers)
        table.end()
    assert max(seen) == ROOT_INO + len(seen)


def test_a_mount_that_was_killed_gave_no_number_that_comes_again() -> None:
    file = MemoryFile()
    table = mounted(file)
    last = [table.allocate() for _ in range(BLOCK_COUNT + 5)][-1]
    assert mounted(file).allocate() > last


def test_a_file_that_cannot_be_read_as_a_number_and_a_full_disk_keep_nobody_away() -> None:
    assert mounted(MemoryFile(b"junk")).allocate() == ROOT_INO + 1
    table = mounted(FullDisk(b"70\n"))
    assert [table.allocate() for _ in range(3)] == [70, 71, 72]


def test_a_damaged_file_is_told_of() -> None:
    for data in (b"", b"junk", b"-5\n", b"0\n", b"%d\n" % 2**64):
        told = problem_of(data, was_mounted=True)
        assert told == "the file inodes is damaged: numbers of inodes may be given a second time"
    assert problem_of(b"%020d\n" % 70, was_mounted=True) is None


def test_a_file_is_missing_once_there_was_a_mount() -> None:
    told = problem_of(None, was_mounted=True)
    assert told == "the file inodes is missing: numbers of inodes may be given a second time"
    assert problem_of(None, was_mounted=False) is None


def test_after_a_sync_that_failed_nothing_is_mounted_but_files_stay_readable() -> None:
    with pytest.raises(StoreError, match="a sync of the store failed"):
        InodeTable().go_on(FailedDisk(b"70\n"))
    table = mounted(FullDisk(b"70\n"))
    table._file = FailedDisk()
    last = [table.allocate() for _ in range(BLOCK_COUNT + 5)][-1]
    assert last == 70 + BLOCK_COUNT + 4
    table.end()
