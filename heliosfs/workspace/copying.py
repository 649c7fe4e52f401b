"""Copies between files of the working set, which share what the store has instead of reading it."""

from __future__ import annotations

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.working_set import FileContent, WorkingSet

COPIED_MAX_BYTES = 4 * 1024 * 1024
"""Most bytes that one call copies: 1 ms."""


def copy(
    working_set: WorkingSet,
    source: FileContent,
    offset: int,
    target: FileContent,
    at: int,
    length: int,
) -> int:
    """Copy up to `length` bytes of `source`; return how many, so that callers can continue.

    A whole file copied into an empty one, and whole parts of large files, are shared by id
    instead of copied: 1 us a part.  Raises StoreError.
    """
    is_whole = length == source.file_size and not (offset or at or target.file_size)
    if is_whole and source.oid is not None:
        working_set.drop(target)
        target.oid, target.file_size = source.oid, length
        target.hole_blocks = source.hole_blocks
        return length
    if working_set.store.promises and length:
        # What a remote has of the first piece is needed before the target is changed.
        working_set.read(source, offset, 1)
        working_set.read(source, offset + min(length, PART_BYTES) - 1, 1)
    parts = working_set.parts_of(source)
    end = at + length
    if parts is None or end <= WHOLE_MAX or (at - offset) % PART_BYTES:
        return _copy_bytes(working_set, source, offset, target, at, length)
    if end > target.file_size:
        working_set.truncate(target, end)
    content = working_set.writable(target)
    if not isinstance(content, LargeFile):
        return _copy_bytes(working_set, source, offset, target, at, length)
    number, index = offset // PART_BYTES, at // PART_BYTES
    first = index
    while at % PART_BYTES == 0 and index * PART_BYTES < end:
        count = content.part_bytes(index)
        if count != parts.part_bytes(number) or index * PART_BYTES + count > end:
            break
        content.share(working_set.store, parts, number, index)
        number, index = number + 1, index + 1
    if index == first:
        room = PART_BYTES - at % PART_BYTES
        return _copy_bytes(working_set, source, offset, target, at, min(length, room))
    working_set.wrote_parts(target)
    return min(index * PART_BYTES, content.size) - at


def _copy_bytes(
    working_set: WorkingSet,
    source: FileContent,
    offset: int,
    target: FileContent,
    at: int,
    length: int,
) -> int:
    data = bytes(working_set.read(source, offset, min(length, COPIED_MAX_BYTES)))
    working_set.write(target, at, data)
    return len(data)
