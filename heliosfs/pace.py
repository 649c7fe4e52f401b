"""Short rests of a working thread, so that other threads get the interpreter.

Each call of LMDB releases the GIL and must take it again.  While another thread computes, that
takes a whole switch interval each time, so a verb that reads some hundred records would wait some
hundred intervals for that thread, unless the thread sleeps now and then.

It sleeps only while somebody waits: a collection of a workspace that nobody uses would else take
twice its time.

What counts is how long the thread has worked, not how long one of its loops has: were a walk and
the walk that it calls to count on their own, each would take the other's sleep for work, and sleep
after every call.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

WORK_SECONDS = 0.001
REST_SECONDS = 0.001
_BUSY_SECONDS = 0.05
"""Time after a request in which more are expected."""

T = TypeVar("T")


class _Rests:
    """Working time and rests of one thread."""

    __slots__ = ("busy_until", "end", "seen")

    def __init__(self) -> None:
        self.end = 0.0
        """Time at which the thread has worked for long enough."""
        self.seen = 0
        """Number of requests that had come when it last looked."""
        self.busy_until = 0.0


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.rests = _Rests()


_own = _OfThread()


class Pace:
    """A callable that work on a thread calls often, and that sleeps now and then if others wait.

    All of a thread share its working time, so that nested ones do not sleep for each other; use one
    only on the thread that made it.  A call without sleep takes 0.1 us.
    """

    is_shared = False
    """True if a thread of this process serves requests; `serve_here` sets it."""
    request_count = 0
    """Number of requests that came, and of other work that was begun where they are served."""

    def __init__(self) -> None:
        self._rests = _own.rests

    def __call__(self) -> None:
        """Return at once, or sleep if the working time is used up."""
        rests = self._rests
        if Pace.is_shared and (now := time.perf_counter()) >= rests.end:
            if Pace.request_count != rests.seen:
                rests.seen = Pace.request_count
                rests.busy_until = now + _BUSY_SECONDS
            if now < rests.busy_until:
                time.sleep(REST_SECONDS)
                now = time.perf_counter()
            rests.end = now + WORK_SECONDS


def serve_here() -> None:
    """Let the calling thread be the one that serves requests: it never rests, all others do."""
    Pace.is_shared = True
    _own.rests.end = math.inf


def paced(items: Iterable[T]) -> Iterator[T]:
    """Yield items, and rest between two of them when the working time is used up: 0.2 us each.

    For the loops of threads that have nothing else to call a `Pace`.
    """
    pace = Pace()
    for each in items:
        pace()
        yield each
