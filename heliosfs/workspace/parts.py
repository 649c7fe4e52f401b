"""Parts of a large file: those in memory, and those in the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from heliosfs.errors import CorruptObject
from heliosfs.objects.blob import encode_parts, revise_parts
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Edit, Store
from heliosfs.workspace.account import Account
from heliosfs.workspace.extents import Extents

Part: TypeAlias = "bytes | memoryview | bytearray | Extents"
"""A memoryview is a whole part of a longer write, which stays in memory as long as it does."""

READ_PARTS_KEPT = 8
"""Most parts kept that were only read; the kernel caches them itself and rarely asks again."""


class DirtyPart(NamedTuple):
    """Copy of a dirty part that is about to be stored."""

    number: int
    data: bytes | memoryview
    base: Oid | None
    """Id of the part's previous version, if it was stored."""
    edits: Sequence[Edit]
    """Edits that turn `base` into `data`, if they are known."""


class StoredParts:
    """Ids of the parts of one file that the store has, and the stored list of them.

    A revised list is made from the stored one by its changes alone.
    """

    __slots__ = ("_renamed", "ids", "stored")

    def __init__(self, ids: dict[int, BlobId]) -> None:
        self.ids = ids
        """Part number -> id of the stored part; a hole has none."""
        self.stored: tuple[Oid, bytes] | None = None
        """Id and bytes of the stored list, if there is one."""
        self._renamed: set[int] = set()
        """Numbers of the parts whose id has changed since."""

    def rename(self, number: int, oid: BlobId | None) -> None:
        """Set the id of a part; None makes it a hole."""
        self._renamed.add(number)
        if oid is None:
            self.ids.pop(number, None)
        else:
            self.ids[number] = oid

    def cut(self, count: int) -> None:
        """Drop the ids of all parts but the first `count`."""
        for number in [number for number in self.ids if number >= count]:
            del self.ids[number]

    def read(self, store: Store, number: int, length: int) -> bytes:
        """Return the stored bytes of a part of `length` bytes; none for a hole.  StoreError.

        CorruptObject if it is longer or shorter: a list may have been made up elsewhere, and zeros
        in place of what it lacks would look like data.
        """
        oid = self.ids.get(number)
        if oid is None:
            return b""
        data = store.read(oid, Kind.BLOB)
        if len(data) != length:
            raise CorruptObject(
                f"part {number} of a file, {oid.hex()}, has {len(data)} bytes, not {length}"
            )
        return data

    def read_piece(
        self, store: Store, number: int, length: int, start: int, stop: int
    ) -> bytes | None:
        """Return the stored bytes from `start` to `stop` of a part of `length` bytes, checked.

        None for a hole, or if `read` is needed, which may fail.
        """
        oid = self.ids.get(number)
        return None if oid is None else store.read_piece(oid, Kind.BLOB, length, start, stop)

    def store_list(self, store: Store, size: int, base: Oid | None) -> Oid:
        """Add the list for a file of `size` bytes to the store's batch, and return its id."""
        edits: Sequence[Edit] = ()
        encoded = b""
        if self.stored is not None:
            before, old = self.stored
            revised = revise_parts(old, size, self.ids, self._renamed)
            if revised is not None:
                base = before
                encoded, edits = revised
        encoded = encoded or encode_parts(size, self.ids)
        oid = object_id(Kind.PARTS, encoded)
        store.add(oid, Kind.PARTS, encoded, base, edits=edits)
        self.stored = oid, encoded
        self._renamed.clear()
        return oid


class LoadedParts:
    """Parts of one file that are in memory, each counted in the account while it is.

    A dirty part may change its length only through `grow`, or the account would be wrong for good.
    """

    __slots__ = ("_read", "account", "dirty", "parts")

    def __init__(self, account: Account) -> None:
        self.parts: dict[int, Part] = {}
        self.dirty: dict[int, None] = {}
        """Parts that differ from the stored ones, roughly the oldest write first."""
        self.account = account
        self._read: deque[int] = deque()
        """Parts that were only read, the oldest first."""

    def hold(self, number: int, part: Part, *, is_dirty: bool) -> None:
        """Put a part in the place of the one that was loaded, if one was."""
        self.drop(number)
        self.parts[number] = part
        self.account.part_bytes += resident_bytes(part)
        if is_dirty:
            self.dirty[number] = None
            self.account.dirty_part_bytes += dirty_bytes(part)
            self.account.dirty_part_count += 1

    def hold_read(self, number: int, part: bytes) -> None:
        """Keep a part that was read, and drop the oldest such part beyond READ_PARTS_KEPT."""
        self.hold(number, part, is_dirty=False)
        self._read.append(number)
        if len(self._read) > READ_PARTS_KEPT:
            oldest = self._read.popleft()
            # It may have been written since it was read.
            if oldest not in self.dirty:
                self.drop(oldest)

    def grow(self, count_bytes: int) -> None:
        """Count `count_bytes`, by which a dirty bytearray grew; negative if it shrank."""
        self.account.part_bytes += count_bytes
        self.account.dirty_part_bytes += count_bytes

    def drop(self, number: int) -> None:
        """Drop a part, even a dirty one; do nothing if it is not loaded."""
        part = self.parts.pop(number, None)
        if part is not None:
            self.account.part_bytes -= resident_bytes(part)
            if number in self.dirty:
                del self.dirty[number]
                self.account.dirty_part_bytes -= dirty_bytes(part)
                self.account.dirty_part_count -= 1

    def cut(self, count: int) -> None:
        """Drop all parts but the first `count`."""
        for number in [number for number in self.parts if number >= count]:
            self.drop(number)

    def drop_clean(self) -> None:
        """Drop the clean parts, which the store has."""
        for number in [number for number in self.parts if number not in self.dirty]:
            self.drop(number)
        self._read.clear()


def dirty_bytes(part: Part) -> int:
    """Return the number of bytes of a dirty part that the store does not have."""
    return part.size_bytes if isinstance(part, Extents) else len(part)


def resident_bytes(part: Part) -> int:
    """Return the number of bytes that a part takes in memory."""
    if isinstance(part, Extents) and part.below is not None:
        return part.size_bytes + len(part.below)
    return dirty_bytes(part)
