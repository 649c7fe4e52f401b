"""Extents: the bytes written over a part of a large file, kept apart from the stored part."""

from __future__ import annotations

from bisect import bisect_left

EXTENTS_MAX = 16
"""Most extents of a part; with more, the stored part is read, because a longer list costs more."""


class Extents:
    """Sorted list of extents that neither overlap nor touch.

    >>> extents = Extents()
    >>> extents.write(4, b"abc")
    >>> extents.write(7, b"d")
    >>> extents.read(5, 8), extents.read(3, 5)
    (b'bcd', None)
    >>> extents.below = b"0123456789"
    >>> extents.read(3, 5), bytes(extents.whole())
    (b'3a', b'0123abcd89')
    """

    __slots__ = ("_data", "_starts", "below", "size_bytes")

    def __init__(self, below: bytes | None = None) -> None:
        self.below = below
        """Bytes of the stored part; None until they have been read."""
        self._starts: list[int] = []
        self._data: list[bytes] = []
        self.size_bytes = 0
        """Total size of all extents in bytes."""

    @property
    def extents(self) -> list[tuple[int, bytes]]:
        """Return the extents in order: start and bytes of each."""
        return list(zip(self._starts, self._data, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    def write(self, start: int, data: bytes) -> None:
        """Write `data` at `start` and merge it with the extents it overlaps or touches.

        Cost: O(size of these extents).
        """
        end = start + len(data)
        low = bisect_left(self._starts, start)
        if low and self._starts[low - 1] + len(self._data[low - 1]) >= start:
            low -= 1
        high = low
        while high < len(self._starts) and self._starts[high] <= end:
            high += 1
        if high > low:
            first, last = self._starts[low], self._starts[high - 1]
            before = self._data[low][: max(0, start - first)]
            after = self._data[high - 1][max(0, end - last) :]
            self.size_bytes -= sum(map(len, self._data[low:high]))
            start, data = min(start, first), before + data + after
        self._starts[low:high] = [start]
        self._data[low:high] = [data]
        self.size_bytes += len(data)

    def read(self, start: int, stop: int) -> bytes | None:
        """Return the bytes from `start` to `stop`, or None if `below` is needed and not loaded.

        The result is shorter if neither the stored part nor an extent reaches `stop`.
        Cost: O(bytes read).
        """
        at = bisect_left(self._starts, start + 1) - 1
        if at >= 0:
            begin, data = self._starts[at], self._data[at]
            if stop <= begin + len(data):
                return data[start - begin : stop - begin]
        if self.below is None:
            return None
        piece = bytearray(self.below[start:stop])
        for later in range(max(at, 0), len(self._starts)):
            begin, data = self._starts[later], self._data[later]
            if begin >= stop:
                break
            _put(piece, begin - start, data[: stop - begin])
        return bytes(piece)

    def whole(self) -> bytearray:
        """Return the stored part, which must be loaded, with all extents written over it."""
        assert self.below is not None
        whole = bytearray(self.below)
        for start, data in zip(self._starts, self._data, strict=True):
            _put(whole, start, data)
        return whole


def _put(piece: bytearray, at: int, data: bytes) -> None:
    """Write `data` into `piece` at index `at`, which may be negative or beyond the end."""
    if at < 0:
        data, at = data[-at:], 0
    if data:
        piece.extend(bytes(max(0, at - len(piece))))
        piece[at : at + len(data)] = data
