"""The bytes of a large file, of which only the touched parts are in memory."""

from __future__ import annotations

from heliosfs.errors import CorruptObject
from heliosfs.objects.blob import (
    EMPTY_BLOB,
    PART_BYTES,
    WHOLE_MAX,
    ZERO_PART,
    decode_parts,
    encode_parts,
    part_count,
)
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Store


class PartedContent:
    """A file of more than `WHOLE_MAX` bytes, in parts of `PART_BYTES`.

    A part is a stored id, and in memory once it was read or written.  What is in memory may be
    shorter than its part: the rest is zeros.  A write of a whole part keeps the very bytes it
    was given; only a part that is changed within becomes a bytearray.
    """

    __slots__ = ("dirty", "ids", "loaded", "size")

    def __init__(self, size: int, ids: list[BlobId]) -> None:
        self.size = size
        self.ids = ids
        self.loaded: dict[int, bytes | bytearray] = {}
        self.dirty: set[int] = set()
        """Loaded parts that differ from what their ids name."""

    @classmethod
    def of_bytes(cls, data: bytes | bytearray) -> PartedContent:
        """Take over the bytes of a file that outgrew one object."""
        content = cls(len(data), [ZERO_PART] * part_count(len(data)))
        for index in range(len(content.ids)):
            content.loaded[index] = bytearray(data[index * PART_BYTES : (index + 1) * PART_BYTES])
            content.dirty.add(index)
        return content

    @classmethod
    def load(cls, store: Store, oid: Oid) -> PartedContent:
        """Read the list of parts, and none of them."""
        try:
            size, ids = decode_parts(store.read(oid, Kind.PARTS))
        except ValueError as error:
            raise CorruptObject(f"parts {oid.hex()} cannot be read: {error}") from error
        return cls(size, ids)

    @property
    def resident_bytes(self) -> int:
        """Memory that the loaded parts take."""
        return sum(map(len, self.loaded.values()))

    def read(self, store: Store, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer at the end of the file."""
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
        """Put `data` at `offset`; what lies between the old end and it becomes a hole."""
        end = offset + len(data)
        if end > self.size:
            self.resize(store, end)
        view = memoryview(data)
        while offset < end:
            index, start = divmod(offset, PART_BYTES)
            count = min(PART_BYTES - start, end - offset)
            covered = start == 0 and index * PART_BYTES + count >= min(
                self.size, (index + 1) * PART_BYTES
            )
            if covered:
                self.loaded[index] = data if count == len(data) else bytes(view[:count])
                self.dirty.add(index)
            else:
                part = self._writable(store, index)
                if len(part) < start:
                    part.extend(bytes(start - len(part)))
                part[start : start + count] = view[:count]
            view = view[count:]
            offset += count

    def resize(self, store: Store, size: int) -> None:
        """Cut the file off or extend it with a hole."""
        count = part_count(size)
        if size < self.size:
            for index in [index for index in self.loaded if index >= count]:
                del self.loaded[index]
                self.dirty.discard(index)
            del self.ids[count:]
            if size % PART_BYTES:
                tail = self._writable(store, count - 1)
                del tail[size % PART_BYTES :]
        else:
            if self.size % PART_BYTES:
                self._writable(store, len(self.ids) - 1)
            self.ids += [ZERO_PART] * (count - len(self.ids))
            if size % PART_BYTES and count - 1 not in self.loaded:
                self._writable(store, count - 1)
        self.size = size

    def freeze(self, store: Store, base: Oid | None) -> Oid:
        """Store what was written and give the id of the whole, whatever size it has now."""
        if self.size <= WHOLE_MAX:
            data = self.read(store, 0, self.size)
            oid = object_id(Kind.BLOB, data) if data else EMPTY_BLOB
            store.add(oid, Kind.BLOB, data, base)
            return oid
        self.store_parts(store)
        encoded = encode_parts(self.size, self.ids)
        oid = object_id(Kind.PARTS, encoded)
        store.add(oid, Kind.PARTS, encoded, base)
        return oid

    def store_parts(self, store: Store) -> None:
        """Give every written part an id; they are clean from then on."""
        for index in sorted(self.dirty):
            part = self.loaded[index]
            length = min(PART_BYTES, self.size - index * PART_BYTES)
            data = bytes(part) if len(part) == length else bytes(part) + bytes(length - len(part))
            oid = BlobId(object_id(Kind.BLOB, data))
            if oid != ZERO_PART:
                old = self.ids[index]
                store.add(oid, Kind.BLOB, data, old if old != ZERO_PART else None)
            self.ids[index] = oid
            self.loaded[index] = data
        self.dirty.clear()

    def drop_clean(self) -> None:
        """Forget the parts that the store has."""
        self.loaded = {index: self.loaded[index] for index in self.dirty}

    def _slice(self, store: Store, index: int, start: int, stop: int) -> bytes:
        part = self.loaded.get(index)
        if part is None:
            part = self._fetch(store, index)
            self.loaded[index] = part
        piece = bytes(part[start:stop])
        missing = stop - start - len(piece)
        return piece + bytes(missing) if missing else piece

    def _fetch(self, store: Store, index: int) -> bytes:
        oid = self.ids[index]
        if oid == ZERO_PART:
            return b""
        return store.read(oid, Kind.BLOB)

    def _writable(self, store: Store, index: int) -> bytearray:
        part = self.loaded.get(index)
        if not isinstance(part, bytearray):
            part = bytearray(self._fetch(store, index) if part is None else part)
            self.loaded[index] = part
        self.dirty.add(index)
        return part
