"""Storages that accept a request and never answer: it ends, unless it is large and moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from heliosfs.remote.bucket import Bucket, Unreachable
from heliosfs.remote.buckets import cloud, cloud_settings, watching
from heliosfs.remote.buckets.cloud_settings import Patience, open_cloud
from heliosfs.remote.threads import mapped
from heliosfs.steps import FarCall, perform_apart
from tests.remote.s3_server import Fault, S3Server, s3_server
from tests.remote.storages import s3_settings

ANSWER_SECONDS = 1.0
LONG_SECONDS = 30.0
"""Time that no request of these tests takes unless nothing bounds it."""
LARGE = bytes(cloud.LARGE_BYTES + 1)
SLOW = bytes(4 * cloud.LARGE_BYTES)
SLOW_SECONDS = 3 * ANSWER_SECONDS
"""Time that `SLOW` takes, a sixteenth of it at a time."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr(watching, "ASKED_SECONDS", 0.1)
    monkeypatch.setattr(cloud_settings, "SENDING", Patience(answer=LONG_SECONDS))
    with s3_server() as server, s3_settings(server.endpoint, "access"):
        yield server


@contextmanager
def held(server: S3Server, methods: str) -> Iterator[None]:
    """Let requests of some methods stand still as long as the context lasts."""
    end = threading.Event()

    def hold(method: str, key: str) -> Fault | None:
        if method in methods.split():
            end.wait(2 * LONG_SECONDS)
        return None

    server.fault = hold
    try:
        yield
    finally:
        end.set()


def opened() -> Bucket:
    return open_cloud(urlsplit("s3://bucket/team"), Patience(0.3, ANSWER_SECONDS, ANSWER_SECONDS))


ALL = "GET HEAD PUT LIST DELETE"
REQUESTS: dict[str, Callable[[Bucket], object]] = {
    "get": lambda bucket: bucket.get("a"),
    "create": lambda bucket: bucket.create("a", b"1"),
    "create large": lambda bucket: bucket.create("a", LARGE),
    "swap": lambda bucket: bucket.swap("a", b"1", '"version"'),
    "swap large": lambda bucket: bucket.swap("a", LARGE, '"version"'),
    "list": lambda bucket: list(bucket.list("a")),
    "delete": lambda bucket: bucket.delete("a"),
    "delete a version": lambda bucket: bucket.delete("a", '"version"'),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_is_not_answered_ends(server: S3Server, name: str) -> None:
    with held(server, ALL):
        bucket, began = opened(), time.monotonic()
        with pytest.raises(Unreachable, match=r"s3://bucket/team: .* does not answer in time"):
            REQUESTS[name](bucket)
        assert time.monotonic() - began < LONG_SECONDS / 2


def test_a_large_object_takes_as_long_as_its_link(server: S3Server) -> None:
    server.bytes_per_second = len(SLOW) / SLOW_SECONDS
    opened().create("a", SLOW)
    server.bytes_per_second = 0.0
    assert opened().get("a").data == SLOW
    assert server.requests["HEAD"] > 0


def test_a_large_object_that_comes_slowly_is_not_given_up(server: S3Server) -> None:
    bucket = opened()
    bucket.create("a", SLOW)
    server.bytes_per_second = len(SLOW) / SLOW_SECONDS
    assert bucket.get("a").data == SLOW


def test_a_large_object_is_given_up_in_the_end(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers others, and this one never."""
    monkeypatch.setattr(cloud, "_ANSWER_SECONDS", ANSWER_SECONDS)
    monkeypatch.setattr(cloud, "SLOWEST_BYTES", len(LARGE))
    began = time.monotonic()
    with held(server, "PUT"), pytest.raises(Unreachable, match="answers other requests"):
        opened().create("a", LARGE)
    assert time.monotonic() - began < LONG_SECONDS / 2


def test_the_limits_are_those_of_the_page() -> None:
    patient = cloud_settings.PATIENT
    assert patient.answer == 60
    # Who was not answered for as long is not asked again.
    assert patient.repeating < patient.answer
    assert watching.ASKED_SECONDS + patient.answer <= 75


def test_of_several_requests_the_first_error_is_raised_at_once() -> None:
    """The others are left to themselves: some stand still, and those behind them never begin."""
    end, begun = threading.Event(), []

    def call(number: int) -> int:
        begun.append(number)
        if number == 0:
            raise Unreachable("gone")
        end.wait(LONG_SECONDS)
        return number

    try:
        with pytest.raises(Unreachable, match="gone"):
            mapped(call, range(100), 3)
        assert sorted(begun) in ([0], [0, 1], [0, 1, 2])
    finally:
        end.set()


def test_several_requests_give_their_results_in_order() -> None:
    at_once, most = threading.Semaphore(0), 0
    lock, running = threading.Lock(), 0

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number == 3:
            at_once.acquire(timeout=LONG_SECONDS)
        elif number == 4:
            at_once.release()
        with lock:
            running -= 1
        return number * number

    assert mapped(call, list(range(50)), 4) == [number * number for number in range(50)]
    assert 2 <= most <= 4
    assert mapped(call, [], 4) == []


def test_who_waits_for_a_call_far_away_can_be_interrupted() -> None:
    """Without a mount too, where the thread that waits is the first one of the process."""
    threads = []

    def call() -> str:
        threads.append(threading.current_thread())
        return "done"

    work = FarCall(call)
    perform_apart(work)
    assert work.results == ["done"]
    assert threads != [threading.current_thread()]
    assert threads[0].daemon

    def fail() -> str:
        raise Unreachable("gone")

    with pytest.raises(Unreachable, match="gone"):
        perform_apart(FarCall(fail))
