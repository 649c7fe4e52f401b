"""The form of a file of promises, and the places where such files lie.

A file is written whole, synced and renamed, and never altered:

    HEAD | length of the remote's name 4, packs 4, rows 8 | name | packs | rows | order | BLAKE3
    pack   digest 32 | size 8 | its first place in `order` 8 | number of its rows 4
    row    id 32 | number of its pack 4 | codec 1 | size 4 | stored size 4 | offset 8

Rows are in order of the ids, and found by bisection in a map of the file: 5 us.  `order` has the
number of each row once more (4 bytes), by pack and offset.  The sum is that of all before it.
"""

from __future__ import annotations

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from blake3 import blake3

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, Oid
from heliosfs.store.directory import Directory, store_errors

HEAD = b"helios-promises\n"
_COUNTS = struct.Struct("<IIQ")
_PACK = struct.Struct(f"<{OID_BYTES}sQQI")
_ROW = struct.Struct(f"<{OID_BYTES}sIBIIQ")
_NUMBER = struct.Struct("<I")
_JOINED_ROWS = 4096

Row = tuple[bytes, int, int, int, int, int]
"""Id, number of the pack, codec, size, stored size, offset."""


class Promise(NamedTuple):
    """A content that a remote has, and its place there."""

    oid: Oid
    remote: str
    pack: bytes
    """Digest of the pack, by which it is named."""
    pack_size: int
    """Bytes of the pack."""
    codec: int
    size: int
    """Bytes of the content."""
    stored_bytes: int
    """Bytes that it takes in the pack."""
    offset: int
    """Place of these bytes in the pack."""


class PromiseFiles(Protocol):
    """The place where files of promises lie."""

    def names(self) -> list[str]:
        """Return the names of all files there, also of others."""

    def open(self, name: str) -> bytes | mmap.mmap:
        """Return the bytes of a file.  Raise StoreError."""

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Make a file, which is on the disk on return, or not there at all.  Raise StoreError."""

    def remove(self, names: Sequence[str]) -> None:
        """Delete files.  Raise StoreError."""


class PromiseFile:
    """One file: the promises of one remote, which never change."""

    def __init__(self, name: str, number: int, data: bytes | mmap.mmap) -> None:
        """Look at the head of a file.  CorruptObject if it cannot be one."""
        self.name, self.number, self.data = name, number, data
        at = len(HEAD) + _COUNTS.size
        if len(data) < at or data[: len(HEAD)] != HEAD:
            raise self.damaged("it has another head")
        length, self.pack_count, self.count = _COUNTS.unpack_from(data, len(HEAD))
        self._packs_at = at + length
        self._rows_at = self._packs_at + self.pack_count * _PACK.size
        self._order_at = self._rows_at + self.count * _ROW.size
        self.end = self._order_at + self.count * _NUMBER.size
        if self.end + OID_BYTES != len(data):
            raise self.damaged("it was cut off")
        self.remote = data[at : self._packs_at].decode("utf-8", "replace")

    def damaged(self, reason: str) -> CorruptObject:
        """Return the error for a file that is not as it was written."""
        return CorruptObject(f"the file {self.name} of the store is damaged: {reason}")

    def number_of(self, oid: Oid) -> int | None:
        """Return the number of the row of an object."""
        found = bisect_left(range(self.count), oid, key=self.oid_at)
        return found if found < self.count and self.oid_at(found) == oid else None

    def oid_at(self, number: int) -> Oid:
        """Return the id in a row."""
        at = self._rows_at + number * _ROW.size
        return Oid(self.data[at : at + OID_BYTES])

    def pack_at(self, number: int) -> tuple[bytes, int, int, int]:
        """Return digest, size, first place in `order` and number of rows of a pack."""
        if number >= self.pack_count:
            raise self.damaged("a row names no pack")
        found: tuple[bytes, int, int, int] = _PACK.unpack_from(
            self.data, self._packs_at + number * _PACK.size
        )
        if found[2] + found[3] > self.count:
            raise self.damaged("a pack has rows that are not there")
        return found

    def row_at(self, number: int) -> Row:
        """Return the fields of a row."""
        if number >= self.count:
            raise self.damaged("a row is named that is not there")
        row: Row = _ROW.unpack_from(self.data, self._rows_at + number * _ROW.size)
        return row

    def promise_at(self, number: int) -> Promise:
        """Return the promise of a row."""
        oid, pack, codec, size, stored, offset = self.row_at(number)
        digest, pack_size, _, _ = self.pack_at(pack)
        return Promise(Oid(oid), self.remote, digest, pack_size, codec, size, stored, offset)

    def ordered(self, place: int) -> Promise:
        """Return the promise at a place in the order of packs and offsets."""
        at = self._order_at + place * _NUMBER.size
        return self.promise_at(_NUMBER.unpack_from(self.data, at)[0])

    def problem(self) -> str | None:
        """Return the reason why the file is not as it was written, after reading all of it."""
        if blake3(memoryview(self.data)[: self.end]).digest() != self.data[self.end :]:
            return f"the file {self.name} is damaged: its bytes have another sum than at its end"
        return None


def written_form(
    remote: str, packs: Sequence[tuple[bytes, int]], rows: Sequence[Row]
) -> list[bytes]:
    """Return the bytes of a file, in pieces: rows in order of the ids, and their packs."""
    order = sorted(range(len(rows)), key=lambda number: (rows[number][1], rows[number][5]))
    counts = [0] * len(packs)
    for row in rows:
        counts[row[1]] += 1
    name, listed, first = remote.encode("utf-8", "replace"), bytearray(), 0
    for (digest, size), count in zip(packs, counts, strict=True):
        listed += _PACK.pack(digest, size, first, count)
        first += count
    parts = [HEAD, _COUNTS.pack(len(name), len(packs), len(rows)), name, bytes(listed)]
    parts += [
        b"".join(_ROW.pack(*row) for row in rows[at : at + _JOINED_ROWS])
        for at in range(0, len(rows), _JOINED_ROWS)
    ]
    parts.append(b"".join(map(_NUMBER.pack, order)))
    whole = blake3()
    for part in parts:
        whole.update(part)
    return [*parts, whole.digest()]


class StoredPromises:
    """Files of promises in the directory of an open store."""

    def __init__(self, directory: Directory) -> None:
        """Keep the directory, which the caller still owns."""
        self._directory = directory

    def names(self) -> list[str]:
        with store_errors("cannot list the files of the store"):
            return self._directory.names()

    def open(self, name: str) -> bytes | mmap.mmap:
        with store_errors(f"cannot read {name}"):
            fd = self._directory.open(name, os.O_RDONLY)
            try:
                size = os.fstat(fd).st_size
                return mmap.mmap(fd, size, access=mmap.ACCESS_READ) if size else b""
            finally:
                os.close(fd)

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        directory, new, at = self._directory, f"{name}.new", 0
        with store_errors(f"cannot write {name}"):
            fd = directory.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                for part in parts:
                    at += directory.write(fd, (part,), at)
                directory.sync(fd)
            except OSError:
                # A disk that is full has better uses for it.
                with suppress(OSError):
                    directory.unlink(new)
                raise
            finally:
                os.close(fd)
            directory.rename(new, name)
            directory.sync_names()

    def remove(self, names: Sequence[str]) -> None:
        with store_errors("cannot delete promises"):
            for name in names:
                # A file that is there once more after a power cut promises what is true.
                with suppress(FileNotFoundError):
                    self._directory.unlink(name)


class MemoryPromises:
    """Files of promises that last as long as the process."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def names(self) -> list[str]:
        return list(self._files)

    def open(self, name: str) -> bytes | mmap.mmap:
        return self._files[name]

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        self._files[name] = b"".join(parts)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            del self._files[name]
