"""Large requests, which take as long as the link does, and are given up when the server is silent.

A client of HTTP tells nothing of a body that is on its way, and its own limit would have to be that
of the slowest link.  So such a request is sent by a thread, and meanwhile the server is asked for
something small now and then: who answers that will answer this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

ASKED_SECONDS = 15.0
"""Time after which a server that has not answered a large request is asked for something else."""

T = TypeVar("T")


class Silent(Exception):
    """A large request was given up: it took longer than its limit."""


def watched(send: Callable[[], T], look: Callable[[], None], limit_seconds: float) -> T:
    """Send something large and return the answer.

    `look` raises an exception when the server does not answer; that, or Silent after
    `limit_seconds`, leaves the request to itself, and nobody knows what became of it.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            results.append(send())
        except BaseException as error:  # noqa: BLE001 (raised below, where it is waited for)
            errors.append(error)
        ended.set()

    threading.Thread(target=run, name="large request", daemon=True).start()
    waited_seconds = 0.0
    while not ended.wait(ASKED_SECONDS):
        waited_seconds += ASKED_SECONDS
        if waited_seconds >= limit_seconds:
            raise Silent
        look()
    if errors:
        raise errors[0]
    return results[0]
