"""Threads of which one runs at a time, and that stop where others could come in between.

Work runs on a thread of its own, as in a mount, up to its next sync or commit; there it waits until
the loop lets it go on.  So the loop decides about every interleaving, and a seed repeats it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

_running: dict[int, Worker] = {}


class Worker:
    """A call on a thread, in steps."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._may_go = threading.Semaphore(0)
        self._has_stopped = threading.Semaphore(0)
        self._is_done = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> bool:
        """Let it run to where it stops next; returns True when it is done.  Raises its error."""
        self.advance()
        if not self._is_done:
            return False
        self._thread.join()
        if self._error is not None:
            raise self._error
        return True

    def advance(self) -> None:
        """Let it run to where it stops next."""
        if not self._is_done:
            self._may_go.release()
            self._has_stopped.acquire()

    def _run(self) -> None:
        self._may_go.acquire()
        _running[threading.get_ident()] = self
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            self._error = error
        del _running[threading.get_ident()]
        self._is_done = True
        self._has_stopped.release()

    def stop(self) -> None:
        """Let others run, on this thread."""
        self._has_stopped.release()
        self._may_go.acquire()


def gate() -> None:
    """Stop here, if this is the thread of a worker."""
    worker = _running.get(threading.get_ident())
    if worker is not None:
        worker.stop()


class GatedLock:
    """A lock for which a worker waits at a gate, and the loop until its holder has let it go."""

    def __init__(self) -> None:
        self._is_held = False
        self._holder: Worker | None = None

    def acquire(self) -> bool:
        worker = _running.get(threading.get_ident())
        while self._is_held:
            if worker is not None:
                worker.stop()
            else:
                assert self._holder is not None, "the loop waits for itself"
                self._holder.advance()
        self._is_held, self._holder = True, worker
        return True

    def release(self) -> None:
        self._is_held, self._holder = False, None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class GatedThreading:
    """Stand-in for the module `threading`, where the store makes its locks."""

    Lock = GatedLock
