"""How the bytes of a file become objects.

A file of at most `WHOLE_MAX` bytes is one BLOB.  A larger one is a PARTS object: its
size, then the id of each part in order.  Every part holds `PART_BYTES` bytes, the last
one what is left.  The rule depends on the size alone, so equal files have equal ids.
A hole is a part of zeros and has `ZERO_PART`, which is never stored nor read.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from heliosfs.objects.ids import OID_BYTES, BlobId, Kind, object_id

PART_BYTES = 128 * 1024
WHOLE_MAX = 1024 * 1024

EMPTY_BLOB = BlobId(object_id(Kind.BLOB, b""))
ZERO_PART = BlobId(object_id(Kind.BLOB, bytes(PART_BYTES)))

_SIZE = struct.Struct("<Q")


class Parts(NamedTuple):
    """A decoded PARTS object."""

    size: int
    ids: list[BlobId]


def part_count(size: int) -> int:
    """How many parts a file of `size` bytes has.

    >>> part_count(PART_BYTES), part_count(PART_BYTES + 1)
    (1, 2)
    """
    return -(-size // PART_BYTES)


def encode_parts(size: int, ids: list[BlobId]) -> bytes:
    """The bytes of a PARTS object."""
    return _SIZE.pack(size) + b"".join(ids)


def decode_parts(data: bytes) -> Parts:
    """Read a PARTS object; ValueError when its length does not fit its size."""
    (size,) = _SIZE.unpack_from(data)
    if len(data) != _SIZE.size + part_count(size) * OID_BYTES:
        raise ValueError(f"a parts object of {len(data)} bytes for a file of {size}")
    return Parts(
        size,
        [BlobId(data[at : at + OID_BYTES]) for at in range(_SIZE.size, len(data), OID_BYTES)],  # type: ignore[arg-type]
    )
