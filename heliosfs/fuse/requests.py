"""The requests that programs wait for: read from the kernel's message, answered in its format.

pyfuse3 is asked what is left, in `operations`.  Each method takes the inode, the message and
its length, and gives the body of the answer, or, when it has to wait, a coroutine that does.
It has taken what it needs from the message before it gives that.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from heliosfs.errors import PosixError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import (
    MISSING,
    NO_ENTRY,
    attributes,
    build,
    build_listed,
    entry,
    entry_once,
)
from heliosfs.fuse.keeper import Keeper
from heliosfs.fuse.kernel import Kernel
from heliosfs.fuse.trimmer import Trimmer
from heliosfs.fuse.verbs import Verbs
from heliosfs.fuse.wire import BODY_AT, Data, Message, Opcode, Opened, Valid
from heliosfs.vfs.files import Files, SetAttributes
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle, DirHandle
from heliosfs.vfs.virtual import BuiltText, ControlFile, VirtualText
from heliosfs.workspace.node import DirNode, FileNode, Listed

Answer: TypeAlias = "Data | Coroutine[Any, Any, Data] | None"
"""None: to some requests the kernel wants none."""
Handler: TypeAlias = Callable[[int, Message, int], Answer]

MISSES_MAX = 4096
"""Names of a directory of which the kernel may remember that they do not exist."""
_DONE = b""
_DOTS = (b".", b"..")
_CACHED = Opened.KEEP_CACHE | Opened.NO_FLUSH
_CACHED_LISTING = Opened.KEEP_CACHE | Opened.CACHE_DIR
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
_NAMES_AT = BODY_AT + wire.NUMBER.size
_DATA_AT = BODY_AT + wire.TRANSFER_BYTES

log = logging.getLogger(__name__)


class Requests:
    """A handler for each opcode.  Those that do not wait are atomic."""

    def __init__(
        self, filesystem: FileSystem, files: Files, kernel: Kernel, keeper: Keeper, trimmer: Trimmer
    ) -> None:
        self._filesystem = filesystem
        self._nodes = filesystem.nodes
        self._node = filesystem.node
        self._contents = filesystem.repository.contents
        self._clock = filesystem.repository.clock
        self._files = files
        self._handles = files.handles
        self._read_file = files.read
        self._write_file = files.write
        self._kernel = kernel
        self._keeper = keeper
        self._look = trimmer.look
        self.verbs = Verbs(filesystem.repository, kernel, keeper)
        self.handlers: dict[int, Handler] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.FORGET: self._forget,
            Opcode.GETATTR: self._getattr,
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: self._readlink,
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: self._unlink,
            Opcode.RMDIR: self._rmdir,
            Opcode.RENAME: self._rename,
            Opcode.LINK: self._link,
            Opcode.OPEN: self._open,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.FSYNC: self._fsync,
            Opcode.FLUSH: self._flush,
            Opcode.OPENDIR: self._opendir,
            Opcode.RELEASEDIR: self._releasedir,
            Opcode.ACCESS: self._access,
            Opcode.CREATE: self._create,
            Opcode.DESTROY: self._destroy,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.READDIRPLUS: self._readdirplus,
            Opcode.RENAME2: self._rename2,
        }

    def _lookup(self, ino: int, message: Message, end: int) -> bytes:
        directory = self._node(ino)
        name = bytes(message[BODY_AT : end - 1])
        node = self._filesystem.lookup(directory, name)
        if node is None:
            if isinstance(directory, DirNode) and len(directory.misses) < MISSES_MAX:
                directory.misses.add(name)
                return MISSING
            raise PosixError(errno.ENOENT)
        node.lookups += 1
        self._look()
        return _entry_in(directory, node)

    def _forget(self, ino: int, message: Message, end: int) -> None:
        self._filesystem.forget(ino, *wire.NUMBER.unpack_from(message, BODY_AT))

    def _batch_forget(self, ino: int, message: Message, end: int) -> None:
        for forgotten, count in wire.FORGET_ONE.iter_unpack(message[_NAMES_AT:end]):
            self._filesystem.forget(forgotten, count)

    def _getattr(self, ino: int, message: Message, end: int) -> bytes:
        node = self._nodes.get(ino)
        if node is None or node.__class__ is Listed:
            node = self._node(ino)
        return attributes(node)

    def _setattr(self, ino: int, message: Message, end: int) -> bytes:
        node = self._node(ino)
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid = (
            wire.SETATTR.unpack_from(message, BODY_AT)
        )
        now_ns = self._clock.now_ns() if valid & (Valid.ATIME_NOW | Valid.MTIME_NOW) else 0
        wanted = SetAttributes()
        if valid & Valid.MODE:
            wanted.mode = mode
        if valid & Valid.UID:
            wanted.uid = uid
        if valid & Valid.GID:
            wanted.gid = gid
        if valid & Valid.SIZE:
            wanted.size = size
        if valid & Valid.ATIME:
            wanted.atime_ns = now_ns if valid & Valid.ATIME_NOW else atime * 10**9 + atime_ns
        if valid & Valid.MTIME:
            wanted.mtime_ns = now_ns if valid & Valid.MTIME_NOW else mtime * 10**9 + mtime_ns
        self._files.set_attributes(node, wanted)
        self._keeper.touch()
        return attributes(node)

    def _access(self, ino: int, message: Message, end: int) -> bytes:
        """Whether root may; asked only where the kernel checks no permissions itself."""
        (mask,) = wire.WORD.unpack_from(message, BODY_AT)
        if mask & os.X_OK and not self._filesystem.is_executable(self._node(ino)):
            raise PosixError(errno.EACCES)
        return _DONE

    def _readlink(self, ino: int, message: Message, end: int) -> bytes:
        return self._filesystem.readlink(self._node(ino))

    def _mknod(self, ino: int, message: Message, end: int) -> bytes:
        mode, rdev, _, _ = wire.MKNOD.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.MKNOD.size : end - 1])
        return entry(self._make(ino, name, mode, message, rdev=rdev))

    def _mkdir(self, ino: int, message: Message, end: int) -> bytes:
        mode, _ = wire.MKDIR.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.MKDIR.size : end - 1])
        return entry(self._make(ino, name, stat.S_IFDIR | stat.S_IMODE(mode), message))

    def _symlink(self, ino: int, message: Message, end: int) -> bytes:
        name, target = wire.names_at(message, BODY_AT)
        return entry(self._make(ino, name, stat.S_IFLNK | 0o777, message, target=target))

    def _make(
        self,
        parent: int,
        name: bytes,
        mode: int,
        message: Message,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Any:
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        directory = self._node(parent)
        node = self._filesystem.create(directory, name, mode, uid, gid, target=target, rdev=rdev)
        node.lookups += 1
        self._look()
        self._keeper.touch()
        return node

    def _create(self, ino: int, message: Message, end: int) -> bytes:
        flags, mode, _, _ = wire.CREATE.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.CREATE.size : end - 1])
        try:
            node = self._make(ino, name, stat.S_IFREG | stat.S_IMODE(mode), message)
        except PosixError as error:
            if error.errno != errno.EEXIST or flags & os.O_EXCL:
                raise
            # A checkout just now made the name, and the kernel does not know of it yet: it looks
            # again, checks what it may, and opens whatever is there (do_filp_open in fs/namei.c).
            raise PosixError(errno.ESTALE) from None
        fh = self._files.open_node(node, writing=True)
        return entry(node) + wire.OPENED.pack(fh, _CACHED, 0)

    def _unlink(self, ino: int, message: Message, end: int) -> bytes:
        self._filesystem.unlink(self._node(ino), bytes(message[BODY_AT : end - 1]))
        self._keeper.touch()
        return _DONE

    def _rmdir(self, ino: int, message: Message, end: int) -> bytes:
        self._filesystem.rmdir(self._node(ino), bytes(message[BODY_AT : end - 1]))
        self._keeper.touch()
        return _DONE

    def _rename(self, ino: int, message: Message, end: int) -> bytes:
        (target,) = wire.NUMBER.unpack_from(message, BODY_AT)
        return self._move(ino, target, wire.names_at(message, _NAMES_AT), 0)

    def _rename2(self, ino: int, message: Message, end: int) -> bytes:
        target, flags, _ = wire.RENAME2.unpack_from(message, BODY_AT)
        return self._move(ino, target, wire.names_at(message, BODY_AT + wire.RENAME2.size), flags)

    def _move(self, source: int, target: int, names: tuple[bytes, bytes], flags: int) -> bytes:
        node = self._node
        self._filesystem.rename(node(source), names[0], node(target), names[1], flags)
        self._keeper.touch()
        return _DONE

    def _link(self, ino: int, message: Message, end: int) -> bytes:
        (target,) = wire.NUMBER.unpack_from(message, BODY_AT)
        name = bytes(message[_NAMES_AT : end - 1])
        linked = self._filesystem.link(self._node(target), self._node(ino), name)
        linked.lookups += 1
        self._keeper.touch()
        return entry(linked)

    def _open(self, ino: int, message: Message, end: int) -> Answer:
        node = self._node(ino)
        flags, _ = wire.OPEN.unpack_from(message, BODY_AT)
        uid, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        if isinstance(node, FileNode):
            if flags & _CHANGING:
                self._keeper.touch()
            return wire.OPENED.pack(self._files.open(node, flags, uid), _CACHED, 0)
        if isinstance(node, VirtualText):
            return self._open_text(node, flags)
        fh = self._files.open(node, flags, uid)
        if isinstance(node, ControlFile):
            self._handles[fh].channel.opener_pid = pid
        return wire.OPENED.pack(fh, Opened.DIRECT_IO, 0)

    async def _open_text(self, node: VirtualText, flags: int) -> bytes:
        if node.barrier and self._contents.writers:
            await self._kernel.barrier()
        if isinstance(node, BuiltText) and not flags & (os.O_ACCMODE | os.O_TRUNC):
            fh = self._files.open_text(node, await self.verbs.work_off(node.steps()))
        else:
            fh = self._files.open(node, flags)
        return wire.OPENED.pack(fh, Opened.DIRECT_IO, 0)

    def _read(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            return self._read_channel(handle, offset, size)
        return self._read_file(handle, offset, size)

    async def _read_channel(self, handle: ChannelHandle, offset: int, size: int) -> bytes:
        channel = handle.channel
        await self.verbs.run(channel, channel.finish())
        channel.seek(offset)
        await self.verbs.go_on(channel)
        return channel.read(size)

    def _write(self, ino: int, message: Message, end: int) -> Answer:
        fh, offset, _ = wire.TRANSFER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        data = bytes(memoryview(message)[_DATA_AT:end])
        if handle.__class__ is ChannelHandle:
            return self._write_channel(handle, data)
        written = wire.WRITTEN.pack(self._write_file(handle, offset, data), 0)
        return self._catch_up(written) if self._keeper.written() else written

    async def _write_channel(self, handle: ChannelHandle, data: bytes) -> bytes:
        await self.verbs.run(handle.channel, handle.channel.write(data))
        return wire.WRITTEN.pack(len(data), 0)

    async def _catch_up(self, answer: bytes) -> bytes:
        with self._kernel.waiting():
            await self._keeper.catch_up()
        return answer

    def _flush(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            return self._finish(handle)
        return _DONE

    async def _finish(self, handle: ChannelHandle) -> bytes:
        await self.verbs.run(handle.channel, handle.channel.finish())
        return _DONE

    def _fsync(self, ino: int, message: Message, end: int) -> Answer:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        return self._sync(self._handles[fh])

    async def _sync(self, handle: Any) -> bytes:
        if handle.__class__ is ChannelHandle:
            await self._finish(handle)
        with self._kernel.waiting():
            await self._keeper.sync()
        return _DONE

    def _release(self, ino: int, message: Message, end: int) -> bytes:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            self.verbs.release(handle.channel)
        self._files.release(fh)
        return _DONE

    def _opendir(self, ino: int, message: Message, end: int) -> bytes:
        """The kernel keeps the listing of a directory of a workspace while nothing in it changes.

        Of what it changes itself it knows.
        """
        node = self._node(ino)
        flags = Opened(0)
        if isinstance(node, DirNode):
            flags = Opened.CACHE_DIR if node.is_listing_stale else _CACHED_LISTING
        return wire.OPENED.pack(self._files.open_directory(node), flags, 0)

    def _readdirplus(self, ino: int, message: Message, end: int) -> bytes:
        fh, start, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        handle: DirHandle = self._handles[fh]
        directory = handle.node
        filesystem = self._filesystem
        parts: list[bytes] = []
        room = size
        for position, name in self._files.listing(handle, start):
            length = len(name)
            filled = wire.padded(wire.DIRENT.size + length)
            if room < wire.ENTRY_BYTES + filled:
                break
            if name in _DOTS:
                node = directory if name == b"." else filesystem.parent(directory)
                listed, mode = NO_ENTRY, node.mode
            else:
                node = filesystem.peek(directory, name)
                if node is None:
                    continue
                node.lookups += 1
                listed = _listed_in(directory, node)
                mode = wire.mode_of(listed)
            room -= wire.ENTRY_BYTES + filled
            dirent = wire.DIRENT.pack(node.ino, position, length, mode >> 12)
            parts += (listed, dirent, name, bytes(filled - wire.DIRENT.size - length))
        self._look()
        return b"".join(parts)

    def _releasedir(self, ino: int, message: Message, end: int) -> bytes:
        (fh,) = wire.NUMBER.unpack_from(message, BODY_AT)
        self._files.release(fh)
        return _DONE

    def _destroy(self, ino: int, message: Message, end: int) -> bytes:
        """It was unmounted: the kernel asks nothing more."""
        return _DONE


def _entry_in(directory: Any, node: Any) -> bytes:
    """What a place shows may be another tree at the next look."""
    if isinstance(directory, DirNode) or getattr(node, "is_fixed", False):
        return entry(node)
    return entry_once(node)


def _listed_in(directory: Any, node: Any) -> bytes:
    """The entry for a listing, which keeps none: most are never asked for again."""
    if isinstance(node, Listed):
        return build_listed(node)
    if not isinstance(directory, DirNode):
        return _entry_in(directory, node)
    return build(node) if node.attr is None else node.attr
