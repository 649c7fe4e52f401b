"""Short calls on a thread, without a sleep of the loop until they are done.

`trio.to_thread` lets the loop sleep and be woken, which costs 250 us for a call that takes 10.
Here the task that sends the errand polls for its end for a moment, between passes of the loop
(150 us), and sleeps only if it takes longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import trio

WATCHED_NS = 300_000
"""Time for which the end of an errand is polled for, before the task sleeps."""
_SPUN_NS = 60_000
"""Time of polling before the first pass of the loop, which takes longer than most errands."""


class _Errand:
    __slots__ = ("call", "error", "event", "is_done")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.is_done = False
        self.error: BaseException | None = None
        self.event: trio.Event | None = None


class ErrandThread:
    """Thread that runs errands in the order in which they came."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Errand] = SimpleQueue()
        self._token: trio.lowlevel.TrioToken | None = None

    async def run(self, call: Callable[[], None]) -> None:
        """Run `call` on the thread; pass its exception on.  It cannot be cancelled."""
        if self._token is None:
            self._token = trio.lowlevel.current_trio_token()
            threading.Thread(target=self._work, name="errands", daemon=True).start()
        errand = _Errand(call)
        self._queue.put(errand)
        now_ns = time.monotonic_ns()
        spun_ns, end_ns = now_ns + _SPUN_NS, now_ns + WATCHED_NS
        while not errand.is_done and time.monotonic_ns() < spun_ns:
            time.sleep(0)
        with trio.CancelScope(shield=True):
            while not errand.is_done and time.monotonic_ns() < end_ns:
                time.sleep(0)  # lets the thread have the interpreter; sched_yield would not
                await trio.lowlevel.checkpoint()
            if not errand.is_done:
                errand.event = trio.Event()
                if not errand.is_done:  # the thread looks for the event after it is done
                    await errand.event.wait()
        if errand.error is not None:
            raise errand.error

    def _work(self) -> None:
        token = self._token
        assert token is not None
        while True:
            errand = self._queue.get()
            try:
                errand.call()
            except BaseException as error:  # noqa: BLE001 (raised where the errand came from)
                errand.error = error
            errand.is_done = True
            if errand.event is not None:
                try:
                    token.run_sync_soon(errand.event.set)
                except trio.RunFinishedError:
                    return
