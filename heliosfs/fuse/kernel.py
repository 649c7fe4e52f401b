"""What we ask of the kernel, from threads, because it may wait for requests that we must serve."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections.abc import Callable
from typing import TypeVar

import pyfuse3
import trio

from heliosfs.errors import StoreError
from heliosfs.fuse.loop import RequestLoop
from heliosfs.store.base import Work
from heliosfs.workspace.switch import Invalidation

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


class Kernel:
    """The barrier, the invalidations, and the store's work, each on a thread of trio's."""

    def __init__(self, loop: RequestLoop, mountpoint: str) -> None:
        self._loop = loop
        self._mountpoint = mountpoint

    async def barrier(self) -> None:
        """Have every dirty page sent to us: 26 us when there is none.  StoreError.

        Each page arrives as a write that the loop serves while this waits.
        """
        await self._in_thread(_syncfs, self._mountpoint)

    async def invalidate(self, stale: Invalidation) -> None:
        """Make the kernel forget what it has cached and is no longer so."""
        await self._in_thread(_invalidate, stale)

    async def execute(self, work: Work) -> None:
        """Execute planned work and apply it, even when it failed.  StoreError."""
        try:
            await self._in_thread(_execute, work)
        finally:
            work.apply()

    async def _in_thread(self, function: Callable[[_T], None], argument: _T) -> None:
        self._loop.waiting_handlers += 1
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(function, argument)
        finally:
            self._loop.waiting_handlers -= 1


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


def _invalidate(stale: Invalidation) -> None:
    for parent, name, child in stale.entries:
        _try(pyfuse3.invalidate_entry, parent, name, child)
    for inode in stale.attributes:
        _try(_forget_attributes, inode)


def _forget_attributes(inode: pyfuse3.InodeT) -> None:
    pyfuse3.invalidate_inode(inode, attr_only=True)


def _try(notify: Callable[..., None], *arguments: object) -> None:
    try:
        notify(*arguments)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
            log.warning("the kernel did not take an invalidation %r: %s", arguments, error)
