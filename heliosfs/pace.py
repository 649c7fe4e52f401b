"""Long work on a thread leaves the interpreter to others now and then.

Each call of LMDB gives the interpreter away and has to get it back, which takes the switch
interval when a thread computes meanwhile: so a verb that reads some hundred records waits for
that thread some hundred times.  Unless there are moments in which it sleeps.
"""

from __future__ import annotations

import time

WORK_SECONDS = 0.001
REST_SECONDS = 0.001


class Pace:
    """Called often by work on a thread; now and then it sleeps, where others wait.

    One for each piece of work.  0.1 us when it does not sleep.
    """

    is_shared = False
    """Whether somebody in this process waits for the interpreter: set by a mount."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + WORK_SECONDS

    def __call__(self) -> None:
        """Go on, or rest."""
        if Pace.is_shared and time.perf_counter() >= self._end:
            time.sleep(REST_SECONDS)
            self._end = time.perf_counter() + WORK_SECONDS
