"""Holes of a large file: its parts that are neither stored nor in memory; as lseek(2) asks."""

from __future__ import annotations

from itertools import chain

from heliosfs.objects.blob import PART_BYTES
from heliosfs.workspace.large_file import LargeFile


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
