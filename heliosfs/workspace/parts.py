"""The parts of a large file: what they are in memory, what that takes, and their list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from heliosfs.objects.blob import encode_parts, revise_parts
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Edit, Store
from heliosfs.workspace.extents import Extents

Part: TypeAlias = "bytes | bytearray | Extents"


class DirtyPart(NamedTuple):
    """A part on its way into the store."""

    number: int
    data: bytes
    base: Oid | None
    """What the part was before, if it was stored."""
    edits: Sequence[Edit]
    """What makes the base this part, if that is known."""


class Account:
    """Bytes of parts that are in memory, of all the contents that share it."""

    __slots__ = ("dirty_bytes", "dirty_count", "resident_bytes")

    def __init__(self) -> None:
        self.resident_bytes = 0
        self.dirty_bytes = 0
        """Of these, what the store does not have."""
        self.dirty_count = 0
        """Parts of which it does not have all."""


class StoredList:
    """The list of a file's parts as the store has it, so that only what changed is told."""

    __slots__ = ("renamed", "stored")

    def __init__(self) -> None:
        self.stored: tuple[Oid, bytes] | None = None
        """Its id and its bytes, if there is one."""
        self.renamed: set[int] = set()
        """Parts that got another id since."""

    def store(self, store: Store, size: int, ids: Mapping[int, BlobId], base: Oid | None) -> Oid:
        """Put the list of a file of `size` bytes into the store's batch, and give its id."""
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
    """What the store does not have of a dirty part."""
    return part.size_bytes if isinstance(part, Extents) else len(part)


def resident_bytes(part: Part) -> int:
    """What a part takes in memory."""
    if isinstance(part, Extents) and part.below is not None:
        return part.size_bytes + len(part.below)
    return dirty_bytes(part)
