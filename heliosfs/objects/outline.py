"""Outlines of trees: where their entries end, and which entries a version does not share.

A later version of a tree is mostly the earlier one, and a store keeps it as a delta with the
lengths of the shared beginning and end.  From these and the outline of the earlier version follow
the entries in which the two differ, without a look at the others.
"""

from __future__ import annotations

import stat
import struct
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import OID_BYTES, Kind, Oid, object_id
from heliosfs.objects.tree import (
    FIXED_BYTES,
    FLAGS_AT,
    INDEX,
    LEAF,
    NAME_LENGTH_AT,
    decode_entry,
    end_of_extras,
    join_leaf,
)

EMPTY_TREE_ID = object_id(Kind.TREE, join_leaf([]))
_HEAD = struct.Struct("<H16xQ32s")
"""Mode, size and id in an encoded entry."""
_REGULAR = stat.S_IFREG
_DIRECTORY = stat.S_IFDIR
_LINK = stat.S_IFLNK >> 8
_TYPE = 0o170000
_BLOB, _PARTS, _TREE = Kind.BLOB, Kind.PARTS, Kind.TREE


class Outline(NamedTuple):
    """The places of a tree's entries, and those entries that are not known from another tree."""

    ends: list[int]
    """Offset of the first entry, then the offset at which each entry ends."""
    begin: int
    """Index in `ends` of the offset at which the first entry begins that is not known."""
    end: int
    """Index of the offset at which the last of them ends; all between them are not known."""


def outline(data: bytes) -> Outline:
    """Return the outline of a tree of which nothing is known: 0.2 us an entry.

    ValueError, IndexError, struct.error when the bytes are not a tree.
    """
    ends = _ends(data, 1, len(data))
    return Outline(ends, 0, len(ends) - 1)


def outline_after(known: list[int], data: bytes, base_bytes: int, head: int, tail: int) -> Outline:
    """Return the outline of a version whose first `head` and last `tail` bytes are a base's.

    `known` are the ends of the base, which has `base_bytes`.  An entry counts as known only if it
    lies in one of the two parts as a whole, and begins and ends where an entry of the base does.
    1 us if one of many entries changed.
    """
    if head < 1:
        return outline(data)
    first = bisect_right(known, head) - 1
    begin, size, shift = known[first], len(data), len(data) - base_bytes
    limit, rest = size - tail, len(known) - 1
    # Most often one entry has changed, and its name has not: then nothing moved.
    if not shift and first < rest and limit <= known[first + 1] == _ends(data, begin, begin + 1)[1]:
        return Outline(known, first, first + 1)
    at = begin
    between: list[int] = []
    while at < size:
        if at >= limit:
            # The bytes from here on are the base's, but an entry of it must begin here, too: a name
            # or an attribute may contain what looks like entries.
            found = bisect_left(known, at - shift)
            if found < len(known) and known[found] == at - shift:
                rest = found
                break
        at = _ends(data, at, at + 1)[-1]
        between.append(at)
    if at > size:
        raise ValueError("a tree ends within an entry")
    later = known[rest + 1 :]
    if shift:
        later = [each + shift for each in later]
    return Outline([*known[: first + 1], *between, *later], first, first + len(between))


def references_in(data: bytes, found: Outline) -> list[tuple[Kind, Oid]]:
    """Return the objects that the unknown entries of a tree refer to, without those never stored.

    struct.error, IndexError.
    """
    starts = found.ends[found.begin : found.end]
    if data[:1] == INDEX:
        after = [at + 1 + data[at] for at in starts]
        return [(_TREE, Oid(data[at : at + OID_BYTES])) for at in after]
    objects: list[tuple[Kind, Oid]] = []
    for at in starts:
        mode, size, oid = _HEAD.unpack_from(data, at)
        kind = mode & _TYPE
        if kind == _REGULAR:
            if size:
                objects.append((_BLOB if size <= WHOLE_MAX else _PARTS, oid))
        elif kind == _DIRECTORY and oid != EMPTY_TREE_ID:
            objects.append((_TREE, oid))
    return objects


def links_in(data: bytes, found: Outline) -> list[Oid]:
    """Return the ids of blobs that would hold the targets of a leaf's unknown symbolic links.

    Heliosfs keeps a target in the entry and needs no such blob, but git has one: an import stores
    it, so that the next import finds it.
    """
    if data[:1] == INDEX:
        return []
    # The high byte of a mode is enough to pass over most entries.
    return [
        object_id(_BLOB, decode_entry(data, at)[0].target)
        for at in found.ends[found.begin : found.end]
        if data[at + 1] & 0xF0 == _LINK
    ]


def _ends(data: bytes, at: int, stop: int) -> list[int]:
    """Return the offset `at`, and the ends of the entries that begin from there before `stop`."""
    ends = [at]
    if data[:1] == LEAF:
        while at < stop:
            end = at + FIXED_BYTES + data[at + NAME_LENGTH_AT]
            flags = data[at + FLAGS_AT]
            at = end_of_extras(data, flags, end) if flags else end
            ends.append(at)
    elif data[:1] == INDEX:
        while at < stop:
            at += 1 + data[at] + OID_BYTES
            ends.append(at)
    else:
        raise ValueError("not a tree")
    if at > len(data):
        raise ValueError("a tree ends within an entry")
    return ends
