"""Where a large file has data and where it has none, in parts of `PART_BYTES` (lseek(2))."""

from __future__ import annotations

from itertools import chain

from heliosfs.objects.blob import PART_BYTES
from heliosfs.workspace.content import PartedContent


def next_data(content: PartedContent, offset: int) -> int:
    """Where the next part begins, from `offset` on, that is not a hole; the size if none does.

    Cost: O(parts of the hole), but O(parts that are no holes) at most.
    """
    index = offset // PART_BYTES
    if not content.is_hole(index):
        return offset
    count = len(content.ids) + len(content.loaded)
    for number in range(index + 1, min(index + count, content.size // PART_BYTES) + 1):
        if not content.is_hole(number):
            return number * PART_BYTES
    later = [number for number in chain(content.ids, content.loaded) if number > index]
    return min(min(later) * PART_BYTES, content.size) if later else content.size


def next_hole(content: PartedContent, offset: int) -> int:
    """Where the next hole begins, from `offset` on; the size if there is none."""
    index = offset // PART_BYTES
    if content.is_hole(index):
        return offset
    while not content.is_hole(index):
        index += 1
    return min(index * PART_BYTES, content.size)
