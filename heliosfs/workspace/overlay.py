"""What was written over a part of a large file whose bytes were not read for it."""

from __future__ import annotations

from bisect import bisect_left

EXTENTS_MAX = 16
"""With more, the part is read: a list that long costs more than the bytes around it."""


class Overlay:
    """Extents in order of their place, which neither overlap nor touch.

    >>> overlay = Overlay()
    >>> overlay.write(4, b"abc")
    >>> overlay.write(7, b"d")
    >>> overlay.read(5, 8), overlay.read(3, 5)
    (b'bcd', None)
    >>> bytes(overlay.over(b"0123456789"))
    b'0123abcd89'
    """

    __slots__ = ("_data", "_starts", "size_bytes")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._data: list[bytes] = []
        self.size_bytes = 0
        """Bytes that all extents have together."""

    def __len__(self) -> int:
        return len(self._starts)

    def write(self, start: int, data: bytes) -> None:
        """Put `data` at `start`, over what is there.  Cost: the extents that it meets."""
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
        """The bytes from `start` to `stop`, if all of them were written."""
        at = bisect_left(self._starts, start + 1) - 1
        if at < 0:
            return None
        begin, data = self._starts[at], self._data[at]
        return data[start - begin : stop - begin] if stop <= begin + len(data) else None

    def over(self, base: bytes) -> bytearray:
        """`base` with the extents written over it, as long as they need it."""
        whole = bytearray(base)
        for start, data in zip(self._starts, self._data, strict=True):
            if len(whole) < start:
                whole.extend(bytes(start - len(whole)))
            whole[start : start + len(data)] = data
        return whole
