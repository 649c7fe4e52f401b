"""Long work in slices, so that requests are served between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from heliosfs.clock import SECOND_NS
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.pace import Pace
from heliosfs.steps import ALONE, FarCall, Progress, Step, Steps, Turn
from heliosfs.store.base import Store

if TYPE_CHECKING:
    from heliosfs.remote.threads import DaemonThreads

SLICE_NS = 1_500_000
"""Duration of a slice, after which requests are served."""
CHECKED_NS = 100_000_000
"""Time between two calls of the function that can end the work."""
_FAR_CALLS_MAX = 16
"""Most calls of servers far away at once, those among them that were left alone."""
VERB_BACKLOG_BYTES = 16 * 1024 * 1024
"""Most bytes that wait for the store before the work waits, too."""

T = TypeVar("T")


class RunningSteps(Generic[T]):
    """Long work that has begun."""

    def __init__(self, steps: Steps[T]) -> None:
        self.progress = Progress(0, 0, "")
        self.results: list[T] = []
        """List of the one result; empty until the work is done."""
        self.checked_ns = 0
        self._steps = steps
        self._error: Exception | None = None

    def next(self) -> Step | None:
        """Run the work to its next step and return that; None when the work is done.

        An exception of the work is passed on.
        """
        error, self._error = self._error, None
        try:
            # Raised where the work was planned, which knows what to undo.
            return next(self._steps) if error is None else self._steps.throw(error)
        except StopIteration as done:
            self.results.append(done.value)
            return None

    def failed(self, error: Exception) -> None:
        """Record that the work yielded by the generator failed; `next` raises the error in it."""
        self._error = error

    def restart(self, steps: Steps[T]) -> None:
        """Go on with other steps, in place of those that have failed."""
        self._steps.close()
        self._steps, self._error = steps, None

    def close(self) -> None:
        """Close the generator, so that it frees what it holds.  Idempotent."""
        self._steps.close()


class Driver:
    """Runner of long work: it takes the steps and lets requests and the store have their turns."""

    def __init__(self, kernel: Kernel, keeper: Keeper, store: Store) -> None:
        self._kernel = kernel
        self._keeper = keeper
        self._store = store
        self._callers: DaemonThreads | None = None
        self._is_dropping = False

    async def run_until(
        self, driven: RunningSteps[T], end_ns: int | None, check: Callable[[], None]
    ) -> bool:
        """Run the work until it is done, asks to be alone, or the time is `end_ns`.

        Return True if it asks to be alone.  `check` is called about every 0.1 s, and raises an
        exception to end the work.
        """
        slice_end_ns = time.monotonic_ns() + SLICE_NS
        while True:
            step = driven.next()
            if step is None or step is ALONE:
                return step is ALONE
            if isinstance(step, Progress):
                driven.progress = step
            elif isinstance(step, FarCall):
                error = await self._call_far(step, check)
                if error is not None:
                    driven.failed(error)
            elif not isinstance(step, Turn):
                try:
                    await self._kernel.execute(step)
                except Exception as error:  # noqa: BLE001 (raised where the work was planned)
                    driven.failed(error)
            now_ns = time.monotonic_ns()
            # Steps are shorter than a slice; yielding to the loop after each would take longer than
            # the step.
            if now_ns < slice_end_ns:
                continue
            if isinstance(step, (Turn, Progress)):
                # It computes on the loop: threads of others make room.
                Pace.request_count += 1
            if now_ns - driven.checked_ns > CHECKED_NS:
                driven.checked_ns = now_ns
                check()
            if end_ns is not None and now_ns >= end_ns:
                return False
            if self._keeper.written():
                await self._keeper.catch_up()
            # A lower limit than that of writers, so that a long verb never makes them wait.
            elif self._store.pending_bytes > VERB_BACKLOG_BYTES:
                await self._keeper.drain()
            else:
                await trio.lowlevel.checkpoint()
            slice_end_ns = time.monotonic_ns() + SLICE_NS

    async def _call_far(self, call: FarCall[Any], check: Callable[[], None]) -> Exception | None:
        """Wait for a call; return its error.  If `check` raises, it is left to itself."""
        from heliosfs.remote.threads import DaemonThreads

        if not self._is_dropping:
            self._is_dropping = True
            trio.lowlevel.spawn_system_task(self._drop_clients)
        if self._callers is None:
            # Not those of trio: what stands still there would take a thread from others.
            self._callers = DaemonThreads("far calls", _FAR_CALLS_MAX)
        token, done = trio.lowlevel.current_trio_token(), trio.Event()
        errors: list[Exception] = []

        def execute() -> None:
            try:
                call.execute()
            except Exception as error:  # noqa: BLE001 (raised where it was planned)
                errors.append(error)
            # The mount may be gone by now.
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        self._callers.start(execute)
        while not done.is_set():
            with trio.move_on_after(CHECKED_NS / SECOND_NS):
                await done.wait()
                continue
            check()
        return errors[0] if errors else None

    async def _drop_clients(self) -> None:
        """Drop the clients of remotes that verbs leave open, when they were not used for long."""
        from heliosfs.remote.buckets.kept import KEPT_SECONDS, drop_idle_clients

        while True:
            await trio.sleep(KEPT_SECONDS)
            if not drop_idle_clients():
                break
        self._is_dropping = False
