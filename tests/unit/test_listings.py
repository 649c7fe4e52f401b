"""Listings: what the kernel keeps of them, and what it is told to forget before it could."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from heliosfs.daemon.listing_requests import ListingRequests
from heliosfs.fuse import wire
from heliosfs.fuse.wire import Opcode
from heliosfs.vfs import listings
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.naming import Naming
from heliosfs.workspace.nodes import DirNode
from tests.tree_builder import Stage

SIZE = 4096


class WatchedChanges:
    """Stand-in for the kernel, and for all that listings do not need."""

    is_calm = True

    def __init__(self) -> None:
        self.forgotten: list[int] = []
        self.change: Callable[[], None] = self.look
        """Function that is called while the kernel is told."""

    def look(self) -> None: ...

    def run(self) -> None: ...

    async def forget_listings(self, inodes: Iterable[int]) -> None:
        self.forgotten += inodes
        self.change()


class Listed:
    """A directory of some files, listed as the kernel does it."""

    def __init__(self, count: int = 5) -> None:
        stage = Stage()
        for number in range(count):
            stage.files.write(b"d/%d" % number, b"")
        self.filesystem = FileSystem(stage.repository)
        self.told = WatchedChanges()
        told: Any = self.told
        self.requests = ListingRequests(self.filesystem, told, told)
        root = stage.repository.root.workspace.root
        found = self.filesystem.lookup(root, b"d")
        assert isinstance(found, DirNode)
        self.directory = found

    def ask(self, start: int, node: Any = None) -> Any:
        head = struct.pack("=IIQQIIII", 0, Opcode.READDIRPLUS, 2, 0, 0, 0, 0, 0)
        message = bytearray(head + wire.TRANSFER.pack(0, start, SIZE) + bytes(20))
        ino = (node or self.directory).ino
        return self.requests.handlers[Opcode.READDIRPLUS](ino, message, len(message))

    def part(self, start: int, node: Any = None) -> tuple[list[bytes], Any]:
        """The names of one answer, and the position behind them; or none, and that answer."""
        answer = self.ask(start, node)
        if not isinstance(answer, bytes) or not answer:
            return [], answer
        names: list[bytes] = []
        at = 0
        while at < len(answer):
            _, start, length, _ = wire.DIRENT.unpack_from(answer, at + wire.ENTRY_BYTES)
            name_at = at + wire.ENTRY_BYTES + wire.DIRENT.size
            names.append(answer[name_at : name_at + length])
            at += wire.ENTRY_BYTES + wire.padded(wire.DIRENT.size + length)
        return names, start

    def parts(self, node: Any = None, start: int = 0) -> tuple[list[bytes], Any]:
        """All names, and the answer that nothing follows."""
        names: list[bytes] = []
        while True:
            part, then = self.part(start, node)
            if not part:
                return names, then
            names += part
            start = then


def finish(answer: Any) -> bytes:
    """The answer of a coroutine that waits for nothing."""
    assert isinstance(answer, Coroutine)
    with pytest.raises(StopIteration) as stopped:
        answer.send(None)
    data = stopped.value.value
    assert isinstance(data, bytes)
    return data


def test_an_unchanged_directory_is_kept() -> None:
    listed = Listed(100)
    names, end = listed.parts()
    assert sorted(names) == sorted([b".", b"..", *(b"%d" % number for number in range(100))])
    assert (end, listed.told.forgotten) == (b"", [])


def test_what_changed_unseen_is_forgotten_before_the_end_is_told() -> None:
    listed = Listed()
    listed.directory.is_listing_stale = True
    listed.told.is_calm = False
    for _ in range(2):
        _, end = listed.parts()
        assert listed.told.forgotten == []
        assert finish(end) == b""
        assert listed.told.forgotten.pop() == listed.directory.ino
    listed.told.is_calm = True
    _, end = listed.parts()
    finish(end)
    assert listed.told.forgotten.pop() == listed.directory.ino
    assert listed.parts()[1] == b""


def test_a_change_while_the_end_is_told_is_not_lost() -> None:
    listed = Listed()
    listed.directory.is_listing_stale = True
    _, end = listed.parts()
    listed.told.change = lambda: setattr(listed.directory, "is_listing_stale", True)
    finish(end)
    assert listed.directory.is_listing_stale


@pytest.mark.parametrize("name", [b"snapshots", b"branches"])
def test_what_comes_and_goes_is_never_kept(name: bytes) -> None:
    listed = Listed()
    dot = listed.filesystem.lookup(listed.filesystem.repository.root.workspace.root, b".helios")
    assert dot is not None
    directory = listed.filesystem.lookup(dot, name)
    for _ in range(2):
        finish(listed.parts(directory)[1])
    assert len(listed.told.forgotten) == 2
    assert listed.parts(listed.filesystem.lookup(dot, b"ctl"))[1] == b""


def test_listings_that_are_given_up_are_not_remembered_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listings, "_LISTINGS_MAX", 1)
    listed = Listed(100)
    other = Naming(listed.filesystem).create(listed.directory, b"other", 0o40755, 0, 0)
    Naming(listed.filesystem).create(other, b"file", 0o100644, 0, 0)
    whole = listed.parts()[0]
    first, last = listed.part(0)
    assert set(listed.parts(other)[0]) == {b".", b"..", b"file"}
    # Its names are sorted anew, and a position means what it meant.
    assert first + listed.parts(start=last)[0] == whole
