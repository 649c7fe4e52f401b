"""Runner of verbs: one at a time, except long verbs, which run beside the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from heliosfs.daemon.caller import wants_to_end
from heliosfs.daemon.driver import Driver, RunningSteps
from heliosfs.daemon.hydrator import Hydrator
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.reader import Reader
from heliosfs.daemon.turns import Turns
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import Busy, HeliosError, Interrupted, PromisedObject, Unfetched
from heliosfs.fuse.loop import HandoffLock
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps
from heliosfs.vfs.control import Channel
from heliosfs.vfs.control_request import ControlRequest, LongRequest

if TYPE_CHECKING:
    from heliosfs.remote.repetition import Repetition

TOLD_NS = 200_000_000
"""Time between two progress lines of a long verb."""

_T = TypeVar("_T")


class _LongRun(RunningSteps[str]):
    """A long verb between its first step and its reply."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], Steps[str]],
        channel: Channel | None,
        request: ControlRequest | None,
    ) -> None:
        super().__init__(begin())
        self.name = name
        self.channel = channel
        """Channel for the reply; None if no caller waits for one."""
        self.request = request
        self.lock = HandoffLock()
        """Lock held while a task runs its steps; several processes may read from one channel."""
        self._begin = begin
        self._again: Repetition | None = None

    def begin_again(self, error: PromisedObject, hydrator: Hydrator) -> None:
        """Begin again once the content is here for which the verb was abandoned.

        Raise Unfetched.
        """
        if self._again is None:
            self._again = hydrator.repetition()
        self._again.missed(error)
        self.restart(self._again.steps(self._begin))


class Verbs:
    """Runner of the requests of all channels, to which it adds the replies.

    Verbs run one after another, so that none starts before the kernel has forgotten what the
    one before made stale.  One long verb at most runs beside them, except for its last step.
    """

    def __init__(
        self, repository: Repository, kernel: Kernel, keeper: Keeper, watchers: Watchers
    ) -> None:
        self._repository = repository
        self._kernel = kernel
        self._keeper = keeper
        self._long: _LongRun | None = None
        self._driver = Driver(kernel, keeper, repository.store)
        self._turns = Turns(repository, kernel, keeper, watchers, self._driver)
        self.hydrator = Hydrator(repository, kernel, keeper, self._driver)
        self._is_ending = False

    def follow(self, on_ended: Callable[[], None]) -> None:
        """Call a function at the end of each turn of a verb."""
        self._turns.on_ended = on_ended

    async def run(self, channel: Channel, requests: list[ControlRequest]) -> None:
        """Run the requests that a channel has completed, and add the replies to it."""
        for request in requests:
            try:
                reply: str | None
                try:
                    if request.reading is not None:
                        reply = await self._read(channel, request, request.reading)
                    elif request.long is not None:
                        reply = await self._begin(channel, request, request.long)
                    else:
                        reply = await self._turns.run(request)
                except PromisedObject as promised:
                    reply = await self._repeat(channel, request, promised)
            except Unfetched as error:
                reply = _refused(channel, request, error)
            except Exception as error:
                channel.fail(_error_to_report(error))
                raise
            if reply is not None:
                self._answer(channel, request, reply)

    async def drive(self, channel: Channel) -> None:
        """Continue the long verb of a channel if the caller has read its reply so far."""
        run = self._long
        if run is None or run.channel is not channel or not channel.is_read:
            return
        async with run.lock:
            if run is not self._long or not channel.is_read:
                return
            try:
                reply = await self._drive(run, time.monotonic_ns() + TOLD_NS)
            except Unfetched as error:
                assert run.request is not None
                reply = _refused(channel, run.request, error)
            except Exception as error:
                channel.fail(_error_to_report(error))
                raise
            if reply is None:
                channel.answer(_progress_line(run))
            else:
                assert run.request is not None
                self._answer(channel, run.request, reply)

    def release(self, channel: Channel) -> None:
        """Abandon the long verb of a channel that was closed."""
        run = self._long
        if run is not None and run.channel is channel:
            self._drop(run)

    def end(self) -> None:
        """Stop a long verb at its next step, because the mount ends."""
        self._is_ending = True
        self.hydrator.end()

    async def run_long(self, name: str, steps: Steps[str]) -> str:
        """Run a long verb for which no channel waits; return its reply.

        Raise Busy if another runs.
        """
        reply = await self._drive(self._take_place(_LongRun(name, lambda: steps, None, None)))
        assert reply is not None
        return reply

    async def work_off(self, name: str, begin: Callable[[], Steps[_T]], pid: int) -> _T:
        """Run steps that change nothing, and so may run beside a long verb; return the result.

        They end with the thread `pid`, for which they run; 0 if it is not known.
        """
        attempt = partial(self._work_off, name, begin, pid)
        try:
            return await attempt()
        except PromisedObject as error:
            return await self.hydrator.repeated(error, attempt, name, pid)

    async def _work_off(self, name: str, begin: Callable[[], Steps[_T]], pid: int) -> _T:
        driven = RunningSteps(begin())
        try:
            with self._kernel.working():
                await self._driver.run_until(driven, None, self._reader(name, pid))
        finally:
            driven.close()
        return driven.results[0]

    async def _read(self, channel: Channel, request: ControlRequest, reading: LongRequest) -> str:
        """Run a reading verb beside other verbs, and without them after it yields `ALONE`."""
        await self._turns.capture(request)
        driven = RunningSteps(reading.begin())
        check = self._reader(reading.name, channel.opener_pid)
        try:
            with self._kernel.working():
                if await self._driver.run_until(driven, None, check):
                    await self._turns.finish(driven, request)
        finally:
            driven.close()
        return driven.results[0]

    async def _repeat(
        self, channel: Channel, request: ControlRequest, error: PromisedObject
    ) -> str:
        """Run a verb again that has met a content that a remote has, once that is here."""
        # I69: it was abandoned, and holds nothing while it waits.
        if request.reading is not None:
            name = request.reading.name
            attempt = partial(self._read, channel, request, request.reading)
        else:
            name, attempt = "a verb", partial(self._turns.run, request)
        return await self.hydrator.repeated(error, attempt, name, channel.opener_pid)

    async def _begin(
        self, channel: Channel, request: ControlRequest, long: LongRequest
    ) -> str | None:
        """Begin a long verb; return its reply, or None if the caller gets it by reading on."""
        await self._turns.capture(request)
        run = self._take_place(_LongRun(long.name, long.begin, channel, request))
        async with run.lock:
            return await self._drive(run, time.monotonic_ns() + TOLD_NS if long.progress else None)

    def _take_place(self, run: _LongRun) -> _LongRun:
        if self._long is not None:
            raise Busy(
                f"another long operation is running, {self._long.name!r}: try again after it"
            )
        self._long = run
        return run

    def _drop(self, run: _LongRun) -> None:
        if self._long is run:
            self._long = None
        run.close()

    async def _drive(self, run: _LongRun, end_ns: int | None = None) -> str | None:
        """Continue the verb until its end, or until `end_ns`; return the reply, or None."""
        try:
            while True:
                try:
                    with self._kernel.working():
                        if await self._driver.run_until(run, end_ns, partial(self._check, run)):
                            await self._turns.finish(run, run.request)
                        elif run.results and run.request is not None:
                            await self._turns.acknowledge(run.request)
                    break
                except PromisedObject as error:
                    run.begin_again(error, self.hydrator)
                if run.request is not None:
                    await self._turns.capture(run.request)
        except BaseException:
            self._drop(run)
            raise
        if not run.results:
            return None
        self._drop(run)
        return run.results[0]

    def _check(self, run: _LongRun) -> None:
        self._check_ending()
        if run.channel is not None and wants_to_end(run.channel.opener_pid):
            raise Interrupted(f"{run.name} was interrupted")

    def _reader(self, name: str, pid: int) -> Callable[[], None]:
        reader = Reader(self._repository, name, pid)

        def check() -> None:
            self._check_ending()
            reader()

        return check

    def _check_ending(self) -> None:
        if self._is_ending:
            raise Interrupted("the workspace is being unmounted")

    def _answer(self, channel: Channel, request: ControlRequest, reply: str) -> None:
        self._keeper.touch()
        request.answered()
        channel.answer(request.framed(reply) if request.exit else reply)


def _refused(channel: Channel, request: ControlRequest, error: Unfetched) -> str:
    """Return the reply to a request whose contents cannot be had, or report the error, raised."""
    try:
        if request.unfetched is None:
            raise error
        return request.unfetched(error)
    except HeliosError as told:
        channel.fail(told)
        raise


def _error_to_report(error: Exception) -> HeliosError:
    """Return the error for the channel to report."""
    if isinstance(error, HeliosError):
        return error
    return HeliosError("internal error: see the log of the mount")


def _progress_line(run: _LongRun) -> str:
    return f"progress: {json.dumps(run.progress._asdict())}\n"
