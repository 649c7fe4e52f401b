"""Measurements of a running mount: the duration of commits, and their number."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass

from heliosfs.clock import Clock

_SUB_BITS = 5
"""Bits of precision: a bucket is at most 1/32 of its value wide, so a quantile is off by at most
1.6 %."""
_SUB_COUNT = 1 << _SUB_BITS
_MINUTE_NS = 60 * 10**9
_HOUR_MINUTES = 60


class Histogram:
    """Counts of durations in a log-linear array: 0.2 us to record, 16 KB, no allocation."""

    __slots__ = ("_counts", "count", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self._counts = [0] * (64 * _SUB_COUNT)

    def record(self, duration_ns: int) -> None:
        """Count a duration of 0 to 2**63 - 1 ns."""
        self.count += 1
        self.total_ns += duration_ns
        shift = duration_ns.bit_length() - _SUB_BITS - 1
        if shift <= 0:
            self._counts[duration_ns] += 1
        else:
            self._counts[(shift << _SUB_BITS) + (duration_ns >> shift)] += 1

    def quantile_ns(self, share: float) -> int | None:
        """Return the duration that a `share` (0 to 1) does not exceed; None without any: 50 us."""
        rank = max(1, round(share * self.count))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return _middle(index)
        return None


def _middle(index: int) -> int:
    """Return the middle of a bucket."""
    shift = max(0, (index >> _SUB_BITS) - 1)
    low = (index - (shift << _SUB_BITS)) << shift
    return low + ((1 << shift) >> 1)


@dataclass(slots=True)
class HydrationCounts:
    """Counts of what was read of promised contents, since the repository was opened."""

    requests: int = 0
    """Ranges that were asked for."""
    failures: int = 0
    """Ranges that could not be had."""
    objects: int = 0
    """Contents that came."""
    received_bytes: int = 0
    prefetched_bytes: int = 0
    """Bytes of them that were read before anybody asked."""
    waiting: int = 0
    """Requests of the kernel that wait for a content now."""


class Metrics:
    """Measurements since the repository was opened."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.hydration = HydrationCounts()
        self.commit_latency = Histogram()
        self._minutes: deque[list[int]] = deque(maxlen=_HOUR_MINUTES + 1)
        """Minute since the epoch, and the number of commits in it."""

    def observe_commit(self, duration_ns: int) -> None:
        """Count a commit, answered this long after its request was complete."""
        self.commit_latency.record(duration_ns)
        minute = self._clock.now_ns() // _MINUTE_NS
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1][1] += 1
        else:
            self._minutes.append([minute, 1])

    def commits_last_hour(self) -> int:
        """Return the number of commits in the last 60 minutes, to the minute."""
        since = self._clock.now_ns() // _MINUTE_NS - _HOUR_MINUTES
        return sum(count for minute, count in self._minutes if minute > since)


def resident_bytes() -> int:
    """Return the memory of this process (RSS, proc_pid_statm(5))."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
