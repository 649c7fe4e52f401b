"""What the kernel is told unasked: that something which it may have cached is no longer so.

Names need the lock of their directory, and listings those of their pages, which a process may
hold that waits for us: they are never told from the loop.  The rest needs none that anybody
holds for long (fs/fuse/inode.c).
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Sequence

from heliosfs.fuse.wire import ANSWER_HEAD, Data, Notice

_INODE = struct.Struct("=Qqq")
"""Inode, and the range of its cached pages: from a negative offset on, none."""
_STORE = struct.Struct("=QQII")
"""Inode, offset, length, -."""
_ENTRY = struct.Struct("=QII")
"""Directory, length of the name, -."""
_DELETE = struct.Struct("=QQII")
"""Directory, inode, length of the name, -."""
_PRUNE = struct.Struct("=IIQ")
"""How many inodes."""
_UNKNOWN = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY)
"""The kernel had nothing of it, or somebody uses it."""

log = logging.getLogger(__name__)


class Notices:
    """Tells the kernel, through the device of a mount."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def entry(self, parent: int, name: bytes, child: int) -> None:
        """A name means something else, and `child`, unless it is 0, is gone: watchers hear it."""
        if child:
            head = _DELETE.pack(parent, child, len(name), 0)
            self._tell(Notice.DELETE, head + name + b"\0")
        else:
            self._tell(Notice.INVALIDATE_ENTRY, _ENTRY.pack(parent, len(name), 0) + name + b"\0")

    def attributes(self, ino: int) -> None:
        """The attributes of an inode changed."""
        self._tell(Notice.INVALIDATE_INODE, _INODE.pack(ino, -1, 0))

    def listing(self, ino: int) -> None:
        """The names in a directory changed, and so its attributes."""
        self._tell(Notice.INVALIDATE_INODE, _INODE.pack(ino, 0, 0))

    def store(self, ino: int, offset: int, data: Data) -> None:
        """Keep these bytes of a file, which goes at least as far: 2 us.

        The kernel waits for whoever reads the same page, and that one waits for us: so from the
        loop only of a file that nobody has open.  Of a page that is not all here it keeps nothing.
        """
        self._tell(Notice.STORE, _STORE.pack(ino, offset, len(data), 0) + data)

    def prune(self, inodes: Sequence[int]) -> None:
        """Forget what nobody uses of these inodes, mounts on them included.  Linux 6.18."""
        head = _PRUNE.pack(len(inodes), 0, 0)
        self._tell(Notice.PRUNE, head + struct.pack(f"={len(inodes)}Q", *inodes))

    def _tell(self, notice: Notice, body: bytes) -> None:
        try:
            os.write(self._fd, ANSWER_HEAD.pack(ANSWER_HEAD.size + len(body), notice, 0) + body)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                log.warning("the kernel did not take a notice (%s): %s", notice.name, error)
