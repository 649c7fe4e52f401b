"""Handlers of the requests that concern an open file.

Each takes the inode, the message and its length, and returns the body of the answer, or, when it
has to wait, a coroutine that does.  It reads all that it needs from the message first, because
the next request overwrites it.
"""

from __future__ import annotations

import errno

from heliosfs.daemon.control_pages import ControlPages
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.errors import HeliosError, PosixError, PromisedObject
from heliosfs.fuse import wire
from heliosfs.fuse.handler import DONE, Answer, Handler
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import BODY_AT, Message, Opcode
from heliosfs.vfs.control import Channel
from heliosfs.vfs.control_request import ControlRequest
from heliosfs.vfs.files import Files
from heliosfs.vfs.handles import ChannelHandle, FileHandle, Handle
from heliosfs.workspace.inode import KEPT_ALL
from heliosfs.workspace.nodes import FileNode, Listed

_DATA_AT = BODY_AT + wire.TRANSFER_BYTES


class HandleRequests:
    """Handlers of requests about open files, by opcode.  A handler that does not wait is atomic."""

    def __init__(
        self,
        files: Files,
        verbs: Verbs,
        kernel: Kernel,
        keeper: Keeper,
        pages: ControlPages,
        notices: Notices,
    ) -> None:
        self._files = files
        self._contents = keeper.repository.working_set
        self._nodes = keeper.repository.inodes.nodes
        self._node = files.node
        self._handles = files.handles
        self._handle = files.handle
        self._read_file = files.read
        self._read_node = files.read_node
        self._read_listed = files.read_listed
        self._write_node = files.write_node
        self._verbs = verbs
        self._kernel = kernel
        self._keeper = keeper
        self._notices = notices
        self._pages = pages
        self.handlers: dict[int, Handler] = {
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.FSYNC: self._fsync,
            Opcode.FLUSH: self._flush,
            Opcode.FALLOCATE: self._fallocate,
            Opcode.LSEEK: self._lseek,
            Opcode.COPY_FILE_RANGE: self._copy_file_range,
            Opcode.COPY_FILE_RANGE_64: self._copy_file_range_64,
        }

    def _read(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        if not fh:
            known = self._nodes.get(ino)
            if isinstance(known, Listed):
                data = self._read_listed(known, offset, size)
                if data is not None:
                    return data
            node = known if isinstance(known, FileNode) else self._node(ino)
            if isinstance(node, FileNode):
                return self._read_node(node, offset, size)
        handle = self._handle(fh, ino)
        if isinstance(handle, ChannelHandle):
            (how,) = wire.WORD.unpack_from(message, wire.READ_FLAGS_AT)
            # The kernel reads for its page cache, on behalf of sendfile or splice, and not for a
            # read(2).
            if not how & wire.READ_OF_CALLER:
                return self._pages.fill(handle, fh, offset, size)
            return self._read_channel(handle, offset, size)
        return self._read_file(handle, offset, size)

    async def _read_channel(self, handle: ChannelHandle, offset: int, size: int) -> bytes:
        channel = handle.channel
        # A read ends the request, since it asks for the reply.
        await self._verbs.run(channel, channel.finish())
        channel.seek(offset)
        await self._verbs.drive(channel)
        return channel.read(size)

    def _write(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, _ = wire.TRANSFER.unpack_from(message, BODY_AT)
        view = memoryview(message)[_DATA_AT:end]
        node = None if fh else self._nodes.get(ino)
        if isinstance(node, FileNode):
            return self._write_to(node, offset, view, message)
        handle = self._handle(fh, ino)
        if isinstance(handle, ChannelHandle):
            # A copy, because the next request overwrites the message.
            data = bytes(view)
            handle.channel.position = offset + len(data)
            if self._pages.is_used_up(handle, fh):
                return self._write_anew(handle, fh, data)
            return self._write_channel(handle, data)
        return self._write_to(self._files.writable(handle), offset, view, message)

    def _write_to(self, node: FileNode, offset: int, data: memoryview, message: Message) -> Answer:
        (how,) = wire.WORD.unpack_from(message, wire.WRITE_FLAGS_AT)
        is_late = bool(how & wire.WRITE_OF_CACHE)
        try:
            count = self._write_node(node, offset, data, is_late=is_late)
        except HeliosError as error:
            if is_late and not isinstance(error, PromisedObject):
                _refuse_page(self._kernel, node, error.errno)
            raise
        written = wire.WRITTEN.pack(count, 0)
        if node.kept == KEPT_ALL:
            node.note_written()
        # As `_caught_up`, without its call.
        return self._catch_up(written) if self._keeper.written() else written

    def _caught_up(self, answer: bytes) -> Answer:
        """Return the answer to a write, or a coroutine that first waits for room in the store."""
        return self._catch_up(answer) if self._keeper.written() else answer

    def _write_channel(self, handle: ChannelHandle, data: bytes) -> Answer:
        channel = handle.channel
        requests = channel.write(data)
        written = wire.WRITTEN.pack(len(data), 0)
        if requests:
            return self._answered(channel, requests, written)
        if channel.needs_barrier_soon and self._contents.writers:
            self._kernel.begin_barrier(channel)
        return written

    async def _answered(
        self, channel: Channel, requests: list[ControlRequest], answer: bytes
    ) -> bytes:
        await self._verbs.run(channel, requests)
        return answer

    async def _write_anew(self, handle: ChannelHandle, fh: int, data: bytes) -> bytes:
        await self._pages.begin_anew(handle, fh)
        return await self._answered(
            handle.channel, handle.channel.write(data), wire.WRITTEN.pack(len(data), 0)
        )

    async def _catch_up(self, answer: bytes) -> bytes:
        barriers = self._kernel.barriers
        barriers.waiting_writes += 1
        try:
            with self._kernel.waiting():
                await self._keeper.catch_up()
        finally:
            barriers.waiting_writes -= 1
        return answer

    def _fallocate(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, length, mode = wire.ALLOCATE.unpack_from(message, BODY_AT)
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        handle = self._handle(fh, ino)
        before = handle.node.mode
        self._files.allocate(handle, mode, offset, length, uid, gid)
        if handle.node.mode != before:
            # After FALLOCATE the kernel asks for size and times again, but not for the mode.
            self._notices.attributes(ino)
        return self._caught_up(DONE)

    def _lseek(self, ino: int, message: Message, end: int) -> bytes:
        fh, offset, whence = wire.SEEK.unpack_from(message, BODY_AT)
        return wire.NUMBER.pack(self._files.seek(self._handle(fh, ino), offset, whence))

    def _copy_file_range(self, ino: int, message: Message, end: int) -> Answer:
        return self._caught_up(wire.WRITTEN.pack(self._copied(ino, message), 0))

    def _copy_file_range_64(self, ino: int, message: Message, end: int) -> Answer:
        return self._caught_up(wire.NUMBER.pack(self._copied(ino, message)))

    def _copied(self, ino: int, message: Message) -> int:
        fh_in, offset, ino_out, fh_out, at, length = wire.COPY.unpack_from(message, BODY_AT)
        source, written = self._handle(fh_in, ino), self._handle(fh_out, ino_out)
        copied = self._files.copy(source, offset, written, at, length)
        assert isinstance(written, FileHandle)
        # The bytes did not come through the kernel, so its pages of the file are not complete.
        written.node.note_replaced()
        return copied

    def _flush(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        if not fh:
            # It never asks again.  There is nothing to flush: each write was answered.
            raise PosixError(errno.ENOSYS)
        handle = self._handles[fh]
        if isinstance(handle, ChannelHandle) and (requests := handle.channel.finish()):
            return self._answered(handle.channel, requests, DONE)
        return DONE

    def _fsync(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        return self._sync(self._handle(fh, ino))

    async def _sync(self, handle: Handle) -> bytes:
        if isinstance(handle, ChannelHandle):
            await self._verbs.run(handle.channel, handle.channel.finish())
        with self._kernel.waiting():
            await self._keeper.sync()
        return DONE

    def _release(self, ino: int, message: Message, end: int) -> bytes:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        if not fh:
            # Of a file that was created before the kernel was told to open by itself.
            return DONE
        handle = self._handles[fh]
        if isinstance(handle, ChannelHandle):
            self._verbs.release(handle.channel)
        self._files.release(fh)
        if isinstance(handle, ChannelHandle) and handle.is_reader:
            self._pages.release(handle, fh)
        return DONE


def _refuse_page(kernel: Kernel, node: FileNode, code: int) -> None:
    """Note that a page which was stored through a mapping is refused with the error `code`."""
    workspace = node.workspace
    is_kept = not (workspace.read_only or workspace.is_closed)
    kernel.barriers.note_refusal(code, is_lost=is_kept)
    if not is_kept:
        # The kernel keeps what it could not write, and would show it to everybody.
        kernel.relist(node.ino)
