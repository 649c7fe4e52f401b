"""Codecs: encodings of an object, whole or as a delta to another version.

A delta has two lengths, those of the beginning and the end that both versions share, and the
*middle* between them: as it is, or compressed with the old bytes around that place as dictionary.
The dictionary follows from the old bytes and the two lengths alone, so it is not stored.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import NamedTuple

from lz4 import block as lz4  # type: ignore[import-untyped]

from heliosfs.objects.ids import Kind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Codec(IntEnum):
    """The encoding of a payload's body.  Stored; never reuse a value."""

    RAW = 0
    LZ4 = 1
    ZSTD = 2
    SPLICE = 3
    """Delta whose middle is stored as it is."""
    SPLICE_LZ4 = 4
    SPLICE_ZSTD = 5
    PACKED = 6
    """The body is a place in a pack, where the encoded object lies."""
    BLOCKS = 7
    """In packs alone: blocks, of which a place has the table.  In memory, the length of the table
    and the table come before them."""


_RAW, _LZ4, _ZSTD = Codec.RAW, Codec.LZ4, Codec.ZSTD
"""The members as global names, which are found faster than through the enum."""
CODECS = tuple(Codec)
"""Codec by its number, as it is stored; the numbers have no gap."""
_SPLICE, _SPLICE_LZ4, _SPLICE_ZSTD = (
    int(each) for each in (Codec.SPLICE, Codec.SPLICE_LZ4, Codec.SPLICE_ZSTD)
)
DELTAS = frozenset((Codec.SPLICE, Codec.SPLICE_LZ4, Codec.SPLICE_ZSTD))


class Encoded(NamedTuple):
    """The body of a payload, and its codec."""

    codec: Codec
    body: bytes


class DecodeError(Exception):
    """The body is damaged."""


_TINY_BYTES = 64
_CONTEXT_BYTES = 16 * 1024
"""Old bytes on either side of the changed place that serve as dictionary."""
_LZ4_MAX = 60 * 1024
"""Largest dictionary, and largest middle, for lz4, which looks back 64 KB at most."""
_LZ4_DICT_MIN = 8
_LZ4_GAIN_MAX = 256
"""Bytes that one byte of an lz4 body can stand for, rounded up (255)."""
_ZSTD_LEVEL = 3
_SMALL_LEVEL = 9
_SQUEEZE_LEVEL = 19
_ZSTD_MIN = 1024
"""Size below which zstd is not tried: its gain over lz4 is not worth 12 us of setup."""
_LDM_FROM = 512 * 1024
_WINDOW_LOG_MIN = 10
_EDITS = (0, 64, 512)
"""Sizes of an edit at which the common end of two versions is looked for first, in bytes."""
_NEAR_BYTES = 256
"""Size of a range in which the first difference is found by an XOR of two integers."""
_VARINT_BITS_MAX = 63
"""Bits in front of the last group of a number; more make numbers that nothing here counts."""
_DELTA_MAX = 64 * 1024 * 1024
"""Largest sum of old and new bytes; beyond it, a zstd decoder refuses the window by default."""


_BAD_BODY = (lz4.LZ4BlockError, zstd.ZstdError, ValueError, OverflowError)
"""Errors of the libraries for a body that is damaged, or a size that no machine has."""


def encode(data: bytes | memoryview, *, prefer_zstd: bool = False) -> Encoded:
    """Encode without reference: with lz4, with zstd if lz4 gains little, or as it is.

    10 KB of source text: 15 us; with zstd wherever it can gain, 90 us and a third less.
    """
    size = len(data)
    if size < _TINY_BYTES:
        return Encoded(Codec.RAW, bytes(data))
    enough = size - size // 8
    # It must save an eighth: otherwise reading it as it is costs less than decoding it.
    if prefer_zstd and size >= _ZSTD_MIN:
        body = zstd.compress(data, _ZSTD_LEVEL)
        return Encoded(Codec.ZSTD, body) if len(body) <= enough else Encoded(Codec.RAW, bytes(data))
    body = lz4.compress(data, store_size=False)
    if len(body) <= enough:
        # What Encoded() does, without its call.
        return tuple.__new__(Encoded, (_LZ4, body))
    if size >= _ZSTD_MIN:
        body = zstd.compress(data, _ZSTD_LEVEL)
        if len(body) <= enough:
            return Encoded(Codec.ZSTD, body)
    return Encoded(Codec.RAW, bytes(data))


def encode_small(data: bytes) -> Encoded:
    """Encode with zstd as `encode` does, but some percent smaller: 0.3 ms for 10 KB of source."""
    if len(data) < _ZSTD_MIN:
        return encode(data, prefer_zstd=True)
    body = zstd.compress(data, _SMALL_LEVEL)
    is_gain = len(body) <= len(data) - len(data) // 8
    return Encoded(Codec.ZSTD, body) if is_gain else Encoded(Codec.RAW, data)


def squeeze(data: bytes) -> Encoded:
    """Encode as small as possible: 3 ms for 10 KB of source text, half of lz4's size."""
    return Encoded(Codec.ZSTD, zstd.compress(data, _SQUEEZE_LEVEL))


def decode(codec: int, body: bytes | memoryview, size: int) -> bytes:
    """Decode an object of `size` bytes that was encoded without reference.  Raise DecodeError."""
    try:
        if codec == _LZ4:
            data = _unlz4(body, size, b"")
        elif codec == _RAW:
            data = bytes(body)
        elif codec == _ZSTD:
            data = _unzstd(body, size, b"")
        else:
            raise DecodeError(f"codec {codec} is unknown here")
    except _BAD_BODY as error:
        raise DecodeError(str(error)) from error
    if len(data) != size:
        raise DecodeError(f"{len(data)} bytes where {size} were stored")
    return bytes(data)


def named_id(kind: Kind, base: bytes) -> bytes:
    """Return the id of a base if a delta may refer to it: that of a commit, else nothing.

    A commit contains the whole ids of its parents, and most of the time its base is one of them.
    """
    return base if kind is Kind.COMMIT else b""


def encode_delta(
    data: bytes, base: bytes, named: bytes = b"", *, prefer_zstd: bool = False
) -> Encoded | None:
    """Encode against an older version; return None if the two share too little.

    `named` is added to the dictionary: for a commit, the id of its base, because a commit contains
    the id of its parent, which its base usually is.  A small edit in 10 KB takes 10 us.
    """
    if len(data) + len(base) > _DELTA_MAX:
        return None
    head = common_prefix(base, data)
    tail = common_suffix(base, data, min(len(base), len(data)) - head)
    middle = data[head : len(data) - tail]
    lengths = varint(head) + varint(tail)
    # Nothing so short becomes smaller.
    if len(middle) < _TINY_BYTES:
        return Encoded(Codec.SPLICE, lengths + middle)
    around = named + _around(base, head, tail)
    # Nothing is shared: as a delta, the object would only depend on another one.
    if len(around) < _LZ4_DICT_MIN:
        return None
    is_small = len(around) <= _LZ4_MAX and len(middle) <= _LZ4_MAX
    if is_small and not (prefer_zstd and len(middle) >= _ZSTD_MIN):
        codec = Codec.SPLICE_LZ4
        body: bytes = lz4.compress(middle, store_size=False, dict=around)
    else:
        codec = Codec.SPLICE_ZSTD
        body = _zstd_after(middle, around)
    if len(body) >= len(middle):
        return Encoded(Codec.SPLICE, lengths + middle)
    return Encoded(codec, lengths + body)


def decode_delta(codec: int, body: bytes, size: int, base: bytes, named: bytes = b"") -> bytes:
    """Decode an object of `size` bytes that was encoded against `base`.  Raise DecodeError."""
    return decode_splice(codec, body, 0, size, base, named)[0]


def decode_splice(
    codec: int, record: bytes, at: int, size: int, base: bytes, named: bytes = b""
) -> tuple[bytes, int, int]:
    """Decode a delta that begins within a record, as `decode_delta` does.

    Return the object, and how many of its first and last bytes are those of its base.
    """
    try:
        head = record[at]
        # One or two bytes, most often: without a call.
        if head < 0x80:
            at += 1
        elif record[at + 1] < 0x80:
            head += (record[at + 1] << 7) - 0x80
            at += 2
        else:
            head, at = read_varint(record, at)
        tail = record[at]
        if tail < 0x80:
            at += 1
        elif record[at + 1] < 0x80:
            tail += (record[at + 1] << 7) - 0x80
            at += 2
        else:
            tail, at = read_varint(record, at)
        wanted = size - head - tail
        # Checked before anything is allocated: the lengths may be damaged.
        if wanted < 0 or head + tail > len(base):
            raise DecodeError("a delta does not fit the version that it changes")
        middle = record[at:]
        if codec == _SPLICE:
            pass
        elif codec == _SPLICE_LZ4:
            middle = _unlz4(middle, wanted, named + _around(base, head, tail))
        elif codec == _SPLICE_ZSTD:
            middle = _unzstd(middle, wanted, named + _around(base, head, tail))
        else:
            raise DecodeError(f"codec {codec} is unknown here")
    except (*_BAD_BODY, IndexError) as error:
        raise DecodeError(str(error)) from error
    if len(middle) != wanted:
        raise DecodeError(f"{len(middle)} bytes where {wanted} were stored")
    return base[:head] + middle + base[len(base) - tail :], head, tail


def common_prefix(a: bytes, b: bytes) -> int:
    """Return the length of the common beginning, by bisection: 3 us for 10 KB.

    >>> common_prefix(b"abcd", b"abxd")
    2
    """
    low, high = 0, min(len(a), len(b))
    # `startswith` compares in place: one copy where two slices would be two.
    if b.startswith(a[:high]):
        return high
    while high - low > _NEAR_BYTES:
        mid = (low + high) >> 1
        if b.startswith(a[low:mid], low):
            low = mid
        else:
            high = mid
    differs = int.from_bytes(a[low:high], "little") ^ int.from_bytes(b[low:high], "little")
    return low + ((differs & -differs).bit_length() - 1 >> 3)


def common_suffix(a: bytes, b: bytes, limit: int) -> int:
    """Return the length of the common end, at most `limit`.

    >>> common_suffix(b"abcd", b"xxcd", 4)
    2
    """
    len_a, len_b = len(a), len(b)
    low, high = 0, limit + 1
    # Most edits are small: look where a small one would end before looking anywhere.
    for edit in _EDITS:
        length = limit - edit
        if length <= 0:
            break
        if b.endswith(a[len_a - length :]):
            low = length
            break
        high = length
    while high - low > _NEAR_BYTES:
        mid = (low + high) >> 1
        if b.startswith(a[len_a - mid : len_a - low], len_b - mid):
            low = mid
        else:
            high = mid
    high = min(high, limit)
    differs = int.from_bytes(a[len_a - high : len_a - low], "big") ^ int.from_bytes(
        b[len_b - high : len_b - low], "big"
    )
    if not differs:
        return high
    return low + ((differs & -differs).bit_length() - 1 >> 3)


def varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first.

    >>> varint(300).hex()
    'ac02'
    """
    if number < len(_VARINTS):
        return _VARINTS[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS = [bytes((number,)) for number in range(0x80)] + [
    bytes((number & 0x7F | 0x80, number >> 7)) for number in range(0x80, 0x400)
]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` and the offset after it.  Raise IndexError if it has no end."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number = shift = 0
    while byte >= 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > _VARINT_BITS_MAX:
            raise IndexError("a number has no end")
        at += 1
        byte = data[at]
    number |= byte << shift
    if shift == _VARINT_BITS_MAX and number >> 64:
        raise IndexError("a number has more than 64 bits")
    return number, at + 1


def _around(base: bytes, head: int, tail: int) -> bytes:
    return base[max(0, head - _CONTEXT_BYTES) : max(0, len(base) - tail) + _CONTEXT_BYTES]


def _unlz4(body: bytes | memoryview, size: int, before: bytes) -> bytes:
    """Decompress lz4.

    The library allocates `size` bytes before it looks at the body, so a size that no body of this
    length can have is refused first.
    """
    if size > len(body) * _LZ4_GAIN_MAX:
        raise DecodeError(f"{len(body)} bytes cannot hold {size}")
    data: bytes = lz4.decompress(body, uncompressed_size=size, dict=before)
    return data


def _zstd_after(data: bytes, before: bytes) -> bytes:
    size = len(data) + len(before)
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
        # The window spans the dictionary, too, or its beginning would be out of reach.
        zstd.CompressionParameter.window_log: max(_WINDOW_LOG_MIN, size.bit_length()),
        zstd.CompressionParameter.enable_long_distance_matching: int(size > _LDM_FROM),
    }
    prefix = zstd.ZstdDict(before, is_raw=True).as_prefix
    body: bytes = zstd.compress(data, options=options, zstd_dict=prefix)
    return body


def encode_after(data: bytes, before: bytes) -> bytes:
    """Encode with zstd, with bytes that the reader has as dictionary."""
    return _zstd_after(data, before)


def decode_after(body: bytes, size: int, before: bytes) -> bytes:
    """Decode `size` bytes that were encoded after these bytes.  Raise DecodeError."""
    try:
        data = _unzstd(body, size, before)
    except _BAD_BODY as error:
        raise DecodeError(str(error)) from error
    if len(data) != size:
        raise DecodeError(f"{len(data)} bytes where {size} were stored")
    return data


def _unzstd(body: bytes | memoryview, size: int, before: bytes) -> bytes:
    """Decompress zstd to at most `size` bytes, so that a damaged length cannot fill the memory."""
    prefix = zstd.ZstdDict(before, is_raw=True).as_prefix if before else None
    data: bytes = zstd.ZstdDecompressor(zstd_dict=prefix).decompress(body, max_length=size)
    return data
