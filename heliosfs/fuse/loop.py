"""The wait for the next request, which decides the speed of a mount.

trio's `wait_readable` costs a scheduler pass and an epoll re-arm for every request.  `RequestLoop`
serves requests that are there without a pass through the scheduler, at most `BURST` of them in a
row.  Before it sleeps it polls for a moment, because waking a halted CPU takes longer than the
next request takes to come.  It polls only while that pays: not when requests come further apart
than the poll lasts, not when other work wants the CPU, and never while a handler waits for a
thread.

Theory of operation.  A request of a program costs two wake-ups: of this daemon, when it comes, and
of the program, when it is answered.  Polling saves the first.  A credit measures the benefit: a
poll that finds a request and a sleep that was short raise it, a poll in vain lowers it, and
without credit the loop does not poll.  The harm is measured too: a `sched_yield` that takes long
let another process run, and then the loop does not poll for a while, each time twice as long, until
no other process has wanted the CPU for a second.  An idle mount sleeps, and costs nothing.

`wait_readable` tries the cheapest way first: look, poll, linger for long work, sleep.  It looks at
one epoll descriptor with the devices of all mounts, and asks it for one of them: the kernel names
them in turn, at the same cost for one as for a thousand.  While requests are there before they are
looked for (`is_behind`), who reads them may do so without asking here, a few times in a row.

Refused: sleeping in every case, which adds a wake-up to each request; polling without end,
which takes a CPU from a compiler beside it; a thread that polls, which needs the interpreter lock
that the loop holds.  docs/decisions/2026-11-27-own-dispatch.md follows a request on its way.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

import trio

BURST = 64
LINGER_SECONDS = 0.0003
"""Time that a long verb waits for the next request before its next slice: programs mostly send
several requests in a row, and each would otherwise wait for a whole slice."""
POLL_NS = 100_000
_CREDIT_MAX = 32
_CROWDED_NS = 2 * POLL_NS
"""Duration of a `sched_yield` beyond which another process must have used the CPU."""
_BACK_OFF_MIN_NS = 10_000_000
_BACK_OFF_MAX_NS = 640_000_000
_STREAK_GAP_NS = 1_000_000
"""Longest time between two requests of a streak."""
_STREAK_BEGINS = 8
"""Number of such times after which a streak begins."""
_CALM_NS = 1_000_000_000
"""Time without a crowded CPU after which the next pause between polls is short again."""


class RequestLoop:
    """Wait for requests on some descriptors, by polling or sleeping, whichever costs less."""

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.waiting_handlers = 0
        """Number of handlers that wait for a thread: they need the CPU more than a poll does."""
        self.long_work = 0
        """Number of long verbs that are under way in slices."""
        self.then: Callable[[], None] | None = None
        """Function to call once, when the request that was read last is answered."""
        self.is_streak = False
        """True since requests came in a row, until who follows `on_streak` resets it."""
        self.on_streak: Callable[[], None] = lambda: None
        """Function to call when `is_streak` becomes True."""
        self.polls = 0
        """Number of times that the loop polled before it would have slept."""
        self.is_behind = False
        """True if the request that was found last was there before the loop looked for it."""
        self.sleeps = 0
        self._clock_ns = clock_ns
        self._watched = select.epoll()
        self._served = 0
        self._credit = 0
        self._short_gaps = 0
        self._backed_off_until_ns = 0
        self._back_off_ns = _BACK_OFF_MIN_NS

    @property
    def fd(self) -> int:
        """Descriptor for which a sleep waits, readable when a watched one is."""
        return self._watched.fileno()

    def watch(self, fd: int) -> None:
        """Wait for requests on a further descriptor."""
        self._watched.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Wait no longer for requests on a descriptor, which is still open."""
        self._watched.unregister(fd)

    def close(self) -> None:
        """Wait for nothing any more.  Idempotent."""
        self._watched.close()

    async def wait_readable(self, count: int = 1) -> int:
        """Return the descriptor of a request that is there; -1 if it was withdrawn meanwhile.

        A checkpoint of trio only if none was there, or after `BURST` requests in a row; `count` is
        the number of requests since the last call, with the one that comes.
        """
        if self.then is not None:
            then, self.then = self.then, None
            then()
        ready = self._watched.poll
        # I17: a poll would keep the CPU from the thread that a handler waits for.
        may_poll = self._credit > 0 and not self.waiting_handlers
        # One at a time: the kernel puts it behind the others, so that each has its turn.
        found = ready(0, 1)
        self.is_behind = bool(found)
        if not found and may_poll:
            found = self._poll(ready)
        if not found and self.long_work:
            found = self._linger()
        if found:
            self._served += count
            if self._served >= BURST:
                self._served = 0
                await trio.lowlevel.checkpoint()
        else:
            self._served = 0
            self.sleeps += 1
            began_ns = self._clock_ns()
            await trio.lowlevel.wait_readable(self.fd)
            self._learn(self._clock_ns() - began_ns)
            found = ready(0, 1)
        return found[0][0] if found else -1

    def _linger(self) -> list[tuple[int, int]]:
        """Wait for a request for a moment, without a pass through the scheduler."""
        # The timeout of an epoll descriptor's own wait is a whole number of milliseconds.
        is_there = select.select((self._watched,), (), (), LINGER_SECONDS)[0]
        return self._watched.poll(0, 1) if is_there else []

    def _poll(self, ready: Callable[[int, int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Poll for a moment; return what came, if anything.  Other processes may run meanwhile."""
        now_ns = self._clock_ns()
        if now_ns < self._backed_off_until_ns:
            return []
        self.polls += 1
        end_ns = now_ns + POLL_NS
        while now_ns < end_ns:
            before_ns = now_ns
            os.sched_yield()
            now_ns = self._clock_ns()
            if now_ns - before_ns > _CROWDED_NS:
                self._back_off(now_ns)
                return ready(0, 1)
            if found := ready(0, 1):
                self._credit = min(self._credit + 1, _CREDIT_MAX)
                if not self.is_streak:
                    self._note_gap(POLL_NS)
                return found
        self._credit -= 4
        return []

    def _back_off(self, now_ns: int) -> None:
        """Stop polling for a while, twice as long each time, because the CPU is wanted elsewhere.

        Only a second without such a moment makes the pause short again; a poll that finds a
        request in between does not, since it says nothing about other processes.
        """
        if now_ns - self._backed_off_until_ns > _CALM_NS:
            self._back_off_ns = _BACK_OFF_MIN_NS
        self._backed_off_until_ns = now_ns + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, _BACK_OFF_MAX_NS)

    def _learn(self, slept_ns: int) -> None:
        """Raise the credit after a sleep so short that a poll would have paid, else lower it."""
        self._note_gap(slept_ns)
        if slept_ns < 2 * POLL_NS:
            self._credit = min(self._credit + 4, _CREDIT_MAX)
        else:
            self._credit = max(self._credit - 1, 0)

    def _note_gap(self, gap_ns: int) -> None:
        """Note for how long a request was waited for: a streak begins after some short times."""
        if gap_ns >= _STREAK_GAP_NS:
            self._short_gaps = 0
            return
        self._short_gaps += 1
        if self._short_gaps >= _STREAK_BEGINS and not self.is_streak:
            self.is_streak = True
            self.on_streak()


class HandoffLock:
    """Fair lock, taken without a checkpoint when it is free.

    A task that releases it hands it to the task that has waited longest.
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
    """Unfair lock around the reading of requests, taken without a checkpoint when it is free.

    The worker that runs takes it again, and the others stay parked, which saves a task switch for
    each request.  A release wakes one of them; it runs only when the running worker really waits.
    So while one handler waits for a thread, another worker reads on.
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
