"""Encoding of large objects: as a whole, or in blocks of which a reader takes the one it needs."""

from __future__ import annotations

from lz4 import block as lz4  # type: ignore[import-untyped]

from heliosfs.objects.blob import PART_BYTES
from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoding.blocks import make_table, with_table
from heliosfs.store.encoding.codecs import Codec, Encoded, encode
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES

_SAMPLE_BYTES = 4096
_RAW_BLOCK_BYTES = 8 * 1024
"""Size of a block that is stored as it is: the disk takes hardly longer for it than for 4 KiB."""
_CODED_BLOCK_BYTES = 64 * 1024
"""Size of a compressed block.  Source text takes 3 % more disk than it would as a whole; in blocks
of 32 KiB 10 %, of 16 KiB 17 %."""


def encode_large(data: bytes | memoryview, *, prefer_zstd: bool = False) -> Encoded:
    """Encode bytes without a base; stop early if they look incompressible.

    128 KiB: 4 us of random bytes, 110 us of source text.
    """
    if not looks_compressible(data):
        return Encoded(Codec.RAW, bytes(data))
    return encode(data, prefer_zstd=prefer_zstd)


def encode_object(
    oid: Oid, kind: Kind, data: bytes | memoryview, *, prefer_zstd: bool = False
) -> Encoded:
    """Encode a large object without a base: in blocks if it is a part, else as a whole."""
    if not is_part(kind, len(data)):
        return encode_large(data, prefer_zstd=prefer_zstd)
    coded = compressed_part(oid, data, prefer_zstd=prefer_zstd)
    if coded is None:
        return with_table(raw_table(oid, data), data)
    # So small, it lies in its record, and not in a pack.
    is_small = len(coded.body) < PACKED_FROM_BYTES // 2
    return encode(data, prefer_zstd=prefer_zstd) if is_small else coded


def compressed_part(
    oid: Oid, data: bytes | memoryview, *, prefer_zstd: bool = False
) -> Encoded | None:
    """Return a whole part in compressed blocks; None if it does not become smaller."""
    if not looks_compressible(data):
        return None
    coded = [encode(block, prefer_zstd=prefer_zstd) for block in _cut(data, _CODED_BLOCK_BYTES)]
    if all(codec == Codec.RAW for codec, _ in coded):
        return None
    table = make_table(oid, len(data), _CODED_BLOCK_BYTES, coded)
    return with_table(table, *[body for _, body in coded])


def is_part(kind: Kind, size: int) -> bool:
    """Return True if an object may be a whole part of a large file, of which a piece is read."""
    return size == PART_BYTES and kind is Kind.BLOB


def raw_table(oid: Oid, data: bytes | memoryview) -> bytes:
    """Return the table of blocks of an object that is stored as it is: 30 us for 128 KiB."""
    blocks = [(int(Codec.RAW), block) for block in _cut(data, _RAW_BLOCK_BYTES)]
    return make_table(oid, len(data), _RAW_BLOCK_BYTES, blocks)


def _cut(data: bytes | memoryview, block_bytes: int) -> list[memoryview]:
    view = memoryview(data)
    return [view[at : at + block_bytes] for at in range(0, len(data), block_bytes)]


def looks_compressible(data: bytes | memoryview) -> bool:
    """Return True if a sample of large bytes becomes smaller: 4 us."""
    middle = len(data) // 2
    sample = b"".join((data[:_SAMPLE_BYTES], data[middle : middle + _SAMPLE_BYTES]))
    return len(lz4.compress(sample, store_size=False)) <= len(sample) // 8 * 7
