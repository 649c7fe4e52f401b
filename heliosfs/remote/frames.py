"""Frames: groups of objects that are compressed together, in an object with trees.

A directory and the same directory one commit later differ in one entry.  Within a frame, that is
found by the compression.  The first version in a push is not like anything before it, so its frame
may have a *dictionary*: it names objects that the push does not send, because the remote had them,
and whose bytes stand before its own when it is compressed.  These are earlier versions of its
trees and lists of parts, in the tree of a parent of its commits.  So whoever has the parents, or
reads them, has them as well, and whatever keeps the history of a commit keeps them.

Contents are in no dictionary, for a reader may have left them where they are, and commits and
contents lie in frames without one, so that these can be read alone.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.remote.packfile import OBJECT_MAX, RemoteObject
from heliosfs.store.encoding.codecs import (
    Codec,
    DecodeError,
    decode,
    decode_after,
    encode,
    encode_after,
    encode_small,
)

AFTER_OTHERS = 129
"""Codec of a frame with a dictionary; those of the store and of packs are others."""
FRAME_BYTES = 1024 * 1024
"""Bytes from which a frame takes no further object."""
DICTIONARY_MAX_BYTES = 1024 * 1024
"""Largest dictionary: the bytes of all objects that it names."""
OLDER_MAX = 255
"""Most objects of a kind that a dictionary names."""
OLDER_MIN_BYTES = 128
"""Smallest object that a dictionary names: an id takes 32 bytes, and does not compress."""
DICTIONARY_KINDS = (Kind.TREE, Kind.PARTS)
"""Kinds of the objects that a dictionary names, in this order."""
_FRAME = struct.Struct("<BII")
_RECORD = struct.Struct("<BI")
_NAMED = struct.Struct("<BB")
_SMALL_BYTES = 64 * 1024
"""Largest frame for which time is taken to make it smaller."""
_FRAME_MAX = OBJECT_MAX + FRAME_BYTES + _RECORD.size
_KINDS = frozenset(map(int, Kind))
RECORD_HEAD_BYTES = _RECORD.size
"""Bytes that an object takes in a frame beside its own."""

NamedObject = tuple[Kind, Oid]
"""An object that a dictionary names."""


class Frame(NamedTuple):
    """A frame that was found, and not decoded."""

    codec: int
    size: int
    """Bytes of the objects, decoded."""
    named: bytes
    """The objects of the dictionary as they are named; empty where there is none."""
    body: bytes
    """Bytes of the compressed objects."""

    @property
    def needed(self) -> list[NamedObject]:
        """Objects of which the dictionary is made, in this order."""
        return named_objects(self.named)


def encode_frame(objects: Iterable[RemoteObject], *, is_fast: bool = False) -> bytes:
    """Return a frame without a dictionary."""
    data = _joined(objects)
    takes_time = not is_fast and len(data) <= _SMALL_BYTES
    codec, body = encode_small(data) if takes_time else encode(data, prefer_zstd=True)
    return _FRAME.pack(codec, len(data), len(body)) + body


def encode_frame_after(objects: Iterable[RemoteObject], older: Sequence[RemoteObject]) -> bytes:
    """Return a frame with a dictionary of some objects, which keep to the limits of one."""
    data = _joined(objects)
    groups = [[each for each in older if each.kind is kind] for kind in DICTIONARY_KINDS]
    named = [each for group in groups for each in group]
    compressed = encode_after(data, b"".join(each.data for each in named))
    head = _NAMED.pack(*map(len, groups))
    body = b"".join((head, *(each.oid for each in named), compressed))
    return _FRAME.pack(AFTER_OTHERS, len(data), len(body)) + body


def _joined(objects: Iterable[RemoteObject]) -> bytes:
    parts: list[bytes] = []
    for found in objects:
        parts += (_RECORD.pack(found.kind, len(found.data)), found.data)
    return b"".join(parts)


def read_frame(shown: str, data: bytes, at: int) -> tuple[Frame, int]:
    """Return the frame at an offset, and the offset after it.  CorruptObject."""
    body_at = at + _FRAME.size
    if body_at > len(data):
        raise CorruptObject(f"{shown} of the remote ends within a frame")
    codec, size, stored = _FRAME.unpack_from(data, at)
    end = body_at + stored
    if size > _FRAME_MAX or end > len(data):
        raise CorruptObject(f"{shown} of the remote has an impossible frame")
    named = b""
    if codec == AFTER_OTHERS:
        named = _named(shown, data, body_at, end)
    elif codec not in (Codec.RAW, Codec.LZ4, Codec.ZSTD):
        raise CorruptObject(f"{shown} of the remote has an impossible frame")
    return Frame(codec, size, named, data[body_at + len(named) : end]), end


def _named(shown: str, data: bytes, at: int, end: int) -> bytes:
    """Return the names of the objects of a dictionary, as they are there.  CorruptObject."""
    ids_at = at + _NAMED.size
    count = sum(_NAMED.unpack_from(data, at)) if ids_at <= end else 0
    body_at = ids_at + count * OID_BYTES
    named = data[at:body_at]
    is_whole = count > 0 and body_at <= end
    if not is_whole or len({oid for _, oid in named_objects(named)}) < count:
        raise CorruptObject(f"{shown} of the remote has an impossible dictionary")
    return named


def named_objects(named: bytes) -> list[NamedObject]:
    """Return the objects that a dictionary names; none if it is empty."""
    if not named:
        return []
    counted = zip(DICTIONARY_KINDS, _NAMED.unpack_from(named), strict=True)
    kinds = [kind for kind, count in counted for _ in range(count)]
    places = range(_NAMED.size, len(named), OID_BYTES)
    return [(kind, Oid(named[at : at + OID_BYTES])) for kind, at in zip(kinds, places, strict=True)]


def frames_of(shown: str, data: bytes, at: int) -> Iterator[Frame]:
    """Yield the frames from an offset to the end.  CorruptObject."""
    while at < len(data):
        frame, at = read_frame(shown, data, at)
        yield frame


def objects_of(shown: str, frame: Frame, older: Sequence[bytes] = ()) -> Iterator[RemoteObject]:
    """Yield the objects of a frame, whose dictionary are some objects.  CorruptObject.

    They are made one by one, for a frame of a few KB can hold millions of them.
    """
    try:
        if frame.codec == AFTER_OTHERS:
            data = decode_after(frame.body, frame.size, b"".join(older))
        else:
            data = decode(frame.codec, frame.body, frame.size)
    except DecodeError as error:
        raise CorruptObject(f"{shown} of the remote has a damaged frame: {error}") from error
    kinds = _KINDS if frame.codec != AFTER_OTHERS else frozenset(map(int, DICTIONARY_KINDS))
    yield from _records(shown, data, kinds)


def _records(shown: str, data: bytes, kinds: Collection[int]) -> Iterator[RemoteObject]:
    at = 0
    while at < len(data):
        body_at = at + _RECORD.size
        kind, size = _RECORD.unpack_from(data, at) if body_at <= len(data) else (0, len(data))
        at = body_at + size
        if at > len(data) or kind not in kinds:
            raise CorruptObject(f"{shown} of the remote has a frame of no objects")
        body = data[body_at:at]
        yield RemoteObject(Kind(kind), object_id(Kind(kind), body), body)
