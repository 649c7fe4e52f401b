"""Copy a directory of another file system into a workspace."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from heliosfs.errors import NotPermitted
from heliosfs.objects.tree import clamp_time
from heliosfs.steps import Progress, Steps, on_thread
from heliosfs.workspace.foreign import SKIPPED
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Node
from heliosfs.workspace.workspace import Workspace

_READ_BYTES = 1024 * 1024
_STAT_BLOCK_BYTES = 512
"""Unit of `st_blocks`; a file with fewer blocks than its size needs may have holes."""


def ingest(
    workspace: Workspace,
    dir_fd: int,
    skip: frozenset[bytes] = SKIPPED,
    is_wanted: Callable[[bytes], bool] = lambda path: True,
) -> Steps[int]:
    """Copy everything below the open directory into an empty workspace, and count the files.

    Names in `skip` are left out at any depth, and paths for which `is_wanted` returns False.
    Modes, owners, times, symbolic and hard links and user xattrs are kept.  Raises NotPermitted,
    which names the file that cannot be read.
    """
    return _Ingest(workspace, is_wanted).run(dir_fd, skip)


class _Found(NamedTuple):
    """Attributes of one name in a directory."""

    name: bytes
    status: os.stat_result
    target: bytes
    """Target of a symbolic link; b"" for other kinds."""
    xattrs: dict[bytes, bytes]


class _Frame:
    """Directory that is being copied, and the names that are left to copy."""

    __slots__ = ("fd", "found", "node", "own", "prefix")

    def __init__(self, fd: int, node: DirNode, prefix: bytes = b"") -> None:
        self.fd = fd
        self.prefix = prefix
        """Path of the directory and a slash; b"" for the top directory."""
        self.node = node
        self.own: _Found | None = None
        self.found: Iterator[_Found] | None = None


class _Ingest:
    def __init__(self, workspace: Workspace, is_wanted: Callable[[bytes], bool]) -> None:
        self._workspace = workspace
        self._is_wanted = is_wanted
        self._seen: dict[tuple[int, int], LeafNode] = {}
        self._count = 0

    def run(self, dir_fd: int, skip: frozenset[bytes]) -> Steps[int]:
        """Copy depth first, without recursion, as a tree may be deeper than Python's stack."""
        frames = [_Frame(_open(dir_fd, b".", os.O_DIRECTORY), self._workspace.root)]
        try:
            while frames:
                frame = frames[-1]
                if frame.found is None:
                    frame.own, found = yield from on_thread(partial(_scan, frame.fd, skip))
                    frame.found = iter(found)
                each = next(frame.found, None)
                if each is None:
                    assert frame.own is not None
                    # Last, because each name that was created in the directory set its time.
                    _attributes(frame.node, frame.own)
                    os.close(frames.pop().fd)
                    continue
                path = frame.prefix + each.name
                if not self._is_wanted(path):
                    continue
                node = self._child(each, frame.node)
                if isinstance(node, DirNode):
                    fd = yield from on_thread(partial(_open, frame.fd, each.name, os.O_DIRECTORY))
                    frames.append(_Frame(fd, node, path + b"/"))
                elif isinstance(node, FileNode):
                    yield from self._bytes(frame.fd, each, node)
                yield Progress(self._count, 0, "files")
        finally:
            for frame in frames:
                os.close(frame.fd)
        return self._count

    def _child(self, found: _Found, parent: DirNode) -> Node | None:
        """Return the new node, or None for a further name of a node that exists already."""
        status = found.status
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._seen:
            # A further name of a file that was copied under another one.
            self._workspace.link(self._seen[key], parent, found.name)
            return None
        rdev = status.st_rdev if stat.S_IFMT(status.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0
        node = self._workspace.create(
            parent,
            found.name,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            target=found.target,
            rdev=rdev,
        )
        if isinstance(node, LeafNode):
            self._count += 1
            if status.st_nlink > 1:
                self._seen[key] = node
            _attributes(node, found)
        return node

    def _bytes(self, dir_fd: int, found: _Found, node: FileNode) -> Steps[None]:
        working_set = self._workspace.working_set
        status = found.status
        read = _read_data if status.st_blocks * _STAT_BLOCK_BYTES < status.st_size else _read
        file = yield from on_thread(partial(_open, dir_fd, found.name, 0))
        try:
            offset = 0
            while True:
                offset, data = yield from on_thread(partial(read, file, offset))
                if not data:
                    break
                working_set.write(node, offset, data)
                offset += len(data)
        finally:
            os.close(file)
        if offset > node.file_size:
            # The file ends in a hole, which has no bytes to write.
            working_set.truncate(node, offset)
        # Once more, because the writes set the time.
        _attributes(node, found)


def _read(file: int, offset: int) -> tuple[int, bytes]:
    """Return `offset` and the bytes there, up to the size of one read; b"" at the end."""
    return offset, os.pread(file, _READ_BYTES, offset)


def _read_data(file: int, offset: int) -> tuple[int, bytes]:
    """Return the offset of the next data that is not a hole, and its bytes; b"" at the end.

    On a file system that does not report holes, all of a file is data (lseek(2)).
    """
    try:
        start = os.lseek(file, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return max(offset, os.fstat(file).st_size), b""
    end = os.lseek(file, start, os.SEEK_HOLE)
    return start, os.pread(file, min(end - start, _READ_BYTES), start)


def _scan(fd: int, skip: frozenset[bytes]) -> tuple[_Found, list[_Found]]:
    """Return the attributes of a directory and of each name in it, except those in `skip`."""
    names = sorted({os.fsencode(name) for name in os.listdir(fd)} - skip)
    return _look(fd, b"."), [_look(fd, name) for name in names]


def _look(fd: int, name: bytes) -> _Found:
    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else b""
    return _Found(name, status, target, _user_xattrs(fd, name, status.st_mode))


def _attributes(node: Node, found: _Found) -> None:
    status = found.status
    node.touch()
    node.mode = status.st_mode
    node.uid, node.gid = status.st_uid, status.st_gid
    node.mtime_ns = clamp_time(status.st_mtime_ns)
    node.atime_ns = clamp_time(status.st_atime_ns)
    node.xattrs = found.xattrs or None


def _open(dir_fd: int, path: bytes, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=dir_fd)
    except PermissionError as error:
        raise NotPermitted(f"cannot read {os.fsdecode(path)!r}: permission denied") from error


def _user_xattrs(fd: int, name: bytes, mode: int) -> dict[bytes, bytes]:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return {}
    # No call takes a descriptor of a directory and a name for extended attributes.
    path = b"/proc/self/fd/%d/%s" % (fd, name)
    try:
        names = [os.fsencode(each) for each in os.listxattr(path)]
        return {each: os.getxattr(path, each) for each in names if each.startswith(b"user.")}
    except OSError:
        return {}
