"""Tree objects: the entries of a directory in byte order of their names.

An entry is 60 fixed bytes, the name, and the fields that its flags announce.  A tree of up to
`INDEX_FROM` - 1 entries is one object, a *leaf*.  A larger one is cut into leaves before every
entry whose name `starts_leaf`, and becomes an *index* of them.  The cuts depend on the names alone,
so equal directories have equal ids whatever their history, and a change of one entry touches one
leaf and the index.
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
"""Earliest time of an entry; with `TIME_MAX_NS`, the years 1677 to 2262."""

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
pack_fixed = _FIXED.pack
"""Return the first 60 bytes of an entry: mode, uid, gid, mtime, size, id, flags, name's length."""
unpack_fixed = _FIXED.unpack_from
"""Return the values of these bytes, without the name."""
LEAF = b"\0"
INDEX = b"\1"
"""The first byte of a tree object."""
_DIRECTORY = stat.S_IFDIR >> 8

FIXED_BYTES = _FIXED.size
OID_AT = 26
"""Offset of the object id in an encoded entry."""
FLAGS_AT = FIXED_BYTES - 2
"""Offset of the flags in an encoded entry."""
NAME_LENGTH_AT = FIXED_BYTES - 1
"""Offset of the length of the name, one byte, in an encoded entry."""


class Entry(NamedTuple):
    """One name in a directory, and everything that must survive of it."""

    name: bytes
    mode: int
    """File type and all 12 permission bits, as `st_mode`."""
    uid: int
    gid: int
    mtime_ns: int
    size: int
    """Bytes of a regular file; in the entry of a directory, the number of its subdirectories."""
    oid: Oid
    """Blob or parts of a regular file, tree of a directory; `NO_OID` for all others."""
    group: int = 0
    """Link group: the same non-zero number in all names (hard links) of one file."""
    target: bytes = b""
    rdev: int = 0
    xattrs: Mapping[bytes, bytes] | None = None
    links_below: bool = False

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


def clamp_time(time_ns: int) -> int:
    """Return the nearest time that an entry can hold, as Linux does (timestamp_truncate)."""
    return min(max(time_ns, TIME_MIN_NS), TIME_MAX_NS)


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of one entry: 0.4 us.  Raise struct.error for a mode over 16 bits."""
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
    """Return what `encode_entry` returns for an entry without flags, the common case."""
    return _FIXED.pack(mode, uid, gid, mtime_ns, size, oid, 0, len(name)) + name


def decode_entry(data: bytes, at: int = 0) -> tuple[Entry, int]:
    """Return the entry at `at` and the offset where the next one begins."""
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
    """Return the name in an encoded entry."""
    return raw[FIXED_BYTES : FIXED_BYTES + raw[NAME_LENGTH_AT]]


def is_dir_entry(raw: bytes) -> bool:
    """Return True if an encoded entry is that of a directory."""
    return raw[1] & 0xF0 == _DIRECTORY


def split_leaf(data: bytes) -> list[bytes]:
    """Return the encoded entries of a leaf, undecoded.

    Raise ValueError if the bytes do not fit.
    """
    check_leaf(data)
    at, end = 1, len(data)
    raws = []
    while at < end:
        # Read in place, not by `decode_entry`: a leaf is split to be searched or merged, and most
        # of its entries are passed on as they are.
        stop = at + FIXED_BYTES + data[at + NAME_LENGTH_AT]
        if data[at + FLAGS_AT]:
            stop = end_of_extras(data, data[at + FLAGS_AT], stop)
        raws.append(data[at:stop])
        at = stop
    if at != end:
        raise ValueError("a tree ends within an entry")
    return raws


def check_leaf(data: bytes) -> None:
    """Raise ValueError unless the bytes of a tree object are those of a leaf."""
    if data[:1] != LEAF:
        raise ValueError("not a leaf")


def end_of_extras(data: bytes, flags: int, at: int) -> int:
    """Return where an entry ends; `at` is where its name ends."""
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
    """Return a leaf of encoded entries, which are in byte order of their names."""
    return LEAF + b"".join(entries)


def join_leaves(leaves: list[bytes]) -> bytes:
    """Return one leaf with the entries of several, in their order.

    Raise ValueError if one is none.
    """
    if len(leaves) == 1:
        return leaves[0]
    for leaf in leaves:
        check_leaf(leaf)
    return LEAF + b"".join([leaf[1:] for leaf in leaves])


class LeafRef(NamedTuple):
    """The name and id under which an index lists a leaf."""

    first: bytes
    """Name of the first entry of the leaf."""
    oid: TreeId


def starts_leaf(name: bytes) -> bool:
    """Return True for a name at which a leaf begins if the tree has an index: one in 64."""
    return not crc32(name) & 63


def is_index(data: bytes) -> bool:
    """Return True if a tree object is an index of leaves."""
    return data[:1] == INDEX


def encode_index(leaves: list[LeafRef]) -> bytes:
    """Return the bytes of an index."""
    parts = [INDEX]
    for first, oid in leaves:
        parts.append(bytes((len(first),)) + first + oid)
    return b"".join(parts)


def decode_index(data: bytes) -> list[LeafRef]:
    """Read an index.  Raise ValueError when the bytes do not fit."""
    if data[:1] != INDEX:
        raise ValueError("the tree is not an index")
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
    """Return the encoded attributes in byte order of names, each with its lengths first."""
    return b"".join(
        bytes((len(name),)) + name + _U32.pack(len(value)) + value
        for name, value in sorted(xattrs.items())
    )


def decode_xattrs(data: bytes) -> dict[bytes, bytes]:
    """Read the bytes that `encode_xattrs` returned."""
    xattrs = {}
    at, end = 0, len(data)
    while at < end:
        stop = at + 1 + data[at]
        (length,) = _U32.unpack_from(data, stop)
        xattrs[data[at + 1 : stop]] = data[stop + 4 : stop + 4 + length]
        at = stop + 4 + length
    return xattrs
