"""Requests and verbs that wait for promised contents, beside all others.

What holds what while it waits for a remote.  A request of the kernel holds the task that read it
and a copy of its message, and no lock: its handler has failed and left everything as it was, and is
called again later.  The program that waits for it holds locks of the kernel, so that nobody may
wait for the program: a barrier waits only for pages that were stored through a mapping, which were
read before.  A verb holds neither `Turns._serial` nor a place in a transaction: it was abandoned.
The threads that ask remotes are their own (`DaemonThreads`), so that what hangs there never takes a
thread from the work of the store; and what has come is stored by a task of its own, so that who
waited may leave.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from heliosfs.daemon.caller import wants_to_end
from heliosfs.daemon.driver import SLICE_NS, Driver, RunningSteps
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import HeliosError, Interrupted, PromisedObject, Unfetched
from heliosfs.objects.ids import Oid
from heliosfs.repo.repository import Repository
from heliosfs.steps import Progress, Turn

if TYPE_CHECKING:
    from heliosfs.remote.hydration import Fetch, Hydration
    from heliosfs.remote.repetition import Repetition

WAITING_MAX = 1_000
"""Most requests that wait for contents; each holds a task and a message of at most 1 MiB."""
_LOOKED_SECONDS = 0.1
_TOLD_SECONDS = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Hydrator:
    """The hydration of a mount: it lets tasks wait, and stores what comes."""

    def __init__(
        self, repository: Repository, kernel: Kernel, keeper: Keeper, driver: Driver
    ) -> None:
        self._repository = repository
        self._kernel = kernel
        self._keeper = keeper
        self._driver = driver
        self._made: Hydration | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._arrivals: dict[Fetch, trio.Event] = {}
        self._is_ending = False
        self._told = ""
        self._told_at = 0.0
        self.on_failure: Callable[[str], None] = lambda _text: None
        """Function that is told why contents could not be had, about once a second."""
        self.on_missed: Callable[[], None] = lambda: None
        """Function that is called when a program has to wait for a content."""

    @property
    def hydration(self) -> Hydration:
        """The reader of the repository, made when it is first needed: it loads modules."""
        if self._made is None:
            from heliosfs.remote.hydration import Hydration

            self._made = Hydration(self._repository)
            self._made.on_landed = self._landed
        self._token = trio.lowlevel.current_trio_token()
        return self._made

    def use(self, hydration: Hydration) -> None:
        """Read by this hydration."""
        self._made = hydration
        hydration.on_landed = self._landed

    def repetition(self) -> Repetition:
        """Return the repetitions of a verb that has met a promised content."""
        from heliosfs.remote.repetition import Repetition

        return Repetition(self.hydration)

    async def repeated(
        self,
        error: PromisedObject,
        attempt: Callable[[], Awaitable[T]],
        name: str,
        pid: int,
    ) -> T:
        """Make an attempt again that has failed with `error`, until all that it needs is here.

        Raise Unfetched, or StoreFull; Interrupted if the thread `pid` ends, or the mount does.
        """
        again = self.repetition()
        while True:
            again.missed(error)
            fetching = RunningSteps(again.fetch())
            try:
                with self._kernel.waiting():
                    await self._fetch(fetching, partial(self._check, name, pid))
            finally:
                fetching.close()
            try:
                return await attempt()
            except PromisedObject as other:
                error = other

    async def _fetch(self, fetching: RunningSteps[None], check: Callable[[], None]) -> None:
        """Drive the steps that read what a verb needs; many of them may wait, without a thread."""
        from heliosfs.remote.repetition import ArrivalWait

        slice_end_ns = time.monotonic_ns() + SLICE_NS
        while (step := fetching.next()) is not None:
            if isinstance(step, ArrivalWait):
                await self._look(step.fetch)
                check()
            elif not isinstance(step, (Turn, Progress)):
                try:
                    await self._kernel.execute(step)
                except Exception as error:  # noqa: BLE001 (raised where the work was planned)
                    fetching.failed(error)
            elif time.monotonic_ns() >= slice_end_ns:
                check()
                await trio.lowlevel.checkpoint()
                slice_end_ns = time.monotonic_ns() + SLICE_NS

    def _check(self, name: str, pid: int) -> None:
        """Raise Interrupted if the mount ends, or the thread for which something waits."""
        if self._is_ending:
            raise Interrupted("the workspace is being unmounted")
        # I70: who is killed leaves, whatever the remote does.
        if pid and wants_to_end(pid):
            raise Interrupted(f"{name} was interrupted")

    async def bring(self, error: PromisedObject, pid: int = 0) -> None:
        """Wait until a promised content is here, or nobody promises it any more.

        Raise Unfetched, or StoreFull; Interrupted if the thread `pid` ends, or the mount does.
        """
        oid = Oid(error.oid)
        self.on_missed()
        try:
            fetch = self.hydration.begin(oid)
            if fetch is not None:
                await self._arrival(fetch, oid, pid)
        except Unfetched as unfetched:
            self._tell(str(unfetched))
            raise

    async def _arrival(self, fetch: Fetch, oid: Oid, pid: int) -> None:
        counts = self.hydration.counts
        if counts.waiting >= WAITING_MAX:
            raise Unfetched(f"content {oid.hex()[:12]}: {WAITING_MAX} requests wait for contents")
        counts.waiting += 1
        try:
            with self._kernel.waiting():
                await self.arrived(fetch, oid, pid)
        finally:
            counts.waiting -= 1
        failure = fetch.failure(oid)
        if failure is not None:
            raise failure

    async def arrived(self, fetch: Fetch, oid: Oid, pid: int = 0) -> None:
        """Wait until a range is in the store, or has failed.

        Raise Unfetched if it does not come; Interrupted if the thread `pid` ends, or the mount.
        """
        from heliosfs.remote.hydration import ARRIVAL_SECONDS

        until = trio.current_time() + ARRIVAL_SECONDS
        while not fetch.kept.is_set():
            if await self._look(fetch):
                continue
            self._check("the wait for a content", pid)
            if trio.current_time() > until:
                raise self.hydration.give_up(fetch, oid)

    async def _look(self, fetch: Fetch) -> bool:
        """Wait for a range for a moment; return True if it has come."""
        # Afterwards, nobody would set the event any more.
        if not fetch.kept.is_set():
            event = self._arrivals.setdefault(fetch, trio.Event())
            with trio.move_on_after(_LOOKED_SECONDS):
                await event.wait()
        return fetch.kept.is_set()

    def end(self) -> None:
        """Let nobody wait any more, because the mount ends."""
        self._is_ending = True

    def _landed(self, fetch: Fetch) -> None:
        """Have a range stored that has come; on any thread."""
        assert self._token is not None
        # The mount may be gone by now.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._begin_to_keep, fetch)

    def _begin_to_keep(self, fetch: Fetch) -> None:
        # Not by who waits for it, as that may be interrupted, and several may.  At the end of the
        # loop no task begins any more.
        with suppress(RuntimeError):
            trio.lowlevel.spawn_system_task(self._keep, fetch)

    async def _keep(self, fetch: Fetch) -> None:
        running = RunningSteps(self.hydration.keep(fetch))
        try:
            try:
                await self._driver.run_until(running, None, lambda: None)
            finally:
                running.close()
                # Whoever waits goes on, before the store has its turn.
                event = self._arrivals.pop(fetch, None)
                if event is not None:
                    event.set()
            if self._keeper.written():
                await self._keeper.catch_up()
        except HeliosError as error:
            log.warning("what was fetched stays in memory: %s", error)
        except Exception:
            log.exception("what was fetched could not be stored")

    def _tell(self, text: str) -> None:
        """Tell why a content could not be had; a search over thousands of files says it once."""
        reason, now = text.partition(" is still ")[2], time.monotonic()
        if reason != self._told or now > self._told_at + _TOLD_SECONDS:
            self._told, self._told_at = reason, now
            log.warning("%s", text)
            self.on_failure(text)
