"""Take in what lies in a directory of another file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from heliosfs.errors import NotPermitted
from heliosfs.objects.tree import clamp_time
from heliosfs.store.base import Store
from heliosfs.workspace.node import DirNode, FileNode, LeafNode, Node
from heliosfs.workspace.workspace import Workspace

_READ_BYTES = 1024 * 1024
_BACKLOG_BYTES = 128 * 1024 * 1024


def ingest(
    workspace: Workspace,
    dir_fd: int,
    skip: frozenset[bytes] = frozenset({b".helios"}),
    progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Copy everything below the open directory into an empty workspace, and count the files.

    `skip` names what is left out, at any depth.  Modes, owners, times, links, hard links and
    user xattrs come along.  NotPermitted names what cannot be read.
    """
    return _Ingest(workspace, progress).run(dir_fd, skip)


class _Frame:
    """A directory that is being read, and what of it is left."""

    __slots__ = ("fd", "names", "node")

    def __init__(self, fd: int, node: DirNode, skip: frozenset[bytes]) -> None:
        self.fd = fd
        self.node = node
        self.names = iter(sorted({os.fsencode(name) for name in os.listdir(fd)} - skip))


def drain(store: Store) -> None:
    """Move what is published into L2 at once, for callers that have nobody waiting."""
    work = store.plan_drain()
    if work is not None:
        try:
            work.execute()
        finally:
            work.apply()


class _Ingest:
    def __init__(self, workspace: Workspace, progress: Callable[[int], None]) -> None:
        self._workspace = workspace
        self._progress = progress
        self._seen: dict[tuple[int, int], LeafNode] = {}
        self._count = 0

    def run(self, dir_fd: int, skip: frozenset[bytes]) -> int:
        """Depth first, without recursion: a tree may be deeper than Python's stack."""
        root = self._workspace.root
        frames = [_Frame(_open(dir_fd, b".", os.O_DIRECTORY), root, skip)]
        try:
            while frames:
                frame = frames[-1]
                name = next(frame.names, None)
                if name is None:
                    self._attributes(frame.node, os.stat(frame.fd), frame.fd, b".")
                    os.close(frames.pop().fd)
                else:
                    node = self._child(frame.fd, name, frame.node)
                    if isinstance(node, DirNode):
                        fd = _open(frame.fd, name, os.O_DIRECTORY)
                        frames.append(_Frame(fd, node, skip))
        finally:
            for frame in frames:
                os.close(frame.fd)
        return self._count

    def _child(self, fd: int, name: bytes, parent: DirNode) -> Node | None:
        workspace = self._workspace
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._seen:
            workspace.link(self._seen[key], parent, name)
            return None
        target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else b""
        rdev = status.st_rdev if stat.S_IFMT(status.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0
        node = workspace.create(
            parent, name, status.st_mode, status.st_uid, status.st_gid, target=target, rdev=rdev
        )
        if isinstance(node, LeafNode):
            if isinstance(node, FileNode):
                self._bytes(fd, name, node)
            self._count += 1
            self._progress(self._count)
            if status.st_nlink > 1:
                self._seen[key] = node
            self._attributes(node, status, fd, name)
        return node

    def _bytes(self, fd: int, name: bytes, node: FileNode) -> None:
        file = _open(fd, name, 0)
        try:
            offset = 0
            while data := os.read(file, _READ_BYTES):
                self._workspace.contents.write(node, offset, data)
                offset += len(data)
        finally:
            os.close(file)
        if self._workspace.store.pending_bytes > _BACKLOG_BYTES:
            drain(self._workspace.store)

    def _attributes(self, node: Node, status: os.stat_result, fd: int, name: bytes) -> None:
        node.touch()
        node.mode = status.st_mode
        node.uid, node.gid = status.st_uid, status.st_gid
        node.mtime_ns = clamp_time(status.st_mtime_ns)
        node.atime_ns = clamp_time(status.st_atime_ns)
        node.xattrs = _user_xattrs(fd, name, status.st_mode) or None


def _open(dir_fd: int, path: bytes, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=dir_fd)
    except PermissionError as error:
        raise NotPermitted(f"cannot read {os.fsdecode(path)!r}: permission denied") from error


def _user_xattrs(fd: int, name: bytes, mode: int) -> dict[bytes, bytes]:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return {}
    path = b"/proc/self/fd/%d/%s" % (fd, name)
    try:
        names = [os.fsencode(each) for each in os.listxattr(path)]
        return {each: os.getxattr(path, each) for each in names if each.startswith(b"user.")}
    except OSError:
        return {}
