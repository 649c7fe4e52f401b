"""Short rests of a working thread, so that other threads get the interpreter.

Each call of LMDB releases the GIL and must take it again.  While another thread computes, that
takes a whole switch interval each time, so a verb that reads some hundred records would wait some
hundred intervals for that thread, unless the thread sleeps now and then.
"""

from __future__ import annotations

import time

WORK_SECONDS = 0.001
REST_SECONDS = 0.001


class Pace:
    """A callable that work on a thread calls often, and that sleeps now and then if others wait.

    Each piece of work has its own.  A call without sleep takes 0.1 us.

    One for each piece of work.  0.1 us when it does not sleep.
    """

    is_shared = False
    """True if another thread of this process waits for the interpreter; a mount sets it."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + WORK_SECONDS

    def __call__(self) -> None:
        """Return at once, or sleep if the working time is used up."""
        if Pace.is_shared and time.perf_counter() >= self._end:
            time.sleep(REST_SECONDS)
            self._end = time.perf_counter() + WORK_SECONDS
