"""Tree objects: the entries of a directory in byte order of their names.

An entry is 60 fixed bytes, the name, and what its flags announce.  A tree of up to
`INDEX_FROM` - 1 entries is one object, a *leaf*.  A larger one is cut into leaves
before every entry whose name `starts_leaf`, and becomes an *index* of them.  The cuts
depend on the names alone, so equal directories have equal ids whatever their history,
and a change of one entry touches one leaf and the index.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

from heliosfs.objects.ids import OID_BYTES, Oid, TreeId

NAME_MAX = 255
INDEX_FROM = 256
TIME_MAX_NS = 2**63 - 1
TIME_MIN_NS = -(2**63)
"""An entry holds times between the years 1677 and 2262."""

LINK = 1
"""Flag: one of several names of a file; a 64-bit link group follows."""
TARGET = 2
"""Flag: a symbolic link; its target follows."""
DEVICE = 4
"""Flag: a device node; its number follows."""
XATTRS = 8
"""Flag: user extended attributes follow."""
LINKS_BELOW = 16
"""Flag: a directory under which some entry has a link group."""

NO_OID = Oid(bytes(OID_BYTES))

_FIXED = struct.Struct("<HIIqQ32sBB")
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_LEAF = b"\0"
_INDEX = b"\1"
_DIRECTORY = stat.S_IFDIR >> 8

FIXED_BYTES = _FIXED.size
OID_AT = 26
"""Where the object id lies in an encoded entry."""


class Entry(NamedTuple):
    """One name in a directory, and everything that must survive of it."""

    name: bytes
    mode: int
    """Kind and all 12 permission bits, as `st_mode`."""
    uid: int
    gid: int
    mtime_ns: int
    size: int
    """Bytes of a regular file; of a directory, how many directories it holds."""
    oid: Oid
    """Blob or parts of a regular file, tree of a directory, else `NO_OID`."""
    group: int = 0
    """Names of one file (hard links) share a non-zero group."""
    target: bytes = b""
    rdev: int = 0
    xattrs: Mapping[bytes, bytes] | None = None
    links_below: bool = False

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


def clamp_time(time_ns: int) -> int:
    """The nearest time that an entry can hold, as Linux does it (timestamp_truncate)."""
    return min(max(time_ns, TIME_MIN_NS), TIME_MAX_NS)


def encode_entry(entry: Entry) -> bytes:
    """The bytes of one entry: 0.4 us.  A mode outside 16 bits is a struct.error."""
    name, mode, uid, gid, mtime_ns, size, oid, group, target, rdev, xattrs, below = entry
    flags = 0
    extra = b""
    if group:
        flags = LINK
        extra = _U64.pack(group)
    if target:
        flags |= TARGET
        extra += _U16.pack(len(target)) + target
    if rdev:
        flags |= DEVICE
        extra += _U64.pack(rdev)
    if xattrs:
        flags |= XATTRS
        packed = encode_xattrs(xattrs)
        extra += _U32.pack(len(packed)) + packed
    if below:
        flags |= LINKS_BELOW
    return _FIXED.pack(mode, uid, gid, mtime_ns, size, oid, flags, len(name)) + name + extra


def encode_file(
    mode: int, uid: int, gid: int, mtime_ns: int, size: int, oid: bytes, name: bytes
) -> bytes:
    """`encode_entry` for the common case without flags, which a commit meets most."""
    return _FIXED.pack(mode, uid, gid, mtime_ns, size, oid, 0, len(name)) + name


def decode_entry(data: bytes, at: int = 0) -> tuple[Entry, int]:
    """The entry at `at` and where the next one begins."""
    mode, uid, gid, mtime_ns, size, oid, flags, name_len = _FIXED.unpack_from(data, at)
    at += FIXED_BYTES
    name = data[at : at + name_len]
    at += name_len
    if not flags:
        # What Entry() does, without its call: most of the time of a decoding.
        fields = (name, mode, uid, gid, mtime_ns, size, oid, 0, b"", 0, None, False)
        return tuple.__new__(Entry, fields), at
    group = rdev = 0
    target = b""
    xattrs = None
    if flags & LINK:
        (group,) = _U64.unpack_from(data, at)
        at += 8
    if flags & TARGET:
        (length,) = _U16.unpack_from(data, at)
        target = data[at + 2 : at + 2 + length]
        at += 2 + length
    if flags & DEVICE:
        (rdev,) = _U64.unpack_from(data, at)
        at += 8
    if flags & XATTRS:
        (length,) = _U32.unpack_from(data, at)
        xattrs = decode_xattrs(data[at + 4 : at + 4 + length])
        at += 4 + length
    below = bool(flags & LINKS_BELOW)
    return Entry(name, mode, uid, gid, mtime_ns, size, oid, group, target, rdev, xattrs, below), at


def entry_name(raw: bytes) -> bytes:
    """The name in an encoded entry."""
    return raw[FIXED_BYTES : FIXED_BYTES + raw[FIXED_BYTES - 1]]


def is_dir_entry(raw: bytes) -> bool:
    """Whether an encoded entry is that of a directory."""
    return raw[1] & 0xF0 == _DIRECTORY


def split_leaf(data: bytes) -> list[bytes]:
    """The encoded entries of a leaf, undecoded; ValueError when the bytes do not fit."""
    check_leaf(data)
    at, end = 1, len(data)
    raws = []
    while at < end:
        stop = at + FIXED_BYTES + data[at + 59]
        if data[at + 58]:
            stop = end_of_extras(data, data[at + 58], stop)
        raws.append(data[at:stop])
        at = stop
    if at != end:
        raise ValueError("a tree ends within an entry")
    return raws


def check_leaf(data: bytes) -> None:
    """ValueError when the bytes of a tree object are not those of a leaf."""
    if data[:1] != _LEAF:
        raise ValueError("not a leaf")


def end_of_extras(data: bytes, flags: int, at: int) -> int:
    """Where an entry ends whose name ends at `at`."""
    if flags & LINK:
        at += 8
    if flags & TARGET:
        at += 2 + int(_U16.unpack_from(data, at)[0])
    if flags & DEVICE:
        at += 8
    if flags & XATTRS:
        at += 4 + int(_U32.unpack_from(data, at)[0])
    return at


def join_leaf(entries: Iterable[bytes]) -> bytes:
    """A leaf of encoded entries that are in byte order of their names."""
    return _LEAF + b"".join(entries)


def join_leaves(leaves: list[bytes]) -> bytes:
    """One leaf with the entries of several, in their order.  ValueError when one is none."""
    if len(leaves) == 1:
        return leaves[0]
    for leaf in leaves:
        check_leaf(leaf)
    return _LEAF + b"".join([leaf[1:] for leaf in leaves])


class LeafRef(NamedTuple):
    """A leaf as an index names it."""

    first: bytes
    """The name of its first entry."""
    oid: TreeId


def starts_leaf(name: bytes) -> bool:
    """Whether a leaf begins at this name, in a tree that has an index (one name in 64)."""
    return not crc32(name) & 63


def is_index(data: bytes) -> bool:
    """Whether a tree object is an index of leaves."""
    return data[:1] == _INDEX


def encode_index(leaves: list[LeafRef]) -> bytes:
    """The bytes of an index."""
    parts = [_INDEX]
    for first, oid in leaves:
        parts.append(bytes((len(first),)) + first + oid)
    return b"".join(parts)


def decode_index(data: bytes) -> list[LeafRef]:
    """Read an index; ValueError when the bytes do not fit."""
    if data[:1] != _INDEX:
        raise ValueError("not an index")
    leaves = []
    at, end = 1, len(data)
    while at < end:
        stop = at + 1 + data[at]
        if stop + OID_BYTES > end:
            raise ValueError("an index ends within a leaf's id")
        leaves.append(LeafRef(data[at + 1 : stop], TreeId(Oid(data[stop : stop + OID_BYTES]))))
        at = stop + OID_BYTES
    return leaves


def encode_xattrs(xattrs: Mapping[bytes, bytes]) -> bytes:
    """Names in byte order, each with its value, lengths first."""
    return b"".join(
        bytes((len(name),)) + name + _U32.pack(len(value)) + value
        for name, value in sorted(xattrs.items())
    )


def decode_xattrs(data: bytes) -> dict[bytes, bytes]:
    """Read what `encode_xattrs` wrote."""
    xattrs = {}
    at, end = 0, len(data)
    while at < end:
        stop = at + 1 + data[at]
        (length,) = _U32.unpack_from(data, stop)
        xattrs[data[at + 1 : stop]] = data[stop + 4 : stop + 4 + length]
        at = stop + 4 + length
    return xattrs
