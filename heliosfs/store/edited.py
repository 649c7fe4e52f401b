"""Edited objects: large objects that differ little from another one, on their way into L2.

The bytes that are as in the base are neither held in memory nor written to the journal.  So a write
of 4 KB in a large file costs about 4 KB, and not its whole part.  L2 has no edited objects: the
drain turns each into a delta or a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.store.base import Edit
from heliosfs.store.encoding.codecs import DecodeError, read_varint, varint
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES

DEPTH_MAX = 8
"""Longest chain of edited objects; the next one after it is stored whole."""
EDITED_MAX_BYTES = 64 * 1024 * 1024
"""Largest edited object; those that are made have 1 MiB at most."""
_SHARE = 2
"""The edits must be less than 1/_SHARE of the object; otherwise it is stored whole."""


class EditedObject:
    """The bytes of an object, represented by those of `base` and the edits."""

    __slots__ = ("base", "depth", "edits", "held_bytes", "size")

    def __init__(self, base: Oid, size: int, edits: Sequence[Edit], depth: int = 1) -> None:
        self.base = base
        self.size = size
        """Bytes of the object; the base is cut off, or extended with zeros, to this size."""
        self.edits = edits
        self.depth = depth
        """Number of edited objects in the chain down to a whole one, including this one."""
        self.held_bytes = sum(len(data) for _, data in edits)

    def __len__(self) -> int:
        return self.held_bytes

    def apply(self, base: bytes, kind: Kind, oid: Oid) -> bytes:
        """Return the bytes of the object.  Raise DecodeError if they do not have its id."""
        if self.size > EDITED_MAX_BYTES:
            raise DecodeError(f"an edited object of {self.size} bytes")
        whole = bytearray(base[: self.size])
        whole.extend(bytes(self.size - len(whole)))
        for at, data in self.edits:
            whole[at : at + len(data)] = data
        made = bytes(whole)
        if object_id(kind, made) != oid:
            raise DecodeError("the bytes made by its edits have another id")
        return made

    def encode(self) -> bytes:
        """Return the bytes that the journal has of it."""
        parts = [self.base, varint(len(self.edits))]
        for at, data in self.edits:
            parts += (varint(at), varint(len(data)), data)
        return b"".join(parts)


def decode_edited(data: bytes, at: int, size: int) -> tuple[EditedObject, int]:
    """Return the edited object at `at` and where it ends; `size` is its size.  Raise IndexError."""
    if len(data) < at + OID_BYTES:
        raise IndexError("an edited object ends within the id of its base")
    base = Oid(data[at : at + OID_BYTES])
    count, at = read_varint(data, at + OID_BYTES)
    edits: list[Edit] = []
    for _ in range(count):
        place, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if at + length > len(data):
            raise IndexError("an edit ends behind the bytes")
        edits.append((place, data[at : at + length]))
        at += length
    return EditedObject(base, size, edits), at


def is_worth_it(size: int, edits: Sequence[Edit]) -> bool:
    """Return True if the edits are much smaller than the object."""
    return (
        bool(edits)
        and size >= PACKED_FROM_BYTES
        and sum(len(data) for _, data in edits) * _SHARE < size
    )
