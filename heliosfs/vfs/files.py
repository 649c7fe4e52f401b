"""Operations on open files, attributes, extended attributes and listings."""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heliosfs.errors import NotPermitted, PosixError
from heliosfs.objects.tree import clamp_time
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle, FileHandle, Handle, TextHandle
from heliosfs.vfs.room import Room
from heliosfs.vfs.virtual import ControlFile, VirtualText
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import DirNode, FileNode, Node

FILE_MAX_BYTES = 2**40
XATTRS_MAX_BYTES = 128 * 1024
"""Largest size of a file's xattr names and values together; one value may have 64 KiB in Linux."""
XATTR_NAMES_MAX_BYTES = 64 * 1024
"""Largest list of names that listxattr(2) can return (XATTR_LIST_MAX)."""
_DOT_AT, _DOT_DOT_AT = 1, 2
_LISTINGS_MAX = 64
"""Most directories whose sorted names are kept while they are being listed."""
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16
"""Mode flags of fallocate(2)."""
_COPY_REQUEST_MAX_BYTES = 2**30
"""Most bytes that one copy request copies: 10 ms."""
_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(slots=True)
class SetAttributes:
    """Attributes that chmod(2) and its relatives set, times in ns; None leaves one as it is."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


class Files:
    """The open files of a mount, by their handles, and the operations on them."""

    def __init__(self, filesystem: FileSystem) -> None:
        self._filesystem = filesystem
        self._clock = filesystem.repository.clock
        self._contents = filesystem.repository.working_set
        self._room = Room(filesystem.repository)
        self.handles: dict[int, Handle] = {}
        self._mappable: dict[FileNode, int] = {}
        """File that may have a shared mapping -> number of its handles that allow one."""
        self._listings: dict[int, list[bytes]] = {}
        """Inode of a directory -> its names at the beginning of a listing that is not yet ended."""
        self._next = 1

    def open(self, node: StatInode, flags: int, uid: int = 0) -> int:
        """Open a file; return the handle's number.

        EROFS, EPERM, ESTALE, EISDIR, ENXIO; EIO if the text of a virtual file cannot be made.
        """
        writing = bool(flags & (_WRITING | os.O_TRUNC))
        if isinstance(node, FileNode):
            if writing:
                self._filesystem.check_writable(node)
                self._filesystem.guard(node.workspace)
                if flags & os.O_TRUNC:
                    self.truncate(node, 0)
                    if uid:
                        # Every other change comes with the new mode, set by the kernel.
                        node.mode = without_set_id(node.mode)
            return self.open_node(node, writing, flags)
        if isinstance(node, ControlFile):
            is_reader = flags & os.O_ACCMODE != os.O_WRONLY
            return self._add(ChannelHandle(node, node.channel(), is_reader))
        if isinstance(node, VirtualText):
            if writing:
                raise NotPermitted("files under .helios are made by heliosfs and cannot be changed")
            return self.open_text(node, node.text())
        raise PosixError(errno.EISDIR if stat.S_ISDIR(node.mode) else errno.ENXIO)

    def open_text(self, node: VirtualText, text: str) -> int:
        """Open a virtual file with the text that was made for it; return the handle's number."""
        data = text.encode("utf-8", "surrogateescape")
        node.made(len(data))
        return self._add(TextHandle(node, data))

    def open_node(self, node: FileNode, writing: bool, flags: int = 0) -> int:
        """Open a regular file without a check; return the handle's number."""
        is_mappable = flags & os.O_ACCMODE == os.O_RDWR
        if writing:
            self._contents.writers += 1
            if is_mappable:
                self._mappable[node] = self._mappable.get(node, 0) + 1
        workspace = node.workspace
        workspace.handles += 1
        workspace.read_ns = max(workspace.read_ns, node.mtime_ns)
        return self._add(FileHandle(node, writing, is_mappable))

    def may_be_mapped(self, node: StatInode) -> bool:
        """Return True if the kernel may hold bytes that a shared mapping of the file changed."""
        return node in self._mappable

    def listing(self, directory: StatInode, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield the names after the position `start`, each with its position.

        At `start` 0 the names are read anew.  A position is a hash of the name, and names come in
        its order.  So it keeps its meaning while the directory changes, and the kernel may answer a
        part of a listing from its cache of another one.  Of two names with the same hash one may be
        left out, if the listing is continued between them: one in 10^9 directories of 100,000
        names.  Cost: a sort at the beginning, 40 ms for 100,000 names.
        """
        names = self._listings.pop(directory.ino, None) if start else None
        if names is None:
            names = sorted(self._filesystem.names(directory), key=hash)
        if start < _DOT_AT:
            yield _DOT_AT, b"."
        if start < _DOT_DOT_AT:
            yield _DOT_DOT_AT, b".."
        first = bisect_right(names, start, key=_position)
        if first < len(names):
            self._keep_listing(directory.ino, names)
        for index in range(first, len(names)):
            yield _position(names[index]), names[index]

    def _keep_listing(self, ino: int, names: list[bytes]) -> None:
        """Keep the names of a listing until it goes on; drop the oldest ones beyond the limit.

        The limit is needed because no request tells that a listing was given up.
        """
        self._listings[ino] = names
        if len(self._listings) > _LISTINGS_MAX:
            del self._listings[next(iter(self._listings))]

    def read(self, handle: Handle, offset: int, length: int) -> bytes | bytearray:
        """Return up to `length` bytes at `offset`.  EISDIR, StoreError."""
        if isinstance(handle, FileHandle):
            return self._contents.read(handle.node, offset, length)
        if isinstance(handle, TextHandle):
            return handle.data[offset : offset + length]
        raise PosixError(errno.EISDIR)

    def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write at `offset`; return the byte count.  EBADF, EFBIG, EROFS, ENOSPC, StoreError."""
        if not isinstance(handle, FileHandle) or not handle.is_writer:
            raise PosixError(errno.EBADF)
        node = handle.node
        if offset + len(data) > FILE_MAX_BYTES:
            raise PosixError(errno.EFBIG)
        # A changed file was checked when it changed first; `raw` is the entry of an unchanged one.
        if node.raw is not None or self._filesystem.failure is not None:
            self._filesystem.check_writable(node)
        self._room.take(len(data))
        node.touch()
        self._contents.write(node, offset, data)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()
        return len(data)

    def truncate(self, node: FileNode, size: int) -> None:
        """Set the size of a file.  EFBIG, StoreError."""
        if size > FILE_MAX_BYTES:
            raise PosixError(errno.EFBIG)
        node.touch()
        self._contents.truncate(node, size)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()

    def allocate(
        self, handle: Handle, mode: int, offset: int, length: int, uid: int = 0, gid: int = 0
    ) -> None:
        """Allocate, zero or punch a range as fallocate(2) does.

        Check that enough space is free now; reserve nothing.  A user other than root clears the
        set-id bits, and the set-group-id bit in any case if `gid`, the only known one of the user's
        groups, is not the file's.  EBADF, EFBIG, EROFS, ENOSPC, EOPNOTSUPP, StoreError.
        """
        if not isinstance(handle, FileHandle) or not handle.is_writer:
            raise PosixError(errno.EBADF)
        if mode & ~(_KEEP_SIZE | _PUNCH_HOLE | _ZERO_RANGE):
            raise PosixError(errno.EOPNOTSUPP)
        node, end = handle.node, offset + length
        if end > FILE_MAX_BYTES:
            raise PosixError(errno.EFBIG)
        self._filesystem.check_writable(node)
        if not mode & _PUNCH_HOLE:
            self._room.check(length)
        node.touch()
        if uid:
            node.mode = without_set_id(node.mode)
            if gid != node.gid:
                node.mode &= ~stat.S_ISGID
        if mode & (_PUNCH_HOLE | _ZERO_RANGE) and offset < node.file_size:
            self._contents.punch(node, offset, min(end, node.file_size))
        if not mode & _KEEP_SIZE and end > node.file_size:
            self._contents.truncate(node, end)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()

    def seek(self, handle: Handle, offset: int, whence: int) -> int:
        """Return the offset of the next data or hole, as lseek(2) does.

        `whence` is SEEK_DATA or SEEK_HOLE.  ENXIO, EINVAL, StoreError.
        """
        if not isinstance(handle, FileHandle) or whence not in (os.SEEK_DATA, os.SEEK_HOLE):
            raise PosixError(errno.EINVAL)
        node = handle.node
        if offset >= node.file_size:
            raise PosixError(errno.ENXIO)
        if whence == os.SEEK_HOLE:
            return self._contents.next_hole(node, offset)
        found = self._contents.next_data(node, offset)
        if found >= node.file_size:
            raise PosixError(errno.ENXIO)
        return found

    def copy(self, source: Handle, offset: int, target: Handle, at: int, length: int) -> int:
        """Copy a range as copy_file_range(2) does; return the number of bytes copied.

        It may be smaller than `length`.  Files of other branches and of snapshots can be copied
        from, too.  EBADF, EFBIG, EROFS, ENOSPC, StoreError; EXDEV if one of the two is no file of a
        workspace, which makes the kernel read and write the bytes itself.
        """
        if not isinstance(source, FileHandle) or not isinstance(target, FileHandle):
            raise PosixError(errno.EXDEV)
        if not target.is_writer:
            raise PosixError(errno.EBADF)
        node = target.node
        length = min(length, _COPY_REQUEST_MAX_BYTES, max(0, source.node.file_size - offset))
        if at + length > FILE_MAX_BYTES:
            raise PosixError(errno.EFBIG)
        self._filesystem.check_writable(node)
        if length == 0:
            return 0
        self._room.take(length)
        node.touch()
        copied = self._contents.copy(source.node, offset, node, at, length)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()
        return copied

    def set_attributes(self, node: StatInode, wanted: SetAttributes) -> None:
        """Set attributes, as chmod, chown, truncate and utimensat do.

        EROFS, EPERM, EISDIR, EINVAL, EFBIG, StoreError.
        """
        # The shell's `>` truncates a control file, which has no bytes to lose.
        if isinstance(node, ControlFile) and wanted == SetAttributes(size=wanted.size):
            return
        changed = self._filesystem.check_writable(node)
        if wanted.size is not None:
            if not isinstance(changed, FileNode):
                raise PosixError(errno.EISDIR if isinstance(changed, DirNode) else errno.EINVAL)
            self.truncate(changed, wanted.size)
        changed.touch()
        if wanted.mode is not None:
            changed.mode = stat.S_IFMT(changed.mode) | stat.S_IMODE(wanted.mode)
        if wanted.uid is not None:
            changed.uid = wanted.uid
        if wanted.gid is not None:
            changed.gid = wanted.gid
        if wanted.atime_ns is not None:
            changed.atime_ns = clamp_time(wanted.atime_ns)
        if wanted.mtime_ns is not None:
            changed.mtime_ns = clamp_time(wanted.mtime_ns)
            self._clock.note(changed.mtime_ns)
        changed.ctime_ns = self._clock.now_ns()

    def release(self, fh: int) -> None:
        """Close a handle, now that its last reference is gone."""
        handle = self.handles.pop(fh)
        node = handle.node
        node.close()
        if isinstance(handle, FileHandle):
            if handle.is_writer:
                self._contents.writers -= 1
                if handle.is_mappable:
                    self._unmap(handle.node)
            handle.node.workspace.handles -= 1
        elif isinstance(handle, ChannelHandle) and handle.is_reader:
            handle.node.readers -= 1
        self._filesystem.settle(node)

    def _unmap(self, node: FileNode) -> None:
        count = self._mappable.pop(node)
        if count > 1:
            self._mappable[node] = count - 1

    def _add(self, handle: Handle) -> int:
        fh = self._next
        self._next += 1
        self.handles[fh] = handle
        handle.node.open()
        return fh

    def get_xattr(self, node: StatInode, name: bytes) -> bytes:
        """Return the value of an extended attribute.  ENODATA; EOPNOTSUPP outside of `user.`."""
        _check_user_xattr(name)
        value = _xattrs_of(node).get(name)
        if value is None:
            raise PosixError(errno.ENODATA)
        return bytes(value)

    def list_xattrs(self, node: StatInode) -> list[bytes]:
        """Return the names of the extended attributes, in byte order."""
        return sorted(_xattrs_of(node))

    def set_xattr(self, node: StatInode, name: bytes, value: bytes | None) -> None:
        """Set an extended attribute, or remove it if the value is None.

        ENODATA, EOPNOTSUPP, EROFS, EPERM, ENOSPC.
        """
        _check_user_xattr(name)
        changed = self._filesystem.check_writable(node)
        xattrs = dict(changed.xattrs or {})
        if value is not None:
            xattrs[name] = value
        elif xattrs.pop(name, None) is None:
            raise PosixError(errno.ENODATA)
        names_bytes = sum(len(key) + 1 for key in xattrs)
        if (
            names_bytes > XATTR_NAMES_MAX_BYTES
            or names_bytes + sum(map(len, xattrs.values())) > XATTRS_MAX_BYTES
        ):
            raise PosixError(errno.ENOSPC)
        changed.touch()
        changed.xattrs = xattrs or None
        changed.ctime_ns = self._clock.now_ns()


def _position(name: bytes) -> int:
    """Return the position of a name: after those of the dots, up to 2^62, in the hashes' order."""
    return ((hash(name) + 2**63) >> 2) + _DOT_DOT_AT + 1


def without_set_id(mode: int) -> int:
    """Return the mode of a file after a change by a user without CAP_FSETID.

    The rule is that of `setattr_should_drop_sgid` in fs/attr.c.
    """
    drop = stat.S_ISUID
    if mode & stat.S_IXGRP:
        drop |= stat.S_ISGID
    return mode & ~drop


def _xattrs_of(node: StatInode) -> Mapping[bytes, bytes]:
    return (node.xattrs if isinstance(node, Node) else None) or {}


def _check_user_xattr(name: bytes) -> None:
    if not name.startswith(b"user."):
        raise PosixError(errno.EOPNOTSUPP)
    if name == b"user.":
        raise PosixError(errno.EINVAL)
