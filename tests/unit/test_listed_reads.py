"""Files that were listed are read, and their attributes told, without a node and a copy here."""

from __future__ import annotations

import struct

import pytest

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.service import Service
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import CorruptObject
from heliosfs.fuse import wire
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import Opcode
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import decode_entry, encode_entry
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import Inode
from heliosfs.workspace.nodes import FileNode, Listed
from tests.tree_builder import Stage

DATA = b"some text\n" * 500


class Asked:
    """A mount after its start, with the files of one commit, and requests to it."""

    def __init__(self, **files: bytes) -> None:
        self.stage = stage = Stage()
        for name, data in files.items():
            stage.files.write(name.encode(), data)
        stage.view.commit("files")
        stage.reopen()
        repository = stage.repository
        notices = Notices(-1)
        self.filesystem = FileSystem(repository)
        kernel = Kernel(RequestLoop(), Barrier("/", -1), notices)
        watchers = Watchers(repository, "/", notices)
        service = Service(repository, self.filesystem, kernel, notices, watchers)
        self.handlers = service.handlers

    def listed(self, name: bytes) -> Listed:
        """List the root, as the kernel does, and return what is there for a name."""
        workspace = self.stage.view.workspace
        found = self.filesystem.peek(workspace.root, name)
        assert isinstance(found, Listed)
        found.refer()
        return found

    def node(self, ino: int) -> Inode:
        return self.stage.repository.inodes.nodes[ino]

    def ask(self, opcode: Opcode, ino: int, body: bytes) -> bytes:
        message = bytearray(wire.HEAD.pack(wire.BODY_AT + len(body), opcode, 2, ino))
        message += bytes(wire.BODY_AT - len(message)) + body
        answer = self.handlers[opcode](ino, message, len(message))
        assert isinstance(answer, (bytes, bytearray))
        return bytes(answer)

    def read(self, ino: int, offset: int, length: int) -> bytes:
        return self.ask(Opcode.READ, ino, struct.pack("=QQIIQII", 0, offset, length, 0, 0, 0, 0))

    def attributes(self, ino: int) -> bytes:
        return self.ask(Opcode.GETATTR, ino, bytes(16))


@pytest.mark.parametrize("length", [len(DATA), 8192, 131072])
def test_a_whole_read_leaves_nothing_behind(length: int) -> None:
    asked = Asked(a=DATA)
    ino = asked.listed(b"a").ino
    for _ in range(2):
        assert asked.read(ino, 0, length) == DATA
    assert isinstance(asked.node(ino), Listed)
    assert asked.stage.repository.working_set.account.resident_bytes == 0


@pytest.mark.parametrize(("offset", "length"), [(0, 4096), (4096, 4096), (1, 131072), (5000, 10)])
def test_a_part_takes_a_node(offset: int, length: int) -> None:
    asked = Asked(a=DATA)
    ino = asked.listed(b"a").ino
    assert asked.read(ino, offset, length) == DATA[offset : offset + length]
    assert isinstance(asked.node(ino), FileNode)


def test_a_file_of_several_parts_takes_a_node() -> None:
    data = bytes(WHOLE_MAX) + b"1"
    asked = Asked(a=data)
    ino = asked.listed(b"a").ino
    assert asked.read(ino, 0, len(data)) == data
    assert isinstance(asked.node(ino), FileNode)


def test_a_read_is_noted_for_the_times_of_later_versions() -> None:
    asked = Asked(a=DATA)
    listed = asked.listed(b"a")
    workspace = listed.workspace
    workspace.read_ns = 0
    asked.read(listed.ino, 0, len(DATA))
    assert workspace.read_ns == decode_entry(listed.raw)[0].mtime_ns


def test_the_attributes_are_those_of_the_node() -> None:
    asked = Asked(a=DATA, b=b"")
    for name in (b"a", b"b"):
        listed = asked.listed(name)
        told = asked.attributes(listed.ino)
        assert isinstance(asked.node(listed.ino), Listed)
        node = asked.stage.files.node(name)
        assert node.ino == listed.ino
        assert asked.attributes(node.ino) == told


def test_a_large_file_is_asked_for_its_holes() -> None:
    asked = Asked(a=bytes(WHOLE_MAX + 1))
    ino = asked.listed(b"a").ino
    asked.attributes(ino)
    assert isinstance(asked.node(ino), FileNode)


def test_what_is_written_after_a_read_is_read() -> None:
    asked = Asked(a=DATA)
    ino = asked.listed(b"a").ino
    asked.read(ino, 0, len(DATA))
    head = struct.pack("=QQIIQII", 0, 0, 3, 0, 0, 0, 0)
    asked.ask(Opcode.WRITE, ino, head + b"new")
    assert asked.read(ino, 0, len(DATA)) == b"new" + DATA[3:]


def test_bytes_of_another_size_than_the_entry_are_refused() -> None:
    asked = Asked(a=DATA, b=b"short")
    listed = asked.listed(b"a")
    entry, other = decode_entry(listed.raw)[0], asked.listed(b"b")
    listed.raw = encode_entry(entry._replace(oid=Oid(decode_entry(other.raw)[0].oid)))
    with pytest.raises(CorruptObject, match="has 5 bytes, not 5000"):
        asked.read(listed.ino, 0, len(DATA))
