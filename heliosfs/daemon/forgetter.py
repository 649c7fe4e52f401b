"""The background task that has the kernel forget nodes when there are too many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from heliosfs.daemon.kernel import Kernel
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.trim import Trim
from heliosfs.workspace.switch import Invalidation

_PAUSE_SECONDS = 1.0
"""Pause after a trim: nodes that it could not drop, another trim at once could not drop either."""

log = logging.getLogger(__name__)


class Trimmer:
    """Background task that sleeps until `look` finds too many nodes, and then trims them."""

    def __init__(self, filesystem: FileSystem, kernel: Kernel) -> None:
        self._filesystem = filesystem
        self._nodes = filesystem.nodes
        self._repository = filesystem.repository
        self._kernel = kernel
        self._wanted = trio.Event()
        self.prune: Callable[[Sequence[int]], None] | None = None
        """Function that asks the kernel to forget unused inodes; None before Linux 6.18.

        Without it the kernel is asked to forget names, which also unmounts what is mounted on them.
        """

    def look(self) -> None:
        """Wake the task if there are too many nodes.  Call it after nodes were made: 0.1 us."""
        if len(self._nodes) > self._repository.nodes_max:
            self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            try:
                await self._trim()
            except Exception:
                log.exception("a trim failed")
            await trio.sleep(_PAUSE_SECONDS)

    async def _trim(self) -> None:
        trim = Trim(self._filesystem)
        for found in trim.slices():
            if self.prune is not None:
                self.prune([ino for _, _, ino in found])
            else:
                names = [(parent, name, 0) for parent, name, _ in found]
                await self._kernel.invalidate(Invalidation(entries=names))
            # The forgets come as requests.
            await trio.lowlevel.checkpoint()
        for _ in trim.collapse():
            await trio.lowlevel.checkpoint()
