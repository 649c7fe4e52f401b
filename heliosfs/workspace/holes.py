"""Holes of files, as lseek(2) and stat(2) tell of them.

Those of a large file are its parts that are neither stored nor in memory.  Those of a small one are
blocks that were never written, bits of a number: known only while its node is, because what is
stored are the bytes.
"""

from __future__ import annotations

from itertools import chain

from heliosfs.objects.blob import PART_BYTES
from heliosfs.workspace.large_file import LargeFile

HOLE_BYTES = 4096
"""Unit of the holes of small files: a page, as on other file systems."""


def next_data(content: LargeFile, offset: int) -> int:
    """Return the offset of the next data at or after `offset`, or the size if there is none.

    Cost: O(parts of the hole), and at most O(parts that are not holes).
    """
    index = offset // PART_BYTES
    if not content.is_hole(index):
        return offset
    count = len(content.stored.ids) + len(content.loaded.parts)
    for number in range(index + 1, min(index + count, content.size // PART_BYTES) + 1):
        if not content.is_hole(number):
            return number * PART_BYTES
    later = [number for number in chain(content.stored.ids, content.loaded.parts) if number > index]
    return min(min(later) * PART_BYTES, content.size) if later else content.size


def next_hole(content: LargeFile, offset: int) -> int:
    """Return the offset of the next hole at or after `offset`, or the size if there is none."""
    index = offset // PART_BYTES
    if content.is_hole(index):
        return offset
    while not content.is_hole(index):
        index += 1
    return min(index * PART_BYTES, content.size)


def data_bytes(content: LargeFile) -> int:
    """Return the bytes of a large file that are not in holes: O(parts in memory)."""
    ids, loaded = content.stored.ids, content.loaded.parts
    count = len(ids) + sum(number not in ids for number in loaded)
    last = content.size // PART_BYTES
    is_short = content.size % PART_BYTES and not content.is_hole(last)
    return count * PART_BYTES - (PART_BYTES - content.size % PART_BYTES if is_short else 0)


def _blocks(start: int, stop: int) -> int:
    return (1 << stop) - (1 << start) if start < stop else 0


def with_hole(holes: int, offset: int, end: int, size: int) -> int:
    """Add the blocks between two offsets to the holes of a small file of `size` bytes."""
    stop = end // HOLE_BYTES if end < size else -(-size // HOLE_BYTES)
    return holes | _blocks(-(-offset // HOLE_BYTES), stop)


def without_hole(holes: int, offset: int, end: int) -> int:
    """Take the blocks of which something lies between two offsets from the holes."""
    return holes & ~_blocks(offset // HOLE_BYTES, -(-end // HOLE_BYTES))


def cut_holes(holes: int, size: int) -> int:
    """Return the holes that are left when a file is cut to `size` bytes."""
    return holes & _blocks(0, -(-size // HOLE_BYTES))


def holes_of_parts(content: LargeFile) -> int:
    """Return the holes that a large file has when it has become small."""
    holes = 0
    for index in range(-(-content.size // PART_BYTES)):
        if content.is_hole(index):
            end = min((index + 1) * PART_BYTES, content.size)
            holes = with_hole(holes, index * PART_BYTES, end, content.size)
    return holes


def next_data_block(holes: int, offset: int, size: int) -> int:
    """Return what `next_data` does, of a small file."""
    at = offset // HOLE_BYTES
    if not holes >> at & 1:
        return offset
    while holes >> at & 1:
        at += 1
    return min(at * HOLE_BYTES, size)


def next_hole_block(holes: int, offset: int, size: int) -> int:
    """Return what `next_hole` does, of a small file."""
    at = offset // HOLE_BYTES
    later = holes >> at
    if later & 1:
        return offset
    if not later:
        return size
    return (at + (later & -later).bit_length() - 1) * HOLE_BYTES


def small_data_bytes(holes: int, size: int) -> int:
    """Return the bytes of a small file that are not in holes."""
    hole_bytes = holes.bit_count() * HOLE_BYTES
    if size % HOLE_BYTES and holes >> size // HOLE_BYTES & 1:
        hole_bytes -= HOLE_BYTES - size % HOLE_BYTES
    return size - hole_bytes
