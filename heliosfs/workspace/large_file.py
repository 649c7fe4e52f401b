"""Content of a large file, of which only the parts in use are in memory."""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.objects.blob import (
    PART_BYTES,
    WHOLE_MAX,
    part_count,
)
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Edit, Store
from heliosfs.trees.files import read_parts
from heliosfs.workspace.account import Account
from heliosfs.workspace.extents import EXTENTS_MAX, Extents
from heliosfs.workspace.needed_parts import check_here
from heliosfs.workspace.parts import DirtyPart, LoadedParts, StoredParts
from heliosfs.workspace.scattered import ScatteredReads

_ZEROS = bytes(PART_BYTES)


class LargeFile:
    """Content of a file of more than `WHOLE_MAX` bytes, in parts of `PART_BYTES`.

    A part has the id of a stored object, or bytes in memory once it was read or written, or both.
    The bytes in memory may be shorter than the part: the rest is zeros.  A part with neither is a
    hole.  A write of whole parts keeps the bytes object it is given; a write within a stored part
    is kept beside the part, as an `Extents`; any other write makes the part a bytearray.  Written
    parts are dirty.
    """

    __slots__ = ("loaded", "scattered", "size", "stored", "tail")

    def __init__(self, size: int, ids: dict[int, BlobId], account: Account | None = None) -> None:
        self.size = size
        self.stored = StoredParts(ids)
        self.loaded = LoadedParts(account or Account())
        self.scattered = ScatteredReads()
        self.tail = -1
        """Number of the part that was written last; -1 if none was."""

    @classmethod
    def of_bytes(cls, data: bytes | bytearray, account: Account | None = None) -> LargeFile:
        """Return a large file with the bytes of a file that has become too large for one object."""
        content = cls(len(data), {}, account)
        for index in range(part_count(len(data))):
            part = bytearray(data[index * PART_BYTES : (index + 1) * PART_BYTES])
            content.loaded.hold(index, part, is_dirty=True)
        return content

    @classmethod
    def load(cls, store: Store, oid: Oid, account: Account | None = None) -> LargeFile:
        """Read the list of a file's parts, but none of the parts themselves."""
        encoded, size, ids = read_parts(store, oid)
        content = cls(size, ids, account)
        content.stored.stored = oid, encoded
        return content

    def read(self, store: Store, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end of the file."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        first, start = divmod(offset, PART_BYTES)
        if end <= (first + 1) * PART_BYTES:
            return self._slice(store, first, start, end - first * PART_BYTES)
        pieces = []
        while offset < end:
            index, start = divmod(offset, PART_BYTES)
            stop = min(PART_BYTES, end - index * PART_BYTES)
            pieces.append(self._slice(store, index, start, stop))
            offset = index * PART_BYTES + stop
        return b"".join(pieces)

    def write(self, store: Store, offset: int, data: bytes) -> None:
        """Write `data` at `offset`; the range between the old end and `offset` becomes a hole.

        A stored part is read only if it has too many extents already, or is a short last part
        that the write extends.
        """
        end = offset + len(data)
        if self.stored.ids and store.promises:
            check_here(self, store, offset, end)
        if end > self.size:
            self.resize(store, end)
        view = memoryview(data)
        while offset < end:
            index, start = divmod(offset, PART_BYTES)
            count = min(PART_BYTES - start, end - offset)
            # A whole part: what was stored there does not matter any more.
            if count == self.part_bytes(index):
                whole = data if count == len(data) else view[:count]
                self.loaded.hold(index, whole, is_dirty=True)
            else:
                piece = data if count == len(data) else bytes(view[:count])
                self._write_within(store, index, start, piece)
            self.tail = index
            view = view[count:]
            offset += count

    def resize(self, store: Store, size: int) -> None:
        """Truncate the file, or extend it with a hole."""
        if self.stored.ids and store.promises:
            # What becomes one object needs all of its bytes.
            check_here(self, store, size, size, is_whole=size <= WHOLE_MAX)
        count = part_count(size)
        if size < self.size:
            self.loaded.cut(count)
            self.stored.cut(count)
            if size % PART_BYTES:
                tail = self._writable(store, count - 1)
                before = len(tail)
                del tail[size % PART_BYTES :]
                self.loaded.grow(len(tail) - before)
        else:
            if self.size % PART_BYTES:
                # The last part grows: stored under its id it is shorter than the part will be.
                self._writable(store, part_count(self.size) - 1)
            if size % PART_BYTES and count - 1 not in self.loaded.parts:
                self._writable(store, count - 1)
        self.size = size

    def punch(self, store: Store, offset: int, end: int) -> None:
        """Zero the bytes from `offset` to `end`, inside the file; whole parts become holes."""
        if self.stored.ids and store.promises:
            check_here(self, store, offset, end)
        while offset < end:
            index, start = divmod(offset, PART_BYTES)
            stop = min(PART_BYTES, end - index * PART_BYTES)
            if self.is_hole(index):
                pass
            elif stop - start == PART_BYTES:  # a shorter part at the end is never a hole
                self.loaded.drop(index)
                self.stored.rename(index, None)
            else:
                self._write_within(store, index, start, bytes(stop - start))
            offset = index * PART_BYTES + stop

    def share(self, store: Store, source: LargeFile, number: int, index: int) -> None:
        """Copy the part `number` of another file to the part `index`, of the same length.

        A stored part is shared by its id and not read.
        """
        data = source._frozen(store, number).data if number in source.loaded.dirty else None
        self.loaded.drop(index)
        self.stored.rename(index, source.stored.ids.get(number))
        if data is not None:
            self.loaded.hold(index, data, is_dirty=True)

    def part_bytes(self, index: int) -> int:
        """Return the length of a part in bytes: `PART_BYTES`, except for the last part."""
        return min(PART_BYTES, self.size - index * PART_BYTES)

    def is_hole(self, index: int) -> bool:
        """Return True if a part is neither stored nor in memory, and so all zeros."""
        return index not in self.stored.ids and index not in self.loaded.parts

    def freeze(self, store: Store, base: Oid | None) -> Oid:
        """Store the dirty parts and return the file's id, even if it is small by now.

        `base` is a similar object, a hint for the store.
        """
        if self.size <= WHOLE_MAX:
            data = self.read(store, 0, self.size)
            blob = object_id(Kind.BLOB, data)
            if data:
                store.add(blob, Kind.BLOB, data, base)
            return blob
        self.store_parts(store)
        return self.stored.store_list(store, self.size, base)

    def store_parts(self, store: Store) -> None:
        """Store every dirty part; the parts become clean and stay in memory."""
        for index in sorted(self.loaded.dirty):
            _, data, base, edits = self._frozen(store, index)
            oid = None
            data = bytes(data)
            # A hole needs no object.
            if data != _ZEROS:
                oid = BlobId(object_id(Kind.BLOB, data))
                store.add(oid, Kind.BLOB, data, base, edits=edits)
            self.stored.rename(index, oid)
            self.loaded.hold(index, data, is_dirty=False)

    def dirty_parts(self, store: Store, limit_bytes: int) -> list[DirtyPart]:
        """Return about `limit_bytes` of dirty parts, to be stored and then passed to `mark_stored`.

        The part that was written last is left out: a sequential writer is not done with it.
        Parts of zeros become holes at once.
        """
        parts: list[DirtyPart] = []
        for index in list(self.loaded.dirty):
            if limit_bytes <= 0:
                break
            # Stored now, it would be stored again with the next write.
            if index == self.tail:
                continue
            part = self._frozen(store, index)
            self.loaded.hold(index, part.data, is_dirty=True)
            if _is_zeros(part.data):
                self.mark_stored(part, None)
            else:
                parts.append(part)
                limit_bytes -= len(part.data)
        return parts

    def mark_stored(self, part: DirtyPart, oid: BlobId | None) -> None:
        """Drop a part of `dirty_parts` from memory, because it is stored as `oid` (None: a hole).

        Do nothing if it was written again or cut off in the meantime.
        """
        if self.loaded.parts.get(part.number) is part.data:
            self.stored.rename(part.number, oid)
            self.loaded.drop(part.number)

    def _frozen(self, store: Store, index: int) -> DirtyPart:
        """Return a dirty part with all of its bytes, its previous id and the edits."""
        part = self.loaded.parts[index]
        length = self.part_bytes(index)
        edits: Sequence[Edit] = ()
        if isinstance(part, Extents):
            edits = part.extents
            part = self._read_below(store, index, part).whole()
        # A whole part of a longer write is not copied.
        if isinstance(part, memoryview):
            data: bytes | memoryview = part
        else:
            data = bytes(part)
        if len(data) < length:
            data = bytes(data) + bytes(length - len(data))
        return DirtyPart(index, data, self.stored.ids.get(index), edits)

    def _read_below(self, store: Store, index: int, part: Extents) -> Extents:
        """Return the extents of a part after loading the stored part below them."""
        if part.below is None:
            part.below = self.stored.read(
                store, index, min(PART_BYTES, self.size - index * PART_BYTES)
            )
            self.loaded.account.part_bytes += len(part.below)
        return part

    def _write_within(self, store: Store, index: int, start: int, piece: bytes) -> None:
        part = self.loaded.parts.get(index)
        if index in self.stored.ids and index not in self.loaded.dirty:
            assert part is None or isinstance(part, bytes)
            # The stored part is not read: it stays below the written bytes until all of them are
            # needed.
            part = Extents(part)
        if isinstance(part, Extents) and len(part) < EXTENTS_MAX:
            self.loaded.drop(index)
            part.write(start, piece)
            self.loaded.hold(index, part, is_dirty=True)
            return
        whole = self._writable(store, index)
        before = len(whole)
        if before < start:
            whole.extend(bytes(start - before))
        whole[start : start + len(piece)] = piece
        self.loaded.grow(len(whole) - before)

    def _slice(self, store: Store, index: int, start: int, stop: int) -> bytes:
        part = self.loaded.parts.get(index)
        if isinstance(part, Extents):
            piece = part.read(start, stop)
            if piece is None:
                piece = self._read_below(store, index, part).read(start, stop)
            assert piece is not None
            return piece + bytes(stop - start - len(piece))
        if part is None:
            length = min(PART_BYTES, self.size - index * PART_BYTES)
            if self.scattered.is_piece(index, start, stop):
                found = self.stored.read_piece(store, index, length, start, stop)
                if found is not None:
                    return found
            part = self.stored.read(store, index, length)
            if part:
                self.loaded.hold_read(index, part)
        piece = bytes(part[start:stop])
        missing = stop - start - len(piece)
        return piece + bytes(missing) if missing else piece

    def _writable(self, store: Store, index: int) -> bytearray:
        """Return a part as a bytearray, which is dirty from now on."""
        part = self.loaded.parts.get(index)
        if isinstance(part, bytearray):
            return part
        if isinstance(part, Extents):
            whole = self._read_below(store, index, part).whole()
        else:
            if part is None:
                length = min(PART_BYTES, self.size - index * PART_BYTES)
                part = self.stored.read(store, index, length)
            whole = bytearray(part)
        self.loaded.hold(index, whole, is_dirty=True)
        return whole


def _is_zeros(part: bytes | memoryview) -> bool:
    """Return True if a whole part is zeros; 10 ns for most others."""
    # A comparison of a memoryview with bytes looks at one byte after the other.
    return len(part) == PART_BYTES and _ZEROS.startswith(part)
