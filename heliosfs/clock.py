"""The wall clock: the only source of times that are stored or shown, so that tests can stop it.

Durations are measured where they are needed, by the monotonic clock.  `cli` reads the time itself
for an archive made without a mount, since that time is not stored.
"""

from __future__ import annotations

import time
from typing import Protocol

SECOND_NS = 10**9
_QUARTER_NS = 900 * SECOND_NS
AHEAD_MAX_NS = 86_400 * SECOND_NS
"""Largest lead over the present of a time that the clock takes into account.  A time further ahead
was made up, and does not come from a clock that was set back since."""


class Clock(Protocol):
    """Source of wall-clock time."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, UTC.  The clock may be set back at any moment."""

    def later_ns(self) -> int:
        """Return `now_ns()`, or more if that is not later than every time returned or noted."""

    def note(self, time_ns: int) -> None:
        """Make later times later than this one of a file, unless it is `AHEAD_MAX_NS` ahead."""

    def utc_offset_minutes(self) -> int:
        """Return by how many minutes local time is ahead of UTC now."""


class SystemClock:
    """The machine's clock and time zone."""

    def __init__(self) -> None:
        self._latest_ns = 0
        self._quarter = -1
        self._offset_minutes = 0

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
        # Offsets change at quarters of an hour; to ask takes 1 us.
        quarter = time.time_ns() // _QUARTER_NS
        if quarter != self._quarter:
            self._offset_minutes = time.localtime().tm_gmtoff // 60
            self._quarter = quarter
        return self._offset_minutes


class FixedClock:
    """Clock for tests, which moves on by `step_ns` at every reading."""

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
