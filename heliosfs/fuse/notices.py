"""Notices: messages to the kernel, without a request, about stale data in its caches.

A notice of a name takes the lock of its directory, and one of a listing those of its pages.  A
process that waits for an answer of ours may hold these locks: such a notice is never sent from the
loop.  The others take no lock that is ever held for long (fs/fuse/inode.c).
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Callable, Sequence

from heliosfs.fuse.device import ROOT
from heliosfs.fuse.wire import ANSWER_HEAD, Data, Notice

_INODE = struct.Struct("=Qqq")
"""Inode, offset and length of the cached pages to drop; a negative offset drops none."""
_STORE = struct.Struct("=QQII")
"""Inode, offset, length, -."""
_ENTRY = struct.Struct("=QII")
"""Directory, length of the name, -."""
_DELETE = struct.Struct("=QQII")
"""Directory, inode, length of the name, -."""
_PRUNE = struct.Struct("=IIQ")
"""Number of inodes, -, -."""
_UNKNOWN = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY)
"""Errors of a notice to ignore: the kernel has nothing cached, or the file is in use."""

log = logging.getLogger(__name__)


class Notices:
    """Sender of notices, each through the FUSE device of the mount that has the inode."""

    def __init__(self, fd: int, device_of: Callable[[int], int | None] = lambda _ino: None) -> None:
        """Send through the device `fd`, or through that of another mount which has the inode.

        `device_of` returns the device of an inode's mount if it is another one.
        """
        self._fd = fd
        self._device_of = device_of

    def entry(self, parent: int, name: bytes, child: int) -> None:
        """Make the kernel forget the inode of a name.

        If `child` is not 0, that inode was removed, and the kernel notifies its watchers.
        """
        if child:
            head = _DELETE.pack(parent, child, len(name), 0)
            self._tell(parent, Notice.DELETE, head + name + b"\0")
        else:
            head = _ENTRY.pack(parent, len(name), 0)
            self._tell(parent, Notice.INVALIDATE_ENTRY, head + name + b"\0")

    def attributes(self, ino: int) -> None:
        """Make the kernel forget the attributes of an inode."""
        self._tell(ino, Notice.INVALIDATE_INODE, _INODE.pack(ino, -1, 0))

    def listing(self, ino: int) -> None:
        """Make the kernel forget the listing and the attributes of a directory."""
        self._tell(ino, Notice.INVALIDATE_INODE, _INODE.pack(ino, 0, 0))

    def store(self, ino: int, offset: int, data: Data) -> None:
        """Put bytes of a file into the kernel's cache, which may raise the cached size: 2 us.

        The kernel waits for a process that reads the same page, and that process waits for us: so
        call it from the loop only for a file that no process has open.  The kernel keeps only pages
        that `data` fills as a whole, or from their beginning to the end of the file.
        """
        self._tell(ino, Notice.STORE, _STORE.pack(ino, offset, len(data), 0) + data)

    def prune(self, inodes: Sequence[int]) -> None:
        """Make the kernel forget those of the inodes that are not in use.

        A file system mounted on one of them counts as a use.  Linux 6.18.
        """
        head = _PRUNE.pack(len(inodes), 0, 0)
        self._tell(ROOT, Notice.PRUNE, head + struct.pack(f"={len(inodes)}Q", *inodes))

    def _tell(self, ino: int, notice: Notice, body: bytes) -> None:
        fd = self._device_of(ino)
        try:
            os.write(
                self._fd if fd is None else fd,
                ANSWER_HEAD.pack(ANSWER_HEAD.size + len(body), notice, 0) + body,
            )
        except OSError as error:
            if error.errno not in _UNKNOWN:
                log.warning("the kernel refused a notification (%s): %s", notice.name, error)
