"""Parts of a large file: their types in memory, the account of their bytes, their stored list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from heliosfs.objects.blob import encode_parts, revise_parts
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Edit, Store
from heliosfs.workspace.extents import Extents

Part: TypeAlias = "bytes | bytearray | Extents"


class DirtyPart(NamedTuple):
    """Copy of a dirty part that is about to be stored."""

    number: int
    data: bytes
    base: Oid | None
    """Id of the part's previous version, if it was stored."""
    edits: Sequence[Edit]
    """Edits that turn `base` into `data`, if they are known."""


class Account:
    """Total of the bytes of parts in memory, for all large files that share the account."""

    __slots__ = ("dirty_bytes", "dirty_count", "resident_bytes")

    def __init__(self) -> None:
        self.resident_bytes = 0
        self.dirty_bytes = 0
        """Bytes in memory that the store does not have."""
        self.dirty_count = 0
        """Number of parts with bytes that the store does not have."""


class StoredList:
    """Stored list of a file's parts, from which a revised list is made by its changes alone."""

    __slots__ = ("renamed", "stored")

    def __init__(self) -> None:
        self.stored: tuple[Oid, bytes] | None = None
        """Id and bytes of the stored list, if there is one."""
        self.renamed: set[int] = set()
        """Numbers of the parts whose id has changed since."""

    def store(self, store: Store, size: int, ids: Mapping[int, BlobId], base: Oid | None) -> Oid:
        """Add the list for a file of `size` bytes to the store's batch, and return its id."""
        edits: Sequence[Edit] = ()
        encoded = b""
        if self.stored is not None:
            before, old = self.stored
            revised = revise_parts(old, size, ids, self.renamed)
            if revised is not None:
                base = before
                encoded, edits = revised
        encoded = encoded or encode_parts(size, ids)
        oid = object_id(Kind.PARTS, encoded)
        store.add(oid, Kind.PARTS, encoded, base, edits=edits)
        self.stored = oid, encoded
        self.renamed.clear()
        return oid


def dirty_bytes(part: Part) -> int:
    """Return the number of bytes of a dirty part that the store does not have."""
    return part.size_bytes if isinstance(part, Extents) else len(part)


def resident_bytes(part: Part) -> int:
    """Return the number of bytes that a part takes in memory."""
    if isinstance(part, Extents) and part.below is not None:
        return part.size_bytes + len(part.below)
    return dirty_bytes(part)
