"""Table of inodes and allocation of their numbers."""

from __future__ import annotations

import contextlib

from heliosfs.errors import StoreError, StoreFull, StoreUnwritable
from heliosfs.store.sidefile import SideFile
from heliosfs.workspace.inode import Inode

ROOT_INO = 1
INO_MAX = 2**63 - 1
BLOCK_COUNT = 2**18
"""Size of the blocks in which numbers are reserved.  A mount that is killed loses the rest of its
block; about 16,000 such mounts fit below 2^32, the limit for stat(2) in 32-bit programs."""
FILE = "inodes"
"""Name of the file beside the store that holds the first unreserved number, as text."""


class InodeTable:
    """Mapping of numbers to inodes.  No number except the root's is assigned twice.

    Programs that compare two states of a tree by stat(2), such as `tar -g` and restic, treat a file
    with the same number, size and time as unchanged, even across mounts.  So the numbers of a mount
    begin after those of the previous mount: numbers are reserved in blocks, and the end of a block
    is written to disk before the block is used.
    """

    __slots__ = ("_end", "_file", "_next", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[int, Inode] = {}
        self._next = ROOT_INO
        self._end = 2**64
        """First number that is not reserved."""
        self._file: SideFile | None = None

    def allocate(self) -> int:
        """Return an unused number; the first one is the root's."""
        ino = self._next
        # I7: the end of a block is on the disk before a number of the block is used.
        if ino >= self._end:
            # Files stay readable when the disk is full or has failed. The next mount may then give
            # these numbers again; after a failed sync, nothing more is kept of this one.
            with contextlib.suppress(StoreError):
                self._reserve()
        self._next = ino + 1
        return ino

    def go_on(self, file: SideFile) -> None:
        """Continue with the first free number according to `file`, and keep the file up to date.

        A file that is missing or damaged has none (see `problem_of`).  Raise StoreError, but not
        for a disk that is full or read-only, where files stay readable.  Cost: some milliseconds,
        now and for every block.
        """
        data = file.read()
        free = _decode(data) if data is not None else None
        self._next = max(self._next, free or ROOT_INO)
        self._file = file
        with contextlib.suppress(StoreFull, StoreUnwritable):
            self._reserve()

    def end(self) -> None:
        """Release the reserved numbers that were not used; nobody may allocate after this."""
        with contextlib.suppress(StoreError):
            self._note(self._next)

    def _reserve(self) -> None:
        self._end = self._next + BLOCK_COUNT
        self._note(self._end)

    def _note(self, free: int) -> None:
        if self._file is not None:
            self._file.replace(b"%020d\n" % free)


def problem_of(data: bytes | None, *, was_mounted: bool) -> str | None:
    """Return a line for people about the bytes of the file; None if they are sound.

    No bytes are none of a store that no mount has had yet.
    """
    if data is None and not was_mounted:
        return None
    if data is not None and _decode(data) is not None:
        return None
    what = "missing" if data is None else "damaged"
    return f"the file {FILE} is {what}: numbers of inodes may be given a second time"


def _decode(data: bytes) -> int | None:
    """Return the number in the file; None if it is damaged."""
    text = data.strip()
    free = int(text) if text.isdigit() else 0
    return free if 0 < free < INO_MAX else None
