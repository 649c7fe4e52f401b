"""The request handlers: from FUSE's arguments to the file system's, and back."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Sequence
from typing import Any

import pyfuse3

from heliosfs.errors import PosixError
from heliosfs.fuse.attributes import attributes, build, build_listed, negative
from heliosfs.fuse.handler import handler
from heliosfs.fuse.keeper import Keeper
from heliosfs.fuse.kernel import Kernel
from heliosfs.fuse.trimmer import Trimmer
from heliosfs.fuse.verbs import Verbs
from heliosfs.vfs.files import Files, SetAttributes
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle
from heliosfs.vfs.virtual import BuiltText, ControlFile, VirtualText
from heliosfs.workspace.node import DirNode, FileNode, Listed

MISSES_MAX = 4096
"""Names of a directory of which the kernel may remember that they do not exist."""

log = logging.getLogger(__name__)


class Operations(pyfuse3.Operations):
    """One method for each request.  Those that do not wait are atomic."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(
        self,
        filesystem: FileSystem,
        kernel: Kernel,
        keeper: Keeper,
        trimmer: Trimmer,
        *,
        xattr: bool = False,
    ) -> None:
        super().__init__()
        self._filesystem = filesystem
        self._nodes = filesystem.nodes
        self._contents = filesystem.repository.contents
        self._files = Files(filesystem)
        self._handles = self._files.handles
        self._read = self._files.read
        self._write = self._files.write
        self._kernel = kernel
        self._keeper = keeper
        self._look = trimmer.look
        self._xattr = xattr
        self.verbs = Verbs(filesystem.repository, kernel, keeper)

    @handler
    async def lookup(
        self, parent: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        directory = self._filesystem.node(parent)
        node = self._filesystem.lookup(directory, name)
        if node is None:
            if isinstance(directory, DirNode) and len(directory.misses) < MISSES_MAX:
                directory.misses.add(name)
                return negative()
            raise pyfuse3.FUSEError(errno.ENOENT)
        node.lookups += 1
        self._look()
        return self._entry(directory, node)

    def _entry(self, directory: Any, node: Any) -> pyfuse3.EntryAttributes:
        """Attributes for a name: what a place shows may be another tree at the next look."""
        if isinstance(directory, DirNode) or getattr(node, "is_fixed", False):
            return attributes(node)
        attr = build(node)
        attr.entry_timeout = 0
        return attr

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Has no answer, so it may not raise: pyfuse3 would end the mount."""
        try:
            for ino, count in inode_list:
                self._filesystem.forget(ino, count)
        except Exception:
            log.exception("forget failed")

    @handler
    async def getattr(self, inode: int, ctx: Any = None) -> pyfuse3.EntryAttributes:
        node = self._nodes.get(inode)
        if node is None or node.__class__ is Listed:
            node = self._filesystem.node(inode)
        return attributes(node)

    @handler
    async def setattr(
        self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        node = self._filesystem.node(inode)
        wanted = SetAttributes(
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
        )
        self._files.set_attributes(node, wanted)
        self._keeper.touch()
        return attributes(node)

    @handler
    async def access(self, inode: int, mode: int, ctx: Any) -> bool:
        """Whether root may; asked only where the kernel checks no permissions itself."""
        return not mode & os.X_OK or self._filesystem.is_executable(self._filesystem.node(inode))

    @handler
    async def readlink(self, inode: int, ctx: Any) -> Any:
        return self._filesystem.readlink(self._filesystem.node(inode))

    @handler
    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        return self._create(parent, name, mode, ctx, rdev=rdev)

    @handler
    async def mkdir(self, parent: int, name: bytes, mode: int, ctx: Any) -> Any:
        return self._create(parent, name, stat.S_IFDIR | stat.S_IMODE(mode), ctx)

    @handler
    async def symlink(self, parent: int, name: bytes, target: bytes, ctx: Any) -> Any:
        return self._create(parent, name, stat.S_IFLNK | 0o777, ctx, target=target)

    def _create(
        self, parent: int, name: bytes, mode: int, ctx: Any, *, target: bytes = b"", rdev: int = 0
    ) -> pyfuse3.EntryAttributes:
        directory = self._filesystem.node(parent)
        node = self._filesystem.create(
            directory, name, mode, ctx.uid, ctx.gid, target=target, rdev=rdev
        )
        node.lookups += 1
        self._keeper.touch()
        return attributes(node)

    @handler
    async def create(self, parent: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        directory = self._filesystem.node(parent)
        try:
            node: Any = self._filesystem.create(
                directory, name, stat.S_IFREG | stat.S_IMODE(mode), ctx.uid, ctx.gid
            )
            fh = self._files.open_node(node, writing=True)
        except PosixError as error:
            if error.errno != errno.EEXIST or flags & os.O_EXCL:
                raise
            # A checkout just now made the name, and the kernel does not know of it yet: it looks
            # again, checks what it may, and opens whatever is there (do_filp_open in fs/namei.c).
            raise pyfuse3.FUSEError(errno.ESTALE) from None
        node.lookups += 1
        self._look()
        self._keeper.touch()
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(fh)), attributes(node)

    @handler
    async def unlink(self, parent: int, name: bytes, ctx: Any) -> None:
        self._filesystem.unlink(self._filesystem.node(parent), name)
        self._keeper.touch()

    @handler
    async def rmdir(self, parent: int, name: bytes, ctx: Any) -> None:
        self._filesystem.rmdir(self._filesystem.node(parent), name)
        self._keeper.touch()

    @handler
    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int, ctx: Any
    ) -> None:
        node = self._filesystem.node
        self._filesystem.rename(node(parent), name, node(new_parent), new_name, flags)
        self._keeper.touch()

    @handler
    async def link(self, inode: int, parent: int, name: bytes, ctx: Any) -> Any:
        node = self._filesystem.node
        linked = self._filesystem.link(node(inode), node(parent), name)
        linked.lookups += 1
        self._keeper.touch()
        return attributes(linked)

    @handler
    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        node = self._filesystem.node(inode)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC) and isinstance(node, FileNode):
            self._keeper.touch()
        if isinstance(node, VirtualText) and node.barrier and self._contents.writers:
            await self._kernel.barrier()
        if isinstance(node, BuiltText) and not flags & (os.O_ACCMODE | os.O_TRUNC):
            text = await self.verbs.work_off(node.steps())
            fh = pyfuse3.FileHandleT(self._files.open_text(node, text))
        else:
            fh = pyfuse3.FileHandleT(self._files.open(node, flags, ctx.uid))
        if isinstance(node, ControlFile):
            self._handles[fh].channel.opener_pid = ctx.pid
        is_virtual = not hasattr(node, "workspace")
        return pyfuse3.FileInfo(fh=fh, direct_io=is_virtual, keep_cache=not is_virtual)

    @handler
    async def read(self, fh: int, off: int, size: int) -> Any:
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            channel = handle.channel
            await self.verbs.run(channel, channel.finish())
            channel.seek(off)
            await self.verbs.go_on(channel)
            return channel.read(size)
        return self._read(handle, off, size)

    @handler
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            await self.verbs.run(handle.channel, handle.channel.write(buf))
            return len(buf)
        written = self._write(handle, off, buf)
        if self._keeper.written():
            with self._kernel.waiting():
                await self._keeper.catch_up()
        return written

    @handler
    async def flush(self, fh: int) -> None:
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            await self.verbs.run(handle.channel, handle.channel.finish())

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            await self.verbs.run(handle.channel, handle.channel.finish())
        with self._kernel.waiting():
            await self._keeper.sync()

    @handler
    async def release(self, fh: int) -> None:
        handle = self._handles[fh]
        if handle.__class__ is ChannelHandle:
            self.verbs.release(handle.channel)
        self._files.release(fh)

    @handler
    async def opendir(self, inode: int, ctx: Any) -> Any:
        return self._files.open_directory(self._filesystem.node(inode))

    @handler
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        handle = self._handles[fh]
        directory = handle.node
        filesystem = self._filesystem
        names = self._files.listing(handle, start_id)
        self._look()
        for index in range(start_id, len(names)):
            name = names[index]
            if index < 2:
                node = directory if index == 0 else filesystem.parent(directory)
                if not pyfuse3.readdir_reply(token, _name(name), build(node), index + 1):
                    return
                continue
            node = filesystem.peek(directory, name)
            if node is None:
                continue
            attr = self._listed(directory, node)
            if not pyfuse3.readdir_reply(token, _name(name), attr, index + 1):
                filesystem.settle(node)
                return
            node.lookups += 1

    def _listed(self, directory: Any, node: Any) -> pyfuse3.EntryAttributes:
        """Attributes for a listing, which keeps none: most are never asked for again."""
        if isinstance(node, Listed):
            return build_listed(node)
        if not isinstance(directory, DirNode):
            return self._entry(directory, node)
        return build(node) if node.attr is None else node.attr

    @handler
    async def releasedir(self, fh: int) -> None:
        self._files.release(fh)

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        with self._kernel.waiting():
            await self._keeper.sync()

    @handler
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        disk = self._filesystem.repository.store.disk()
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = disk.f_frsize
        data.f_blocks = disk.f_blocks
        data.f_bfree = disk.f_bfree
        data.f_bavail = disk.f_bavail
        data.f_files = disk.f_files
        data.f_ffree = disk.f_ffree
        data.f_favail = disk.f_favail
        data.f_namemax = 255
        return data

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> Any:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return self._files.get_xattr(self._filesystem.node(inode), name)

    @handler
    async def listxattr(self, inode: int, ctx: Any) -> Any:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        return self._files.list_xattrs(self._filesystem.node(inode))

    @handler
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        self._files.set_xattr(self._filesystem.node(inode), name, value)
        self._keeper.touch()

    @handler
    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        if not self._xattr:
            raise pyfuse3.FUSEError(errno.ENOSYS)
        self._files.set_xattr(self._filesystem.node(inode), name, None)
        self._keeper.touch()


def _name(name: bytes) -> pyfuse3.FileNameT:
    return pyfuse3.FileNameT(name)
