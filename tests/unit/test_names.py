"""Requests by name: what the kernel is told beside the answer."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest

from heliosfs.daemon.name_requests import NameRequests
from heliosfs.daemon.node_requests import NodeRequests
from heliosfs.errors import PosixError
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import Opcode
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.nodes import FileNode
from tests.tree_builder import Stage


class Beside:
    """Stand-in for keeper and trimmer."""

    is_idle = True

    def touch(self) -> None: ...
    def look(self) -> None: ...


class Kept(Notices):
    """Notices that are only counted."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.inodes: list[int] = []

    def attributes(self, ino: int) -> None:
        self.inodes.append(ino)


class Asked:
    """The handlers over a tree, called as the dispatcher calls them."""

    def __init__(self) -> None:
        filesystem = self.filesystem = FileSystem(Stage().repository)
        beside: Any = Beside()
        self.notices = Kept()
        files = Files(filesystem)
        self.handlers = {
            **NameRequests(filesystem, files, beside, beside, self.notices).handlers,
            **NodeRequests(filesystem, files, beside, beside).handlers,
        }
        self.root = filesystem.repository.root.workspace.root.ino

    def __call__(self, opcode: Opcode, ino: int, body: bytes, uid: int = 0) -> int:
        """Return the inode that the answer begins with, or 0."""
        message = bytearray(struct.pack("=IIQQIIII", 0, opcode, 2, ino, uid, 0, 0, 0) + body)
        answer = self.handlers[opcode](ino, message, len(message))
        assert isinstance(answer, (bytes, type(None)))
        return struct.unpack_from("=Q", answer)[0] if answer else 0


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_an_answer_that_is_looked_at_late_does_not_stay(asked: Asked) -> None:
    """Each way to change a directory makes the attributes old that were told before."""
    mode = struct.pack("=II", 0o755, 0)
    one = asked(Opcode.MKDIR, asked.root, mode + b"one\0")
    two = asked(Opcode.MKDIR, asked.root, mode + b"two\0")
    file = asked(Opcode.MKNOD, one, struct.pack("=IIII", 0o100644, 0, 0, 0) + b"file\0")
    changes = [
        (Opcode.MKDIR, one, mode + b"sub\0", {one}),
        (Opcode.RMDIR, one, b"sub\0", {one}),
        (Opcode.SYMLINK, one, b"link\0to\0", {one}),
        (Opcode.UNLINK, one, b"link\0", {one}),
        (Opcode.LINK, two, struct.pack("=Q", file) + b"file\0", {two}),
        (Opcode.RENAME, one, struct.pack("=Q", two) + b"file\0moved\0", {one, two}),
        (Opcode.RENAME2, two, struct.pack("=QII", one, 1, 0) + b"moved\0back\0", {one, two}),
        (Opcode.CREATE, two, struct.pack("=IIII", 1, 0o644, 0, 0) + b"new\0", {two}),
    ]
    for opcode, ino, body, changed in changes:
        for directory in (one, two):
            asked(Opcode.GETATTR, directory, bytes(16))
        asked.notices.inodes.clear()
        asked(opcode, ino, body)
        assert set(asked.notices.inodes) == changed, opcode
    # Of what was not asked about since, nothing need be said.
    asked.notices.inodes.clear()
    asked(Opcode.UNLINK, two, b"new\0")
    assert asked.notices.inodes == []


def test_a_name_that_a_checkout_just_made_is_opened(asked: Asked) -> None:
    """`open` with O_CREAT, where the kernel has not heard yet that the name is taken.

    Only its owner, as far as the mode allows it: the kernel checks nothing any more then.
    """
    made = struct.pack("=IIII", 0o100600, 0, 0, 0)
    file = asked(Opcode.MKNOD, asked.root, made + b"file\0")
    read_only = asked(Opcode.MKNOD, asked.root, struct.pack("=IIII", 0o100400, 0, 0, 0) + b"r\0")
    asked(Opcode.MKDIR, asked.root, struct.pack("=II", 0o755, 0) + b"directory\0")

    def create(name: bytes, flags: int, uid: int = 0) -> int | str:
        body = struct.pack("=IIII", flags | os.O_CREAT, 0o644, 0, 0) + name + b"\0"
        try:
            return asked(Opcode.CREATE, asked.root, body, uid)
        except PosixError as error:
            return errno.errorcode[error.errno]

    node = asked.filesystem.nodes[file]
    assert isinstance(node, FileNode)
    before = node.lookups
    assert create(b"file", os.O_WRONLY | os.O_APPEND) == file
    assert node.lookups == before + 1
    asked.filesystem.repository.working_set.write(node, 0, b"some bytes")
    assert create(b"file", os.O_RDONLY) == file
    assert node.file_size == 10
    assert create(b"file", os.O_RDWR | os.O_TRUNC) == file
    assert node.file_size == 0
    assert create(b"r", os.O_RDONLY) == read_only
    assert create(b"r", os.O_WRONLY) == create(b"r", os.O_RDONLY | os.O_TRUNC) == "ESTALE"
    assert create(b"file", os.O_RDONLY, uid=7) == "ESTALE"
    assert create(b"directory", os.O_RDONLY) == "ESTALE"
    assert create(b"file", os.O_WRONLY | os.O_EXCL) == "EEXIST"
