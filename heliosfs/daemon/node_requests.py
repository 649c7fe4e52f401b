"""Handlers of the requests that concern a node by its inode: attributes, links, forgetting.

Each takes the inode, the message and its length, and returns the body of the answer.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable

from heliosfs.clock import SECOND_NS
from heliosfs.daemon.keeper import Keeper
from heliosfs.errors import PosixError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import attributes, listed_attributes
from heliosfs.fuse.handler import DONE, Answer, Handler
from heliosfs.fuse.wire import BODY_AT, Message, Opcode, Valid
from heliosfs.vfs.files import Files, SetAttributes, without_set_id
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import Listed

_FORGOTTEN_AT = BODY_AT + wire.NUMBER.size


class NodeRequests:
    """Handlers of requests about inodes, by opcode.

    Each is atomic, since none waits, except SETATTR for the time of a file that may be mapped.
    """

    def __init__(
        self,
        filesystem: FileSystem,
        files: Files,
        keeper: Keeper,
        barrier: Callable[[], Awaitable[None]],
    ) -> None:
        self._filesystem = filesystem
        self._nodes = filesystem.nodes
        self._node = filesystem.node
        self._clock = filesystem.repository.clock
        self._files = files
        self._keeper = keeper
        self._barrier = barrier
        self.handlers: dict[int, Handler] = {
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: self._getattr,
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: self._readlink,
            Opcode.ACCESS: self._access,
        }

    def _forget(self, ino: int, message: Message, end: int) -> None:
        self._filesystem.forget(ino, *wire.NUMBER.unpack_from(message, BODY_AT))

    def _batch_forget(self, ino: int, message: Message, end: int) -> None:
        for forgotten, count in wire.FORGET_ONE.iter_unpack(message[_FORGOTTEN_AT:end]):
            self._filesystem.forget(forgotten, count)

    def _getattr(self, ino: int, message: Message, end: int) -> bytes:
        node = self._nodes.get(ino)
        if isinstance(node, Listed) and (answer := listed_attributes(node)) is not None:
            return answer
        return attributes(node if isinstance(node, StatInode) else self._node(ino))

    def _setattr(self, ino: int, message: Message, end: int) -> Answer:
        known = self._nodes.get(ino)
        node = known if isinstance(known, StatInode) else self._node(ino)
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid = (
            wire.SETATTR.unpack_from(message, BODY_AT)
        )
        now_ns = self._clock.now_ns() if valid & (Valid.ATIME_NOW | Valid.MTIME_NOW) else 0
        wanted = SetAttributes()
        if valid & Valid.MODE:
            wanted.mode = mode
        elif valid & (Valid.OWNER | Valid.KILL_SUIDGID) or not valid & Valid.VALUES:
            # A chown, a change by one who may not keep them, or nothing but these bits.
            wanted.mode = self._without_set_id(node, message)
        if valid & Valid.UID:
            wanted.uid = uid
        if valid & Valid.GID:
            wanted.gid = gid
        if valid & Valid.SIZE:
            wanted.size = size
        if valid & Valid.ATIME:
            wanted.atime_ns = now_ns if valid & Valid.ATIME_NOW else atime * SECOND_NS + atime_ns
        if valid & Valid.MTIME:
            wanted.mtime_ns = now_ns if valid & Valid.MTIME_NOW else mtime * SECOND_NS + mtime_ns
        if valid & Valid.MTIME and not valid & Valid.SIZE and self._files.late.needs_barrier(node):
            return self._set_after_stores(node, wanted)
        # As `_set`, without its call: tar sets three times for each file.
        self._files.set_attributes(node, wanted)
        if self._keeper.is_idle:
            self._keeper.touch()
        return attributes(node)

    def _without_set_id(self, node: StatInode, message: Message) -> int | None:
        """Return the mode without the bits that the caller's change clears; None for a directory.

        The kernel leaves them to us, if it knows HANDLE_KILLPRIV_V2 (5.11), or sets the mode.
        """
        if stat.S_ISDIR(node.mode):
            return None
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        mode = without_set_id(node.mode)
        # Of the caller's groups only one is known.
        return mode & ~stat.S_ISGID if uid and gid != node.gid else mode

    def _set(self, node: StatInode, wanted: SetAttributes) -> bytes:
        self._files.set_attributes(node, wanted)
        self._keeper.touch()
        return attributes(node)

    async def _set_after_stores(self, node: StatInode, wanted: SetAttributes) -> bytes:
        """Set a time, after all bytes that were stored through mappings before have arrived.

        The kernel writes such bytes back at any later time, and those writes would move the
        mtime.  Never call it with a new size: the kernel sends no write before such a request
        is answered (fuse_set_nowrite), and the barrier would wait forever.  Raise StoreError.
        """
        await self._barrier()
        return self._set(node, wanted)

    def _access(self, ino: int, message: Message, end: int) -> bytes:
        """Check that root may access a node.  Fail with EACCES.

        The request is sent only where the kernel checks no permissions itself.
        """
        (mask,) = wire.WORD.unpack_from(message, BODY_AT)
        if mask & os.X_OK and not _is_executable(self._node(ino)):
            raise PosixError(errno.EACCES)
        return DONE

    def _readlink(self, ino: int, message: Message, end: int) -> bytes:
        return self._filesystem.readlink(self._node(ino))


def _is_executable(node: StatInode) -> bool:
    """Return True if root may execute or search a node: not a file that no user may execute."""
    return not stat.S_ISREG(node.mode) or bool(node.mode & 0o111)
