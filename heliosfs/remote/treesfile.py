"""The object with all new trees and commits of a push, and with the names and rows of its packs.

It is `HEAD`, the counts of its bases, packs and indexes, these, rows of packs (`packtable`), and
then *frames*: groups of whole objects that are compressed together, because a directory and the
same directory one commit later differ in one entry.  At the end is the BLAKE3 of all before it.  It
is named by the commit that was pushed, so its bytes are not what the name promises; each object in
it is known by the id of its bytes alone, and whoever reads it checks that nothing is missing
(`closure`).

Earlier programs wrote `OLD_HEAD`, and of packs only their names: such an object is read, too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, CommitId, Kind, Oid, object_id
from heliosfs.remote.packfile import OBJECT_MAX, PackName, RemoteObject, check_size
from heliosfs.remote.packtable import (
    NAMED_MAX,
    NamedPack,
    PackTable,
    PackTableWriter,
    check_packs,
    read_table,
)
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, encode

HEAD = b"helios-trees 2\n\0"
OLD_HEAD = b"helios-trees 1\n\0"
_COUNT = struct.Struct("<I")
_COUNTS = struct.Struct("<III")
_OLD_COUNTS = struct.Struct("<II")
_OLD_PACK = struct.Struct(f"<{OID_BYTES}sQ")
_FRAME = struct.Struct("<BII")
_RECORD = struct.Struct("<BI")
_KINDS = frozenset(map(int, Kind))
_FRAME_BYTES = 1024 * 1024
"""Bytes from which a frame takes no further object."""
_FRAME_MAX = OBJECT_MAX + _FRAME_BYTES + _RECORD.size
FRAMES_FULL_BYTES = 16 * 1024 * 1024
"""Size of all frames from which further trees go into packs."""
TREES_MAX = 256 * 1024 * 1024
"""Largest object of this form that is read."""


class TreesWriter:
    """Frames that grow in memory; its methods may be called on any thread, one after another."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._frames: list[bytes] = []
        self._frames_bytes = 0

    @property
    def is_full(self) -> bool:
        """True if further objects belong into packs."""
        return self._frames_bytes >= FRAMES_FULL_BYTES

    def add(self, found: RemoteObject) -> None:
        """Add an object.  TooLarge."""
        check_size(found)
        self._waiting += (_RECORD.pack(found.kind, len(found.data)), found.data)
        self._waiting_bytes += _RECORD.size + len(found.data)
        if self._waiting_bytes >= _FRAME_BYTES:
            self._close_frame()

    def _close_frame(self) -> None:
        data = b"".join(self._waiting)
        codec, body = encode(data, prefer_zstd=True)
        frame = _FRAME.pack(codec, len(data), len(body)) + body
        self._frames.append(frame)
        self._frames_bytes += len(frame)
        self._waiting, self._waiting_bytes = [], 0

    def finish(self, bases: Sequence[CommitId], packs: PackTableWriter) -> bytes:
        """Return the bytes of the object."""
        if self._waiting:
            self._close_frame()
        counts, table = packs.finish()
        data = b"".join((HEAD, _COUNT.pack(len(bases)), counts, *bases, table, *self._frames))
        return data + blake3(data).digest()


class PushedTrees(NamedTuple):
    """The head of such an object, and the place of its frames."""

    bases: list[CommitId]
    """Commits that name the objects with the rest of the closure."""
    table: PackTable
    data: bytes
    frames_at: int

    @property
    def packs(self) -> list[NamedPack]:
        """Packs of the push."""
        return self.table.packs


def read_trees(shown: str, data: bytes) -> PushedTrees:
    """Read the head of an object with trees.  CorruptObject."""
    end = len(data) - OID_BYTES
    is_old = data.startswith(OLD_HEAD)
    counts = _OLD_COUNTS if is_old else _COUNTS
    at = len(HEAD) + counts.size
    is_known = is_old or data.startswith(HEAD)
    if end < at or not is_known or blake3(data[:end]).digest() != data[end:]:
        raise CorruptObject(f"{shown} of the remote is damaged or cut off")
    base_count, pack_count, *_ = counts.unpack_from(data, len(HEAD))
    packs_at = at + base_count * OID_BYTES
    if packs_at > end or max(base_count, pack_count) > NAMED_MAX:
        raise CorruptObject(f"{shown} of the remote has an impossible head")
    if is_old:
        table, frames_at = _old_table(shown, data[:end], packs_at, pack_count)
    else:
        table, frames_at = read_table(shown, data[:end], len(HEAD) + _COUNT.size, packs_at)
    check_packs(shown, table.packs)
    bases = [data[place : place + OID_BYTES] for place in range(at, packs_at, OID_BYTES)]
    return PushedTrees([CommitId(Oid(each)) for each in bases], table, data[:end], frames_at)


def replace_bases(trees: PushedTrees, bases: Sequence[CommitId]) -> bytes:
    """Return the bytes of an object with other bases, and the same frames and packs."""
    counts = _OLD_COUNTS if trees.data.startswith(OLD_HEAD) else _COUNTS
    at = len(HEAD) + counts.size
    others = trees.data[len(HEAD) + _COUNT.size : at]
    rest = trees.data[at + len(trees.bases) * OID_BYTES :]
    data = b"".join((trees.data[: len(HEAD)], _COUNT.pack(len(bases)), others, *bases, rest))
    return data + blake3(data).digest()


def _old_table(shown: str, data: bytes, at: int, count: int) -> tuple[PackTable, int]:
    """Read the packs of an object of the first form.  CorruptObject."""
    end = at + count * _OLD_PACK.size
    if end > len(data):
        raise CorruptObject(f"{shown} of the remote has an impossible head")
    names = [PackName(*row) for row in _OLD_PACK.iter_unpack(data[at:end])]
    packs = [NamedPack(name, holds_trees=False, row_count=None) for name in names]
    return PackTable(packs, [], b""), end


def read_frame(shown: str, trees: PushedTrees, at: int) -> tuple[Iterator[RemoteObject], int]:
    """Return the objects of the frame at an offset, and the offset after it.  CorruptObject.

    They are made one by one, for a frame of a few KB can hold millions of them.
    """
    data, body_at = trees.data, at + _FRAME.size
    if body_at > len(data):
        raise CorruptObject(f"{shown} of the remote ends within a frame")
    codec, size, stored = _FRAME.unpack_from(data, at)
    end = body_at + stored
    if codec not in (Codec.RAW, Codec.LZ4, Codec.ZSTD) or size > _FRAME_MAX or end > len(data):
        raise CorruptObject(f"{shown} of the remote has an impossible frame")
    try:
        return _records(shown, decode(codec, data[body_at:end], size)), end
    except DecodeError as error:
        raise CorruptObject(f"{shown} of the remote has a damaged frame: {error}") from error


def _records(shown: str, data: bytes) -> Iterator[RemoteObject]:
    at = 0
    while at < len(data):
        body_at = at + _RECORD.size
        kind, size = _RECORD.unpack_from(data, at) if body_at <= len(data) else (0, len(data))
        at = body_at + size
        if at > len(data) or kind not in _KINDS:
            raise CorruptObject(f"{shown} of the remote has a frame of no objects")
        body = data[body_at:at]
        yield RemoteObject(Kind(kind), object_id(Kind(kind), body), body)
