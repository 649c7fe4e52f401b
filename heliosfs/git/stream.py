"""The objects of a git repository, one after another, in a useful order.

`git rev-list` lists them and `git cat-file --batch` prints them: every commit after its parents,
and just before it, or right after it, the objects that no earlier commit had.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import IO, NamedTuple

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX

PIPE_BYTES = 1024 * 1024
FORMAT = "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"
LIST = ("rev-list", "--objects", "--in-commit-order", "--topo-order", "--reverse")

PART = b"part"
_SIZE_MAX = (1 << 31) - 1
"""Largest commit, tree or tag in bytes: one is read whole, and a portion has 32 bits for its
length."""


class GitObject(NamedTuple):
    """An object as git has it, or a part of one."""

    kind: bytes
    """`commit`, `tree`, `blob`, `tag`; or `part`: the next 128 KiB of the large blob that
    follows."""
    id: bytes
    path: bytes
    """Path at which it was found first, cut at a newline; only a hint."""
    data: bytes
    """Bytes of the object; empty for a blob of more than `WHOLE_MAX` bytes, whose parts came before
    it."""
    size: int


class MissingInGit(Exception):
    """An object that git lists is missing; the argument is its id in hex."""


class CutShort(Exception):
    """Git stopped within an object, or printed no object at all."""


class ObjectStream:
    """A reader of the output of `git cat-file` with `FORMAT`."""

    def __init__(self, source: IO[bytes]) -> None:
        """Read from `source`, which must be buffered."""
        self._source = source
        self._large: tuple[bytes, bytes, int, int] | None = None
        """Id, path, size and remaining bytes of a large blob."""

    def read(self, limit_bytes: int) -> list[GitObject]:
        """Return the next objects, of about `limit_bytes` in all; an empty list at the end.

        Raise MissingInGit or CutShort.
        """
        objects: list[GitObject] = []
        read, read_line = self._source.read, self._source.readline
        while limit_bytes > 0:
            if self._large is not None:
                objects.append(self._next_part(*self._large))
                limit_bytes -= PART_BYTES
                continue
            line = read_line()
            if not line:
                break
            fields = line.split(b" ", 3)
            try:
                if len(fields) < 3:
                    raise MissingInGit(fields[0].decode("ascii"))
                name, kind, size = unhexlify(fields[0]), fields[1], int(fields[2])
            except ValueError as error:
                raise CutShort from error
            path = fields[3][:-1] if len(fields) == 4 else b""
            if kind == b"blob" and size > WHOLE_MAX:
                self._large = (name, path, size, size)
                continue
            if not 0 <= size <= _SIZE_MAX:
                raise CutShort
            data = read(size)
            if read(1) != b"\n":
                raise CutShort
            objects.append(tuple.__new__(GitObject, (kind, name, path, data, size)))
            # Empty objects count, too: a portion of them would have no bound.
            limit_bytes -= size + 256
        return objects

    def _next_part(self, name: bytes, path: bytes, size: int, left: int) -> GitObject:
        if not left:
            self._large = None
            if self._source.read(1) != b"\n":
                raise CutShort
            return GitObject(b"blob", name, path, b"", size)
        length = min(left, PART_BYTES)
        self._large = (name, path, size, left - length)
        data = self._source.read(length)
        if len(data) < length:
            raise CutShort
        return GitObject(PART, name, path, data, length)
