"""Automatic garbage collection, where the configuration asks for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from heliosfs.clock import SECOND_NS
from heliosfs.commands.gc import automatic
from heliosfs.config.settings import Settings
from heliosfs.daemon.keeper import Keeper
from heliosfs.errors import Busy, HeliosError
from heliosfs.repo.gc.collect import last_collected
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps

IDLE_SECONDS = 5
"""Time without a change before a collection runs; after one more interval it runs anyway."""

log = logging.getLogger(__name__)


class Collector:
    """Background task that collects garbage after a change, once it is due and the mount idle."""

    def __init__(
        self,
        repository: Repository,
        keeper: Keeper,
        run_long: Callable[[str, Steps[str]], Awaitable[str]],
    ) -> None:
        """Prepare the task.  `run_long` runs a long verb beside all others, or raises Busy."""
        self._repository = repository
        self._keeper = keeper
        self._run_long = run_long
        self._was_wanted = self._is_wanted
        last = last_collected(repository.store)
        self._last_ns = last.time_ns if last else 0

    async def run(self) -> None:
        """Work until cancelled."""
        self._repository.configuration.follow(self._configured)
        while True:
            await self._keeper.changed.wait()
            if self._is_wanted:
                await self._wait_until_due()
            # The collection sees every change up to now.  If none is wanted, the next change, or
            # the setting, wakes this task again.
            self._keeper.changed = trio.Event()
            if self._is_wanted:
                await self._collect()

    def _configured(self, settings: Settings) -> None:
        """Wake the task when automatic collection is switched on, as after a change."""
        was_wanted, self._was_wanted = self._was_wanted, settings.is_gc_automatic
        if settings.is_gc_automatic and not was_wanted:
            self._keeper.changed.set()

    @property
    def _is_wanted(self) -> bool:
        return self._repository.configuration.settings.is_gc_automatic

    async def _wait_until_due(self) -> None:
        """Wait until the interval is over, and then until nothing changes, or for another one."""
        interval_ns = self._repository.configuration.settings.gc_interval_ns
        now_ns = self._repository.clock.now_ns()
        due_ns = max(self._last_ns + interval_ns, now_ns)
        await trio.sleep((due_ns - now_ns) / SECOND_NS)
        with trio.move_on_after(interval_ns / SECOND_NS):
            count = -1
            while count != self._keeper.change_count:
                count = self._keeper.change_count
                await trio.sleep(IDLE_SECONDS)

    async def _collect(self) -> None:
        try:
            told = await self._run_long("gc", automatic(self._repository))
            log.info("gc: %s", told.strip())
        except Busy:
            # The verb that runs ends with a change, which wakes this task, or is a collection.
            log.info("gc: postponed, because another long verb is running")
        except HeliosError as error:
            log.error("gc: %s", error)
        except Exception:
            log.exception("gc failed")
        self._last_ns = self._repository.clock.now_ns()
