"""Late stores: bytes that a program stored through a shared mapping, and that arrive later.

The kernel writes such bytes back at a time of its own choice, as a write like any other.  A time
that utimensat(2) set in between must stay, as it does on other file systems, where a store moves
the time when the page is first touched.
"""

from __future__ import annotations

import os

from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import FileNode

_FRESH_MAX = 4096
"""Most new files that are remembered."""


class LateStores:
    """Files of which late stores may be on their way.

    A barrier before the time is set fetches them.  Where opens are asked for, only files that are
    open with O_RDWR need it; where the kernel opens files by itself, any file may.  But a barrier
    for each file would slow down tar.  So a file that was made to be written only, and that the
    kernel has not read, gets its first time at once, and what arrives late leaves the time alone
    until the next barrier, at most a save later.  Who opens such a file again at that moment, and
    stores through a mapping after the time was set, does not move it.
    """

    def __init__(self) -> None:
        self.are_opens_asked = True
        """True if the daemon knows what is open."""
        self._mappable: dict[FileNode, int] = {}
        """File that may have a shared mapping -> number of its handles that allow one."""
        self._fresh: dict[StatInode, None] = {}
        """Files that were made to be written only, without a time or a read since."""
        self._timed: dict[StatInode, int] = {}
        """File whose time was set -> number of the last barrier that had begun by then."""
        self._begun = 0

    def made(self, node: FileNode, flags: int) -> None:
        """Note a new file and the flags with which it was opened: 0.2 us."""
        if flags & os.O_ACCMODE == os.O_WRONLY:
            self._fresh[node] = None
            if len(self._fresh) > _FRESH_MAX:
                del self._fresh[next(iter(self._fresh))]

    def read(self, node: FileNode) -> None:
        """Note that the kernel reads a file, perhaps for a mapping: 0.1 us."""
        self._fresh.pop(node, None)

    def add(self, node: FileNode) -> None:
        """Count a handle of a file that allows a shared mapping to store bytes."""
        self._mappable[node] = self._mappable.get(node, 0) + 1

    def remove(self, node: FileNode) -> None:
        """Count such a handle that was closed."""
        count = self._mappable.pop(node)
        if count > 1:
            self._mappable[node] = count - 1

    def needs_barrier(self, node: StatInode) -> bool:
        """Return True if a barrier must come before the time of a file is set: 0.3 us."""
        if self.are_opens_asked:
            return node in self._mappable
        if node not in self._fresh:
            return isinstance(node, FileNode)
        del self._fresh[node]
        self._timed.pop(node, None)
        self._timed[node] = self._begun
        return False

    def moves_time_of(self, node: FileNode) -> bool:
        """Return True if a late store came after the time was set, as far as can be known."""
        return node not in self._timed

    def barrier_begun(self, number: int) -> None:
        """Note that a barrier begins; the numbers grow."""
        self._begun = number

    def barrier_ended(self, number: int) -> None:
        """Note that all stores from before a barrier have arrived."""
        # In the order of their numbers, so the first that is not older ends it.
        while self._timed:
            node = next(iter(self._timed))
            if self._timed[node] >= number:
                return
            del self._timed[node]
