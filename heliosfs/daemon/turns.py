"""The turns of verbs: the lock, the barrier and the notices around each verb.

A turn begins with the barrier, which collects what the kernel and the keeper still hold, and ends
when the kernel has forgotten what the verb made stale.  In between the kernel may show a tree that
is not the store's, so turns never overlap.
"""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.daemon.driver import Driver, RunningSteps
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import StoreError
from heliosfs.fuse.loop import HandoffLock
from heliosfs.repo.repository import Repository
from heliosfs.vfs.control_request import ControlRequest


class Turns:
    """Turns that run one verb at a time, in the order of the requests."""

    def __init__(
        self,
        repository: Repository,
        kernel: Kernel,
        keeper: Keeper,
        watchers: Watchers,
        driver: Driver,
    ) -> None:
        self._repository = repository
        self._kernel = kernel
        self._keeper = keeper
        self._watchers = watchers
        self._driver = driver
        self.on_ended: Callable[[], None] = lambda: None
        """Function to call at the end of each turn."""
        self._serial = HandoffLock()
        """Lock that is held while a verb runs: from its barrier to the last invalidation."""

    async def run(self, request: ControlRequest) -> str:
        """Run a verb that is not long; return its reply."""
        # I14: the next verb begins when the kernel has forgotten what this one made stale.
        async with self._serial:
            try:
                if request.barrier:
                    await self.capture(request)
                reply = request.run()
                if request.sync or self._keeper.is_strict:
                    await self.acknowledge(request)
            finally:
                await self._invalidate()
        return reply

    async def finish(self, driven: RunningSteps[str], request: ControlRequest | None) -> None:
        """Run the remaining steps of a long or reading verb while no other verb runs."""
        async with self._serial:
            try:
                if request is not None:
                    await self.capture(request)
                await self._driver.run_until(driven, None, lambda: None)
                if request is not None:
                    await self.acknowledge(request)
            finally:
                await self._invalidate()

    async def capture(self, request: ControlRequest) -> None:
        """Collect all written bytes, before a verb that captures or discards them."""
        # I16: a verb that captures the tree sees what the kernel still held.
        if request.barrier:
            if self._repository.working_set.writers:
                await self._kernel.barrier(request.begun_barrier)
            await self._keeper.shorten()

    async def acknowledge(self, request: ControlRequest) -> None:
        """Wait until the changes of a request are safe, if the request or the settings ask for it.

        StoreError says that the verb was carried out all the same: a reader of the error must not
        believe that nothing happened.
        """
        if request.sync or self._keeper.is_strict:
            try:
                with self._kernel.waiting():
                    await self._keeper.acknowledge(sync=request.sync)
            except StoreError as error:
                raise type(error)(
                    f"it was carried out, but may be lost in a power cut: {error}"
                ) from error

    async def _invalidate(self) -> None:
        stale = self._repository.take_stale()
        if stale:
            await self._kernel.invalidate(stale)
            if stale.changed:
                self._watchers.note(stale.changed)
        self.on_ended()
