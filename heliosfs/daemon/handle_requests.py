"""Handlers of the requests that concern open files and directories.

Each takes the inode, the message and its length, and returns the body of the answer, or, when it
has to wait, a coroutine that does.  It reads all that it needs from the message first, because
the next request overwrites it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from heliosfs.daemon.control_pages import ControlPages
from heliosfs.daemon.forgetter import Trimmer
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.errors import PosixError, StoreError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import NO_ENTRY, PAGE_BYTES, listed_in
from heliosfs.fuse.handler import DONE, OPENED_FILE, Answer, Handler
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import BODY_AT, Message, Opcode, OpenFlags
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle, FileHandle, Handle, TextHandle
from heliosfs.vfs.virtual import BuiltText, ControlFile, VirtualText
from heliosfs.workspace.inode import KEPT_ALL, KEPT_PAGES, Inode, StatInode
from heliosfs.workspace.nodes import DirNode, FileNode

GIVEN_MAX_BYTES = 64 * 1024
"""Most bytes of a file that are pushed into the page cache when it is opened: 15 us."""
_DOTS = (b".", b"..")
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
_DATA_AT = BODY_AT + wire.TRANSFER_BYTES


def _may_read(flags: int) -> bool:
    return flags & os.O_ACCMODE != os.O_WRONLY


def _reads(flags: int) -> bool:
    return _may_read(flags) and not flags & os.O_TRUNC


class HandleRequests:
    """Handlers by opcode.  A handler that does not wait is atomic."""

    def __init__(
        self,
        filesystem: FileSystem,
        files: Files,
        verbs: Verbs,
        kernel: Kernel,
        keeper: Keeper,
        trimmer: Trimmer,
        notices: Notices,
    ) -> None:
        self._filesystem = filesystem
        self._node = filesystem.node
        self._contents = filesystem.repository.working_set
        self._files = files
        self._handles = files.handles
        self._read_file = files.read
        self._write_file = files.write
        self._verbs = verbs
        self._kernel = kernel
        self._keeper = keeper
        self._look = trimmer.look
        self._notices = notices
        self._pages = ControlPages(verbs, kernel, notices)
        self.handlers: dict[int, Handler] = {
            Opcode.OPEN: self._open,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.FSYNC: self._fsync,
            Opcode.FLUSH: self._flush,
            Opcode.DESTROY: self._destroy,
            Opcode.FALLOCATE: self._fallocate,
            Opcode.READDIRPLUS: self._readdirplus,
            Opcode.LSEEK: self._lseek,
            Opcode.COPY_FILE_RANGE: self._copy_file_range,
            Opcode.COPY_FILE_RANGE_64: self._copy_file_range_64,
        }

    def _open(self, ino: int, message: Message, end: int) -> Answer:
        node = self._node(ino)
        flags, _ = wire.OPEN.unpack_from(message, BODY_AT)
        uid, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        if isinstance(node, FileNode):
            if flags & _CHANGING:
                self._keeper.touch()
            if node.kept != KEPT_ALL and not node.opens and _reads(flags):
                self._give(node)
            return wire.OPENED.pack(self._files.open(node, flags, uid), OPENED_FILE, 0)
        if isinstance(node, VirtualText):
            return self._open_text(node, flags)
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
            opened if size <= handle.node.told_size else self._pages.tell(handle.node, size, opened)
        )

    def _give(self, node: FileNode) -> None:
        """Push the bytes that the kernel lacks of a small file, so that no read request follows.

        The kernel keeps whole pages of what was written through the mount, and so lacks the last
        one.  If the bytes cannot be read, a read request follows and reports the error.
        """
        size = node.file_size
        offset = size // PAGE_BYTES * PAGE_BYTES if node.kept == KEPT_PAGES else 0
        if offset < size <= offset + GIVEN_MAX_BYTES:
            with suppress(StoreError):
                data = self._contents.read(node, offset, size - offset)
                self._notices.store(node.ino, offset, data)
        node.have_kept()

    async def _open_text(self, node: VirtualText, flags: int) -> bytes:
        if node.barrier and self._contents.writers:
            await self._kernel.barrier()
        if isinstance(node, BuiltText) and not flags & (os.O_ACCMODE | os.O_TRUNC):
            fh = self._files.open_text(node, await self._verbs.work_off(node.steps()))
        else:
            fh = self._files.open(node, flags)
        if node.size and not node.is_kept:
            handle = self._handles[fh]
            assert isinstance(handle, TextHandle)
            await self._tell_size(node, handle.data[-1:])
        return wire.OPENED.pack(fh, OpenFlags.DIRECT_IO, 0)

    async def _tell_size(self, node: VirtualText, last: bytes) -> None:
        """Tell the kernel how long a text is, by pushing its last byte.

        The kernel asks for no size before sendfile(2) and splice(2), with which cp, busybox's cat
        and Python's shutil read: they would find an empty file.
        """
        if node.opens == 1:
            self._notices.store(node.ino, node.size - 1, last)
        else:
            await self._kernel.store(node.ino, node.size - 1, last)

    def _read(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if isinstance(handle, ChannelHandle):
            (how,) = wire.WORD.unpack_from(message, wire.READ_FLAGS_AT)
            if not how & wire.READ_OF_CALLER:
                return self._pages.fill(handle, fh, offset, size)
            return self._read_channel(handle, offset, size)
        return self._read_file(handle, offset, size)

    async def _read_channel(self, handle: ChannelHandle, offset: int, size: int) -> bytes:
        channel = handle.channel
        await self._verbs.run(channel, channel.finish())
        channel.seek(offset)
        await self._verbs.go_on(channel)
        return channel.read(size)

    def _write(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, _ = wire.TRANSFER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        data = bytes(memoryview(message)[_DATA_AT:end])
        if isinstance(handle, ChannelHandle):
            handle.channel.position = offset + len(data)
            return self._write_channel(handle, fh, data)
        written = wire.WRITTEN.pack(self._write_file(handle, offset, data), 0)
        assert isinstance(handle, FileHandle)
        if handle.node.kept == KEPT_ALL:
            handle.node.have_written()
        return self._caught_up(written)

    def _caught_up(self, answer: bytes) -> Answer:
        """Return the answer to a write, or a coroutine that first waits for room in the store."""
        return self._catch_up(answer) if self._keeper.written() else answer

    async def _write_channel(self, handle: ChannelHandle, fh: int, data: bytes) -> bytes:
        if self._pages.is_used_up(handle, fh):
            await self._pages.begin_anew(handle, fh)
        await self._verbs.run(handle.channel, handle.channel.write(data))
        return wire.WRITTEN.pack(len(data), 0)

    async def _catch_up(self, answer: bytes) -> bytes:
        with self._kernel.waiting():
            await self._keeper.catch_up()
        return answer

    def _fallocate(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, length, mode = wire.ALLOCATE.unpack_from(message, BODY_AT)
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        handle = self._handles[fh]
        before = handle.node.mode
        self._files.allocate(handle, mode, offset, length, uid, gid)
        if handle.node.mode != before:
            # After FALLOCATE the kernel asks for size and times again, but not for the mode.
            self._notices.attributes(ino)
        return self._caught_up(DONE)

    def _lseek(self, ino: int, message: Message, end: int) -> bytes:
        fh, offset, whence = wire.SEEK.unpack_from(message, BODY_AT)
        return wire.NUMBER.pack(self._files.seek(self._handles[fh], offset, whence))

    def _copy_file_range(self, ino: int, message: Message, end: int) -> Answer:
        return self._caught_up(wire.WRITTEN.pack(self._copied(message), 0))

    def _copy_file_range_64(self, ino: int, message: Message, end: int) -> Answer:
        return self._caught_up(wire.NUMBER.pack(self._copied(message)))

    def _copied(self, message: Message) -> int:
        source, offset, _, target, at, length = wire.COPY.unpack_from(message, BODY_AT)
        handles = self._handles
        copied = self._files.copy(handles[source], offset, handles[target], at, length)
        written = handles[target]
        assert isinstance(written, FileHandle)
        written.node.have_replaced()
        return copied

    def _flush(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if isinstance(handle, ChannelHandle):
            return self._finish(handle)
        return DONE

    async def _finish(self, handle: ChannelHandle) -> bytes:
        await self._verbs.run(handle.channel, handle.channel.finish())
        return DONE

    def _fsync(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        return self._sync(self._handles[fh])

    async def _sync(self, handle: Handle) -> bytes:
        if isinstance(handle, ChannelHandle):
            await self._finish(handle)
        with self._kernel.waiting():
            await self._keeper.sync()
        return DONE

    def _release(self, ino: int, message: Message, end: int) -> bytes:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if isinstance(handle, ChannelHandle):
            self._verbs.release(handle.channel)
        self._files.release(fh)
        if isinstance(handle, ChannelHandle) and handle.is_reader:
            self._pages.release(handle, fh)
        return DONE

    def _readdirplus(self, ino: int, message: Message, end: int) -> Answer:
        _, start, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        directory = self._node(ino)
        filesystem = self._filesystem
        parts: list[bytes] = []
        room = size
        node: Inode | None
        for position, name in self._files.listing(directory, start):
            length = len(name)
            filled = wire.padded(wire.DIRENT.size + length)
            if room < wire.ENTRY_BYTES + filled:
                break
            if name in _DOTS:
                node = above = directory if name == b"." else filesystem.parent(directory)
                listed, mode = NO_ENTRY, above.mode
            else:
                node = filesystem.peek(directory, name)
                if node is None:
                    continue
                node.refer()
                listed = listed_in(directory, node)
                mode = wire.mode_of(listed)
            room -= wire.ENTRY_BYTES + filled
            dirent = wire.DIRENT.pack(node.ino, position, length, mode >> 12)
            parts += (listed, dirent, name, bytes(filled - wire.DIRENT.size - length))
        self._look()
        if not parts and directory.is_listing_stale:
            return self._end_listing(directory)
        return b"".join(parts)

    async def _end_listing(self, directory: StatInode) -> bytes:
        """End a listing that the kernel must not cache: have it forget the pages first.

        A process may take in its part of the listing late, after the directory has changed and the
        kernel was told so; the pages are out of date then.  The kernel takes a listing for
        complete only at its end, and so this is the moment to have it dropped.
        """
        if isinstance(directory, DirNode):
            directory.have_listed(is_calm=self._kernel.is_calm)
        await self._kernel.forget_listings([directory.ino])
        return DONE

    def _destroy(self, ino: int, message: Message, end: int) -> bytes:
        """Answer the last request, after the unmount."""
        return DONE
