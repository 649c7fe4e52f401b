"""What sendfile(2) and splice(2) read of a control file: pages that the kernel keeps of it.

cat of busybox and uutils reads so, and Python's shutil.  The kernel (from 6.5 on, fs/fuse/file.c:
`fuse_splice_read`) takes such bytes from its page cache, as far as the size goes that it knows.
So it is told a size when the file is opened to read, and asks for pages.  These are the file's, and
a reply is one descriptor's.  So each descriptor that can read has a file of its own: while one has
the file of a name, others that open it are sent back (ESTALE), and find another one.  Where two
share a file all the same, through /proc/PID/fd, splice and sendfile fail with EINVAL; the programs
then use read(2), which asks each time.
"""

from __future__ import annotations

import errno
import os

from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.errors import HeliosError, PosixError
from heliosfs.fuse.handler import Answer
from heliosfs.fuse.loop import HandoffLock
from heliosfs.fuse.notices import Notices
from heliosfs.vfs.handles import ChannelHandle
from heliosfs.vfs.virtual import ControlFile

ROOM_BYTES = 1024 * 1024
"""The size of a file whose reply is still to come: longer than most, and told anew where one is
longer.  A multiple of the page, as programs that see a size take it for the size of a buffer."""


class ControlPages:
    """Keeps the kernel's pages and sizes of control files right."""

    def __init__(self, verbs: Verbs, kernel: Kernel, notices: Notices) -> None:
        self._verbs = verbs
        self._kernel = kernel
        self._notices = notices
        self._filled: dict[int, HandoffLock] = {}
        """Handles for which the kernel asked for pages; one page is made at a time."""

    def size_at_open(self, handle: ChannelHandle, flags: int) -> int:
        """What there is to read, if no request can come before; else room for a reply."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            try:
                return handle.channel.end()
            except HeliosError:
                return 0  # the read says it
        return ROOM_BYTES

    def tell(self, node: ControlFile, size: int, answer: bytes) -> Answer:
        """Have the kernel take a file for so large: 2 us, where nobody else has it open."""
        node.tell_size(size)
        if node.opens == 1:
            self._notices.store(node.ino, size - 1, b"\0")
            return answer
        return self._tell_later(node, size, answer)

    async def _tell_later(self, node: ControlFile, size: int, answer: bytes) -> bytes:
        await self._kernel.store(node.ino, size - 1, b"\0")
        return answer

    async def fill(self, handle: ChannelHandle, fh: int, offset: int, size: int) -> bytes:
        """The bytes of some pages, once the request was carried out that was written before."""
        node, channel = handle.node, handle.channel
        if node.readers > 1:
            raise PosixError(errno.EINVAL)
        async with self._filled.setdefault(fh, HandoffLock()):
            await self._verbs.run(channel, channel.finish())
            await self._verbs.go_on(channel)
            end = channel.end()
            if end > node.told_size:
                await self._tell_later(node, end, b"")
                node.tell_size(end)
            data = channel.page(offset, size)
            if len(data) < size:
                # The kernel takes it for the end, and so the size for what it came to.
                node.tell_size(offset + len(data))
            return data

    def is_used_up(self, handle: ChannelHandle, fh: int) -> bool:
        """Return True if the kernel has pages of an earlier reply, or no room behind a request."""
        is_at_end = handle.channel.position >= handle.node.told_size
        return handle.is_reader and (is_at_end or fh in self._filled)

    async def begin_anew(self, handle: ChannelHandle, fh: int) -> None:
        """Another request begins: have the kernel forget the reply to the one before."""
        self._filled.pop(fh, None)
        node = handle.node
        await self._kernel.forget_listings([node.ino])
        node.tell_size(handle.channel.position + ROOM_BYTES)
        await self._tell_later(node, node.told_size, b"")

    def release(self, handle: ChannelHandle, fh: int) -> None:
        """Nobody reads by that handle any more; the last one takes the size along."""
        self._filled.pop(fh, None)
        node = handle.node
        if not node.readers and node.told_size:
            node.tell_size(0)
            if node.is_fixed:
                self._notices.attributes(node.ino)
