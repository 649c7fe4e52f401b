"""The FUSE device of a mount, from which requests are read and to which answers are written."""

from __future__ import annotations

import errno
import os
from io import FileIO

from heliosfs.fuse import wire
from heliosfs.fuse.wire import ANSWER_HEAD, Data, Message

ROOT = 1
"""Number by which the kernel calls the root of every FUSE mount."""

_GONE = (errno.ENOENT, errno.ENODEV, errno.EINVAL)
"""Errors of an answer that no process waits for: the caller was killed, or the file system was
unmounted (fuse_dev_do_write in fs/fuse/dev.c)."""
_JOINED_MAX_BYTES = 4096
"""Longest body that is copied behind its head.  The kernel pins each part of an answer by itself,
which takes longer than to copy so few bytes."""


class Device:
    """FUSE device of one mount."""

    def __init__(self, fd: int, message: Message | None = None, root: int = ROOT) -> None:
        """Use the descriptor `fd`; read requests into `message`, or into a buffer of its own."""
        os.set_blocking(fd, False)
        self.fd = fd
        """The FUSE device, readable when a request is there or the file system was unmounted."""
        self.root = root
        """Inode that is the root of the mount, and that the kernel calls `ROOT`."""
        if message is None:
            message = bytearray(wire.FUSE_MESSAGE_MAX_BYTES)
        self.message: Message = message
        """Buffer with the request that was received last."""
        # It reports that nothing is there without an exception, as `os.readv` cannot.
        self._read_into = FileIO(fd, closefd=False).readinto

    def receive(self) -> int:
        """Read the next request into `message`; return its length, or 0 if there is none.

        ConnectionResetError once the file system was unmounted.
        """
        try:
            return self._read_into(self.message) or 0
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ECONNABORTED):
                raise ConnectionResetError from None
            # ENOENT: the request was interrupted before it was read.
            if error.errno in (errno.ENOENT, errno.EINTR):
                return 0
            raise

    def answer(self, unique: int, data: Data) -> None:
        """Answer a request, unless its caller no longer waits."""
        size = len(data)
        head = ANSWER_HEAD.pack(ANSWER_HEAD.size + size, 0, unique)
        if size > _JOINED_MAX_BYTES:
            self.send((head, data))
            return
        # As `send`, without its call: nearly all answers are short.
        try:
            os.write(self.fd, head + data)
        except OSError as error:
            if error.errno not in _GONE:
                raise

    def refuse(self, unique: int, code: int) -> None:
        """Answer a request with an errno, unless its caller no longer waits."""
        self.send((ANSWER_HEAD.pack(ANSWER_HEAD.size, -code, unique),))

    def send(self, parts: tuple[Data, ...]) -> None:
        """Write an answer that is complete with its head, unless its caller no longer waits."""
        try:
            os.writev(self.fd, parts)
        except OSError as error:
            if error.errno not in _GONE:
                raise
