"""The objects of a git repository, one after another, parents and contents in a useful order.

`git rev-list` lists them and `git cat-file --batch` prints them: every commit after its
parents, and before it, or right after it, what it brings that no earlier commit had.
"""

from __future__ import annotations

import os
from binascii import unhexlify
from collections.abc import Callable
from typing import NamedTuple

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX

PIPE_BYTES = 1024 * 1024
FORMAT = "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"
LIST = ("rev-list", "--objects", "--in-commit-order", "--topo-order", "--reverse")

PART = b"part"


class GitObject(NamedTuple):
    """An object as git has it, or a piece of one."""

    kind: bytes
    """`commit`, `tree`, `blob`, `tag`; `part`: the next 128 KiB of the large blob to come."""
    id: bytes
    path: bytes
    """Where it was found first; cut at a newline.  Only good as a hint."""
    data: bytes
    """Empty for a blob of more than `WHOLE_MAX` bytes, whose parts came before it."""
    size: int


class MissingInGit(Exception):
    """What git lists is not there: its id, in hex."""


class CutShort(Exception):
    """Git stopped within an object."""


class ObjectStream:
    """Reads what `git cat-file` prints with `FORMAT`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """`read` gives at most so many of the next bytes, and none at the end."""
        self._read = read
        self._buffer = b""
        self._at = 0
        self._large: tuple[bytes, bytes, int, int] | None = None
        """Id, path, size and bytes still to come of a large blob."""

    def read(self, limit_bytes: int) -> list[GitObject]:
        """The next objects, of about `limit_bytes` in all; none at the end.

        MissingInGit, CutShort.
        """
        objects: list[GitObject] = []
        while limit_bytes > 0:
            if self._large is not None:
                objects.append(self._next_part(*self._large))
                limit_bytes -= PART_BYTES
                continue
            begin = self._at
            end = self._buffer.find(b"\n", begin)
            while end < 0:
                if not self._more():
                    if self._at < len(self._buffer):
                        raise CutShort
                    return objects
                begin = self._at
                end = self._buffer.find(b"\n", begin)
            fields = self._buffer[begin:end].split(b" ", 3)
            if len(fields) < 3:
                raise MissingInGit(fields[0].decode())
            name, kind, size = unhexlify(fields[0]), fields[1], int(fields[2])
            path = fields[3] if len(fields) == 4 else b""
            start = self._at = end + 1
            if kind == b"blob" and size > WHOLE_MAX:
                self._large = (name, path, size, size)
                continue
            end = start + size
            if end < len(self._buffer):
                self._at = end + 1
                data = self._buffer[start:end]
            else:
                data = self._take(size, 1)
            objects.append(GitObject(kind, name, path, data, size))
            limit_bytes -= size + 256
        return objects

    def _next_part(self, name: bytes, path: bytes, size: int, left: int) -> GitObject:
        if not left:
            self._large = None
            self._take(0, 1)
            return GitObject(b"blob", name, path, b"", size)
        length = min(left, PART_BYTES)
        self._large = (name, path, size, left - length)
        return GitObject(PART, name, path, self._take(length, 0), length)

    def _take(self, size: int, skip: int) -> bytes:
        """The next bytes, without the `skip` bytes after them."""
        while len(self._buffer) < self._at + size + skip:
            if not self._more():
                raise CutShort
        end = self._at + size
        data = self._buffer[self._at : end]
        self._at = end + skip
        return data

    def _more(self) -> bool:
        data = self._read(PIPE_BYTES)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return bool(data)


def reader_of(fd: int) -> Callable[[int], bytes]:
    """What `ObjectStream` reads by, of a descriptor."""
    return lambda size: os.read(fd, size)
