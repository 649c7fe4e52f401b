"""The same system calls twice: on a real directory, and on our file system without a mount.

`Ours` does what the kernel does before it asks a file system: it walks a path, refuses what
needs no request, and counts the references that it holds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliosfs.errors import PosixError
from heliosfs.repo.repository import Repository
from heliosfs.vfs.files import Files, SetAttributes
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.handles import FileHandle
from heliosfs.vfs.naming import Naming
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Node, SymlinkNode

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
PathBytes = tuple[bytes, ...]

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100


@dataclass(slots=True)
class Status:
    """Attributes of one file that are compared; `group` is equal for the names of one file."""

    mode: int
    uid: int
    gid: int
    links: int
    size: int
    rdev: int
    set_mtime_ns: int
    """The modification time if a program set it, else 0."""
    group: int
    content: bytes = b""
    children: dict[bytes, Status] = field(default_factory=dict)


SET_BEFORE_NS = 10**18
"""Times that programs set lie before this moment of 2001, those of changes after it."""


class Real:
    """System calls below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)

    def path(self, path: PathBytes) -> bytes:
        return b"/".join((self.root, *path))

    def mkdir(self, path: PathBytes, mode: int) -> None:
        os.mkdir(self.path(path), mode)

    def mknod(self, path: PathBytes, mode: int, rdev: int) -> None:
        os.mknod(self.path(path), mode, rdev)

    def symlink(self, target: bytes, path: PathBytes) -> None:
        os.symlink(target, self.path(path))

    def link(self, old: PathBytes, new: PathBytes) -> None:
        os.link(self.path(old), self.path(new), follow_symlinks=False)

    def unlink(self, path: PathBytes) -> None:
        os.unlink(self.path(path))

    def rmdir(self, path: PathBytes) -> None:
        os.rmdir(self.path(path))

    def rename(self, old: PathBytes, new: PathBytes, flags: int) -> None:
        if _libc.renameat2(_AT_FDCWD, self.path(old), _AT_FDCWD, self.path(new), flags) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    def open(self, path: PathBytes, flags: int, mode: int) -> int:
        return os.open(self.path(path), flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)

    def opens_content(self, path: PathBytes) -> bool:
        """Return True if an open of the path, should it succeed, is that of a regular file."""
        try:
            kind = stat.S_IFMT(os.lstat(self.path(path)).st_mode)
        except OSError:
            return True
        return kind in (stat.S_IFREG, stat.S_IFLNK)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def append(self, fd: int, data: bytes) -> int:
        return os.pwrite(fd, data, os.fstat(fd).st_size)

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def fstat(self, fd: int) -> tuple[int, int]:
        """Size and link count."""
        status = os.fstat(fd)
        return status.st_size, status.st_nlink

    def chmod(self, path: PathBytes, mode: int) -> None:
        if not stat.S_ISLNK(os.lstat(self.path(path)).st_mode):
            os.chmod(self.path(path), mode)

    def chown(self, path: PathBytes, uid: int, gid: int) -> None:
        os.chown(self.path(path), uid, gid, follow_symlinks=False)

    def utimens(self, path: PathBytes, mtime_ns: int) -> None:
        os.utime(self.path(path), ns=(0, mtime_ns), follow_symlinks=False)

    def readlink(self, path: PathBytes) -> bytes:
        return os.readlink(self.path(path))

    def listdir(self, path: PathBytes) -> list[bytes]:
        fd = os.open(self.path(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            return sorted(map(os.fsencode, os.listdir(fd)))
        finally:
            os.close(fd)

    def read_tree(self) -> Status:
        return self._read(self.root)

    def _read(self, path: bytes) -> Status:
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        read = Status(
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_nlink,
            0 if kind == stat.S_IFDIR else status.st_size,
            status.st_rdev,
            status.st_mtime_ns if status.st_mtime_ns < SET_BEFORE_NS else 0,
            status.st_ino,
        )
        if kind == stat.S_IFREG:
            read.content = Path(os.fsdecode(path)).read_bytes()
        elif kind == stat.S_IFLNK:
            read.content = os.readlink(path)
        elif kind == stat.S_IFDIR:
            read.children = {name: self._read(path + b"/" + name) for name in os.listdir(path)}
        return read


class Ours:
    """The same calls on a file system."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.filesystem = FileSystem(repository)
        self.naming = Naming(self.filesystem)
        self.files = Files(self.filesystem)
        self.write_only: set[int] = set()

    @property
    def root(self) -> DirNode:
        return self.repository.root.workspace.root

    def walk(self, path: PathBytes) -> Any:
        """The node at a path.  No symbolic link here leads anywhere, so following is ENOENT."""
        node: Any = self.root
        for name in path:
            if isinstance(node, SymlinkNode):
                raise PosixError(errno.ENOENT)
            if not isinstance(node, DirNode):
                raise PosixError(errno.ENOTDIR)
            node = self._lookup(node, name)
            if node is None:
                raise PosixError(errno.ENOENT)
        return node

    def _lookup(self, directory: DirNode, name: bytes) -> Any:
        node = self.filesystem.lookup(directory, name)
        if node is not None:
            node.lookups += 1
        else:
            directory.misses.add(name)
        return node

    def parent(self, path: PathBytes) -> tuple[DirNode, bytes]:
        node = self.walk(path[:-1])
        if isinstance(node, SymlinkNode):
            raise PosixError(errno.ENOENT)
        if not isinstance(node, DirNode):
            raise PosixError(errno.ENOTDIR)
        return node, path[-1]

    def listdir(self, path: PathBytes) -> list[bytes]:
        """readdirplus: every child that it shows is a reference that the kernel holds."""
        directory = self.walk(path)
        if not isinstance(directory, DirNode):
            raise PosixError(errno.ENOTDIR)
        found = [name for name in self.filesystem.names(directory) if name != b".helios"]
        for name in found:
            child = self.filesystem.peek(directory, name)
            assert child is not None
            child.refer()
        return sorted(found)

    def forget(self) -> None:
        """The kernel drops every reference that it holds."""
        for node in list(self.filesystem.nodes.values()):
            if node is not self.root and node.lookups:
                self.filesystem.forget(node.ino, node.lookups)

    def _create(self, path: PathBytes, mode: int, target: bytes = b"", rdev: int = 0) -> Node:
        directory, name = self.parent(path)
        if self._lookup(directory, name) is not None:
            raise PosixError(errno.EEXIST)
        node = self.naming.create(directory, name, mode, 0, 0, target=target, rdev=rdev)
        node.lookups += 1
        return node

    def mkdir(self, path: PathBytes, mode: int) -> None:
        # mkdir(2): of the bits above the permissions, Linux takes only the sticky one.
        self._create(path, stat.S_IFDIR | mode & 0o1777)

    def mknod(self, path: PathBytes, mode: int, rdev: int) -> None:
        self._create(path, mode, rdev=rdev)

    def symlink(self, target: bytes, path: PathBytes) -> None:
        self._create(path, stat.S_IFLNK | 0o777, target)

    def link(self, old: PathBytes, new: PathBytes) -> None:
        node = self.walk(old)
        directory, name = self.parent(new)
        if self._lookup(directory, name) is not None:
            raise PosixError(errno.EEXIST)
        self.naming.link(node, directory, name).lookups += 1

    def unlink(self, path: PathBytes) -> None:
        self.naming.unlink(*self.parent(path))

    def rmdir(self, path: PathBytes) -> None:
        self.naming.rmdir(*self.parent(path))

    def rename(self, old: PathBytes, new: PathBytes, flags: int) -> None:
        source, name = self.parent(old)
        target, new_name = self.parent(new)
        # fs/namei.c looks the old name up first, and refuses a target above the source itself.
        if self._lookup(source, name) is None:
            raise PosixError(errno.ENOENT)
        there = self._lookup(target, new_name)
        if there and not flags and is_within(source, there):
            raise PosixError(errno.ENOTEMPTY)
        self.naming.rename(source, name, target, new_name, flags)

    def open(self, path: PathBytes, flags: int, mode: int) -> int:
        directory, name = self.parent(path)
        node = self._lookup(directory, name)
        if node is None:
            if not flags & os.O_CREAT:
                raise PosixError(errno.ENOENT)
            made = self._create(path, stat.S_IFREG | mode)
            assert isinstance(made, FileNode)
            return self.files.open_node(made, writing=True)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise PosixError(errno.EEXIST)
        if isinstance(node, SymlinkNode):
            raise PosixError(errno.ELOOP)
        if isinstance(node, DirNode) and flags & (os.O_CREAT | os.O_ACCMODE):
            raise PosixError(errno.EISDIR)
        fh = self.files.open(node, flags)
        if flags & os.O_ACCMODE == os.O_WRONLY:
            self.write_only.add(fh)
        return fh

    def close(self, fh: int) -> None:
        self.files.release(fh)

    def pread(self, fh: int, length: int, offset: int) -> bytes:
        if fh in self.write_only:
            raise PosixError(errno.EBADF)
        return bytes(self.files.read(self.files.handles[fh], offset, length))

    def pwrite(self, fh: int, data: bytes, offset: int) -> int:
        return self.files.write(self.files.handles[fh], offset, data)

    def append(self, fh: int, data: bytes) -> int:
        handle = self.files.handles[fh]
        return self.files.write(handle, handle.node.size, data)

    def ftruncate(self, fh: int, size: int) -> None:
        handle = self.files.handles[fh]
        assert isinstance(handle, FileHandle)
        if not handle.is_writer:
            raise PosixError(errno.EINVAL)
        self.files.set_attributes(handle.node, SetAttributes(size=size))

    def fstat(self, fh: int) -> tuple[int, int]:
        node = self.files.handles[fh].node
        return node.size, node.link_count

    def chmod(self, path: PathBytes, mode: int) -> None:
        node = self.walk(path)
        if not isinstance(node, SymlinkNode):
            self.files.set_attributes(node, SetAttributes(mode=mode))

    def chown(self, path: PathBytes, uid: int, gid: int) -> None:
        node = self.walk(path)
        mode = None
        if isinstance(node, LeafNode) and not isinstance(node, SymlinkNode):
            # chown(2): the kernel asks for these bits to go together with the owner.
            mode = node.mode & ~stat.S_ISUID
            if node.mode & stat.S_IXGRP:
                mode &= ~stat.S_ISGID
        self.files.set_attributes(node, SetAttributes(uid=uid, gid=gid, mode=mode))

    def utimens(self, path: PathBytes, mtime_ns: int) -> None:
        self.files.set_attributes(self.walk(path), SetAttributes(atime_ns=0, mtime_ns=mtime_ns))

    def readlink(self, path: PathBytes) -> bytes:
        return self.filesystem.readlink(self.walk(path))

    def read_tree(self) -> Status:
        return self._read(self.root)

    def _read(self, node: Node) -> Status:
        read = Status(
            node.mode,
            node.uid,
            node.gid,
            node.link_count,
            0 if isinstance(node, DirNode) else node.size,
            node.rdev,
            node.mtime_ns if node.mtime_ns < SET_BEFORE_NS else 0,
            node.ino,
        )
        if isinstance(node, FileNode):
            read.content = bytes(self.repository.working_set.read(node, 0, node.size + 1))
        elif isinstance(node, SymlinkNode):
            read.content = self.filesystem.readlink(node)
        elif isinstance(node, DirNode):
            for name in self.filesystem.names(node):
                child = self.filesystem.lookup(node, name)
                if isinstance(child, Node):
                    assert child.workspace is node.workspace
                    read.children[name] = self._read(child)
        return read


def is_within(directory: DirNode, above: object) -> bool:
    """Return True if `directory` is `above` or lies in it."""
    place: DirNode | None = directory
    while place is not None and place is not above:
        place = place.parent
    return place is not None


def compare(real: Status, ours: Status) -> None:
    """Assert that two trees are equal, with the same files under the same names."""
    groups: dict[int, int] = {}
    pending: list[tuple[PathBytes, Status, Status]] = [((), real, ours)]
    while pending:
        path, left, right = pending.pop()
        assert sorted(left.children) == sorted(right.children), path
        pending += [
            ((*path, name), child, right.children[name]) for name, child in left.children.items()
        ]
        assert groups.setdefault(left.group, right.group) == right.group, path
        assert _shown(left) == _shown(right), path
        assert left.content == right.content, path
    assert len(set(groups.values())) == len(groups)


def _shown(status: Status) -> tuple[object, ...]:
    return (
        oct(status.mode),
        status.uid,
        status.gid,
        status.links,
        status.size,
        status.rdev,
        status.set_mtime_ns,
    )
