"""The keeper: saves the working states and drains the store while the mount goes on.

Nothing runs while nothing changes.  A change wakes it: published batches are synced to disk
within `durability.interval`, uncommitted changes are saved within `durability.checkpoint_interval`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from heliosfs.clock import SECOND_NS
from heliosfs.config.settings import Settings
from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import StoreError, StoreFull
from heliosfs.repo.repository import Repository
from heliosfs.steps import BACKLOG_BYTES
from heliosfs.workspace.flush import flush_files

SLICE_BYTES = 2 * 1024 * 1024
"""What is stored at most before other requests get their turn: about 3 ms."""
SEAL_FROM_BYTES = 16 * 1024 * 1024
"""Written parts of large files begin to go into the store from here on, on a thread."""
TRIM_FROM_BYTES = 16 * 1024 * 1024
"""After so much was drained, memory that is free goes back to the system."""
UNSEALED_MAX_BYTES = 64 * 1024 * 1024
"""With more of them, writers wait."""
_SEALED_AT_ONCE_BYTES = 4 * 1024 * 1024

log = logging.getLogger(__name__)


class Keeper:
    """Owns the background work of a mount.

    While a file is open for writing, it asks the kernel for dirty pages at each interval.
    """

    def __init__(
        self, repository: Repository, kernel: Kernel, on_failure: Callable[[StoreError], None]
    ) -> None:
        self.repository = repository
        self._store = repository.store
        self._parts = repository.working_set.parts
        self._kernel = kernel
        self._on_failure = on_failure
        self._save_wanted = trio.Event()
        self._sync_wanted = trio.Event()
        self._seal_wanted = trio.Event()
        self._sealing = trio.Lock()
        self._draining = trio.Lock()
        self._syncing = trio.Lock()
        self._drained_bytes = 0
        """Since memory was given back."""
        self.is_idle = True
        """Whether nothing changed since the last save began."""
        self.change_count = 0
        """Counts on while something changes, a step for each save."""
        self.changed = trio.Event()
        """Set at the next change; replaced by who waits for it."""

    def touch(self) -> None:
        """Something changed, or was published."""
        if self.is_idle:
            self.is_idle = False
            self.change_count += 1
            self.changed.set()
            self._save_wanted.set()
            self._sync_wanted.set()

    @property
    def _settings(self) -> Settings:
        return self.repository.configuration.settings

    @property
    def is_strict(self) -> bool:
        """Whether no request is answered before what it published is safe (`durability.mode`)."""
        return self._settings.is_sync

    def written(self) -> bool:
        """Something was written: whether the writer must wait for `catch_up`.  0.2 us."""
        if self.is_idle:
            self.touch()
        dirty_bytes = self._parts.dirty_bytes
        if dirty_bytes > SEAL_FROM_BYTES:
            self._seal_wanted.set()
        return dirty_bytes > UNSEALED_MAX_BYTES or self._store.pending_bytes > BACKLOG_BYTES

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._go_on, self._sync_for_a_while)
            nursery.start_soon(self._go_on, self._save_once)
            nursery.start_soon(self._go_on, self._seal_some)

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
            await trio.sleep(self._settings.sync_interval_ns / SECOND_NS)
            is_busy = await self._sync_published()

    async def _save_once(self) -> None:
        """Some time after a change, save what is uncommitted and drain the store."""
        await self._save_wanted.wait()
        self._save_wanted = trio.Event()
        await trio.sleep(self._settings.checkpoint_interval_ns / SECOND_NS)
        self.is_idle = True
        working_set = self.repository.working_set
        if working_set.writers:
            # The kernel holds what was stored through mappings, and tells nobody: ask every time.
            self._save_wanted.set()
            try:
                await self._kernel.barrier()
            except StoreError as error:
                log.warning("before a save: %s", error)
        await self.shorten(0)
        self.repository.checkpoint()
        await self._sync_published()
        await self.drain()
        if self._drained_bytes > TRIM_FROM_BYTES and not self._kernel.is_working:
            self._drained_bytes = 0
            await self._kernel.give_memory_back()

    async def shorten(self, threshold_bytes: int = 8 * SLICE_BYTES) -> None:
        """Store dirty files in slices, so that the flush after it holds the loop only briefly.

        Does nothing while the flush has at most `threshold_bytes` to hash.
        """
        if self.repository.working_set.flush_bytes <= threshold_bytes:
            return
        await self._seal(0)
        for view in self.repository.views():
            while flush_files(view.workspace, SLICE_BYTES):
                await trio.lowlevel.checkpoint()
                await self._relieve()

    async def catch_up(self) -> None:
        """Wait until the store has taken in what was written."""
        if self._parts.dirty_bytes > UNSEALED_MAX_BYTES:
            await self._seal(UNSEALED_MAX_BYTES)
        await self._relieve()

    async def _seal_some(self) -> None:
        await self._seal_wanted.wait()
        self._seal_wanted = trio.Event()
        await self._seal(SEAL_FROM_BYTES // 2)

    async def _seal(self, target_bytes: int) -> None:
        """Store written parts of large files until at most so many bytes of them are left."""
        while self._parts.dirty_bytes > target_bytes:
            async with self._sealing:
                work = self.repository.working_set.plan_seal(_SEALED_AT_ONCE_BYTES)
                if work is None:
                    return
                await self._kernel.execute(work)
            await self._relieve()

    async def _relieve(self) -> None:
        """Drain, if much waits for it."""
        if self._store.pending_bytes > BACKLOG_BYTES:
            self._store.publish()
            await self.drain()

    async def sync(self) -> None:
        """Save everything and wait until it is safe from a power cut.  StoreError."""
        self.repository.checkpoint()
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
        """Sync what is published; return True if there was something.  StoreError.

        A failure makes the mount read-only at once, whoever asked: the next sync would not tell.
        """
        try:
            async with self._syncing:
                work = self._store.plan_sync()
                if work is not None:
                    await self._kernel.execute(work)
                return work is not None
        except StoreFull:
            raise
        except StoreError as error:
            self._on_failure(error)
            raise

    async def drain(self) -> None:
        """Move what is published into L2."""
        async with self._draining:
            before_bytes = self._store.pending_bytes
            work = self._store.plan_drain()
            if work is not None:
                await self._kernel.execute(work)
                self._drained_bytes += max(0, before_bytes - self._store.pending_bytes)
