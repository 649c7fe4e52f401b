"""Groups: contents that share bytes, such as the versions of a file, compressed together in a pack.

A row of such a content names the bytes of the whole group, so that one range is enough to read it,
and decoding it reads no more than `GROUP_BYTES`.  The bytes are a codec, the decoded size, and a
body, which is one content after another, each with its size.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, encode

GROUPED = 128
"""Codec of a row whose bytes are a group; no codec of a store."""
GROUP_BYTES = 512 * 1024
"""Largest sum of the contents of a group."""
GROUPED_MAX_BYTES = GROUP_BYTES // 4
"""Largest content that is put into one."""
_SIZES = struct.Struct("<BI")
_SIZE = struct.Struct("<I")
_DECODED_MAX = 2 * GROUP_BYTES
"""Largest group that is read."""


def encode_group(contents: Sequence[bytes]) -> bytes:
    """Return the bytes of a group."""
    data = b"".join(part for each in contents for part in (_SIZE.pack(len(each)), each))
    codec, body = encode(data, prefer_zstd=True)
    return _SIZES.pack(codec, len(data)) + body


def decode_from_group(body: bytes, oid: Oid) -> bytes:
    """Return the content of that id out of a group.  DecodeError."""
    try:
        return _decoded(body)[oid]
    except KeyError:
        raise DecodeError("it is not in its group") from None


@lru_cache(maxsize=8)
def _decoded(body: bytes) -> dict[Oid, bytes]:
    """Return the contents of a group by their ids; the next one is asked for soon.  DecodeError."""
    if len(body) < _SIZES.size:
        raise DecodeError("a group without sizes")
    codec, size = _SIZES.unpack_from(body)
    if codec not in (Codec.RAW, Codec.LZ4, Codec.ZSTD) or size > _DECODED_MAX:
        raise DecodeError("an impossible group")
    data = decode(codec, body[_SIZES.size :], size)
    contents, at = {}, 0
    while at < size:
        begin = at + _SIZE.size
        if begin > size:
            raise DecodeError("a group that ends in a size")
        at = begin + _SIZE.unpack_from(data, begin - _SIZE.size)[0]
        if at > size:
            raise DecodeError("a group that ends in a content")
        content = data[begin:at]
        contents[object_id(Kind.BLOB, content)] = content
    return contents
