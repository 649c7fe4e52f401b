"""Records: the bytes of objects in L2, each alone under its number or in a bundle with others.

    record  codec and kind 1 | id 7 or 32 | size | of a delta: distance, position | body
    bundle  count 1 | where each record ends, 2 each | records of consecutive numbers
    alone   0 | further pieces | record

Sizes, distances, positions and counts are numbers in groups of seven bits.  A delta names
its base by the distance between their numbers, and says how far down its chain it stands,
which bounds the chain.  A commit has its whole id, because commits are listed by ids;
other objects have the first bytes, enough to find candidates, whose whole ids are then compared.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from heliosfs.objects.ids import OID_BYTES, Kind, Oid
from heliosfs.store.encoding.codecs import (
    DELTAS,
    Codec,
    DecodeError,
    Encoded,
    decode,
    decode_delta,
    named_id,
    read_varint,
    varint,
)

SHORT_BYTES = 7
"""First bytes of an id, by which the index finds an object; only commits keep the whole id in their
records."""
INLINE_BYTES = 2_022
"""Largest value that LMDB keeps inside a 4 KB page, under an 8-byte key."""
PAGE_BYTES = 4_096
_PAGE_HEAD_BYTES = 16
PIECE_BYTES = PAGE_BYTES - _PAGE_HEAD_BYTES
"""Size of the largest piece, which fills a page.

A larger one would need several pages in a row.  On a free list of single pages, which gc leaves,
LMDB searches the whole list in vain and lets the file grow (0.6 ms and 185 KB for 200 KB in pieces
of 64 KB; 0.14 ms and nothing in pieces of a page).  A payload of 128 KB is read as fast."""
_PIECES_MAX = 1 << 20
"""Most pieces of an object: 4 GiB, and no object is so large."""
BUNDLE_MAX = 255
"""Largest number of records in a bundle."""
BUNDLE_BYTES = INLINE_BYTES - 1
"""Largest size of the records of a bundle together, each with `END_BYTES`."""
END_BYTES = 2
_KIND_SHIFT = 4
_CODEC_MASK = 15
_END = struct.Struct("<H")
_KINDS = {int(kind): kind for kind in Kind}
_COMMIT = Kind.COMMIT
"""The member as a global name, which is found faster than through the enum."""
_MARKS = [[bytes((codec | kind << _KIND_SHIFT,)) for codec in Codec] for kind in (0, *Kind)]
"""First byte of a record, by kind and codec."""


class Payload(NamedTuple):
    """A record that was read but not decoded."""

    number: int
    codec: int
    kind: Kind
    id: bytes
    """The part of the object's id that the record keeps: a commit's whole, others' first bytes."""
    size: int
    """Bytes of the object."""
    base: int | None
    """Number of the object that a delta changes."""
    position: int
    """Position in its chain: 0 for an object encoded alone, else one more than the version before
    it."""
    body: bytes


def kept_id(oid: Oid, kind: Kind) -> bytes:
    """Return the part of an id that a record keeps."""
    return oid if kind is Kind.COMMIT else oid[:SHORT_BYTES]


def pack(
    oid: Oid, kind: Kind, size: int, encoded: Encoded, distance: int = 0, position: int = 0
) -> bytes:
    """Return a record; distance and position are 0 for an object that is encoded alone."""
    codec, body = encoded
    head = _MARKS[kind][codec] + (oid if kind is _COMMIT else oid[:SHORT_BYTES]) + varint(size)
    if distance:
        head += varint(distance) + varint(position)
    return head + body


Head: TypeAlias = "tuple[int, int, Kind, bytes, int, int | None, int, bytes, int]"
"""The fields of a `Payload` up to its position, the record, and where the body begins in it."""


def unpack(number: int, data: bytes) -> Payload:
    """Read a record.  Raise DecodeError."""
    head = unpack_head(number, data)
    # What Payload() does, without its call.
    return tuple.__new__(Payload, (*head[:7], data[head[8] :]))


def unpack_head(number: int, data: bytes) -> Head:
    """Read a record without a copy of its body: 1 us.  Raise DecodeError."""
    try:
        first = data[0]
        codec, kind = first & _CODEC_MASK, _KINDS[first >> _KIND_SHIFT]
        at = 1 + (OID_BYTES if kind is _COMMIT else SHORT_BYTES)
        kept = data[1:at]
        size = data[at]
        # One or two bytes, most often: without a call.
        if size < 0x80:
            at += 1
        elif data[at + 1] < 0x80:
            size += (data[at + 1] << 7) - 0x80
            at += 2
        else:
            size, at = read_varint(data, at)
        if codec not in DELTAS:
            return number, codec, kind, kept, size, None, 0, data, at
        distance, position = data[at], data[at + 1]
        if distance < 0x80 and position < 0x80:
            at += 2
        else:
            distance, at = read_varint(data, at)
            position, at = read_varint(data, at)
    except (IndexError, KeyError) as error:
        raise DecodeError(f"object {number} has a damaged header") from error
    # I43: a delta comes after its base.
    if not 0 < distance < number:
        raise DecodeError(
            f"object {number} refers to a base {distance} numbers before it, which does not exist"
        )
    return number, codec, kind, kept, size, number - distance, position, data, at


def commit_oid(record: bytes) -> Oid | None:
    """Return the id of a commit; None if the record is of another kind."""
    if record[0] >> _KIND_SHIFT != Kind.COMMIT:
        return None
    return Oid(record[1 : 1 + OID_BYTES])


def join_bundle(records: list[bytes]) -> bytes:
    """Return a bundle of 1 to `BUNDLE_MAX` records; a removed one is empty."""
    ends = []
    end = 0
    for record in records:
        end += len(record)
        ends.append(end)
    count = len(records)
    return b"".join((struct.pack(f"<B{count}H", count, *ends), *records))


def bundle_count(value: bytes) -> int:
    """Return the number of records under a key; 0 for an object that lies alone.

    Raise DecodeError.
    """
    if not value:
        raise DecodeError("a value of the table of objects is empty")
    return value[0]


def record_in(value: bytes, index: int) -> bytes:
    """Return a record of a bundle; empty if it was removed.  Raise IndexError or struct.error."""
    start = 1 + _END.size * value[0]
    begin = _END.unpack_from(value, _END.size * index - 1)[0] if index else 0
    return value[start + begin : start + _END.unpack_from(value, _END.size * index + 1)[0]]


def split_bundle(value: bytes) -> list[bytes]:
    """Return the records of a bundle: 0.1 us each.  Raise DecodeError."""
    count = value[0] if value else 0
    start = 1 + _END.size * count
    if len(value) < start:
        raise DecodeError("a bundle is damaged")
    records, begin = [], start
    for (end,) in _END.iter_unpack(value[1:start]):
        records.append(value[begin : start + end])
        begin = start + end
    return records


def cut_alone(record: bytes) -> list[bytes]:
    """Return the pieces of a record that is too large for a bundle."""
    further, wanted = 0, -1
    head = b""
    # The count of pieces is written before them, and its own length may add one.
    while further != wanted:
        further = max(wanted, 0)
        head = b"\0" + varint(further)
        wanted = (len(head) + len(record) - 1) // PIECE_BYTES
    whole = head + record
    return [whole[at : at + PIECE_BYTES] for at in range(0, len(whole), PIECE_BYTES)]


def read_alone(value: bytes) -> tuple[int, bytes]:
    """Return the number of pieces after the first, and the record's part in it.

    Raise IndexError.
    """
    further, at = read_varint(value, 1)
    if further > _PIECES_MAX:
        raise IndexError(f"an object has {further} pieces")
    return further, value[at:]


def split_value(value: bytes) -> list[bytes]:
    """Return the records of a bundle, or the first part of an object that lies alone.

    Raise DecodeError.
    """
    if bundle_count(value):
        return split_bundle(value)
    try:
        return [read_alone(value)[1]]
    except IndexError as error:
        raise DecodeError("the first piece of an object is damaged") from error


DecodedObjects: TypeAlias = "Mapping[int, tuple[bytes, bytes]]"
"""The id in the record, and the bytes, of objects by number."""
NO_BASES: DecodedObjects = {}


def decode_chain(chain: list[Payload], known: DecodedObjects = NO_BASES) -> list[bytes]:
    """Return the objects of a chain, of which each is a delta to the one before.

    The first one is encoded alone, or is a delta to an object in `known`.  Raise DecodeError.
    """
    objects: list[bytes] = []
    before, data = b"", b""
    if chain[0].base is not None:
        before, data = known[chain[0].base]
    for payload in chain:
        if payload.base is None:
            data = decode(payload.codec, payload.body, payload.size)
        else:
            named = named_id(payload.kind, before)
            data = decode_delta(payload.codec, payload.body, payload.size, data, named)
        objects.append(data)
        before = payload.id
    return objects
