"""Threads for requests that may never be answered: they end with the process, whatever they do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


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
