"""The keeper: saves the working states and drains the store while the mount goes on.

Nothing runs while nothing changes.  A change wakes it: published batches are synced to disk
within `durability.interval`, uncommitted changes are saved within `durability.checkpoint_interval`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from heliosfs.config.settings import Settings
from heliosfs.errors import StoreError, StoreFull
from heliosfs.fuse.kernel import Kernel
from heliosfs.repo.repository import Repository
from heliosfs.workspace.flush import flush_files

BACKLOG_BYTES = 128 * 1024 * 1024
SLICE_BYTES = 2 * 1024 * 1024
"""What is stored at most before other requests get their turn: about 3 ms."""
_SECOND_NS = 10**9

log = logging.getLogger(__name__)


class Keeper:
    """Owns the background work of a mount."""

    def __init__(
        self, repository: Repository, kernel: Kernel, on_failure: Callable[[StoreError], None]
    ) -> None:
        self._repository = repository
        self._store = repository.store
        self._kernel = kernel
        self._on_failure = on_failure
        self._save_wanted = trio.Event()
        self._sync_wanted = trio.Event()
        self._draining = trio.Lock()
        self._syncing = trio.Lock()
        self.is_idle = True
        """Whether nothing changed since the last save began."""

    def touch(self) -> None:
        """Something changed, or was published."""
        if self.is_idle:
            self.is_idle = False
            self._save_wanted.set()
            self._sync_wanted.set()

    @property
    def _settings(self) -> Settings:
        return self._repository.configuration.settings

    @property
    def is_strict(self) -> bool:
        """Whether no request is answered before what it published is safe (`durability.mode`)."""
        return self._settings.is_sync

    @property
    def is_behind(self) -> bool:
        """Whether writers must wait for the store."""
        return self._store.pending_bytes > BACKLOG_BYTES

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._go_on, self._sync_for_a_while)
            nursery.start_soon(self._go_on, self._save_once)

    async def _go_on(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except StoreFull as error:
                log.warning("will try again: %s", error)
                self.touch()
            except StoreError as error:
                log.error("nothing can be saved any more: %s", error)
                self._on_failure(error)
            except Exception:
                log.exception("saving failed")
                self.touch()

    async def _sync_for_a_while(self) -> None:
        """From a change on, sync what is published at intervals, until nothing more comes."""
        await self._sync_wanted.wait()
        self._sync_wanted = trio.Event()
        is_busy = True
        while is_busy or not self.is_idle:
            await trio.sleep(self._settings.sync_interval_ns / _SECOND_NS)
            is_busy = await self._sync_published()

    async def _save_once(self) -> None:
        """Some time after a change, save what is uncommitted and drain the store."""
        await self._save_wanted.wait()
        self._save_wanted = trio.Event()
        await trio.sleep(self._settings.checkpoint_interval_ns / _SECOND_NS)
        self.is_idle = True
        await self.shorten(0)
        self._repository.checkpoint()
        await self._sync_published()
        await self._drain()

    async def shorten(self, threshold_bytes: int = 8 * SLICE_BYTES) -> None:
        """Store dirty files in slices, so that the flush after it holds the loop only briefly.

        Does nothing while less than `threshold_bytes` were written.
        """
        if self._repository.contents.dirty_bytes <= threshold_bytes:
            return
        for view in self._repository.views():
            while flush_files(view.workspace, SLICE_BYTES):
                await trio.lowlevel.checkpoint()
                if self.is_behind:
                    self._store.publish()
                    await self.catch_up()

    async def catch_up(self) -> None:
        """Wait until the store has taken in what is published."""
        await self._drain()

    async def sync(self) -> None:
        """Save everything and wait until it is safe from a power cut.  StoreError."""
        self._repository.checkpoint()
        await self._sync_published()

    async def acknowledge(self, *, sync: bool) -> None:
        """Make what a request has published, or all with `sync`, safe from a power cut.

        StoreError.
        """
        if sync:
            await self.sync()
        else:
            await self._sync_published()

    async def _sync_published(self) -> bool:
        """Whether there was something to sync."""
        async with self._syncing:
            work = self._store.plan_sync()
            if work is not None:
                await self._kernel.execute(work)
            return work is not None

    async def _drain(self) -> None:
        async with self._draining:
            work = self._store.plan_drain()
            if work is not None:
                await self._kernel.execute(work)
