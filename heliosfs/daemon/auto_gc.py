"""Runs garbage collections by itself, where the configuration wants that."""

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
"""So long nothing must have changed; when nothing is as quiet for an interval more, it runs."""

log = logging.getLogger(__name__)


class Collector:
    """Wakes at a change, and sleeps until a collection is due and the mount idle."""

    def __init__(
        self,
        repository: Repository,
        keeper: Keeper,
        run_long: Callable[[str, Steps[str]], Awaitable[str]],
    ) -> None:
        """`run_long` carries out a long verb beside all others.  Busy while another one runs."""
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
                await self._wait_for_its_time()
            # What changed until now is looked at, or nobody wants it to be.
            self._keeper.changed = trio.Event()
            if self._is_wanted:
                await self._collect()

    def _configured(self, settings: Settings) -> None:
        """To be switched on is a change, too."""
        was_wanted, self._was_wanted = self._was_wanted, settings.is_gc_automatic
        if settings.is_gc_automatic and not was_wanted:
            self._keeper.changed.set()

    @property
    def _is_wanted(self) -> bool:
        return self._repository.configuration.settings.is_gc_automatic

    async def _wait_for_its_time(self) -> None:
        """Until the interval is over, and then until nothing changes, or for another one."""
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
            # Whatever runs is followed by a change, or was a collection itself.
            log.info("gc: put off, another long verb runs")
        except HeliosError as error:
            log.error("gc: %s", error)
        except Exception:
            log.exception("gc failed")
        self._last_ns = self._repository.clock.now_ns()
