"""The rule by which the bytes of a file become objects.

A file of at most `WHOLE_MAX` bytes is one BLOB.  A larger one is a PARTS object: its size, then the
id of each part in order.  Every part holds `PART_BYTES` bytes, except the last one.  A hole is a
full part of zeros, which is neither stored nor read; a file with holes lists its parts in runs, and
the holes take no space.  The rule depends on the content alone, so equal files have equal ids.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heliosfs.objects.ids import OID_BYTES, BlobId, Kind, Oid, object_id

PART_BYTES = 128 * 1024
WHOLE_MAX = 1024 * 1024

EMPTY_BLOB = BlobId(object_id(Kind.BLOB, b""))
ZERO_PART = BlobId(object_id(Kind.BLOB, bytes(PART_BYTES)))

_SIZE = struct.Struct("<Q")
_RUN = struct.Struct("<II")
_HAS_HOLES = 1 << 63
"""Bit of the stored size: the ids are grouped in runs, because some parts are holes."""


class Parts(NamedTuple):
    """A decoded PARTS object."""

    size: int
    ids: dict[int, BlobId]
    """Id of each part by its number, in order; a hole has no entry."""


def part_count(size: int) -> int:
    """Return the number of parts of a file of `size` bytes.

    >>> part_count(PART_BYTES), part_count(PART_BYTES + 1)
    (1, 2)
    """
    return -(-size // PART_BYTES)


def encode_parts(size: int, ids: Mapping[int, BlobId]) -> bytes:
    """Return the bytes of a PARTS object.  `ids` is as `Parts.ids`, but in any order."""
    order = sorted(ids)
    if len(order) == part_count(size):
        return _SIZE.pack(size) + b"".join([ids[index] for index in order])
    parts = [_SIZE.pack(size | _HAS_HOLES)]
    at = 0
    while at < len(order):
        first, begin = order[at], at
        while at < len(order) and order[at] - first == at - begin:
            at += 1
        parts.append(_RUN.pack(first, at - begin))
        parts += [ids[index] for index in order[begin:at]]
    return b"".join(parts)


def revise_parts(
    before: bytes, size: int, ids: Mapping[int, BlobId], renamed: Iterable[int]
) -> tuple[bytes, list[tuple[int, bytes]]] | None:
    """Encode a PARTS object of which only the parts in `renamed` have another id than in `before`.

    Return the bytes and the edits that lead to them from `before`: offset and new bytes, in order.
    Return None if one of the two has holes.  Cost: one copy, and the renamed parts.
    """
    (old_size,) = _SIZE.unpack_from(before)
    count = part_count(size)
    if len(ids) != count or len(before) != _SIZE.size + part_count(old_size) * OID_BYTES:
        return None
    edits: list[tuple[int, bytes]] = []
    if size != old_size:
        edits.append((0, _SIZE.pack(size)))
    edits += [
        (_SIZE.size + index * OID_BYTES, ids[index]) for index in sorted(renamed) if index < count
    ]
    length = _SIZE.size + count * OID_BYTES
    encoded = bytearray(before[:length])
    for at, data in edits:
        encoded[at : at + len(data)] = data
    return bytes(encoded), edits


def decode_parts(data: bytes) -> Parts:
    """Read a PARTS object.  Raise ValueError when its length does not fit its size."""
    if len(data) < _SIZE.size:
        raise ValueError(f"a parts object of {len(data)} bytes")
    (size,) = _SIZE.unpack_from(data)
    count = part_count(size & ~_HAS_HOLES)
    if size & _HAS_HOLES:
        return Parts(size & ~_HAS_HOLES, _decode_runs(data, count))
    if len(data) != _SIZE.size + count * OID_BYTES:
        raise ValueError(f"a parts object of {len(data)} bytes for a file of {size}")
    ids = _decode_ids(data, _SIZE.size, 0, count)
    # Format 1 named holes by the id of their zeros.
    return Parts(size, {index: oid for index, oid in ids.items() if oid != ZERO_PART})


def stored_bytes(data: bytes) -> int:
    """Return the bytes of a file that are not in holes, from its PARTS object.

    Cost: O(runs of parts); the ids are not looked at.
    """
    (size,) = _SIZE.unpack_from(data)
    if not size & _HAS_HOLES:
        return int(size)
    size &= ~_HAS_HOLES
    total, at = 0, _SIZE.size
    while at + _RUN.size <= len(data):
        first, length = _RUN.unpack_from(data, at)
        total += min((first + length) * PART_BYTES, size) - first * PART_BYTES
        at += _RUN.size + length * OID_BYTES
    return int(total)


def _decode_runs(data: bytes, count: int) -> dict[int, BlobId]:
    ids: dict[int, BlobId] = {}
    # `free` is the first part that no run has named yet: runs neither overlap nor go back.
    at, free = _SIZE.size, 0
    while at < len(data):
        if at + _RUN.size > len(data):
            raise ValueError("a parts object ends within a run")
        first, length = _RUN.unpack_from(data, at)
        at += _RUN.size
        end = at + length * OID_BYTES
        if not free <= first < first + length <= count or end > len(data):
            raise ValueError(f"a run of {length} parts from {first} on in a file of {count}")
        ids.update(_decode_ids(data, at, first, length))
        at, free = end, first + length
    return ids


def _decode_ids(data: bytes, at: int, first: int, count: int) -> dict[int, BlobId]:
    return {
        first + number: BlobId(Oid(data[at + number * OID_BYTES : at + (number + 1) * OID_BYTES]))
        for number in range(count)
    }
