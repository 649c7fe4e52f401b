"""The one place that reads the time, so that tests can stop it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""

    def utc_offset_minutes(self) -> int:
        """Minutes that local time is ahead of UTC, now."""


class SystemClock:
    """The machine's clock and time zone."""

    def now_ns(self) -> int:
        return time.time_ns()

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

    def utc_offset_minutes(self) -> int:
        return 0
