"""Calls to the kernel, made from threads where they may wait for requests that we must serve.

Theory of operation.  This mount is the only writer of its tree, so the kernel keeps names, missing
names, attributes, link targets, listings and pages without limit, and a warm `stat` or `read` does
not reach us at all.  The price: the kernel must be notified of each change that a verb makes
behind its back before the verb is answered.  Its possible contents are known from the lookup
counts of nodes, the misses that each directory remembers, and the listings that were read to
their end; `switch` gathers which of them are out of date, and `invalidate` notifies the kernel.

Notices of names and of listings are sent from threads, one for each kind.  The kernel takes the
lock of the directory, or of the page with its listing, and the process that holds it may wait for
an answer from our loop.  Notices of attributes need no such lock.  They come last: after a notice
of a name, the kernel believes that all links of its file are gone.  An answer from before a
change may still be on its way then; so the kernel may cache a listing again only when the
last change is a second past (`is_calm`).

Refused: short timeouts in place of invalidation, which let the cache be wrong until they end
and cost a request after that; and the kernel's writeback cache, with which the kernel decides
sizes and times (docs/decisions/2026-11-25-write-through-cache.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import trio

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.errand import ErrandThread
from heliosfs.daemon.heap import give_back
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import Data
from heliosfs.steps import Work
from heliosfs.vfs.control import Channel
from heliosfs.vfs.control_request import BegunBarrier
from heliosfs.workspace.switch import Invalidation

_ARRIVED_NS = 10**9
"""Time after which every process has taken in its answer, with a large margin."""
_T = TypeVar("_T")


class Kernel:
    """Calls that leave the loop: the barrier, the invalidations, and the store's work."""

    def __init__(self, loop: RequestLoop, barriers: Barrier, notices: Notices) -> None:
        self._loop = loop
        self.barriers = barriers
        self._notices = notices
        self._errands = ErrandThread()
        self._page_errands = ErrandThread()
        """Thread of its own, because a process that reads a listing to its end, which waits for
        this thread, holds the directory's lock, for which the other thread may wait."""
        self._changed_ns = 0
        self._relisted: list[int] = []
        self._is_relisted = trio.Event()

    async def barrier(self, begun: BegunBarrier | None = None) -> None:
        """Have the kernel write all dirty pages back: 10 us if there is none.  Raise StoreError.

        With `begun`, that barrier is ended, which takes 2 us.  The pages arrive as write requests,
        which the loop serves while this waits.
        """
        if begun is None or not self.barriers.has_fetched(begun):
            with self.waiting():
                await self.barriers.run(begun)

    def begin_barrier(self, channel: Channel) -> None:
        """Begin a barrier for the request of a channel once its write is answered: 3 us.

        The program that waits for the answer goes on beside it.
        """

        def begin() -> None:
            channel.begun_barrier = self.barriers.begin()

        self._loop.then = begin

    async def last_barrier(self) -> None:
        """Run a barrier and allow none after it, as its writes may not be served.

        Raise StoreError.
        """
        with self.waiting():
            await self.barriers.run_last()

    async def invalidate(self, stale: Invalidation) -> None:
        """Have the kernel forget the names, listings and attributes that are out of date.

        Notices of names and listings are sent from a thread: the kernel takes the locks of a
        directory and of the pages with its listing, and a process that waits for us may hold them.
        """
        self._changed_ns = time.monotonic_ns()
        # I15: never from the loop: a process that waits for us may hold the lock.
        if stale.entries:
            with self.waiting():
                await self._errands.run(partial(self._forget_entries, stale.entries))
        if stale.listings:
            await self.forget_listings(stale.listings)
        # Last: after a notice of a name, the kernel takes all links of its file for gone.
        for ino in stale.attributes:
            self._notices.attributes(ino)

    def _forget_entries(self, entries: list[tuple[int, bytes, int]]) -> None:
        for parent, name, child in entries:
            self._notices.entry(parent, name, child)

    @property
    def is_calm(self) -> bool:
        """Return True if the last invalidation is a second past: all answers before it arrived."""
        return time.monotonic_ns() - self._changed_ns > _ARRIVED_NS

    async def forget_listings(self, inodes: Iterable[int]) -> None:
        """Have the kernel forget the listings or pages of inodes: 100 us."""
        with self.waiting():
            await self._page_errands.run(partial(self._forget_listings, inodes))

    def _forget_listings(self, inodes: Iterable[int]) -> None:
        for ino in inodes:
            self._notices.listing(ino)

    async def store(self, ino: int, offset: int, data: Data) -> None:
        """Have the kernel cache bytes of a file that others may have open: 100 us."""
        with self.waiting():
            await self._page_errands.run(partial(self._notices.store, ino, offset, data))

    async def close_device(self, fd: int) -> None:
        """Close the device of a mount that is gone, after all notices that are on their way."""
        await self._page_errands.run(partial(os.close, fd))

    def relist(self, ino: int) -> None:
        """Have the kernel forget a listing, or a file's pages, soon, from the task of `run`."""
        self._relisted.append(ino)
        self._is_relisted.set()

    async def run(self) -> None:
        """Have the kernel forget the listings of `relist`, until cancelled."""
        while True:
            await self._is_relisted.wait()
            self._is_relisted = trio.Event()
            relisted, self._relisted = self._relisted, []
            await self.invalidate(Invalidation(listings=relisted))

    async def execute(self, work: Work) -> None:
        """Execute planned work on a thread and apply it, even if it failed.  Raise StoreError."""
        try:
            await _in_thread(_execute, work)
        finally:
            # Also after a failure: the plan has set aside bytes that only `apply` puts back.
            work.apply()

    @property
    def is_working(self) -> bool:
        """Return True if long work is under way."""
        return self._loop.long_work > 0

    async def give_memory_back(self) -> None:
        """Return free memory to the system, on a thread."""
        await trio.to_thread.run_sync(give_back)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark long work in slices, so that the loop waits for a request before the next slice."""
        self._loop.long_work += 1
        try:
            with self.waiting():
                yield
        finally:
            self._loop.long_work -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a wait of a handler, so that the loop does not poll meanwhile."""
        self._loop.waiting_handlers += 1
        try:
            yield
        finally:
            self._loop.waiting_handlers -= 1


async def _in_thread(function: Callable[[_T], None], argument: _T) -> None:
    # A thread cannot be stopped: if the caller left before it, nobody would apply its result.
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(function, argument)


def _execute(work: Work) -> None:
    work.execute()
