"""Short rests of a working thread, so that other threads get the interpreter.

Each call of LMDB releases the GIL and must take it again.  While another thread computes, that
takes a whole switch interval each time, so a verb that reads some hundred records would wait some
hundred intervals for that thread, unless the thread sleeps now and then.

It sleeps only while somebody waits: a collection of a workspace that nobody uses would else take
twice its time.
"""

from __future__ import annotations

import time

WORK_SECONDS = 0.001
REST_SECONDS = 0.001
_BUSY_SECONDS = 0.05
"""Time after a request in which more are expected."""


class Pace:
    """A callable that work on a thread calls often, and that sleeps now and then if others wait.

    Each piece of work has its own.  A call without sleep takes 0.1 us.
    """

    is_shared = False
    """True if another thread of this process serves requests; a mount sets it."""
    request_count = 0
    """Number of requests that came, and of other work that was begun where they are served."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + WORK_SECONDS
        self._seen = Pace.request_count
        self._busy_until = 0.0

    def __call__(self) -> None:
        """Return at once, or sleep if the working time is used up."""
        if Pace.is_shared and (now := time.perf_counter()) >= self._end:
            if Pace.request_count != self._seen:
                self._seen = Pace.request_count
                self._busy_until = now + _BUSY_SECONDS
            if now < self._busy_until:
                time.sleep(REST_SECONDS)
                now = time.perf_counter()
            self._end = now + WORK_SECONDS
