"""What we ask of the kernel: from threads, where it may wait for requests that we must serve."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import trio

from heliosfs.errors import StoreError
from heliosfs.fuse.errand import ErrandThread
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.memory import give_back
from heliosfs.fuse.notices import Notices
from heliosfs.store.base import Work
from heliosfs.workspace.switch import Invalidation

BARRIERS_MAX = 4
"""Threads that wait for the kernel at once: some must be left for the store's work, which the
writes that a barrier waits for may wait for."""

_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


class Kernel:
    """The barrier, the invalidations, and the store's work."""

    def __init__(self, loop: RequestLoop, mountpoint: str, notices: Notices) -> None:
        self._loop = loop
        self._mountpoint = mountpoint
        self._notices = notices
        self._errands = ErrandThread()
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

        Names go from a thread: the kernel takes the lock of their directory, which a process may
        hold that waits for us.
        """
        if stale.entries:
            with self.waiting():
                await self._errands.run(partial(self._forget_entries, stale.entries))
        # Last: with a name, the kernel takes all links of its file for gone.
        for ino in stale.attributes:
            self._notices.attributes(ino)
        for ino in stale.listings:
            self._notices.listing(ino)

    def _forget_entries(self, entries: list[tuple[int, bytes, int]]) -> None:
        for parent, name, child in entries:
            self._notices.entry(parent, name, child)

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
