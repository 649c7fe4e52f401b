"""Reads of a piece of an object whose body in a pack is in blocks."""

from __future__ import annotations

from heliosfs.objects.ids import Oid
from heliosfs.store.encoding.blocks import blocks_between, is_sound
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode
from heliosfs.store.encoding.packfiles import PackFiles
from heliosfs.store.encoding.places import PackLocation

_BLOCKS = int(Codec.BLOCKS)


def piece_at(
    files: PackFiles, place: PackLocation, oid: Oid, size: int, start: int, stop: int
) -> bytes | None:
    """Return the bytes from `start` to `stop` of an object of `size` bytes; None without a table.

    4 KiB of 128: one read of 8 KiB.  Raise DecodeError if the table is not that of the object, or a
    block has other bytes than the table says.
    """
    if place.codec != _BLOCKS:
        return None
    table = place.table
    # I79: the table is bound to the whole id, and the block to the table.
    if not is_sound(table, oid, size):
        raise DecodeError("a table of blocks is damaged")
    try:
        blocks, begin = blocks_between(table, size, start, stop)
    except ValueError as error:
        raise DecodeError(str(error)) from error
    first = blocks[0].at
    stored = files.read(place, first, blocks[-1].at + blocks[-1].length - first)
    if len(blocks) == 1 and blocks[0].is_raw:
        # Most often: without a copy of the block.
        if not blocks[0].holds(stored):
            raise DecodeError(f"a block in pack {place.pack} is damaged")
        return stored[start - begin : stop - begin]
    view = memoryview(stored)
    pieces = []
    for block in blocks:
        body = view[block.at - first : block.at - first + block.length]
        if not block.holds(body):
            raise DecodeError(f"a block in pack {place.pack} is damaged")
        pieces.append(decode(block.codec, body, block.size))
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return data[start - begin : stop - begin]
