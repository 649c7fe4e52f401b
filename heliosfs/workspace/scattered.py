"""Short reads of a large file: which of them take a piece of a part, and which load all of it."""

from __future__ import annotations

from heliosfs.objects.blob import PART_BYTES

SCATTERED_MAX_BYTES = 32 * 1024
"""Longest read that takes a piece of a part that is not in memory."""
_PIECES_MAX = 3
"""Most pieces that are read of a part one by one; the next read loads it.  A piece costs a third of
a part that is cold, and more than one that is in memory."""
_PARTS_MAX = 64
"""Parts of which the pieces are counted."""


class ScatteredReads:
    """The short reads of one file so far, by which the next one is judged.

    A piece is not kept: the kernel's page cache has it.  A reader that goes on where it stopped, or
    comes back to a part again and again, is served from the whole part, as fast as ever.
    """

    __slots__ = ("_counts", "_stopped")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        """Pieces that were read of a part, by its number."""
        self._stopped = -1
        """Offset in the file at which the last short read stopped."""

    def is_piece(self, number: int, start: int, stop: int) -> bool:
        """Note a read of a part that is not in memory; return True if it takes a piece alone."""
        if stop - start > SCATTERED_MAX_BYTES:
            return False
        before, begin = self._stopped, number * PART_BYTES
        self._stopped = begin + stop
        if before == begin + start:
            return False
        counts = self._counts
        count = counts.pop(number, 0)
        if count == _PIECES_MAX:
            return False
        counts[number] = count + 1
        if len(counts) > _PARTS_MAX:
            del counts[next(iter(counts))]
        return True
