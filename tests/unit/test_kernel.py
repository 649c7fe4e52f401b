"""Notices to the kernel, and the threads that send them."""

from __future__ import annotations

import os
import threading
from typing import cast

import pytest
import trio

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.vfs.control import Channel, ErrorLog
from heliosfs.workspace.switch import Invalidation


class WatchedChanges:
    """Stands for `Notices`: what was told, and whether from the thread of the loop."""

    def __init__(self) -> None:
        self.loop = threading.get_ident()
        self.notes: list[tuple[str, bool]] = []

    def _note(self, what: str) -> None:
        self.notes.append((what, threading.get_ident() == self.loop))

    def entry(self, parent: int, name: bytes, child: int) -> None:
        self._note("entry")

    def listing(self, ino: int) -> None:
        self._note("listing")

    def attributes(self, ino: int) -> None:
        self._note("attributes")


@pytest.mark.trio
async def test_names_and_listings_are_told_from_threads() -> None:
    """The kernel may wait there for a process that waits for the loop."""
    told = WatchedChanges()
    kernel = Kernel(RequestLoop(), Barrier("/", -1), cast("Notices", told))
    await kernel.invalidate(Invalidation([(1, b"a", 0)], [2], [1]))
    assert told.notes == [("entry", False), ("listing", False), ("attributes", True)]


@pytest.mark.trio
async def test_a_barrier_ahead_begins_when_the_write_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before that it would keep the program waiting that is to go on beside it."""
    loop, device = RequestLoop(), os.eventfd(0)
    loop.watch(device)
    monkeypatch.setattr("heliosfs.daemon.barrier._syncfs", lambda _mountpoint: None)
    kernel = Kernel(loop, Barrier("/nowhere", device), cast("Notices", WatchedChanges()))
    channel = Channel(ErrorLog(), str)
    kernel.begin_barrier(channel)
    assert channel.begun_barrier is None
    with trio.move_on_after(0.01):
        await loop.wait_readable()
    assert channel.begun_barrier is not None
    await kernel.barrier(channel.begun_barrier)
    os.close(device)
    loop.close()
