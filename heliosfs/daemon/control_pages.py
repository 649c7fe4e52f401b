"""The kernel's cached pages of control files, from which sendfile(2) and splice(2) read.

cat of busybox and uutils reads so, and Python's shutil.  The kernel (from 6.5 on, fs/fuse/file.c:
`fuse_splice_read`) takes such bytes from its page cache, up to the size of the file that it knows.
So it is told a size when the file is opened to read, and then asks for pages.  Pages belong to a
file, but a reply belongs to one descriptor.  So each descriptor that can read has a file of its
own: while one has the file of a name, other opens of it fail with ESTALE inside the kernel, which
looks the name up again and finds another file.  Where two share a file all the same, through
/proc/PID/fd, splice and sendfile fail with EINVAL; the programs then use read(2), which sends a
request each time.
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
"""Size of a control file whose reply is still to come: longer than most replies; for a longer one
the kernel is told a new size.  A multiple of the page, since programs choose buffers by it."""


class ControlPages:
    """Sizes and pages of control files, as the kernel must know them."""

    def __init__(self, verbs: Verbs, kernel: Kernel, notices: Notices) -> None:
        self._verbs = verbs
        self._kernel = kernel
        self._notices = notices
        self._filled: dict[int, HandoffLock] = {}
        """Handle for which the kernel asked for pages -> lock, so that it gets one at a time."""

    def size_at_open(self, handle: ChannelHandle, flags: int) -> int:
        """Return the length of the text to read, if no request can come first, or ROOM_BYTES."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            try:
                return handle.channel.end()
            except HeliosError:
                return 0  # the read reports the error
        return ROOM_BYTES

    def tell(self, node: ControlFile, size: int, answer: bytes) -> Answer:
        """Tell the kernel the size of a file, then return `answer`.

        Cost: 2 us if no other process has the file open, else 100 us.
        """
        node.set_sent_size(size)
        # From the loop only if nobody else can be reading the page: see `Notices.store`.
        if node.opens == 1:
            self._notices.store(node.ino, size - 1, b"\0")
            return answer
        return self._send_size_later(node, size, answer)

    async def _send_size_later(self, node: ControlFile, size: int, answer: bytes) -> bytes:
        await self._kernel.store(node.ino, size - 1, b"\0")
        return answer

    async def fill(self, handle: ChannelHandle, fh: int, offset: int, size: int) -> bytes:
        """Return the bytes of some pages, after running the request that was written before.

        Fail with EINVAL if several handles read the file, whose replies the pages would mix.
        """
        node, channel = handle.node, handle.channel
        if node.readers > 1:
            raise PosixError(errno.EINVAL)
        async with self._filled.setdefault(fh, HandoffLock()):
            await self._verbs.run(channel, channel.finish())
            await self._verbs.drive(channel)
            end = channel.end()
            if end > node.sent_size:
                await self._send_size_later(node, end, b"")
                node.set_sent_size(end)
            data = channel.page(offset, size)
            if len(data) < size:
                # The kernel takes a short answer for the end of the file, and sets its size.
                node.set_sent_size(offset + len(data))
            return data

    def is_used_up(self, handle: ChannelHandle, fh: int) -> bool:
        """Return True if the kernel has pages of an earlier reply, or no room after a request."""
        is_at_end = handle.channel.position >= handle.node.sent_size
        return handle.is_reader and (is_at_end or fh in self._filled)

    async def begin_anew(self, handle: ChannelHandle, fh: int) -> None:
        """Have the kernel forget the pages of the last reply, since another request begins."""
        self._filled.pop(fh, None)
        node = handle.node
        await self._kernel.forget_listings([node.ino])
        node.set_sent_size(handle.channel.position + ROOM_BYTES)
        await self._send_size_later(node, node.sent_size, b"")

    def release(self, handle: ChannelHandle, fh: int) -> None:
        """Drop the state of a handle that was closed; set the size to 0 after the last reader."""
        self._filled.pop(fh, None)
        node = handle.node
        if not node.readers and node.sent_size:
            node.set_sent_size(0)
            if node.is_fixed:
                self._notices.attributes(node.ino)
