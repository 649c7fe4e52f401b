"""Verbs as requests of the kernel: one after another, and long ones beside all others."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TypeVar

from heliosfs.daemon.caller import wants_to_end
from heliosfs.daemon.driver import Driven, Driver
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import Busy, HeliosError, Interrupted, StoreError
from heliosfs.fuse.loop import HandoffLock
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps
from heliosfs.vfs.control import Channel, ControlRequest, LongRequest

TOLD_NS = 200_000_000
"""How often whoever reads along is told how far a long verb is."""

_T = TypeVar("_T")


class _LongRun(Driven[str]):
    """A long verb that was begun."""

    def __init__(
        self, name: str, steps: Steps[str], channel: Channel | None, request: ControlRequest | None
    ) -> None:
        super().__init__(steps)
        self.name = name
        self.channel = channel
        """Whose reply it is; None when nobody waits for one."""
        self.request = request
        self.lock = HandoffLock()
        """One at a time drives it, when several processes read from one descriptor."""


class Verbs:
    """Carries requests out and gives their channels the replies.

    Verbs run one after another, so that none starts before the kernel has forgotten what the
    one before made stale.  A long verb runs beside them, up to its last step, and one at most.
    """

    def __init__(
        self, repository: Repository, kernel: Kernel, keeper: Keeper, watchers: Watchers
    ) -> None:
        self._repository = repository
        self._watchers = watchers
        self._kernel = kernel
        self._keeper = keeper
        self._serial = HandoffLock()
        """Held while a verb runs: from its barrier to the last invalidation."""
        self._long: _LongRun | None = None
        self._driver = Driver(kernel, keeper, repository.store)
        self._is_ending = False

    async def run(self, channel: Channel, requests: list[ControlRequest]) -> None:
        """Run the requests that a channel completed, and give it the replies."""
        for request in requests:
            try:
                reply: str | None
                if request.reading is not None:
                    reply = await self._read(request, request.reading())
                elif request.long is not None:
                    reply = await self._begin(channel, request, request.long)
                else:
                    reply = await self._run_at_once(request)
            except Exception as error:
                channel.fail(_told(error))
                raise
            if reply is not None:
                self._answer(channel, request, reply)

    async def go_on(self, channel: Channel) -> None:
        """Let the long verb go on whose reply is being read, once all there is was read."""
        run = self._long
        if run is None or run.channel is not channel or not channel.is_read:
            return
        async with run.lock:
            if run is not self._long or not channel.is_read:
                return
            try:
                reply = await self._drive(run, time.monotonic_ns() + TOLD_NS)
            except Exception as error:
                channel.fail(_told(error))
                raise
            if reply is None:
                channel.answer(_progress_line(run))
            else:
                assert run.request is not None
                self._answer(channel, run.request, reply)

    def release(self, channel: Channel) -> None:
        """Nobody will read the reply any more."""
        run = self._long
        if run is not None and run.channel is channel:
            self._drop(run)

    def end(self) -> None:
        """The mount ends: a long verb stops at its next step."""
        self._is_ending = True

    async def run_long(self, name: str, steps: Steps[str]) -> str:
        """Carry out a long verb for which nobody waits.  Busy when another one runs."""
        reply = await self._drive(self._take_place(_LongRun(name, steps, None, None)))
        assert reply is not None
        return reply

    async def work_off(self, steps: Steps[_T]) -> _T:
        """What steps result in that change nothing, and so may run beside a long verb."""
        driven = Driven(steps)
        try:
            with self._kernel.working():
                await self._driver.go_on(driven, None, self._check_ending)
        finally:
            driven.close()
        return driven.results[0]

    async def _read(self, request: ControlRequest, steps: Steps[str]) -> str:
        """Carry out a verb beside all others, up to where its steps want to be alone."""
        await self._capture(request)
        driven = Driven(steps)
        try:
            with self._kernel.working():
                if await self._driver.go_on(driven, None, self._check_ending):
                    await self._finish_alone(driven, request)
        finally:
            driven.close()
        return driven.results[0]

    async def _begin(
        self, channel: Channel, request: ControlRequest, long: LongRequest
    ) -> str | None:
        """The reply; None when it comes to who reads on."""
        run = self._take_place(_LongRun(long.name, long.begin(), channel, request))
        async with run.lock:
            return await self._drive(run, time.monotonic_ns() + TOLD_NS if long.progress else None)

    def _take_place(self, run: _LongRun) -> _LongRun:
        if self._long is not None:
            raise Busy(f"an exclusive operation runs, {self._long.name!r}: try again after it")
        self._long = run
        return run

    def _drop(self, run: _LongRun) -> None:
        if self._long is run:
            self._long = None
        run.close()

    async def _drive(self, run: _LongRun, end_ns: int | None = None) -> str | None:
        """Go on until it is done, or it is `end_ns`; gives the reply, if it is there."""
        try:
            with self._kernel.working():
                if await self._driver.go_on(run, end_ns, partial(self._check, run)):
                    await self._finish_alone(run, run.request)
                elif run.results and run.request is not None:
                    await self._acknowledge(run.request)
        except BaseException:
            self._drop(run)
            raise
        if not run.results:
            return None
        self._drop(run)
        return run.results[0]

    async def _finish_alone(self, driven: Driven[str], request: ControlRequest | None) -> None:
        """Go on to the end while no other verb runs."""
        async with self._serial:
            try:
                if request is not None:
                    await self._capture(request)
                await self._driver.go_on(driven, None, lambda: None)
                if request is not None:
                    await self._acknowledge(request)
            finally:
                await self._invalidate()

    def _check(self, run: _LongRun) -> None:
        self._check_ending()
        if run.channel is not None and wants_to_end(run.channel.opener_pid):
            raise Interrupted(f"{run.name} was interrupted")

    def _check_ending(self) -> None:
        if self._is_ending:
            raise Interrupted("the mount ends")

    async def _run_at_once(self, request: ControlRequest) -> str:
        # I14: the next verb begins when the kernel has forgotten what this one made stale.
        async with self._serial:
            try:
                await self._capture(request)
                reply = request.run()
                await self._acknowledge(request)
            finally:
                await self._invalidate()
        return reply

    async def _capture(self, request: ControlRequest) -> None:
        """Have all that was written, before a verb that captures or discards it."""
        # I16: a verb that captures the tree sees what the kernel still held.
        if request.barrier:
            if self._repository.working_set.writers:
                await self._kernel.barrier()
            await self._keeper.shorten()

    async def _acknowledge(self, request: ControlRequest) -> None:
        """Wait until what a request published is safe, where that is wanted.

        StoreError says that it was carried out all the same: whoever hears of a failure must not
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

    def _answer(self, channel: Channel, request: ControlRequest, reply: str) -> None:
        self._keeper.touch()
        request.answered()
        channel.answer(request.framed(reply) if request.exit else reply)


def _told(error: Exception) -> HeliosError:
    """What the channel says of an error."""
    if isinstance(error, HeliosError):
        return error
    return HeliosError("internal error: the log of the mount tells more")


def _progress_line(run: _LongRun) -> str:
    return f"progress: {json.dumps(run.progress._asdict())}\n"
