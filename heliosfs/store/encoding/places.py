"""Places in packs: where the bodies of large objects lie, and what of each pack is in use."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heliosfs.store.encoding.codecs import Codec, read_varint, varint

_USE = struct.Struct("<QQQ")
_BLOCKS = int(Codec.BLOCKS)


class PackLocation(NamedTuple):
    """The pack, offset and length of an object's body, its codec, and the table of its blocks."""

    pack: int
    offset: int
    length: int
    codec: int
    table: bytes = b""
    """Table of the blocks; empty unless the codec is BLOCKS."""

    def encode(self) -> bytes:
        """Return its encoded form, for L2 and the journal."""
        numbers = varint(self.pack) + varint(self.offset) + varint(self.length)
        if self.codec == _BLOCKS:
            return numbers + bytes((self.codec,)) + varint(len(self.table)) + self.table
        return numbers + bytes((self.codec,))


def decode_location(data: bytes, at: int = 0) -> tuple[PackLocation, int]:
    """Return the place at `at`, and where it ends.  Raise IndexError."""
    pack, at = read_varint(data, at)
    offset, at = read_varint(data, at)
    length, at = read_varint(data, at)
    codec = data[at]
    if codec != _BLOCKS:
        return PackLocation(pack, offset, length, codec), at + 1
    table_bytes, at = read_varint(data, at + 1)
    if at + table_bytes > len(data):
        raise IndexError("a table of blocks ends behind the bytes")
    return PackLocation(pack, offset, length, codec, data[at : at + table_bytes]), at + table_bytes


class PackedObject:
    """An object whose bytes are in a pack, and not in memory."""

    __slots__ = ("place", "size")

    def __init__(self, place: PackLocation, size: int) -> None:
        self.place = place
        self.size = size
        """Bytes of the object when decoded."""

    def __len__(self) -> int:
        return 0


class PackUse(NamedTuple):
    """The bytes of a pack to which L2 refers: their number, and their end."""

    end: int
    """Largest end of a place to which L2 refers or once referred."""
    live_bytes: int


def encode_uses(uses: Mapping[int, PackUse]) -> bytes:
    """Return their encoded form, which L2 stores under `packs`."""
    return b"".join(_USE.pack(pack, *use) for pack, use in sorted(uses.items()))


def decode_uses(data: bytes) -> dict[int, PackUse]:
    """Decode the result of `encode_uses`.  Raise struct.error."""
    return {pack: PackUse(end, live_bytes) for pack, end, live_bytes in _USE.iter_unpack(data)}


def with_places(uses: Mapping[int, PackUse], places: Iterable[PackLocation]) -> dict[int, PackUse]:
    """Return the uses with these places added."""
    merged = dict(uses)
    for place in places:
        use = merged.get(place.pack, PackUse(0, 0))
        end = max(use.end, place.offset + place.length)
        merged[place.pack] = PackUse(end, use.live_bytes + place.length)
    return merged


def without_places(
    uses: Mapping[int, PackUse], places: Iterable[PackLocation]
) -> dict[int, PackUse]:
    """Return the uses with these places removed, without packs that are now unused."""
    left = dict(uses)
    for place in places:
        use = left[place.pack]
        left[place.pack] = use._replace(live_bytes=use.live_bytes - place.length)
    return {pack: use for pack, use in left.items() if use.live_bytes > 0}
