"""Packs: many objects in one object of a bucket, with a table of them at its end.

A pack is `HEAD`, the bodies of its objects one after another, a row for each object in order of the
ids, and the `FOOT`, which says where the rows begin.  So a range read of the end finds the rows,
and another one an object, by bisection.  Its name is the BLAKE3 of all of its bytes, so that a pack
which was damaged, cut off or replaced is not taken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import CorruptObject, TooLarge
from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.store.encoding.codecs import DecodeError, decode, encode

HEAD = b"helios-pack 1\n\0\0"
_FOOT = struct.Struct("<QI4s")
_FOOT_MARK = b"pkix"
_ROW = struct.Struct(f"<{OID_BYTES}sBBIIQ")
OBJECT_MAX = 64 * 1024 * 1024
"""Largest object that is pushed or fetched, decoded."""
PACK_FULL_BYTES = 8 * 1024 * 1024
"""Size from which a pack takes no further object."""
PACK_MAX = 2 * OBJECT_MAX
"""Largest pack that is read."""


class RemoteObject(NamedTuple):
    """An object on its way to or from a bucket, decoded."""

    kind: Kind
    oid: Oid
    data: bytes


class PackName(NamedTuple):
    """The name and size by which a pack is read."""

    digest: bytes
    size: int


class PackWriter:
    """A pack that grows in memory; its methods may be called on any thread, one after another."""

    def __init__(self) -> None:
        self._parts = [HEAD]
        self._at = len(HEAD)
        self._rows: list[bytes] = []

    @property
    def is_empty(self) -> bool:
        return not self._rows

    @property
    def stored_bytes(self) -> int:
        """Bytes of the bodies so far, encoded."""
        return self._at - len(HEAD)

    @property
    def is_full(self) -> bool:
        """True if the pack is to be finished before more is added."""
        return self._at >= PACK_FULL_BYTES

    def add(self, found: RemoteObject) -> None:
        """Encode and add an object: 100 us for 10 KB.  TooLarge."""
        check_size(found)
        codec, body = encode(found.data, prefer_zstd=True)
        row = _ROW.pack(found.oid, found.kind, codec, len(found.data), len(body), self._at)
        self._rows.append(row)
        self._parts.append(body)
        self._at += len(body)

    def finish(self) -> tuple[PackName, bytes]:
        """Return the name and the bytes of the pack, and begin another one."""
        rows = sorted(self._rows)
        foot = _FOOT.pack(self._at, len(rows), _FOOT_MARK)
        data = b"".join((*self._parts, *rows, foot))
        self._parts, self._at, self._rows = [HEAD], len(HEAD), []
        return PackName(blake3(data).digest(), len(data)), data


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
    rows = sorted(_rows(shown, data), key=itemgetter(5))
    end = 0
    for oid, kind, codec, size, stored, at in rows:
        # Bodies that overlap would let a small pack hold any number of large objects.
        if size > OBJECT_MAX or at < end or at + stored > len(data):
            raise CorruptObject(f"{shown} of the remote has an object of impossible size")
        end = at + stored
        yield decoded_object(kind, codec, data[at : at + stored], size, oid)


def _rows(shown: str, data: bytes) -> Iterable[tuple[bytes, int, int, int, int, int]]:
    end = len(data) - _FOOT.size
    if end < len(HEAD) or not data.startswith(HEAD):
        raise CorruptObject(f"{shown} of the remote is no pack")
    at, count, mark = _FOOT.unpack_from(data, end)
    if mark != _FOOT_MARK or at + count * _ROW.size != end:
        raise CorruptObject(f"{shown} of the remote has no table at its end")
    return _ROW.iter_unpack(data[at:end])


def decoded_object(kind: int, codec: int, body: bytes, size: int, oid: bytes) -> RemoteObject:
    """Return the object of an encoded body, checked against its id.  CorruptObject."""
    try:
        found = RemoteObject(Kind(kind), Oid(oid), decode(codec, body, size))
    except (DecodeError, ValueError) as error:
        raise CorruptObject(f"object {oid.hex()} of the remote is damaged: {error}") from error
    if object_id(found.kind, found.data) != oid:
        raise CorruptObject(f"object {oid.hex()} of the remote has other bytes than its id says")
    return found
