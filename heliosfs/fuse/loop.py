"""How requests are waited for, which decides the speed of a mount.

trio's `wait_readable` costs a scheduler pass and an epoll re-arm for every request.  `RequestLoop`
serves what is there without a pass through the scheduler, at most `BURST` requests
in a row, and then polls for a moment before it sleeps, for waking a halted CPU costs more
than the next request takes to come.  It polls only while that pays: not when requests come
further apart than the poll lasts, not when other work wants the CPU, and never while one of
our own handlers waits for a thread.

Theory of operation.  A request of a program costs two wake-ups: of us, when it comes, and of the
program, when it is answered.  Polling spares the first.  Whether it pays is learnt: a poll that
finds a request, and a sleep that was short, raise a credit, a poll in vain lowers it, and without
credit nothing is polled.  Whether it harms is seen too: `sched_yield` that takes long gave the CPU
to somebody, and then there is no poll for a while, each time twice as long, until nobody wanted the
CPU for a second.  An idle mount sleeps, and costs nothing.

The order in `wait_readable` is that of the costs: look, poll, linger for long work, sleep.

Refused: sleeping in every case, which adds a wake-up to each request; polling without end,
which takes a CPU from a compiler beside it; a thread that polls, which needs the interpreter that
the loop holds.  docs/decisions/2026-11-27-own-dispatch.md has the way of a request.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

import trio

BURST = 64
LINGER_SECONDS = 0.0003
"""How long long work waits for the next request of who just got a reply: most of what programs
do is several requests, and each would otherwise wait for a slice of its own."""
POLL_NS = 100_000
_CREDIT_MAX = 32
_CROWDED_NS = 2 * POLL_NS
"""A yield that takes longer gave the CPU to somebody who had use for it."""
_BACK_OFF_MIN_NS = 10_000_000
_BACK_OFF_MAX_NS = 640_000_000
_CALM_NS = 1_000_000_000
"""So long nobody must have wanted the CPU while the loop polled, for the next pause to be short."""


class RequestLoop:
    """Waits for a descriptor, and is told what else goes on."""

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.waiting_handlers = 0
        """Handlers that wait for a thread: they need the CPU more than a poll does."""
        self.long_work = 0
        """How many long verbs are under way in slices."""
        self.polls = 0
        """Times that the loop polled before it would have slept."""
        self.sleeps = 0
        self._clock_ns = clock_ns
        self._poller: select.poll | None = None
        self._served = 0
        self._credit = 0
        self._backed_off_until_ns = 0
        self._back_off_ns = _BACK_OFF_MIN_NS

    async def wait_readable(self, fd: int) -> None:
        """Return when a request is there.  A checkpoint only when there is none, or in turn."""
        if self._poller is None:
            self._poller = select.poll()
            self._poller.register(fd, select.POLLIN)
        ready = self._poller.poll
        # I17: a poll would keep the CPU from the thread that a handler waits for.
        may_poll = self._credit > 0 and not self.waiting_handlers
        if (
            ready(0)
            or (may_poll and self._poll(ready))
            or (self.long_work and select.select((fd,), (), (), LINGER_SECONDS)[0])
        ):
            self._served += 1
            if self._served >= BURST:
                self._served = 0
                await trio.lowlevel.checkpoint()
            return
        self._served = 0
        self.sleeps += 1
        began_ns = self._clock_ns()
        await trio.lowlevel.wait_readable(fd)
        self._learn(self._clock_ns() - began_ns)

    def _poll(self, ready: Callable[[int], Any]) -> bool:
        """Poll for a moment, giving way to whoever wants the CPU."""
        now_ns = self._clock_ns()
        if now_ns < self._backed_off_until_ns:
            return False
        self.polls += 1
        end_ns = now_ns + POLL_NS
        while now_ns < end_ns:
            if ready(0):
                self._credit = min(self._credit + 1, _CREDIT_MAX)
                return True
            before_ns = now_ns
            os.sched_yield()
            now_ns = self._clock_ns()
            if now_ns - before_ns > _CROWDED_NS:
                self._back_off(now_ns)
                return bool(ready(0))
        self._credit -= 4
        return False

    def _back_off(self, now_ns: int) -> None:
        """Somebody else wants the CPU: no poll for a while, a longer one each time.

        Polls that succeed in between say nothing of that: only calm does.
        """
        if now_ns - self._backed_off_until_ns > _CALM_NS:
            self._back_off_ns = _BACK_OFF_MIN_NS
        self._backed_off_until_ns = now_ns + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, _BACK_OFF_MAX_NS)

    def _learn(self, slept_ns: int) -> None:
        """A short sleep would have been worth a poll."""
        if slept_ns < 2 * POLL_NS:
            self._credit = min(self._credit + 4, _CREDIT_MAX)
        else:
            self._credit = max(self._credit - 1, 0)


class HandoffLock:
    """A lock that is taken without a checkpoint when nobody has it or waits for it, and is fair:
    whoever releases it hands it to the one that has waited longest.
    """

    __slots__ = ("_is_held", "_lot")

    def __init__(self) -> None:
        self._is_held = False
        self._lot = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> None:
        if self._is_held:
            await self._lot.park()
        self._is_held = True

    async def __aexit__(self, *error: object) -> None:
        if self._lot:
            self._lot.unpark()
        else:
            self._is_held = False


class ReaderLock:
    """What the workers that read requests take in turn, without a checkpoint when it is free.

    It is not fair: the task that runs takes it again, and the others stay parked.  One of
    them is woken when it is released, and looks when the running task really waits: so while
    one handler waits for a thread, another worker reads on.
    """

    __slots__ = ("_is_held", "_is_waking", "_lot")

    def __init__(self) -> None:
        self._is_held = False
        self._is_waking = False
        self._lot = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> None:
        while self._is_held:
            await self._lot.park()
            self._is_waking = False
        self._is_held = True

    async def __aexit__(self, *error: object) -> None:
        self._is_held = False
        if self._lot and not self._is_waking:
            self._is_waking = True
            self._lot.unpark()
