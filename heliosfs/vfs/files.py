"""Operations on open files, and the attributes that chmod(2) and its relatives set."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from heliosfs.errors import CorruptObject, NotPermitted, PosixError
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.tree import clamp_time, unpack_fixed
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import ChannelHandle, FileHandle, Handle, TextHandle
from heliosfs.vfs.late import LateStores
from heliosfs.vfs.room import Room
from heliosfs.vfs.virtual import ControlFile, FixedText, VirtualText
from heliosfs.workspace.copying import copy
from heliosfs.workspace.holes import next_data, next_data_block, next_hole, next_hole_block
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import DirNode, FileNode, Listed

FILE_MAX_BYTES = 2**40
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
        self.node = filesystem.node
        self.handles: dict[int, Handle] = {}
        self.are_opens_asked = True
        """True if the daemon opens files; else a request names a file by its inode, not a handle.
        """
        self.late = LateStores()
        self._next = 1

    def leave_opens(self) -> None:
        """Leave it to the kernel to open files; call it before any is open."""
        self.are_opens_asked = self.late.are_opens_asked = False
        # Nothing tells when a file is open for writing.
        self._contents.writers += 1

    def open(self, node: StatInode, flags: int, uid: int = 0) -> int:
        """Open a file; return the handle's number.

        Fail with EROFS, EPERM, ESTALE, EISDIR or ENXIO, and with EIO if the text of a virtual file
        cannot be made.
        """
        writing = bool(flags & (_WRITING | os.O_TRUNC))
        if isinstance(node, FileNode):
            if writing:
                self._filesystem.check_writable(node)
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
        """Open a regular file without a check; return the handle's number, 0 if it needs none."""
        # Neither as long as it is not known who will open files.
        if not self.are_opens_asked or self._filesystem.site.is_split:
            return 0
        is_mappable = flags & os.O_ACCMODE == os.O_RDWR
        if writing:
            self._contents.writers += 1
            if is_mappable:
                self.late.add(node)
        workspace = node.workspace
        workspace.handles += 1
        workspace.read_ns = max(workspace.read_ns, node.mtime_ns)
        return self._add(FileHandle(node, writing, is_mappable))

    def handle(self, fh: int, ino: int) -> Handle:
        """Return the handle that a request names; for 0, one of the file itself.

        The kernel has checked what it may do.  Fail with ESTALE, or EISDIR if it is no file.
        """
        if fh:
            return self.handles[fh]
        node = self.node(ino)
        if isinstance(node, FileNode):
            return FileHandle(node, is_writer=True)
        if isinstance(node, FixedText):
            return TextHandle(node, node.data)
        raise PosixError(errno.EISDIR)

    def read(self, handle: Handle, offset: int, length: int) -> bytes | bytearray:
        """Return up to `length` bytes at `offset`.  Fail with EISDIR, or raise StoreError."""
        if isinstance(handle, FileHandle):
            return self._contents.read(handle.node, offset, length)
        if isinstance(handle, TextHandle):
            return handle.data[offset : offset + length]
        raise PosixError(errno.EISDIR)

    def read_node(self, node: FileNode, offset: int, length: int) -> bytes | bytearray:
        """Return up to `length` bytes of a file that the kernel opened.  Raise StoreError."""
        workspace = node.workspace
        workspace.read_ns = max(workspace.read_ns, node.mtime_ns)
        return self._contents.read(node, offset, length)

    def read_listed(self, listed: Listed, offset: int, length: int) -> bytes | None:
        """Return the bytes of a small file that has no node, if all of them are asked for.

        The kernel keeps them, so a search through a tree leaves neither nodes nor contents behind
        here.  Return None if it takes a node to answer.  Raise StoreError.
        """
        mode, _, _, mtime_ns, size, oid, flags, _ = unpack_fixed(listed.raw)
        if offset or flags or not 0 < size <= min(length, WHOLE_MAX) or not stat.S_ISREG(mode):
            return None
        workspace = listed.workspace
        workspace.read_ns = max(workspace.read_ns, mtime_ns)
        data = self._contents.store.read(Oid(oid), Kind.BLOB)
        # As `WorkingSet.load`: a tree may have been made up elsewhere.
        if len(data) != size:
            raise CorruptObject(f"content {oid.hex()} has {len(data)} bytes, not {size}")
        return data

    def writable(self, handle: Handle) -> FileNode:
        """Return the file that a handle may write to.  Fail with EBADF, or EPERM for a text."""
        if isinstance(handle, TextHandle):
            self._filesystem.check_writable(handle.node)
        if not isinstance(handle, FileHandle) or not handle.is_writer:
            raise PosixError(errno.EBADF)
        return handle.node

    def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write at `offset`; return the byte count.

        Fail with EBADF, EPERM, EFBIG, EROFS, ESTALE or ENOSPC, or raise StoreError.
        """
        return self.write_node(self.writable(handle), offset, data)

    def write_node(
        self, node: FileNode, offset: int, data: bytes | memoryview, *, is_late: bool = False
    ) -> int:
        """Write at `offset` of a file that may be written; return the byte count.

        With `is_late`, the bytes were stored through a mapping at some time before.  Fail with
        EFBIG, EROFS, ESTALE or ENOSPC, or raise StoreError.
        """
        if offset + len(data) > FILE_MAX_BYTES:
            raise PosixError(errno.EFBIG)
        # A changed file was checked when it changed first; `raw` is the entry of an unchanged one.
        if node.raw is not None or self._filesystem.failure is not None:
            self._filesystem.check_writable(node)
        self._room.take(len(data))
        node.touch()
        self._contents.write(node, offset, data)
        node.ctime_ns = now_ns = self._clock.now_ns()
        if not is_late or self.late.moves_time_of(node):
            node.mtime_ns = now_ns
        if not node.opens:
            # The kernel opened it, and can read it without a request from now on.
            node.workspace.read_ns = max(node.workspace.read_ns, now_ns)
        return len(data)

    def truncate(self, node: FileNode, size: int) -> None:
        """Set the size of a file.  Fail with EFBIG, or raise StoreError."""
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
        groups, is not the file's.

        Fail with EBADF, EFBIG, EROFS, ENOSPC or EOPNOTSUPP, or raise StoreError.
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
        if not mode & _PUNCH_HOLE:
            self._contents.fill(node, offset, end)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()

    def seek(self, handle: Handle, offset: int, whence: int) -> int:
        """Return the offset of the next data or hole, as lseek(2) does.

        `whence` is SEEK_DATA or SEEK_HOLE.  Fail with ENXIO or EINVAL, or raise StoreError.
        """
        if not isinstance(handle, FileHandle) or whence not in (os.SEEK_DATA, os.SEEK_HOLE):
            raise PosixError(errno.EINVAL)
        node = handle.node
        if offset >= node.file_size:
            raise PosixError(errno.ENXIO)
        parts, size = self._contents.parts_of(node), node.file_size
        # The end of a file counts as a hole.
        if whence == os.SEEK_HOLE:
            if parts:
                return next_hole(parts, offset)
            return next_hole_block(node.hole_blocks, offset, size)
        if parts:
            found = next_data(parts, offset)
        else:
            found = next_data_block(node.hole_blocks, offset, size)
        if found >= size:
            raise PosixError(errno.ENXIO)
        return found

    def copy(self, source: Handle, offset: int, target: Handle, at: int, length: int) -> int:
        """Copy a range as copy_file_range(2) does; return the number of bytes copied.

        It may be smaller than `length`.  Files of other branches and of snapshots can be copied
        from, too.

        Fail with EBADF, EFBIG, EROFS or ENOSPC, or raise StoreError.  Fail with EXDEV if one of the
        two is no file of a workspace: then the kernel reads and writes the bytes itself.
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
        copied = copy(self._contents, source.node, offset, node, at, length)
        node.mtime_ns = node.ctime_ns = self._clock.now_ns()
        return copied

    def set_attributes(self, node: StatInode, wanted: SetAttributes) -> None:
        """Set attributes, as chmod, chown, truncate and utimensat do.

        Fail with EROFS, EPERM, EISDIR, EINVAL or EFBIG, or raise StoreError.
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
                    self.late.remove(handle.node)
            handle.node.workspace.handles -= 1
        elif isinstance(handle, ChannelHandle) and handle.is_reader:
            handle.node.readers -= 1
        self._filesystem.reclaim(node)

    def _add(self, handle: Handle) -> int:
        fh = self._next
        self._next += 1
        self.handles[fh] = handle
        handle.node.open()
        return fh


def without_set_id(mode: int) -> int:
    """Return the mode of a file after a change by a user without CAP_FSETID.

    The rule is that of `setattr_should_drop_sgid` in fs/attr.c.
    """
    drop = stat.S_ISUID
    if mode & stat.S_IXGRP:
        drop |= stat.S_ISGID
    return mode & ~drop
