"""Notices to the kernel, and the threads that send them."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
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
