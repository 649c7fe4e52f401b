"""Inode numbers, and what the kernel knows by them."""

from __future__ import annotations

import contextlib

from heliosfs.errors import StoreError
from heliosfs.store.sidefile import SideFile
from heliosfs.workspace.inode import Inode

ROOT_INO = 1
BLOCK_COUNT = 2**18
"""Numbers that are reserved at once.  A mount that is killed loses what is left of them, so that
some 16,000 such mounts stay below 2^32, from where on 32-bit programs cannot stat a file."""
FILE = "inodes"
"""The name of the file beside the store that holds, as text, a number that nobody has."""


class InodeTable:
    """Number -> inode.  A number is given once, but for the root's.

    Programs that compare two states of a tree by stat(2), as `tar -g` and restic do, take a file
    of the same number, size and time for unchanged, also across mounts.  So the numbers of one
    mount begin where those of the last one ended: before a block of numbers is used, its end is
    on the disk.
    """

    __slots__ = ("_end", "_file", "_next", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[int, Inode] = {}
        self._next = ROOT_INO
        self._end = 2**64
        """Numbers from here on are not reserved."""
        self._file: SideFile | None = None

    def allocate(self) -> int:
        """Return a number of its own; the first one is the root's."""
        ino = self._next
        # I7: the end of a block is on the disk before a number of the block is used.
        if ino >= self._end:
            self._reserve()
        self._next = ino + 1
        return ino

    def go_on(self, file: SideFile) -> None:
        """Continue with the first number that the file says to be free, and keep it up to date.

        StoreError.  Some milliseconds, and again for every block.
        """
        data = file.read() or b""
        self._next = max(self._next, int(data) if data.strip().isdigit() else 0)
        self._file = file
        self._reserve()

    def end(self) -> None:
        """Give back what is reserved and was not used: nobody allocates any more."""
        self._note(self._next)

    def _reserve(self) -> None:
        self._end = self._next + BLOCK_COUNT
        self._note(self._end)

    def _note(self, free: int) -> None:
        # On a full disk files can still be looked at; the next mount might give numbers again.
        with contextlib.suppress(StoreError):
            if self._file is not None:
                self._file.replace(b"%020d\n" % free)
