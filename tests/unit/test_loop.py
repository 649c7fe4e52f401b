"""Waits for requests: no worker stops the others, no poll without hope of a request."""

from __future__ import annotations

import math
import os
import select
import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from heliosfs.fuse.loop import BURST, POLL_NS, HandoffLock, ReaderLock, RequestLoop

pytestmark = pytest.mark.trio


class Time:
    """Time that passes only when somebody looks at it, or says so."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.step_ns = POLL_NS // 10

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


class Requests:
    """A pipe that stands for the FUSE descriptor: a byte is a request."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()

    def send(self, count: int = 1) -> None:
        os.write(self._writer, b"r" * count)

    def take(self) -> None:
        os.read(self.reader, 1)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)


@pytest.fixture
def requests() -> Iterator[Requests]:
    made = Requests()
    yield made
    made.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def loop(time: Time, requests: Requests) -> Iterator[RequestLoop]:
    made = RequestLoop(time)
    made.watch(requests.reader)
    yield made
    made.close()


async def serve(loop: RequestLoop, requests: Requests, count: int) -> None:
    """Take so many requests, one after another."""
    for _ in range(count):
        await loop.wait_readable()
        requests.take()


async def sleep_once(loop: RequestLoop, requests: Requests, time: Time, slept_ns: int) -> None:
    """Let the loop sleep for as long as told, until a request comes."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, loop, requests, 1)
        await trio.testing.wait_all_tasks_blocked()
        time.now_ns += slept_ns
        requests.send()


async def earn_credit(loop: RequestLoop, requests: Requests, time: Time) -> None:
    """Requests that come soon one after another make the loop poll."""
    await sleep_once(loop, requests, time, 0)


async def test_requests_in_a_row_are_a_streak(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    streaks = []
    loop.on_streak = lambda: streaks.append(loop.is_streak)
    for _ in range(7):
        await sleep_once(loop, requests, time, 5 * POLL_NS)
    assert streaks == []
    await sleep_once(loop, requests, time, 5 * POLL_NS)
    assert streaks == [True]
    loop.is_streak = False
    await sleep_once(loop, requests, time, 5 * POLL_NS)
    assert streaks == [True, True]


async def test_requests_that_a_poll_finds_are_a_streak_too(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await earn_credit(loop, requests, time)
    monkeypatch.setattr(os, "sched_yield", requests.send)
    await serve(loop, requests, 6)
    assert not loop.is_streak
    await serve(loop, requests, 1)
    assert (loop.is_streak, loop.sleeps) == (True, 1)


async def test_requests_far_apart_are_no_streak(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    for _ in range(5):
        for _ in range(7):
            await sleep_once(loop, requests, time, POLL_NS)
        await sleep_once(loop, requests, time, 10 * POLL_NS)
    assert not loop.is_streak


async def test_what_is_there_is_served_without_a_checkpoint(
    loop: RequestLoop, requests: Requests
) -> None:
    requests.send(BURST - 1)
    with trio.testing.assert_no_checkpoints():
        await serve(loop, requests, BURST - 1)
    assert (loop.polls, loop.sleeps) == (0, 0)


async def test_what_was_left_for_after_the_answer_is_done_once(
    loop: RequestLoop, requests: Requests
) -> None:
    done: list[int] = []
    requests.send(3)
    loop.then = lambda: done.append(1)
    await serve(loop, requests, 3)
    assert done == [1]


async def test_background_tasks_get_their_turn_under_a_flood(
    loop: RequestLoop, requests: Requests
) -> None:
    turns = 0

    async def background() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background)
        requests.send(BURST * 8)
        await serve(loop, requests, BURST * 8)
        assert turns >= 4
        nursery.cancel_scope.cancel()


async def test_polls_that_succeed_count_as_a_burst_too(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await earn_credit(loop, requests, time)
    monkeypatch.setattr(os, "sched_yield", requests.send)
    turns = 0

    async def background() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background)
        await serve(loop, requests, BURST * 8)
        assert loop.polls >= BURST
        assert turns >= 4
        nursery.cancel_scope.cancel()


async def test_an_idle_loop_sleeps_and_does_not_poll(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    for _ in range(10):
        await sleep_once(loop, requests, time, 10**9)
    assert loop.polls == 0
    assert loop.sleeps == 10


async def test_polls_that_may_take_no_time_are_not_made(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliosfs.fuse.loop.POLL_NS", 0)
    for _ in range(10):
        await sleep_once(loop, requests, time, 0)
    assert (loop.polls, loop.sleeps) == (0, 10)


async def test_close_requests_make_it_poll(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sleep_once(loop, requests, time, 0)
    assert (loop.polls, loop.sleeps) == (0, 1)
    monkeypatch.setattr(os, "sched_yield", requests.send)
    with trio.testing.assert_no_checkpoints():
        await loop.wait_readable()
    assert (loop.polls, loop.sleeps) == (1, 1)


async def test_empty_polls_end_the_polling(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    await earn_credit(loop, requests, time)
    for _ in range(5):
        await sleep_once(loop, requests, time, 10**9)
    polls = loop.polls
    assert polls <= 2
    for _ in range(20):
        await sleep_once(loop, requests, time, 10**9)
    assert loop.polls == polls


async def test_an_idle_moment_costs_at_most_a_few_polls_after_a_long_flood(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    for _ in range(1000):
        await sleep_once(loop, requests, time, 0)
    before = loop.polls
    for _ in range(100):
        await sleep_once(loop, requests, time, 10**9)
    assert loop.polls - before <= 16


async def test_a_poll_lasts_no_longer_than_it_may(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    yields = 0

    def count() -> None:
        nonlocal yields
        yields += 1

    monkeypatch.setattr(os, "sched_yield", count)
    await earn_credit(loop, requests, time)
    await sleep_once(loop, requests, time, 10**9)
    assert loop.polls == 1
    assert yields == math.ceil(POLL_NS / time.step_ns)


async def test_no_poll_while_a_handler_waits_for_a_thread(
    loop: RequestLoop, requests: Requests, time: Time
) -> None:
    await earn_credit(loop, requests, time)
    loop.waiting_handlers = 1
    await sleep_once(loop, requests, time, 0)
    assert loop.polls == 0
    loop.waiting_handlers = 0
    await sleep_once(loop, requests, time, 0)
    assert loop.polls == 1


async def test_it_gives_way_when_others_want_the_cpu(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A yield that lasts long gave the CPU to others: no poll for a while, longer each time."""

    def lose_the_cpu() -> None:
        time.now_ns += 100 * POLL_NS

    for _ in range(8):
        await earn_credit(loop, requests, time)
    before = loop.polls
    monkeypatch.setattr(os, "sched_yield", lose_the_cpu)
    pauses = []
    for _ in range(3):
        await sleep_once(loop, requests, time, 0)
        assert loop.polls == before + 1
        began_ns = time.now_ns
        while loop.polls == before + 1:
            await sleep_once(loop, requests, time, POLL_NS)
        pauses.append(time.now_ns - began_ns)
        before += 1
    assert pauses[0] < pauses[1] < pauses[2]


async def test_only_calm_makes_the_pauses_short_again(
    loop: RequestLoop, requests: Requests, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that comes within a poll is no sign that nobody else wants the CPU."""
    is_crowded = True

    def give_way() -> None:
        if is_crowded:
            time.now_ns += 100 * POLL_NS
        else:
            requests.send()

    async def pause() -> int:
        nonlocal is_crowded
        is_crowded, polls = True, loop.polls
        await sleep_once(loop, requests, time, 0)
        assert loop.polls == polls + 1
        is_crowded, began_ns = False, time.now_ns
        while loop.polls == polls + 1:
            await sleep_once(loop, requests, time, POLL_NS)
        await serve(loop, requests, 1)
        return time.now_ns - began_ns

    for _ in range(8):
        await earn_credit(loop, requests, time)
    monkeypatch.setattr(os, "sched_yield", give_way)
    pauses = [await pause() for _ in range(3)]
    assert pauses[0] < pauses[1] < pauses[2]
    time.now_ns += 10**10
    assert await pause() < pauses[1]


async def test_a_handler_that_waits_does_not_stop_the_others(
    loop: RequestLoop, requests: Requests
) -> None:
    """Workers as they are run: the lock around the wait and the read, then the handler."""
    lock = ReaderLock()
    release = trio.Event()
    served: list[str] = []

    async def worker() -> None:
        while True:
            async with lock:
                await loop.wait_readable()
                requests.take()
            if not served:
                served.append("waits")
                await release.wait()
                served.append("waited")
            else:
                served.append("quick")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        nursery.start_soon(worker)
        requests.send()
        await trio.testing.wait_all_tasks_blocked()
        assert served == ["waits"]
        requests.send(3)
        await trio.testing.wait_all_tasks_blocked()
        assert served == ["waits", "quick", "quick", "quick"]
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert served[-1] == "waited"
        requests.send()
        await trio.testing.wait_all_tasks_blocked()
        assert served[-1] == "quick"
        nursery.cancel_scope.cancel()


async def test_every_worker_may_wait_and_each_comes_back(
    loop: RequestLoop, requests: Requests
) -> None:
    lock = ReaderLock()
    releases = [trio.Event() for _ in range(3)]
    waiting: list[int] = []

    async def worker(number: int) -> None:
        while True:
            async with lock:
                await loop.wait_readable()
                requests.take()
            waiting.append(number)
            await releases[number].wait()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(worker, number)
        requests.send(5)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(waiting) == [0, 1, 2]
        releases[1].set()
        await trio.testing.wait_all_tasks_blocked()
        assert waiting[3:] == [1, 1]
        assert not select.select([requests.reader], [], [], 0)[0]
        nursery.cancel_scope.cancel()


async def test_a_free_lock_is_taken_without_a_checkpoint() -> None:
    lock = ReaderLock()
    with trio.testing.assert_no_checkpoints():
        async with lock:
            pass
        async with lock:
            pass


async def test_the_lock_holds_one_at_a_time_and_wakes_all_in_the_end() -> None:
    lock = ReaderLock()
    inside = 0
    entered = 0

    async def worker() -> None:
        nonlocal inside, entered
        async with lock:
            inside += 1
            assert inside == 1
            await trio.lowlevel.checkpoint()
            inside -= 1
            entered += 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(worker)
    assert entered == 10


@pytest.mark.parametrize("cancelled_when", ["parked", "woken"])
async def test_a_cancelled_worker_does_not_keep_the_lock_from_the_others(
    cancelled_when: str,
) -> None:
    lock = ReaderLock()
    scope = trio.CancelScope()
    entered = []

    async def doomed() -> None:
        with scope:
            async with lock:
                entered.append("doomed")

    async def other() -> None:
        async with lock:
            entered.append("other")

    async with trio.open_nursery() as nursery:
        async with lock:
            nursery.start_soon(doomed)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(other)
            await trio.testing.wait_all_tasks_blocked()
            if cancelled_when == "parked":
                scope.cancel()
                await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    assert "other" in entered


async def test_a_handoff_lock_is_given_in_the_order_of_asking() -> None:
    lock = HandoffLock()
    order: list[int] = []

    async def take(number: int) -> None:
        async with lock:
            order.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        async with lock:
            for number in range(5):
                nursery.start_soon(take, number)
                await trio.testing.wait_all_tasks_blocked()
        assert order == []
        async with lock:
            order.append(5)
    assert order == [0, 1, 2, 3, 4, 5]


async def test_a_free_handoff_lock_is_taken_without_a_checkpoint() -> None:
    lock = HandoffLock()
    with trio.testing.assert_no_checkpoints():
        async with lock:
            pass


async def test_beside_long_work_the_next_request_is_waited_for(
    loop: RequestLoop, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not left to the end of the next slice: the task that works does not come in between."""
    loop.long_work = 1
    worked = []

    async def work() -> None:
        while True:
            worked.append(1)
            await trio.lowlevel.checkpoint()

    requests.send()
    await serve(loop, requests, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        monkeypatch.setattr("heliosfs.fuse.loop.LINGER_SECONDS", 10)
        sender = threading.Timer(0.01, requests.send)
        sender.start()
        count = len(worked)
        await loop.wait_readable()
        assert loop.sleeps == 0 and len(worked) == count
        requests.take()
        # None comes: the work goes on.
        monkeypatch.setattr("heliosfs.fuse.loop.LINGER_SECONDS", 0.01)
        with trio.move_on_after(0.1):
            await loop.wait_readable()
        assert loop.sleeps == 1 and len(worked) > count
        nursery.cancel_scope.cancel()
    sender.join()
