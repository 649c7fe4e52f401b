"""Handler of OPEN, which also pushes bytes of small files and sizes of texts to the kernel.

It takes the inode, the message and its length, and returns the body of the answer, or, when it has
to wait, a coroutine that does.  It reads all that it needs from the message first, because the next
request overwrites it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from heliosfs.daemon.control_mounts import ControlMounts
from heliosfs.daemon.control_pages import ControlPages
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.errors import PosixError, PromisedObject, StoreError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import PAGE_BYTES
from heliosfs.fuse.handler import OPENED_FILE, Answer, Handler
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import BODY_AT, Message, Opcode, OpenFlags
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle, TextHandle
from heliosfs.vfs.virtual import BuiltText, ControlFile, FixedText, VirtualText
from heliosfs.workspace.inode import KEPT_ALL, KEPT_PAGES
from heliosfs.workspace.nodes import FileNode

PUSHED_MAX_BYTES = 64 * 1024
"""Most bytes of a file that are pushed into the page cache when it is opened: 15 us."""
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC


def _may_read(flags: int) -> bool:
    return flags & os.O_ACCMODE != os.O_WRONLY


def _reads(flags: int) -> bool:
    return _may_read(flags) and not flags & os.O_TRUNC


class OpenRequests:
    """Handler of OPEN, by its opcode.  It is atomic where it does not wait."""

    def __init__(
        self,
        filesystem: FileSystem,
        files: Files,
        verbs: Verbs,
        kernel: Kernel,
        keeper: Keeper,
        pages: ControlPages,
        notices: Notices,
        mounts: ControlMounts | None = None,
    ) -> None:
        self._node = filesystem.node
        self._contents = filesystem.repository.working_set
        self._files = files
        self._handles = files.handles
        self._verbs = verbs
        self._kernel = kernel
        self._keeper = keeper
        self._pages = pages
        self._notices = notices
        self._mounts = mounts
        self.handlers: dict[int, Handler] = {Opcode.OPEN: self._open}

    def _open(self, ino: int, message: Message, end: int) -> Answer:
        node = self._node(ino)
        flags, _ = wire.OPEN.unpack_from(message, BODY_AT)
        uid, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        if isinstance(node, (FileNode, FixedText)) and self._mounts is not None:
            if not self._mounts.is_decided.is_set():
                return self._open_later(ino, message[:end])
            if not self._files.are_opens_asked:
                # The kernel opens all files of the mount by itself from now on.  Such a file has no
                # state of its own: a request names the inode.
                raise PosixError(errno.ENOSYS)
        if isinstance(node, FileNode):
            if flags & _CHANGING:
                self._keeper.touch()
            if node.kept != KEPT_ALL and not node.opens and _reads(flags):
                self._push(node)
            return wire.OPENED.pack(self._files.open(node, flags, uid), OPENED_FILE, 0)
        if isinstance(node, VirtualText):
            return self._open_text(node, flags, pid)
        if isinstance(node, ControlFile) and node.refuses(pid, is_reader=_may_read(flags)):
            # ESTALE makes the kernel look the name up again, which finds another file.
            raise PosixError(errno.ESTALE)
        fh = self._files.open(node, flags, uid)
        opened = wire.OPENED.pack(fh, OpenFlags.DIRECT_IO, 0)
        handle = self._handles[fh]
        if not isinstance(handle, ChannelHandle):
            return opened
        handle.channel.opener_pid = pid
        if not handle.is_reader:
            return opened
        size = self._pages.size_at_open(handle, flags)
        return (
            opened if size <= handle.node.sent_size else self._pages.tell(handle.node, size, opened)
        )

    async def _open_later(self, ino: int, message: Message) -> bytes:
        """Open a file once it is known whether opens are asked for."""
        assert self._mounts is not None
        with self._kernel.waiting():
            await self._mounts.is_decided.wait()
        answer = self._open(ino, message, len(message))
        assert isinstance(answer, bytes)
        return answer

    def _push(self, node: FileNode) -> None:
        """Push the missing bytes of a small file to the kernel, so that no READ follows.

        The kernel keeps whole pages of what was written through the mount, and so lacks the last
        one.  If the bytes cannot be read, a read request follows and reports the error.
        """
        size = node.file_size
        offset = size // PAGE_BYTES * PAGE_BYTES if node.kept == KEPT_PAGES else 0
        if offset < size <= offset + PUSHED_MAX_BYTES:
            with suppress(StoreError):
                data = self._contents.read(node, offset, size - offset)
                self._notices.store(node.ino, offset, data)
        node.note_kept()

    async def _open_text(self, node: VirtualText, flags: int, pid: int) -> bytes:
        if node.barrier and self._contents.writers:
            await self._kernel.barrier()
        if isinstance(node, BuiltText) and not flags & (os.O_ACCMODE | os.O_TRUNC):
            text = await self._verbs.work_off("making the text", node.steps, pid)
            fh = self._files.open_text(node, text)
        else:
            fh = await self._open_now(node, flags, pid)
        if node.size and not node.is_kept:
            handle = self._handles[fh]
            assert isinstance(handle, TextHandle)
            await self._send_size(node, handle.data[-1:])
        return wire.OPENED.pack(fh, OpenFlags.DIRECT_IO, 0)

    async def _open_now(self, node: VirtualText, flags: int, pid: int) -> int:
        """Open a text that is made at once, unless contents are needed that a remote has."""

        async def attempt() -> int:
            return self._files.open(node, flags)

        try:
            return self._files.open(node, flags)
        except PromisedObject as error:
            return await self._verbs.hydrator.repeated(error, attempt, "making the text", pid)

    async def _send_size(self, node: VirtualText, last: bytes) -> None:
        """Notify the kernel of the length of a text, by pushing the last byte.

        The kernel asks for no size before sendfile(2) and splice(2), with which cp, busybox's cat
        and Python's shutil read: they would find an empty file.
        """
        if node.opens == 1:
            self._notices.store(node.ino, node.size - 1, last)
        else:
            await self._kernel.store(node.ino, node.size - 1, last)
