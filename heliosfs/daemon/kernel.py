"""What we ask of the kernel: from threads, where it may wait for requests that we must serve.

Theory of operation.  This mount is the only writer of its tree, so the kernel keeps names, missing
names, attributes, link targets, listings and pages without limit, and a warm `stat` or `read` does
not reach us at all.  The price: whatever a verb changes behind its back must be told, before the
verb is answered.  What may be cached is known by the lookup counts of nodes, by the misses that
each directory remembers, and by listings that were told to their end; `switch` gathers what of it
became untrue, and `invalidate` tells it.

Names and listings go from threads, each kind from its own.  The kernel takes the lock of the
directory, or of the page with its listing, and whoever holds it may be waiting for an answer from
our loop.  Attributes need no such lock, and come last: with a name, the kernel takes all links of
its file for gone.  An answer that was made before a change may be on its way while the kernel is
told; so a listing is kept again only when the last change is a second past (`is_calm`).

Refused: short timeouts in place of invalidation, which are wrong for as long as they last
and cost a request after it; and the kernel's writeback cache, which makes sizes and times its own
business (docs/decisions/2026-11-25-write-through-cache.md).
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import trio

from heliosfs.daemon.errand import ErrandThread
from heliosfs.daemon.heap import give_back
from heliosfs.errors import StoreError
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import Data
from heliosfs.steps import Work
from heliosfs.workspace.switch import Invalidation

BARRIERS_MAX = 4
"""Threads that wait for the kernel at once: some must be left for the store's work, which the
writes that a barrier waits for may wait for."""

_ARRIVED_NS = 10**9
"""Much longer than a process needs to look at an answer."""
_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


class Kernel:
    """The barrier, the invalidations, and the store's work."""

    def __init__(self, loop: RequestLoop, mountpoint: str, notices: Notices) -> None:
        self._loop = loop
        self._mountpoint = mountpoint
        self._notices = notices
        self._errands = ErrandThread()
        self._page_errands = ErrandThread()
        """For who waits for the end of a listing holds the lock that the other thread waits for."""
        self._changed_ns = 0
        self._relisted: list[int] = []
        self._is_relisted = trio.Event()
        self._barriers = trio.CapacityLimiter(BARRIERS_MAX)

    async def barrier(self) -> None:
        """Have every dirty page sent to us: 26 us when there is none.  StoreError.

        Each page arrives as a write that the loop serves while this waits.
        """
        async with self._barriers:
            with self.waiting():
                await _in_thread(_syncfs, self._mountpoint)

    async def last_barrier(self) -> None:
        """A barrier after which there is none, for nobody may serve its writes.  StoreError."""
        await self.barrier()
        for number in range(BARRIERS_MAX):
            await self._barriers.acquire_on_behalf_of(number)

    async def invalidate(self, stale: Invalidation) -> None:
        """Make the kernel forget what it has cached and is no longer so.

        Names and listings go from a thread: the kernel takes locks, of a directory and of the
        pages with its listing, which a process may hold that waits for us.
        """
        self._changed_ns = time.monotonic_ns()
        # I15: never from the loop: the lock may be held by who waits for us.
        if stale.entries:
            with self.waiting():
                await self._errands.run(partial(self._forget_entries, stale.entries))
        if stale.listings:
            await self.forget_listings(stale.listings)
        # Last: with a name, the kernel takes all links of its file for gone.
        for ino in stale.attributes:
            self._notices.attributes(ino)

    def _forget_entries(self, entries: list[tuple[int, bytes, int]]) -> None:
        for parent, name, child in entries:
            self._notices.entry(parent, name, child)

    @property
    def is_calm(self) -> bool:
        """Whether the last invalidation is long ago: answers made before it have arrived."""
        return time.monotonic_ns() - self._changed_ns > _ARRIVED_NS

    async def forget_listings(self, inodes: Iterable[int]) -> None:
        """Make the kernel forget what it keeps of listings: 100 us."""
        with self.waiting():
            await self._page_errands.run(partial(self._forget_listings, inodes))

    def _forget_listings(self, inodes: Iterable[int]) -> None:
        for ino in inodes:
            self._notices.listing(ino)

    async def store(self, ino: int, offset: int, data: Data) -> None:
        """Have the kernel keep some bytes of a file that others may have open: 100 us."""
        with self.waiting():
            await self._page_errands.run(partial(self._notices.store, ino, offset, data))

    def relist(self, ino: int) -> None:
        """Soon, make the kernel forget a listing."""
        self._relisted.append(ino)
        self._is_relisted.set()

    async def run(self) -> None:
        """Forget the listings that are to be forgotten soon, until cancelled."""
        while True:
            await self._is_relisted.wait()
            self._is_relisted = trio.Event()
            relisted, self._relisted = self._relisted, []
            await self.invalidate(Invalidation(listings=relisted))

    async def execute(self, work: Work) -> None:
        """Execute planned work and apply it, even when it failed.  StoreError."""
        try:
            await _in_thread(_execute, work)
        finally:
            work.apply()

    @property
    def is_working(self) -> bool:
        """Whether long work is under way."""
        return self._loop.long_work > 0

    async def give_memory_back(self) -> None:
        """Let go of memory that is free."""
        await trio.to_thread.run_sync(give_back)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around long work in slices: the next request may come before the next slice."""
        self._loop.long_work += 1
        try:
            with self.waiting():
                yield
        finally:
            self._loop.long_work -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around every wait of a handler: the loop must not poll while one is due."""
        self._loop.waiting_handlers += 1
        try:
            yield
        finally:
            self._loop.waiting_handlers -= 1


async def _in_thread(function: Callable[[_T], None], argument: _T) -> None:
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(function, argument)


def _execute(work: Work) -> None:
    work.execute()


def _syncfs(mountpoint: str) -> None:
    fd = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise StoreError(f"cannot have the kernel write back: {os.strerror(code)}")
    finally:
        os.close(fd)
