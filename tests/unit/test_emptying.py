"""Large containers are emptied piece by piece, on a thread, where others wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import pytest

from heliosfs.emptying import Container, empty, empty_later
from heliosfs.pace import Pace
from heliosfs.store.gc.survey import Met
from heliosfs.store.remembered import TwoGenerationCache


def large() -> list[Container]:
    numbers = range(5_003)
    return [dict.fromkeys(numbers), set(numbers), list(numbers), deque(numbers)]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads that were started to empty something."""
    found: list[threading.Thread] = []
    start = threading.Thread.start

    def noting(thread: threading.Thread) -> None:
        found.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noting)
    yield found
    for thread in found:
        thread.join(10)


def test_every_kind_is_emptied() -> None:
    containers = large()
    empty(containers)
    assert not any(containers)


def test_it_is_done_on_a_thread_where_requests_are_served(
    monkeypatch: pytest.MonkeyPatch, begun: list[threading.Thread]
) -> None:
    monkeypatch.setattr(Pace, "is_shared", True)
    containers = large()
    empty_later(*containers, [1, 2, 3])
    assert len(begun) == 1
    begun[0].join(10)
    assert not any(containers)
    # What is small is freed at once, by whoever holds it.
    few = [1, 2, 3]
    empty_later(few)
    assert few == [1, 2, 3]
    assert len(begun) == 1


def test_nothing_is_begun_where_nobody_is_served(begun: list[threading.Thread]) -> None:
    containers = large()
    empty_later(*containers)
    assert begun == []
    assert all(containers)


def test_a_forgotten_generation_goes_an_entry_at_a_time() -> None:
    cache: TwoGenerationCache[int] = TwoGenerationCache(100)
    for number in range(250):
        cache.put(b"%d" % number, number)
    young, old, forgotten = cache.containers()
    assert (len(young), len(old), len(forgotten)) == (50, 100, 50)
    cache.put_all((b"%d" % number, number) for number in range(250, 280))
    assert [len(each) for each in cache.containers()] == [80, 100, 20]
    assert cache.get(b"149") == 149
    assert cache.get(b"20") is None


def test_what_a_survey_has_met_goes_an_entry_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliosfs.store.gc.survey._MET_COUNT", 100)
    met = Met()
    for number in range(1, 251):
        met.add(b"%d" % number, number)
    assert [len(each) for each in met.containers()] == [50, 100, 50]
