"""Errands: run on another thread, in order, and heard of whether they are quick or slow."""

from __future__ import annotations

import threading

import pytest
import trio

from heliosfs.daemon.errand import ErrandThread


@pytest.mark.trio
async def test_it_runs_on_another_thread() -> None:
    seen: list[int] = []
    await ErrandThread().run(lambda: seen.append(threading.get_ident()))
    assert seen
    assert seen != [threading.get_ident()]


@pytest.mark.trio
async def test_what_it_raises_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    errands = ErrandThread()
    with pytest.raises(ValueError, match="no"):
        await errands.run(fail)
    await errands.run(lambda: None)


@pytest.mark.trio
async def test_a_slow_one_does_not_stop_the_loop() -> None:
    release = threading.Event()
    passes = 0

    async def work() -> None:
        nonlocal passes
        while not release.is_set():
            passes += 1
            if passes == 1000:
                release.set()
            await trio.lowlevel.checkpoint()

    def wait() -> None:
        assert release.wait(30)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await ErrandThread().run(wait)
    assert passes >= 1000


@pytest.mark.trio
async def test_they_run_in_order() -> None:
    errands = ErrandThread()
    seen: list[int] = []
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(errands.run, lambda number=number: seen.append(number))
            await trio.lowlevel.checkpoint()
    assert seen == list(range(20))
