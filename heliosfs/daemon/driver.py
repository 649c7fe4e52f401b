"""Drives long work in slices, so that requests are served between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.steps import ALONE, Progress, Step, Steps, Turn
from heliosfs.store.base import Store

SLICE_NS = 1_500_000
"""How long it goes on before others have their turn."""
CHECKED_NS = 100_000_000
"""How often it is checked whether it is to go on at all."""
VERB_BACKLOG_BYTES = 16 * 1024 * 1024
"""What it may publish before it waits for the store."""

T = TypeVar("T")


class Driven(Generic[T]):
    """Long work that was begun."""

    def __init__(self, steps: Steps[T]) -> None:
        self.progress = Progress(0, 0, "")
        self.results: list[T] = []
        """What it resulted in, once it is done."""
        self.checked_ns = 0
        self._steps = steps
        self._error: Exception | None = None

    def next(self) -> Step | None:
        """Go on to the next step; None when it is done.  Raises what the work raises."""
        error, self._error = self._error, None
        try:
            return next(self._steps) if error is None else self._steps.throw(error)
        except StopIteration as done:
            self.results.append(done.value)
            return None

    def failed(self, error: Exception) -> None:
        """Work that it gave away failed, of which it hears when it goes on."""
        self._error = error

    def close(self) -> None:
        """Let it free what it holds.  Idempotent."""
        self._steps.close()


class Driver:
    """Goes on with long work, for all who do."""

    def __init__(self, kernel: Kernel, keeper: Keeper, store: Store) -> None:
        self._kernel = kernel
        self._keeper = keeper
        self._store = store

    async def go_on(self, driven: Driven[T], end_ns: int | None, check: Callable[[], None]) -> bool:
        """Go on until it is done, wants to be alone, or it is `end_ns`; whether it wants to be.

        `check` is called now and then, and raises what shall end it.
        """
        slice_end_ns = time.monotonic_ns() + SLICE_NS
        while True:
            step = driven.next()
            if step is None or step is ALONE:
                return step is ALONE
            if isinstance(step, Progress):
                driven.progress = step
            elif not isinstance(step, Turn):
                try:
                    await self._kernel.execute(step)
                except Exception as error:  # noqa: BLE001 (raised where the work was planned)
                    driven.failed(error)
            now_ns = time.monotonic_ns()
            if now_ns < slice_end_ns:
                continue
            if now_ns - driven.checked_ns > CHECKED_NS:
                driven.checked_ns = now_ns
                check()
            if end_ns is not None and now_ns >= end_ns:
                return False
            if self._keeper.written():
                await self._keeper.catch_up()
            elif self._store.pending_bytes > VERB_BACKLOG_BYTES:
                await self._keeper.drain()
            else:
                await trio.lowlevel.checkpoint()
            slice_end_ns = time.monotonic_ns() + SLICE_NS
