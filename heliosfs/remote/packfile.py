"""Packs: many objects in one object of a bucket, with a table of them at its end.

A pack is `HEAD`, the bodies of its objects one after another, a row for each object in order of the
ids, and the `FOOT`, which says where the rows begin.  So a range read of the end finds the rows,
and another one an object, by bisection.  Its name is the BLAKE3 of all of its bytes, so that a pack
which was damaged, cut off or replaced is not taken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import CorruptObject, TooLarge
from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.remote.packgroup import GROUPED, decode_from_group, encode_group
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, encode

HEAD = b"helios-pack 1\n\0\0"
_FOOT = struct.Struct("<QI4s")
_FOOT_MARK = b"pkix"
_ROW = struct.Struct(f"<{OID_BYTES}sBBIIQ")
ROW_BYTES = _ROW.size
OBJECT_MAX = 64 * 1024 * 1024
"""Largest object that is pushed or fetched, decoded."""
PACK_FULL_BYTES = 8 * 1024 * 1024
"""Size from which a pack takes no further object."""
PACK_MAX = 2 * OBJECT_MAX
"""Largest pack that is read."""
_KINDS = frozenset(map(int, Kind))
_CODECS = frozenset((int(Codec.RAW), int(Codec.LZ4), int(Codec.ZSTD), GROUPED))


class RemoteObject(NamedTuple):
    """An object on its way to or from a bucket, decoded."""

    kind: Kind
    oid: Oid
    data: bytes


class PackName(NamedTuple):
    """The name and size by which a pack is read."""

    digest: bytes
    size: int


class PackRow(NamedTuple):
    """A row of a pack: what it says of an object, which need not be true."""

    oid: bytes
    kind: int
    codec: int
    size: int
    """Bytes of the object."""
    stored_bytes: int
    """Bytes that it takes in the pack."""
    offset: int


class FinishedPack(NamedTuple):
    """A pack that can be sent."""

    name: PackName
    data: bytes
    rows: bytes
    """Rows of the pack, which are in `data`, too."""


class PackWriter:
    """A pack that grows in memory; its methods may be called on any thread, one after another."""

    def __init__(self, salt: bytes = b"") -> None:
        """Begin with bytes that let the name be another one for the same objects."""
        self._begin = HEAD + salt
        self._parts = [self._begin]
        self._at = len(self._begin)
        self._rows: list[bytes] = []

    @property
    def is_empty(self) -> bool:
        return not self._rows

    @property
    def stored_bytes(self) -> int:
        """Bytes of the bodies so far, encoded."""
        return self._at - len(self._begin)

    @property
    def is_full(self) -> bool:
        """True if the pack is to be finished before more is added."""
        # The rows of many tiny objects take more than these.
        return self._at + len(self._rows) * ROW_BYTES >= PACK_FULL_BYTES

    def add(self, found: RemoteObject) -> None:
        """Encode and add an object: 100 us for 10 KB.  TooLarge."""
        check_size(found)
        codec, body = encode(found.data, prefer_zstd=True)
        row = _ROW.pack(found.oid, found.kind, codec, len(found.data), len(body), self._at)
        self._rows.append(row)
        self._parts.append(body)
        self._at += len(body)

    def add_group(self, contents: Sequence[RemoteObject]) -> None:
        """Add contents that are compressed together, each of `GROUPED_MAX_BYTES` at most."""
        body = encode_group([each.data for each in contents])
        for each in contents:
            row = (each.oid, each.kind, GROUPED, len(each.data), len(body), self._at)
            self._rows.append(_ROW.pack(*row))
        self._parts.append(body)
        self._at += len(body)

    def finish(self) -> FinishedPack:
        """Return the pack, and begin another one."""
        rows = b"".join(sorted(self._rows))
        foot = _FOOT.pack(self._at, len(self._rows), _FOOT_MARK)
        data = b"".join((*self._parts, rows, foot))
        self._parts, self._at, self._rows = [self._begin], len(self._begin), []
        return FinishedPack(PackName(blake3(data).digest(), len(data)), data, rows)


def encode_rows(rows: Iterable[PackRow]) -> bytes:
    """Return rows as they are in a pack: by ids."""
    return b"".join(sorted(_ROW.pack(*row) for row in rows))


def check_size(found: RemoteObject) -> None:
    """Raise TooLarge if an object is larger than any that is fetched."""
    if len(found.data) > OBJECT_MAX:
        raise TooLarge(
            f"object {found.oid.hex()} has {len(found.data)} bytes; at most {OBJECT_MAX} of one "
            "object can be pushed"
        )


def read_pack(name: PackName, data: bytes) -> Iterator[RemoteObject]:
    """Yield the objects of a pack in the order in which they were sent.  CorruptObject.

    Each is checked against its id.
    """
    shown = f"pack {name.digest.hex()[:12]}"
    if len(data) != name.size or blake3(data).digest() != name.digest:
        raise CorruptObject(f"{shown} of the remote has other bytes than its name says")
    if not data.startswith(HEAD):
        raise CorruptObject(f"{shown} of the remote is no pack")
    for row in _in_order(shown, name, table_of(shown, name, data)):
        body = data[row.offset : row.offset + row.stored_bytes]
        yield decoded_object(row.kind, row.codec, body, row.size, row.oid)


def table_of(shown: str, name: PackName, end: bytes) -> bytes:
    """Return the rows out of the last bytes of a pack.  CorruptObject, ShortEnd."""
    if len(end) < _FOOT.size:
        raise CorruptObject(f"{shown} of the remote is no pack")
    at, count, mark = _FOOT.unpack_from(end, len(end) - _FOOT.size)
    size = count * _ROW.size
    if mark != _FOOT_MARK or at < len(HEAD) or at + size + _FOOT.size != name.size:
        raise CorruptObject(f"{shown} of the remote has no table at its end")
    if size + _FOOT.size > len(end):
        raise ShortEnd(size + _FOOT.size)
    return end[len(end) - _FOOT.size - size : len(end) - _FOOT.size]


class ShortEnd(Exception):
    """The rows of a pack begin before the bytes that were read of its end."""

    def __init__(self, wanted_bytes: int) -> None:
        super().__init__(wanted_bytes)
        self.wanted_bytes = wanted_bytes
        """Bytes of the end that have all rows."""


def content_rows(shown: str, name: PackName, table: bytes) -> list[PackRow] | None:
    """Return the rows of a pack of contents, by offset; None if the pack has other objects, too.

    CorruptObject for rows that no pack has: whether the objects are what the rows say is known only
    once they are read.
    """
    rows = list(_in_order(shown, name, table))
    last = b""
    for oid, kind, codec, *_ in _ROW.iter_unpack(table):
        if kind not in _KINDS or codec not in _CODECS or oid <= last:
            raise CorruptObject(f"{shown} of the remote has rows that no pack has")
        last = oid
    return rows if all(row.kind == Kind.BLOB for row in rows) else None


def _in_order(shown: str, name: PackName, table: bytes) -> Iterator[PackRow]:
    """Yield the rows of a pack by their offsets, each of which can be true.  CorruptObject."""
    rows = sorted(map(PackRow._make, _ROW.iter_unpack(table)), key=attrgetter("offset"))
    end, last = len(HEAD), name.size - len(table) - _FOOT.size
    group: tuple[int, int] | None = None
    for row in rows:
        place = row.offset, row.stored_bytes
        # Bodies that overlap would let a small pack hold any number of large objects.
        is_free = row.offset >= end or (row.codec == GROUPED and place == group)
        if row.size > OBJECT_MAX or not is_free or row.offset + row.stored_bytes > last:
            raise CorruptObject(f"{shown} of the remote has an object of impossible size")
        end = row.offset + row.stored_bytes
        group = place if row.codec == GROUPED else None
        yield row


def decoded_object(kind: int, codec: int, body: bytes, size: int, oid: bytes) -> RemoteObject:
    """Return the object of an encoded body, checked against its id.  CorruptObject."""
    try:
        if codec == GROUPED:
            data = decode_from_group(body, Oid(oid))
        else:
            data = decode(codec, body, size)
        found = RemoteObject(Kind(kind), Oid(oid), data)
    except (DecodeError, ValueError) as error:
        raise CorruptObject(f"object {oid.hex()} of the remote is damaged: {error}") from error
    if object_id(found.kind, found.data) != oid or len(found.data) != size:
        raise CorruptObject(f"object {oid.hex()} of the remote has other bytes than its id says")
    return found
