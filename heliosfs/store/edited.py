"""Edited objects: large ones of which little differs from another one, on their way into L2.

What is known to be as in the base is neither held in memory nor written to the journal, so that
a write of 4 KB within a large file costs that, and not its part.  L2 has none of them: the drain
makes a delta or a whole of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.store.base import Edit
from heliosfs.store.encoding.codecs import DecodeError, read_varint, varint
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES

DEPTH_MAX = 8
"""Of edited objects of which each is one of the one before; one more is whole."""
_SHARE = 2
"""Of an object, the edits take less than one part in so many; else it is whole."""


class Edited:
    """Stands for the bytes of an object: those of `base`, but for the edits."""

    __slots__ = ("base", "depth", "edits", "held_bytes", "size")

    def __init__(self, base: Oid, size: int, edits: Sequence[Edit], depth: int = 1) -> None:
        self.base = base
        self.size = size
        """Bytes of the object; the base is cut off there, or ends in zeros."""
        self.edits = edits
        self.depth = depth
        """How many edited objects there are up to one that is whole; this one counts."""
        self.held_bytes = sum(len(data) for _, data in edits)

    def __len__(self) -> int:
        return self.held_bytes

    def apply(self, base: bytes, kind: Kind, oid: Oid) -> bytes:
        """The bytes of the object; DecodeError when they do not have its id."""
        whole = bytearray(base[: self.size])
        whole.extend(bytes(self.size - len(whole)))
        for at, data in self.edits:
            whole[at : at + len(data)] = data
        made = bytes(whole)
        if object_id(kind, made) != oid:
            raise DecodeError("what the edits make has another id")
        return made

    def encode(self) -> bytes:
        """As the journal has it."""
        parts = [self.base, varint(len(self.edits))]
        for at, data in self.edits:
            parts += (varint(at), varint(len(data)), data)
        return b"".join(parts)


def decode_edited(data: bytes, at: int, size: int) -> tuple[Edited, int]:
    """The edited object at `at`, of an object of `size` bytes, and where it ends; IndexError."""
    base = Oid(data[at : at + OID_BYTES])
    count, at = read_varint(data, at + OID_BYTES)
    edits: list[Edit] = []
    for _ in range(count):
        place, at = read_varint(data, at)
        length, at = read_varint(data, at)
        edits.append((place, data[at : at + length]))
        at += length
    return Edited(base, size, edits), at


def is_worth_it(size: int, edits: Sequence[Edit]) -> bool:
    """Whether the edits are much less than the object."""
    return (
        bool(edits)
        and size >= PACKED_FROM_BYTES
        and sum(len(data) for _, data in edits) * _SHARE < size
    )
