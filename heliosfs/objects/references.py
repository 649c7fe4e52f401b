"""References from an object to others: the ids in its bytes."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from typing import TypeAlias

from heliosfs.objects.blob import EMPTY_BLOB, WHOLE_MAX, ZERO_PART, decode_parts
from heliosfs.objects.commit import decode_commit
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.tree import Entry, decode_entry, decode_index, is_index, join_leaf, split_leaf

Reference: TypeAlias = "tuple[Kind, Oid]"

_EMPTY_TREE = object_id(Kind.TREE, join_leaf([]))
NEVER_STORED = frozenset((EMPTY_BLOB, ZERO_PART, _EMPTY_TREE))
"""Ids of the objects that a reader knows without a store."""
_HEAD = struct.Struct("<H16xQ32s")
"""Mode, size and id in an encoded entry."""


def references(kind: Kind, data: bytes) -> Iterator[Reference]:
    """Yield the objects that an object needs to be complete, without those never stored.

    ValueError, IndexError or struct.error when the bytes are not such an object.
    """
    if kind is Kind.TREE:
        if is_index(data):
            for leaf in decode_index(data):
                yield Kind.TREE, leaf.oid
        else:
            yield from _of_leaf(data)
    elif kind is Kind.COMMIT:
        commit = decode_commit(data)
        for parent in commit.parents:
            yield Kind.COMMIT, parent
        yield from entry_references(commit.root)
    elif kind is Kind.PARTS:
        for part in decode_parts(data).ids.values():
            yield Kind.BLOB, part


def link_blobs(data: bytes) -> Iterator[Oid]:
    """Yield the ids of blobs that would hold the targets of a leaf's symbolic links.

    Heliosfs keeps a target in the entry and needs no such blob, but git has one: an import stores
    it, so that the next import finds it.
    """
    if not is_index(data):
        for raw in split_leaf(data):
            if stat.S_ISLNK(_HEAD.unpack_from(raw)[0]):
                yield object_id(Kind.BLOB, decode_entry(raw)[0].target)


def entry_references(entry: Entry) -> Iterator[Reference]:
    """Yield the object of one entry, if it has one that is stored."""
    yield from _of_entry(entry.mode, entry.size, entry.oid)


def _of_leaf(data: bytes) -> Iterator[Reference]:
    for raw in split_leaf(data):
        mode, size, oid = _HEAD.unpack_from(raw)
        yield from _of_entry(mode, size, oid)


def _of_entry(mode: int, size: int, oid: Oid) -> Iterator[Reference]:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        if size:
            yield (Kind.BLOB if size <= WHOLE_MAX else Kind.PARTS), oid
    elif kind == stat.S_IFDIR and oid != _EMPTY_TREE:
        yield Kind.TREE, oid
