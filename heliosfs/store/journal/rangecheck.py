"""CRC-32 of any range of some bytes, in a time that does not depend on the length of the range.

Behind damage a replay looks for records at every place that may be the beginning of one, and what
files hold may look so at every few bytes, each time with a table that seems to reach to the end.
If the range of each were read, that would take the square of the bytes.

A CRC is linear (Mark Adler's crc32_combine in zlib): that of two strings, one after the other,
is that of the first, advanced by as many zeros as the second has bytes, xor that of the second.  So
the CRC of a range follows from those of the bytes before its begin and before its end.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TypeAlias
from zlib import crc32

_CHECK_EVERY_BYTES = 1024
"""Distance of the places before which the CRC is known."""
_POLYNOMIAL = 0xEDB88320

_Tables: TypeAlias = "tuple[list[int], list[int], list[int], list[int]]"


class RangeChecks:
    """The checksums of the ranges of some bytes: one pass over them, then 10 us for a range."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._before: array[int] | None = None

    def of(self, begin: int, end: int, seed: int) -> int:
        """Return what `crc32(data[begin:end], seed)` returns.

        >>> data = b"some bytes" * 999
        >>> RangeChecks(data).of(7, 9_000, 5) == crc32(data[7:9_000], 5)
        True
        """
        if end - begin <= 2 * _CHECK_EVERY_BYTES:
            return crc32(self._data[begin:end], seed)
        return self._up_to(end) ^ _advanced(self._up_to(begin) ^ seed, end - begin)

    def _up_to(self, end: int) -> int:
        """Return the CRC of all bytes before a place."""
        if self._before is None:
            self._before = self._all()
        index = end // _CHECK_EVERY_BYTES
        return crc32(self._data[index * _CHECK_EVERY_BYTES : end], self._before[index])

    def _all(self) -> array[int]:
        before, check = array("L", [0]), 0
        for at in range(0, len(self._data), _CHECK_EVERY_BYTES):
            check = crc32(self._data[at : at + _CHECK_EVERY_BYTES], check)
            before.append(check)
        return before


def _advanced(check: int, count: int) -> int:
    """Return the CRC after `count` more bytes of zero, but for what those add by themselves."""
    power = 0
    while count:
        if count & 1:
            low, second, third, high = _tables(power)
            check = (
                low[check & 0xFF]
                ^ second[check >> 8 & 0xFF]
                ^ third[check >> 16 & 0xFF]
                ^ high[check >> 24]
            )
        count >>= 1
        power += 1
    return check


@lru_cache(maxsize=64)
def _tables(power: int) -> _Tables:
    """Return the result of 2**power bytes of zero for each value of each byte of a CRC."""
    if power == 0:
        bits = [_after_a_zero(1 << bit) for bit in range(32)]
    else:
        half = 1 << power - 1
        bits = [_advanced(_advanced(1 << bit, half), half) for bit in range(32)]
    low, second, third, high = (_sums(bits[at : at + 8]) for at in range(0, 32, 8))
    return low, second, third, high


def _after_a_zero(check: int) -> int:
    for _ in range(8):
        check = check >> 1 ^ (_POLYNOMIAL if check & 1 else 0)
    return check


def _sums(bits: list[int]) -> list[int]:
    """Return the sum, that is xor, of the bits of each value of a byte."""
    sums = [0]
    for bit in bits:
        sums += [each ^ bit for each in sums]
    return sums
