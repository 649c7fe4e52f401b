"""The barrier: one at a time, shared by those who ask meanwhile, and over when all is served."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from heliosfs.daemon import barrier
from heliosfs.daemon.barrier import Barrier
from heliosfs.errors import StoreError
from heliosfs.vfs.control_request import BegunBarrier

pytestmark = pytest.mark.trio
SECONDS = 10


class Observed:
    """The kernel's part: calls of syncfs that end when they are let, and a device of requests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.may_end = threading.Event()
        self.error: Exception | None = None
        self.reader, self.writer = os.pipe()
        self.seen: list[str] = []
        self.barrier = Barrier("/nowhere", self.reader)
        self.barrier.observer = self
        monkeypatch.setattr(barrier, "_syncfs", self._syncfs)
        # A busy machine takes longer than it may.
        monkeypatch.setattr(barrier, "AHEAD_NS", SECONDS * 10**9)

    def _syncfs(self, mountpoint: str) -> None:
        assert mountpoint == "/nowhere"
        self.calls += 1
        assert self.may_end.wait(SECONDS)
        if self.error is not None:
            raise self.error

    def barrier_begun(self, number: int) -> None:
        self.seen.append("begun")

    def barrier_ended(self, number: int) -> None:
        self.seen.append("ended")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Observed]:
    made = Observed(monkeypatch)
    yield made
    made.may_end.set()
    os.close(made.reader)
    os.close(made.writer)


async def test_with_nothing_dirty_the_loop_waits_itself(kernel: Observed) -> None:
    kernel.may_end.set()
    for count in (1, 2, 3):
        await kernel.barrier.run()
        assert kernel.calls == count
    assert kernel.seen == ["begun", "ended"] * 3


async def test_the_thread_runs_on_the_cpu_of_the_loop(
    kernel: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another CPU would have to be woken, which takes longer than all that the thread does."""
    wanted: list[set[int]] = []

    def set_affinity(thread: int, cpus: set[int]) -> None:
        assert thread in map(int, os.listdir("/proc/self/task"))
        assert thread != threading.get_native_id()
        wanted.append(cpus)
        raise PermissionError

    may = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", set_affinity)
    kernel.may_end.set()
    for _ in range(3):
        await kernel.barrier.run()
    assert kernel.calls == 3
    assert wanted
    assert all(cpus <= may for cpus in wanted)


async def test_who_asks_meanwhile_shares_the_next(kernel: Observed) -> None:
    done: list[int] = []

    async def ask(number: int) -> None:
        await kernel.barrier.run()
        done.append(number)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 0)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(1, 6):
                nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
            assert done == []
            kernel.may_end.set()
    assert sorted(done) == list(range(6))
    assert kernel.calls == 2, "the first had begun before the others asked"


async def test_one_that_began_ahead_is_over_without_another_call(kernel: Observed) -> None:
    kernel.may_end.set()
    for count in (1, 2, 3):
        begun = kernel.barrier.begin()
        await done(kernel, begun)
        assert kernel.barrier.has_fetched(begun)
        assert kernel.calls == count
        assert kernel.seen == ["begun", "ended"] * count
        # Nor does the long way need another one.
        await kernel.barrier.run(begun)
        assert kernel.calls == count
    await kernel.barrier.run()
    assert kernel.calls == 4


async def done(kernel: Observed, begun: BegunBarrier) -> None:
    """Wait until the thread is done with it."""
    with trio.fail_after(SECONDS):
        while kernel.barrier.is_busy(begun):
            await trio.sleep(0.001)


async def test_one_that_began_ahead_and_is_not_done_is_waited_for(kernel: Observed) -> None:
    begun = kernel.barrier.begin()
    assert not kernel.barrier.has_fetched(begun)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kernel.barrier.run, begun)
        await trio.testing.wait_all_tasks_blocked()
        assert kernel.seen == ["begun"]
        kernel.may_end.set()
    assert kernel.seen == ["begun", "ended"]
    assert kernel.calls == 1


async def test_one_that_began_long_ago_does_not_count(
    kernel: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.may_end.set()
    begun = kernel.barrier.begin()
    await done(kernel, begun)
    monkeypatch.setattr(barrier, "AHEAD_NS", 0)
    assert not kernel.barrier.has_fetched(begun)
    await kernel.barrier.run(begun)
    assert kernel.calls == 2


async def test_one_that_began_ahead_is_not_over_before_its_pages_are_served(
    kernel: Observed,
) -> None:
    kernel.may_end.set()
    begun = kernel.barrier.begin()
    await done(kernel, begun)
    os.write(kernel.writer, b"pages")
    assert not kernel.barrier.has_fetched(begun)
    os.read(kernel.reader, 5)
    kernel.barrier.waiting_writes = 1
    assert not kernel.barrier.has_fetched(begun)
    kernel.barrier.waiting_writes = 0
    assert kernel.barrier.has_fetched(begun)


async def test_the_failure_of_one_that_began_ahead_is_that_of_who_wants_it(
    kernel: Observed,
) -> None:
    kernel.may_end.set()
    kernel.error = OSError(errno.EIO, "of open")
    begun = kernel.barrier.begin()
    await done(kernel, begun)
    assert not kernel.barrier.has_fetched(begun)
    with pytest.raises(StoreError, match="pages: Input/output error"):
        await kernel.barrier.run(begun)
    kernel.error = None
    # Another request that began with it must not take it for done.
    assert not kernel.barrier.has_fetched(begun)
    await kernel.barrier.run(begun)
    assert kernel.calls == 2


async def test_it_ends_when_what_was_sent_is_served(kernel: Observed) -> None:
    """Linux 6.18 does not wait in syncfs for the answers to the pages that it sends."""
    os.write(kernel.writer, b"pages")
    kernel.may_end.set()
    served: list[bytes] = []

    async def serve() -> None:
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        served.append(os.read(kernel.reader, 5))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await kernel.barrier.run()
            assert served == [b"pages"]


async def test_a_write_that_waits_for_room_holds_it_up(kernel: Observed) -> None:
    kernel.may_end.set()
    kernel.barrier.waiting_writes = 1
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.barrier.run)
            await trio.sleep(0.05)
            assert kernel.seen == ["begun"]
            kernel.barrier.waiting_writes = 0
    assert kernel.seen == ["begun", "ended"]


async def test_requests_without_end_do_not_hold_it_up(kernel: Observed) -> None:
    os.write(kernel.writer, b"others")
    kernel.may_end.set()
    with trio.fail_after(SECONDS):
        await kernel.barrier.run()


async def test_a_failure_is_reported_and_the_next_one_runs(kernel: Observed) -> None:
    kernel.may_end.set()
    kernel.error = OSError(errno.EIO, "of open")
    with pytest.raises(StoreError, match="pages: Input/output error"):
        await kernel.barrier.run()
    kernel.error = None
    await kernel.barrier.run()
    assert kernel.seen[-1] == "ended"


async def test_pages_refused_that_no_branch_has_are_no_failure(kernel: Observed) -> None:
    """The kernel reports them later, to a barrier that has nothing to do with them."""
    kernel.may_end.set()
    for code in (errno.EROFS, errno.ESTALE):
        kernel.barrier.note_refusal(code, is_lost=False)
        await kernel.barrier.run()
        kernel.error = OSError(code, "of a page")
        await kernel.barrier.run()
    kernel.error = OSError(errno.ENOTCONN, "of the mount")
    with pytest.raises(StoreError, match="not connected"):
        await kernel.barrier.run()


async def test_a_page_lost_fails_the_barrier_that_served_it_and_no_other(kernel: Observed) -> None:
    kernel.may_end.set()
    kernel.barrier.note_refusal(errno.ENOSPC, is_lost=True)
    kernel.barrier.note_refusal(errno.ESTALE, is_lost=False)
    with pytest.raises(StoreError, match="No space left"):
        await kernel.barrier.run()
    kernel.error = OSError(errno.ENOSPC, "of the same page")
    await kernel.barrier.run()


async def test_none_runs_after_the_last(kernel: Observed) -> None:
    kernel.may_end.set()
    await kernel.barrier.run_last()
    begun = kernel.barrier.begin()
    assert not kernel.barrier.has_fetched(begun)
    with trio.move_on_after(0.05) as scope:
        await kernel.barrier.run(begun)
    assert scope.cancelled_caught
    assert kernel.calls == 1
