"""Threads for requests that may never be answered: they end with the process, whatever they do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class DaemonThreads:
    """Some threads, begun when there is something to do; what comes while all are busy waits."""

    def __init__(self, name: str, most: int) -> None:
        """Prepare at most so many threads of a name."""
        self._name = name
        self._most = most
        self._count = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    def start(self, call: Callable[[], None]) -> None:
        """Call a function on a thread, soon."""
        with self._lock:
            if self._count >= self._most:
                self._waiting.append(call)
                return
            self._count += 1
        # An executor's threads would hold up the end of the process.
        threading.Thread(target=self._run, args=(call,), name=self._name, daemon=True).start()

    def _run(self, call: Callable[[], None]) -> None:
        while True:
            call()
            with self._lock:
                if not self._waiting:
                    self._count -= 1
                    return
                call = self._waiting.popleft()


def mapped(call: Callable[[T], R], items: Sequence[T], most: int) -> list[R]:
    """Call a function of each item, up to `most` at once; return the results in their order.

    The first error is raised at once: what is under way is left to itself, and the rest is not
    begun.
    """
    ended: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    pending = deque(enumerate(items))

    def work() -> None:
        while True:
            try:
                index, item = pending.popleft()
            except IndexError:
                return
            try:
                ended.put((index, call(item), None))
            except BaseException as error:  # noqa: BLE001 (raised where all of them are waited for)
                pending.clear()
                ended.put((index, None, error))

    for _ in range(min(most, len(items))):
        threading.Thread(target=work, name="requests", daemon=True).start()
    results: dict[int, R] = {}
    for _ in items:
        index, result, error = ended.get()
        if error is not None:
            raise error
        results[index] = result  # type: ignore[assignment]
    return [results[index] for index in range(len(items))]
