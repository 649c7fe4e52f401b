"""The wall clock: the only source of times that are stored or shown, so that tests can stop it.

How long something takes is measured where it happens, by the monotonic clock.  An archive made
without a mount reads the time itself (`cli`): nothing of it is stored.
"""

from __future__ import annotations

import time
from typing import Protocol

SECOND_NS = 10**9
AHEAD_MAX_NS = 86_400 * SECOND_NS
"""How far in the future a time may lie for the clock to take it into account: one that is further
ahead was made up, and does not come from a clock that was set back."""


class Clock(Protocol):
    """Wall-clock time."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC.  The clock may be set back at any moment."""

    def later_ns(self) -> int:
        """`now_ns`, but later than every time that this clock gave, or that was noted."""

    def note(self, time_ns: int) -> None:
        """Take into account a time that a file has; not what is `AHEAD_MAX_NS` ahead."""

    def utc_offset_minutes(self) -> int:
        """Minutes that local time is ahead of UTC, now."""


class SystemClock:
    """The machine's clock and time zone."""

    def __init__(self) -> None:
        self._latest_ns = 0

    def now_ns(self) -> int:
        now_ns = time.time_ns()
        if now_ns < self._latest_ns:
            return now_ns
        self._latest_ns = now_ns
        return now_ns

    def later_ns(self) -> int:
        self._latest_ns = max(time.time_ns(), self._latest_ns + 1)
        return self._latest_ns

    def note(self, time_ns: int) -> None:
        if self._latest_ns < time_ns < time.time_ns() + AHEAD_MAX_NS:
            self._latest_ns = time_ns

    def utc_offset_minutes(self) -> int:
        return time.localtime().tm_gmtoff // 60


class FixedClock:
    """A clock for tests: it moves by `step_ns` at every reading."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 1_000) -> None:
        self.time_ns = start_ns
        self.step_ns = step_ns

    def now_ns(self) -> int:
        self.time_ns += self.step_ns
        return self.time_ns

    def later_ns(self) -> int:
        return self.now_ns()

    def note(self, time_ns: int) -> None:
        if self.time_ns < time_ns < self.time_ns + AHEAD_MAX_NS:
            self.time_ns = time_ns

    def utc_offset_minutes(self) -> int:
        return 0
