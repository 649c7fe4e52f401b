"""Requests that a thread pretends, for watchers: they alter nothing, and nobody sees them."""

from __future__ import annotations

import stat
import struct
from typing import Any

import pytest

from heliosfs.daemon.name_requests import NameRequests
from heliosfs.daemon.node_requests import NodeRequests
from heliosfs.daemon.pretended_requests import PretendedName, PretendedRequests
from heliosfs.errors import PosixError
from heliosfs.fuse.wire import KIND_AT, SETATTR, Opcode, Valid
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.naming import Naming
from tests.tree_builder import Stage

NOTIFIER, OTHER = 77, 78
NODE, DIRECTORY = struct.pack("=IIII", 0o100600, 0, 0, 0), struct.pack("=II", 0o700, 0)
ENTRY_HOLDS = struct.Struct("=QQQQ")


class Beside:
    """Stand-in for keeper, trimmer and notices."""

    is_idle = True

    def touch(self) -> None: ...
    def look(self) -> None: ...
    def attributes(self, ino: int) -> None: ...


class Asked:
    """A tree with a file and a directory, and the handlers over it while a thread tells."""

    def __init__(self) -> None:
        self.filesystem = FileSystem(Stage().repository)
        beside: Any = Beside()
        files = Files(self.filesystem)
        self.handlers = {
            **NameRequests(self.filesystem, files, beside, beside, beside).handlers,
            **NodeRequests(self.filesystem, files, beside, beside).handlers,
        }
        self.usual = dict(self.handlers)
        self.root = self.filesystem.repository.root.workspace.root
        naming = Naming(self.filesystem)
        self.file = naming.create(self.root, b"file", stat.S_IFREG | 0o644, 0, 0)
        self.link = naming.create(self.root, b"link", stat.S_IFLNK | 0o777, 0, 0, target=b"x")
        self.directory = naming.create(self.root, b"d", stat.S_IFDIR | 0o755, 0, 0)
        self.pretended = PretendedRequests(self.filesystem, self.handlers)
        self.pretended.install()
        self.pretended.notifier_thread = NOTIFIER

    def __call__(self, opcode: Opcode, body: bytes, pid: int = NOTIFIER, ino: int = 0) -> Any:
        """The answer, or the name of an errno."""
        head = struct.pack("=IIQQIIII", 0, opcode, 2, ino or self.root.ino, 0, 0, pid, 0)
        try:
            return self.handlers[opcode](
                ino or self.root.ino, bytearray(head + body), 40 + len(body)
            )
        except PosixError as error:
            return error.errno

    def names(self) -> list[bytes]:
        return sorted(self.filesystem.names(self.root))


@pytest.fixture
def asked() -> Asked:
    return Asked()


ENOENT, EEXIST = 2, 17


def test_what_came_is_missing_until_its_creation_is_answered(asked: Asked) -> None:
    for name, node, opcode, body in (
        (b"file", asked.file, Opcode.MKNOD, NODE + b"file\0"),
        (b"d", asked.directory, Opcode.MKDIR, DIRECTORY + b"d\0"),
        (b"link", asked.link, Opcode.SYMLINK, b"link\0.\0"),
    ):
        asked.pretended.scene = PretendedName(asked.root.ino, name)
        assert asked(Opcode.LOOKUP, name + b"\0") == ENOENT
        assert node.lookups == 0
        assert asked(opcode, body, OTHER) == EEXIST
        created = asked(opcode, body)
        assert ENTRY_HOLDS.unpack_from(created)[0] == node.ino
        assert node.lookups == 1
        # What the kernel knows is never missing.
        for pid in (OTHER, NOTIFIER):
            found = asked(Opcode.LOOKUP, name + b"\0", pid)
            assert ENTRY_HOLDS.unpack_from(found)[0] == node.ino
    assert asked.pretended.is_known
    assert asked.names() == [b"d", b"file", b"link"]


def test_what_is_not_there_or_of_another_kind_is_not_created(asked: Asked) -> None:
    assert asked(Opcode.MKNOD, NODE + b"none\0") == ENOENT
    assert asked(Opcode.MKNOD, NODE + b"d\0") == ENOENT
    assert asked(Opcode.MKDIR, DIRECTORY + b"file\0") == ENOENT
    assert asked(Opcode.SYMLINK, b"file\0.\0") == ENOENT
    assert asked.file.lookups == asked.directory.lookups == 0
    assert asked.names() == [b"d", b"file", b"link"]


@pytest.mark.parametrize(
    ("kind", "opcode"), [(stat.S_IFREG, Opcode.UNLINK), (stat.S_IFDIR, Opcode.RMDIR)]
)
def test_what_went_leads_to_nothing_until_it_is_removed(
    asked: Asked, kind: int, opcode: Opcode
) -> None:
    asked.pretended.scene = PretendedName(asked.root.ino, b"gone", kind)
    found = asked(Opcode.LOOKUP, b"gone\0")
    ino, _, name_holds, attributes_hold = ENTRY_HOLDS.unpack_from(found)
    assert ino not in asked.filesystem.nodes and (name_holds, attributes_hold) == (0, 0)
    assert found[KIND_AT] >> 4 == kind >> 12
    # To others it is missing, and what they make of it is kept.
    assert ENTRY_HOLDS.unpack_from(asked(Opcode.LOOKUP, b"gone\0", OTHER))[0] == 0
    assert asked(opcode, b"gone\0", OTHER) == ENOENT
    assert asked(opcode, b"gone\0") == b""
    asked.filesystem.forget(ino, 1)
    assert isinstance(asked(Opcode.MKNOD, NODE + b"gone\0", OTHER), bytes)
    assert asked(Opcode.LOOKUP, b"gone\0") == ENOENT
    assert asked(opcode, b"gone\0") == ENOENT
    assert b"gone" in asked.names()


def test_attributes_are_not_set(asked: Asked) -> None:
    before = asked.file.mtime_ns, asked.file.ctime_ns, asked.file.mode
    body = SETATTR.pack(Valid.MODE | Valid.MTIME, 0, 0, 0, 0, 5, 5, 0, 0, 0, 0, 0o777, 0, 0, 0)
    assert isinstance(asked(Opcode.SETATTR, body, ino=asked.file.ino), bytes)
    assert (asked.file.mtime_ns, asked.file.ctime_ns, asked.file.mode) == before
    assert asked(Opcode.SETATTR, body, OTHER, asked.file.ino) != b""
    assert asked.file.mode == stat.S_IFREG | 0o777
    assert asked.file.mtime_ns == 5 * 10**9


def test_the_handlers_come_back(asked: Asked) -> None:
    assert asked.handlers != asked.usual
    asked.pretended.uninstall()
    assert asked.handlers == asked.usual


def test_other_names_of_the_thread_are_as_ever(asked: Asked) -> None:
    asked.pretended.scene = PretendedName(asked.root.ino, b"gone", stat.S_IFREG)
    assert ENTRY_HOLDS.unpack_from(asked(Opcode.LOOKUP, b"file\0"))[0] == asked.file.ino
    asked.pretended.scene = PretendedName(asked.directory.ino, b"file")
    assert ENTRY_HOLDS.unpack_from(asked(Opcode.LOOKUP, b"file\0"))[0] == asked.file.ino
    assert not asked.pretended.is_known
