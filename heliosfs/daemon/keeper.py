"""The keeper: background tasks that save the working states and drain the store.

They sleep while nothing changes.  A change wakes them: published batches are synced to disk within
`durability.interval`, uncommitted changes are saved within `durability.checkpoint_interval`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from heliosfs.clock import SECOND_NS
from heliosfs.config.settings import Settings
from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import PromisedObject, StoreError, StoreFull
from heliosfs.repo.repository import Repository
from heliosfs.steps import BACKLOG_BYTES
from heliosfs.workspace.flush import file_slices
from heliosfs.workspace.offloading import plan_offload

SLICE_BYTES = 2 * 1024 * 1024
"""Most bytes that are stored before other requests get their turn: about 3 ms."""
OFFLOAD_FROM_BYTES = 16 * 1024 * 1024
"""Written bytes of large files beyond which they are moved into the store, on a thread."""
TRIM_FROM_BYTES = 16 * 1024 * 1024
"""Bytes that left memory after which free memory is returned to the system."""
URGENT_FROM_BYTES = 24 * 1024 * 1024
"""Written bytes of large files, not yet in the store, beyond which compression is left for later: a
writer is faster than it."""
UNSTORED_MAX_BYTES = 64 * 1024 * 1024
"""Written bytes of large files, not yet in the store, beyond which writers wait."""
_OFFLOADED_AT_ONCE_BYTES = 4 * 1024 * 1024

log = logging.getLogger(__name__)


class Keeper:
    """Owner of the tasks that save, sync, offload and drain.

    While a file is open for writing, it has the kernel write dirty pages back at each save.
    """

    def __init__(
        self, repository: Repository, kernel: Kernel, on_failure: Callable[[StoreError], None]
    ) -> None:
        self.repository = repository
        self._store = repository.store
        self._account = repository.working_set.account
        self._kernel = kernel
        self._on_failure = on_failure
        self._save_wanted = trio.Event()
        self._sync_wanted = trio.Event()
        self._offload_wanted = trio.Event()
        self._offloading = trio.Lock()
        self._draining = trio.Lock()
        self._syncing = trio.Lock()
        self._freed_bytes = 0
        """Bytes drained and offloaded since free memory was last returned to the system."""
        self._quiet_count = 0
        """Number of saves in a row before which nothing had changed."""
        self.quiet_max: int | None = None
        """Number of such saves after which the next one waits for a change; None for no limit."""
        self.is_idle = True
        """True if nothing has changed since the last save began."""
        self.change_count = 0
        """Number of saves that were asked for: it grows while something changes."""
        self.changed = trio.Event()
        """Event that the next change sets; the task that waits for it replaces it."""

    def touch(self) -> None:
        """Note that something changed or was published, and wake the tasks."""
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
        """Return True if each verb must be safe on disk before its answer (`durability.mode`)."""
        return self._settings.is_sync

    def written(self) -> bool:
        """Note a write; return True if the writer must wait for `catch_up`.  0.2 us."""
        if self.is_idle:
            self.touch()
        dirty_bytes = self._account.dirty_part_bytes
        if dirty_bytes > OFFLOAD_FROM_BYTES:
            self._offload_wanted.set()
        return dirty_bytes > UNSTORED_MAX_BYTES or self._store.pending_bytes > BACKLOG_BYTES

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat, self._sync_for_a_while)
            nursery.start_soon(self._repeat, self._save_once)
            nursery.start_soon(self._repeat, self._offload_some)

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except StoreFull as error:
                log.warning("saving failed, and is tried again: %s", error)
                self.touch()
            except PromisedObject as error:
                # Nothing is lost, and nothing of it is wrong.
                log.warning("saving waits, and is tried again: %s", error)
                self.touch()
            except StoreError as error:
                log.error("the mount is read-only now, because saving failed: %s", error)
                self._on_failure(error)
            except Exception:
                log.exception("saving failed")
                self.touch()

    async def _sync_for_a_while(self) -> None:
        """Wait for a change, then sync at intervals until nothing more is published."""
        await self._sync_wanted.wait()
        self._sync_wanted = trio.Event()
        # Also after a sync that had nothing to do while something has changed: it may be published
        # at any moment.
        is_busy = True
        while is_busy or not self.is_idle:
            await trio.sleep(self._settings.sync_interval_ns / SECOND_NS)
            is_busy = await self._sync_published()

    async def _save_once(self) -> None:
        """Wait for a change, then for the interval; save uncommitted changes, drain the store."""
        await self._save_wanted.wait()
        self._save_wanted = trio.Event()
        await trio.sleep(self._settings.checkpoint_interval_ns / SECOND_NS)
        self._quiet_count = self._quiet_count + 1 if self.is_idle else 0
        # Before the work, so that a change during it leads to another save.
        self.is_idle = True
        working_set = self.repository.working_set
        if working_set.writers:
            # A process may change pages through a mapping, and the kernel does not tell: have it
            # write them back at every interval.
            if self.quiet_max is None or self._quiet_count < self.quiet_max:
                self._save_wanted.set()
            try:
                await self._kernel.barrier()
            except StoreError as error:
                log.warning("a save goes on without the kernel's dirty pages: %s", error)
        # In slices, so that the flush in `checkpoint`, which holds the loop, has little left to
        # hash.
        await self.shorten(0)
        self.repository.checkpoint()
        # Before the drain, which may take long.
        await self._sync_published()
        await self.drain()
        await self._compress()
        # Not beside long work, which would need the memory again at once.
        if self._freed_bytes > TRIM_FROM_BYTES and not self._kernel.is_working:
            self._freed_bytes = 0
            await self._kernel.give_memory_back()

    async def shorten(self, threshold_bytes: int = 8 * SLICE_BYTES) -> None:
        """Store dirty files in slices, so that the flush that follows blocks the loop only briefly.

        Do nothing if the flush has at most `threshold_bytes` to hash.
        """
        if self._account.flush_bytes <= threshold_bytes:
            return
        # Large files are hashed on a thread; what is left for the loop are small ones.
        await self._offload(0)
        for view in self.repository.views():
            for _ in file_slices(view.workspace, SLICE_BYTES):
                await trio.lowlevel.checkpoint()
                await self._relieve()

    async def catch_up(self) -> None:
        """Move written bytes into the store, and published bytes into L2, down to their limits."""
        if self._account.dirty_part_bytes > UNSTORED_MAX_BYTES:
            await self._offload(UNSTORED_MAX_BYTES)
        await self._relieve()

    async def _offload_some(self) -> None:
        await self._offload_wanted.wait()
        self._offload_wanted = trio.Event()
        await self._offload(OFFLOAD_FROM_BYTES // 2)

    async def _offload(self, target_bytes: int) -> None:
        """Store written parts of large files until at most `target_bytes` are unstored."""
        working_set = self.repository.working_set
        while (dirty_bytes := self._account.dirty_part_bytes) > target_bytes:
            async with self._offloading:
                is_urgent = dirty_bytes > URGENT_FROM_BYTES
                work = plan_offload(working_set, _OFFLOADED_AT_ONCE_BYTES, is_urgent=is_urgent)
                if work is None:
                    return
                await self._kernel.execute(work)
                self._freed_bytes += _OFFLOADED_AT_ONCE_BYTES
            await self._relieve()

    async def _compress(self) -> None:
        """Compress what was stored in a hurry, until something changes.  Raise StoreError."""
        while self.is_idle:
            work = self._store.plan_compress()
            if work is None:
                return
            try:
                await self._kernel.execute(work)
            except StoreFull as error:
                log.warning("what was written fast stays uncompressed: %s", error)
                return

    async def _relieve(self) -> None:
        """Drain the store if more than BACKLOG_BYTES wait for that."""
        if self._store.pending_bytes > BACKLOG_BYTES:
            self._store.publish()
            await self.drain()

    async def sync(self) -> None:
        """Save all changes and wait until they are safe from a power cut.  Raise StoreError."""
        self.repository.checkpoint()
        await self._sync_published()

    async def acknowledge(self, *, sync: bool) -> None:
        """Sync the published batches; with `sync`, save and sync all changes.

        Raise StoreError.
        """
        if sync:
            await self.sync()
        else:
            await self._sync_published()

    async def _sync_published(self) -> bool:
        """Sync the published batches; return False if there was nothing to sync.  Raise StoreError.

        A failure makes the mount read-only at once, because the system reports the failure of a
        write only once: the next sync would seem to succeed.
        """
        try:
            async with self._syncing:
                work = self._store.plan_sync()
                if work is not None:
                    await self._kernel.execute(work)
                return work is not None
        # A full disk is not a failure: nothing was lost, and the next sync can succeed.
        except StoreFull:
            raise
        except StoreError as error:
            self._on_failure(error)
            raise

    async def drain(self) -> None:
        """Move the published objects and states from the journal into L2.  Raise StoreError."""
        async with self._draining:
            before_bytes = self._store.pending_bytes
            work = self._store.plan_drain()
            if work is not None:
                await self._kernel.execute(work)
                self._freed_bytes += max(0, before_bytes - self._store.pending_bytes)
