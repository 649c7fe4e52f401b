"""Rests of a working thread: only while somebody waits for the interpreter."""

from __future__ import annotations

import threading
import time

import pytest

from heliosfs import pace
from heliosfs.pace import Pace, paced, serve_here


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on by 0.3 ms a look, and the sleeps."""
    found: list[float] = []
    now = 0.0

    def look() -> float:
        nonlocal now
        now += 0.0003
        return now

    monkeypatch.setattr(time, "perf_counter", look)
    monkeypatch.setattr(time, "sleep", found.append)
    monkeypatch.setattr(Pace, "is_shared", True)
    monkeypatch.setattr(Pace, "request_count", 0)
    monkeypatch.setattr(pace._own, "rests", pace._Rests())
    return found


def work(each: Pace, count: int) -> None:
    for _ in range(count):
        each()


def test_it_rests_while_requests_come_and_a_while_after(slept: list[float]) -> None:
    each = Pace()
    work(each, 100)
    assert slept == []
    Pace.request_count += 1
    work(each, 30)
    assert len(slept) > 3
    assert set(slept) == {pace.REST_SECONDS}
    work(each, 1_000)
    count = len(slept)
    work(each, 1_000)
    assert len(slept) == count


def test_nested_ones_rest_no_more_often_than_one(slept: list[float]) -> None:
    outer, inner = Pace(), Pace()
    Pace.request_count = 1
    for _ in range(300):
        Pace.request_count += 1
        outer()
        inner()
    # 600 looks at the clock of 0.3 ms each, and one more in each of the rests, after 1 ms of work.
    assert len(slept) <= 600 * 0.3 / 1.0


def test_each_thread_rests_for_itself(slept: list[float]) -> None:
    Pace.request_count += 1
    work(Pace(), 30)
    before = len(slept)
    other = threading.Thread(target=lambda: work(Pace(), 30))
    other.start()
    other.join()
    assert len(slept) >= 2 * before - 1


def test_it_never_rests_where_nobody_is_served(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "is_shared", False)
    each = Pace()
    Pace.request_count += 1
    work(each, 100)
    assert slept == []


def test_a_loop_rests_between_its_items(slept: list[float]) -> None:
    Pace.request_count += 1
    assert list(paced(range(30))) == list(range(30))
    assert len(slept) > 3


def test_the_thread_that_serves_never_rests(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "is_shared", False)
    serve_here()
    assert Pace.is_shared
    Pace.request_count += 1
    work(Pace(), 100)
    assert slept == []
    other = threading.Thread(target=lambda: work(Pace(), 30))
    other.start()
    other.join()
    assert slept != []
