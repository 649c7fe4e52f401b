"""Tables of blocks: how a part of a large file is cut, so that a piece of it is read alone.

The body of a part in a pack may be *blocks*: pieces of equal size, each encoded without the others
or as it is, one behind the other.  A table says how each of them is stored, with a digest of its
stored bytes.  So a reader of a few KB reads, checks and decodes one block, and not the whole part.
A read of the whole part uses the table to find its blocks, and compares the bytes with their id.

    table   log2 of the size of a block 1 | for each block: 4 times its stored size, plus its codec
            (u32), digest 16 | check 16

The check is a BLAKE3 over the whole id of the object, its size and the rest of the table: a table
that was damaged, or is of another object, is not used.  Prior art: the blocks of seekable zstd, and
those of dm-verity, whose hashes lie elsewhere, too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from blake3 import blake3

from heliosfs.objects.ids import Oid
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded, decode, read_varint, varint

_PROOF_BYTES = 16
_VARINT_BYTES = 10
"""Most bytes of a number."""
_ENTRY = struct.Struct("<I16s")
_CHECKED = struct.Struct("<32sQ")
_CODEC_BITS = 2
_CODEC_MASK = (1 << _CODEC_BITS) - 1
_LOG_MIN = 12
_LOG_MAX = 24


class Block(NamedTuple):
    """A block: where it is stored among the others, and how."""

    codec: int
    at: int
    """Offset of its stored bytes in the body."""
    length: int
    """Number of its stored bytes."""
    size: int
    """Number of its bytes when decoded."""
    digest: bytes
    """Digest of its stored bytes."""

    @property
    def is_raw(self) -> bool:
        """True if the block is stored as it is."""
        return not self.codec and self.length == self.size

    def holds(self, stored: bytes | memoryview) -> bool:
        """Return True if these are the stored bytes of this block."""
        return digest(stored) == self.digest


def digest(stored: bytes | memoryview) -> bytes:
    """Return the digest of the stored bytes of a block: 3 us for 16 KiB."""
    return blake3(stored).digest(_PROOF_BYTES)


def make_table(
    oid: Oid, size: int, block_bytes: int, stored: Sequence[tuple[int, bytes | memoryview]]
) -> bytes:
    """Return the table of an object of `size` bytes whose blocks are stored like this, in order.

    `block_bytes`, the size of each block but the last when decoded, is a power of two.
    """
    entries = [
        _ENTRY.pack(len(body) << _CODEC_BITS | codec, digest(body)) for codec, body in stored
    ]
    rest = bytes((block_bytes.bit_length() - 1,)) + b"".join(entries)
    return rest + _check(oid, size, rest)


def is_sound(table: bytes, oid: Oid, size: int) -> bool:
    """Return True if a table was made for this object of `size` bytes, and is as it was made."""
    return _check(oid, size, table[:-_PROOF_BYTES]) == table[-_PROOF_BYTES:]


def stored_sizes(table: bytes, size: int) -> list[tuple[int, int, int]]:
    """Return codec, stored size and size of each block.  Raise ValueError as `blocks_in` does."""
    block_bytes = _block_bytes(table, size)
    found = []
    for stored, _ in _ENTRY.iter_unpack(table[1:-_PROOF_BYTES]):
        found.append((stored & _CODEC_MASK, stored >> _CODEC_BITS, min(block_bytes, size)))
        size -= block_bytes
    return found


def blocks_in(table: bytes, size: int) -> list[Block]:
    """Return the blocks of an object of `size` bytes.  Raise ValueError if the table is damaged."""
    return blocks_between(table, size, 0, size)[0]


def blocks_between(table: bytes, size: int, start: int, stop: int) -> tuple[list[Block], int]:
    """Return the blocks that hold the bytes from `start` to `stop`, and where the first begins.

    Raise ValueError if the table is damaged, or the range is not within the object.
    """
    block_bytes = _block_bytes(table, size)
    if not 0 <= start < stop <= size:
        raise ValueError(f"bytes {start} to {stop} of an object of {size}")
    first, last = start // block_bytes, (stop - 1) // block_bytes
    at = 0
    for number in range(first):
        at += _ENTRY.unpack_from(table, 1 + number * _ENTRY.size)[0] >> _CODEC_BITS
    found: list[Block] = []
    for number in range(first, last + 1):
        stored, kept = _ENTRY.unpack_from(table, 1 + number * _ENTRY.size)
        length = stored >> _CODEC_BITS
        plain = min(block_bytes, size - number * block_bytes)
        found.append(Block(stored & _CODEC_MASK, at, length, plain, kept))
        at += length
    return found, first * block_bytes


def with_table(table: bytes, *blocks: bytes | memoryview) -> Encoded:
    """Return blocks with their table in front of them, as they are in memory."""
    return Encoded(Codec.BLOCKS, b"".join((varint(len(table)), table, *blocks)))


def split_blocks(body: bytes | memoryview) -> tuple[bytes, memoryview]:
    """Return the table and the blocks of a body of BLOCKS.  Raise DecodeError."""
    try:
        length, at = read_varint(bytes(body[:_VARINT_BYTES]), 0)
    except IndexError as error:
        raise DecodeError("a table of blocks is cut off") from error
    view = memoryview(body)
    return bytes(view[at : at + length]), view[at + length :]


def decode_encoded(encoded: Encoded, size: int) -> bytes:
    """Decode an object of `size` bytes that is in blocks, or as `codecs.encode` made it.

    Raise DecodeError.
    """
    codec, body = encoded
    if codec == Codec.BLOCKS:
        return decode_blocks(*split_blocks(body), size)
    return decode(codec, body, size)


def decode_blocks(table: bytes, stored: bytes | memoryview, size: int) -> bytes:
    """Decode all blocks of an object of `size` bytes, with its table.  Raise DecodeError."""
    view = memoryview(stored)
    pieces = []
    at = 0
    try:
        for codec, length, plain in stored_sizes(table, size):
            body, at = view[at : at + length], at + length
            # Blocks do not nest, however a table is damaged: two bits hold no such codec.
            pieces.append(decode(codec, body, plain))
    except ValueError as error:
        raise DecodeError(str(error)) from error
    data = b"".join(pieces)
    if len(data) != size:
        raise DecodeError(f"{len(data)} bytes where {size} were stored")
    return data


def _entries(table: bytes) -> bytes:
    entries = table[1:-_PROOF_BYTES]
    if not entries or len(entries) % _ENTRY.size:
        raise ValueError(f"a table of blocks has {len(table)} bytes")
    return entries


def _block_bytes(table: bytes, size: int) -> int:
    """Return the size of a block.  Raise ValueError."""
    count = len(_entries(table)) // _ENTRY.size
    log = table[0]
    if not _LOG_MIN <= log <= _LOG_MAX or -(-size // (1 << log)) != count:
        raise ValueError(f"a table of {count} blocks of 2**{log} bytes for an object of {size}")
    return 1 << log


def _check(oid: Oid, size: int, rest: bytes) -> bytes:
    return blake3(_CHECKED.pack(oid, size) + rest).digest(_PROOF_BYTES)
