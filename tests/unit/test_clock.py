"""The machine's clock: the offset of its time zone, asked for once in a quarter of an hour."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from heliosfs.clock import SECOND_NS, SystemClock


def test_the_offset_changes_with_the_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    change = 1_774_746_000  # summer time begins in Europe, at a full hour
    now = [change - 901]
    asked: list[int] = []

    def localtime() -> SimpleNamespace:
        asked.append(now[0])
        return SimpleNamespace(tm_gmtoff=7200 if now[0] >= change else 3600)

    monkeypatch.setattr(time, "time_ns", lambda: now[0] * SECOND_NS)
    monkeypatch.setattr(time, "localtime", localtime)
    clock = SystemClock()
    found = []
    for now[0] in (change - 901, change - 900, change - 1, change, change + 1, change - 1):
        found.append(clock.utc_offset_minutes())
    assert found == [60, 60, 60, 120, 120, 60]
    assert asked == [change - 901, change - 900, change, change - 1]
