"""Reading and writing whole files in a store."""

from __future__ import annotations

from heliosfs.errors import CorruptObject
from heliosfs.objects.blob import (
    EMPTY_BLOB,
    PART_BYTES,
    WHOLE_MAX,
    decode_parts,
    encode_parts,
    part_count,
)
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Objects


def read_file(store: Objects, entry: Entry) -> bytes:
    """Return the bytes of a regular file, all at once.  CorruptObject, MissingObject."""
    if entry.size <= WHOLE_MAX:
        return read_whole(store, entry.oid, entry.size)
    _, size, ids = read_parts(store, entry.oid)
    check_size(entry.oid, size, entry.size)
    pieces = []
    for index in range(part_count(size)):
        oid = ids.get(index)
        length = min(PART_BYTES, size - index * PART_BYTES)
        pieces.append(bytes(length) if oid is None else read_whole(store, oid, length))
    return b"".join(pieces)


def check_size(oid: Oid, found: int, size: int) -> None:
    """Check that a list of parts is of as many bytes as its file.  CorruptObject.

    One that somebody made up may be of a hole that no memory holds.
    """
    if found != size:
        raise CorruptObject(f"parts {oid.hex()} are of {found} bytes, not of {size}")


def read_whole(store: Objects, oid: Oid, size: int) -> bytes:
    """Return the bytes of a file that is one object.  CorruptObject, MissingObject."""
    data = store.read(oid, Kind.BLOB) if size else b""
    # An entry that somebody made up may say another size.
    if len(data) != size:
        raise CorruptObject(f"content {oid.hex()} has {len(data)} bytes, not {size}")
    return data


def read_parts(store: Objects, oid: Oid) -> tuple[bytes, int, dict[int, BlobId]]:
    """Read the list of a large file's parts; return its stored bytes, the file's size, the ids.

    The ids are keyed by part number; a part that is a hole has none.  Raises CorruptObject if
    the list cannot be read.
    """
    try:
        encoded = store.read(oid, Kind.PARTS)
        size, ids = decode_parts(encoded)
    except ValueError as error:
        raise CorruptObject(f"parts {oid.hex()} cannot be read: {error}") from error
    return encoded, size, ids


def put_file(store: Objects, data: bytes, base: Oid | None = None) -> Oid:
    """Add the bytes of a file to the store's batch, and return the id for the file's entry."""
    if len(data) > WHOLE_MAX:
        return _put_parts(store, data, base)
    if not data:
        return Oid(EMPTY_BLOB)
    oid = object_id(Kind.BLOB, data)
    store.add(oid, Kind.BLOB, data, base)
    return oid


def _put_parts(store: Objects, data: bytes, base: Oid | None) -> Oid:
    ids: dict[int, BlobId] = {}
    hole = bytes(PART_BYTES)
    for index in range(part_count(len(data))):
        part = data[index * PART_BYTES : (index + 1) * PART_BYTES]
        if part != hole:
            ids[index] = BlobId(object_id(Kind.BLOB, part))
            store.add(ids[index], Kind.BLOB, part)
    encoded = encode_parts(len(data), ids)
    oid = object_id(Kind.PARTS, encoded)
    store.add(oid, Kind.PARTS, encoded, base)
    return oid
