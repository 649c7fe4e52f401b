"""Handlers of the rare requests, which are relayed to pyfuse3."""

from __future__ import annotations

import errno
from typing import Any

import pyfuse3

from heliosfs.daemon.keeper import Keeper
from heliosfs.fuse.handler import handler
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.xattrs import get_xattr, list_xattrs, set_xattr


class Operations(pyfuse3.Operations):
    """Methods that pyfuse3 calls, one for each request that the dispatcher relays."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(
        self,
        filesystem: FileSystem,
        keeper: Keeper,
        *,
        xattr: bool = False,
    ) -> None:
        super().__init__()
        self._filesystem = filesystem
        self._keeper = keeper
        self._xattr = xattr

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> Any:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return get_xattr(self._filesystem.node(inode), name)

    @handler
    async def listxattr(self, inode: int, ctx: Any) -> Any:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return list_xattrs(self._filesystem.node(inode))

    @handler
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        set_xattr(self._filesystem, self._filesystem.node(inode), name, value)
        self._keeper.touch()

    @handler
    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        set_xattr(self._filesystem, self._filesystem.node(inode), name, None)
        self._keeper.touch()
