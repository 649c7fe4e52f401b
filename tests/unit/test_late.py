"""Times that are set while bytes of a mapping are on their way."""

from __future__ import annotations

import os

from heliosfs.vfs.late import LateStores
from heliosfs.workspace.nodes import FileNode


def node() -> FileNode:
    return FileNode.__new__(FileNode)


def test_where_opens_are_asked_only_what_can_be_mapped_waits() -> None:
    late, file = LateStores(), node()
    assert not late.needs_barrier(file)
    late.add(file)
    late.add(file)
    late.remove(file)
    assert late.needs_barrier(file)
    late.remove(file)
    assert not late.needs_barrier(file)


def test_a_new_file_gets_its_first_time_at_once() -> None:
    late, tar, mapped, read = LateStores(), node(), node(), node()
    late.are_opens_asked = False
    late.made(tar, os.O_WRONLY)
    late.made(mapped, os.O_RDWR)
    late.made(read, os.O_WRONLY)
    late.read(read)
    assert [late.needs_barrier(file) for file in (tar, mapped, read)] == [False, True, True]
    assert late.needs_barrier(tar), "the second time"


def test_what_arrives_late_leaves_the_time_until_the_next_barrier() -> None:
    late, file, other = LateStores(), node(), node()
    late.are_opens_asked = False
    late.barrier_begun(1)
    for each in (file, other):
        late.made(each, os.O_WRONLY)
        late.needs_barrier(each)
    late.barrier_ended(1)
    assert not late.moves_time_of(file), "that barrier had begun before"
    late.barrier_begun(2)
    late.barrier_ended(2)
    assert late.moves_time_of(file) and late.moves_time_of(other)


def test_not_all_new_files_are_remembered() -> None:
    late = LateStores()
    late.are_opens_asked = False
    files = [node() for _ in range(5000)]
    for each in files:
        late.made(each, os.O_WRONLY)
    assert late.needs_barrier(files[0])
    assert not late.needs_barrier(files[-1])
