"""Handlers of the requests that concern a mount as a whole, or a directory that is open.

Each takes the inode, the message and its length, and returns the body of the answer, or, when it
has to wait, a coroutine that does.
"""

from __future__ import annotations

from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.fuse import wire
from heliosfs.fuse.handler import DONE, Answer, Handler
from heliosfs.fuse.inner import answer_init
from heliosfs.fuse.wire import Message, Opcode
from heliosfs.objects.tree import NAME_MAX
from heliosfs.vfs.filesystem import FileSystem


class MountRequests:
    """Handlers of the requests about a mount, by opcode.

    INIT comes here from the mounts inside the workspace's alone.
    """

    def __init__(self, filesystem: FileSystem, kernel: Kernel, keeper: Keeper) -> None:
        self._filesystem = filesystem
        self._kernel = kernel
        self._keeper = keeper
        self.handlers: dict[int, Handler] = {
            Opcode.INIT: answer_init,
            Opcode.STATFS: self._statfs,
            Opcode.FSYNCDIR: self._fsyncdir,
            Opcode.DESTROY: self._destroy,
        }

    def _statfs(self, ino: int, message: Message, end: int) -> bytes:
        disk = self._filesystem.repository.store.disk()
        return wire.STATFS.pack(
            disk.f_blocks,
            disk.f_bfree,
            disk.f_bavail,
            disk.f_files,
            disk.f_ffree,
            disk.f_frsize,
            NAME_MAX,
            disk.f_frsize,
        )

    def _fsyncdir(self, ino: int, message: Message, end: int) -> Answer:
        return self._sync()

    async def _sync(self) -> bytes:
        with self._kernel.waiting():
            await self._keeper.sync()
        return DONE

    def _destroy(self, ino: int, message: Message, end: int) -> bytes:
        """Answer the last request, after the unmount."""
        return DONE
