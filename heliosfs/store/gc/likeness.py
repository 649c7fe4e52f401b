"""Search, among many texts, for one that is similar to another."""

from __future__ import annotations

from heapq import nsmallest
from zlib import crc32

_FEATURES = 8
_LINE_MIN = 8
"""Shortest line that counts; shorter ones occur in every text."""
_LIKENESS_BYTES = 256 * 1024


def features(data: bytes) -> list[int]:
    r"""Return the smallest checksums of the lines; similar texts share most of them.

    100 us for 10 KB (Broder, On the resemblance and containment of documents, 1997).

    >>> one = b"".join(b"a line of text, %d\n" % number for number in range(99))
    >>> other = b"a line more\n"
    >>> len(set(features(one)) & set(features(one + other))) > 5
    True
    """
    lines = {line for line in data[:_LIKENESS_BYTES].split(b"\n") if len(line) >= _LINE_MIN}
    return nsmallest(_FEATURES, map(crc32, lines))


class SimilarityIndex:
    """An index from features to the number of the last text that had each."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def add(self, number: int, found: list[int]) -> None:
        """Add a text by its features."""
        for feature in found:
            self._numbers[feature] = number

    def nearest(self, found: list[int]) -> int | None:
        """Return the number that shares most features; None if it shares less than a quarter."""
        votes: dict[int, int] = {}
        for feature in found:
            number = self._numbers.get(feature)
            if number is not None:
                votes[number] = votes.get(number, 0) + 1
        best = max(votes, key=votes.__getitem__, default=None)
        if best is None or votes[best] * 4 < len(found):
            return None
        return best
