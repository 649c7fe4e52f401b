"""Pages of an LMDB file: reading them, and what is true of each by itself.

Source of the format: LMDB 0.9, `mdb.c` (MDB_page, MDB_node, MDB_meta, MDB_db), little-endian:

    page    number 8 | padding 2 | flags 2 | lower 2 | upper 2     (overflow: count of pages 4)
    meta    page | magic 4 | version 4 | address 8 | map size 8 | free db | main db | last page 8
            | transaction 8
    db      page size 4 | flags 2 | depth 2 | branch, leaf, overflow pages, entries, root 8 each
    node    lo 2 | hi 2 | flags 2 | key bytes 2 | key | data
            (branch: page number lo | hi | flags; leaf: data bytes lo | hi)
"""

from __future__ import annotations

import os
import struct
from operator import ge
from typing import NamedTuple

PAGE = struct.Struct("<QHHHH")
_META = struct.Struct("<IIQQ")
_DB = struct.Struct("<IHHQQQQQ")
_TAIL = struct.Struct("<QQ")
NODE = struct.Struct("<HHHH")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")

_MAGIC = 0xBEEFC0DE
_VERSION = 1
BRANCH, LEAF, OVERFLOW, _META_PAGE, LEAF2 = 0x01, 0x02, 0x04, 0x08, 0x20
BIG, SUB, DUPLICATES = 0x01, 0x02, 0x04
NO_PAGE = (1 << 64) - 1
DEPTH_MAX = 32
INTEGER_KEYS, _PLAIN_FILE = 0x08, 0x4000
ENVIRONMENT_FLAGS = INTEGER_KEYS | _PLAIN_FILE
"""Flags that the free list has: its own, and those of an environment that is one file."""
LMDB_KEY_MAX = 511


class Damage(Exception):
    """A reachable page is missing, or contradicts the page that refers to it."""


class Database(NamedTuple):
    """A tree, as the page that refers to it describes it."""

    key_bytes: int
    """Length of the keys if all have the same one, as the values of a key; of a meta page other."""
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class Meta(NamedTuple):
    """A meta page: the state of the file as of one transaction."""

    page_bytes: int
    free: Database
    main: Database
    last_page: int
    transaction: int


class Below(NamedTuple):
    """A page of a tree, and the keys between which its own must lie."""

    number: int
    depth: int
    low: bytes | None
    """The lowest key that it may have; None if there is no bound."""
    high: bytes | None
    """The first key that it may not have; None if there is no bound."""


def newest_meta(fd: int, length: int) -> Meta:
    """Return the meta page that LMDB would use: the later of the two, if both are sound."""
    first = _meta(os.pread(fd, 4096, 0), 0)
    page_bytes = first.page_bytes if first else 4096
    metas = [first, _meta(os.pread(fd, 4096, page_bytes), 1)]
    found = [meta for meta in metas if meta is not None]
    if not found:
        raise Damage(f"neither of the two meta pages can be read ({length} bytes)")
    return max(found, key=lambda meta: meta.transaction)


def _meta(data: bytes, number: int) -> Meta | None:
    at = PAGE.size
    if len(data) < at + _META.size + 2 * _DB.size + _TAIL.size:
        return None
    page, _, flags, _, _ = PAGE.unpack_from(data)
    magic, version, _, _ = _META.unpack_from(data, at)
    if (page, flags & _META_PAGE, magic, version) != (number, _META_PAGE, _MAGIC, _VERSION):
        return None
    at += _META.size
    free = Database(*_DB.unpack_from(data, at))
    main = Database(*_DB.unpack_from(data, at + _DB.size))
    page_bytes = free.key_bytes
    last_page, transaction = _TAIL.unpack_from(data, at + 2 * _DB.size)
    if not 256 <= page_bytes <= 65536 or page_bytes & (page_bytes - 1):
        return None
    return Meta(page_bytes, free, main, last_page, transaction)


def database_in(data: bytes) -> Database:
    if len(data) != _DB.size:
        raise Damage(f"the description of a tree has {len(data)} bytes")
    return Database(*_DB.unpack(data))


def node_count(page: bytes, number: int) -> int:
    lower: int = PAGE.unpack_from(page)[3]
    if not PAGE.size <= lower <= len(page) or lower & 1:
        raise Damage(f"page {number} has a table of nodes that ends at byte {lower}")
    return (lower - PAGE.size) // 2


def fixed_count(page: bytes, number: int) -> int:
    """Return the number of keys in a page of keys of one size (stored in the header's padding)."""
    size = PAGE.unpack_from(page)[1]
    count = node_count(page, number)
    if not size or PAGE.size + count * size > len(page):
        raise Damage(f"page {number} has no room for {count} keys of {size} bytes")
    return count


def node_offsets(page: bytes, number: int) -> list[int]:
    count = node_count(page, number)
    lower, upper = PAGE.unpack_from(page)[3:]
    if not count:
        raise Damage(f"page {number} is empty")
    offsets = list(struct.unpack_from(f"<{count}H", page, PAGE.size))
    if not lower <= upper <= len(page) or min(offsets) < upper:
        raise Damage(f"the nodes of page {number} overlap its table of nodes")
    if max(offsets) + NODE.size > len(page):
        raise Damage(f"a node of page {number} goes beyond the end of the page")
    return offsets


def children(page: bytes, at_page: Below, tree_flags: int) -> list[Below]:
    """Return the pages below a branch, each with the keys that lead to it.  Raise Damage."""
    number, depth, low, high = at_page
    keys: list[bytes] = []
    pages: list[int] = []
    room = len(page) - PAGE.unpack_from(page)[4]
    for at in node_offsets(page, number):
        part, more, flags, key_bytes = NODE.unpack_from(page, at)
        if at + NODE.size + key_bytes > len(page):
            raise Damage(f"a node of page {number} goes beyond the end of the page")
        room -= even(NODE.size + key_bytes)
        pages.append(part | more << 16 | flags << 32)
        keys.append(page[at + NODE.size : at + NODE.size + key_bytes])
    if room:
        raise Damage(f"the nodes of page {number} overlap, or have gaps between them")
    # The key of the first node stands for the lowest, whatever it is.
    check_order(keys[1:], at_page, tree_flags)
    bounds = [low, *keys[1:], high]
    return [
        Below(child, depth - 1, bounds[index], bounds[index + 1])
        for index, child in enumerate(pages)
    ]


def check_order(keys: list[bytes], page: Below, tree_flags: int) -> None:
    """Check that a search with any of these keys leads to it.  Raise Damage."""
    bounded = [page.low, *keys, page.high]
    found = [key for key in bounded if key is not None]
    if tree_flags & INTEGER_KEYS:
        # Little-endian, and all of one length.
        found = [key[::-1] for key in found]
    # The key that leads to a page is often its first one.
    first = 1 if page.low is not None and keys and keys[0] == page.low else 0
    if any(map(ge, found[first:], found[first + 1 :])):
        raise Damage(f"the keys of page {page.number} are not in order")


def fixed_keys(page: bytes, number: int, key_bytes: int) -> list[bytes]:
    """Return the keys of a page of keys of one size.  Raise Damage."""
    count = fixed_count(page, number)
    size = PAGE.unpack_from(page)[1]
    if size != key_bytes:
        raise Damage(f"page {number} has keys of {size} bytes, where {key_bytes} are noted")
    end = PAGE.size + count * size
    return [page[at : at + size] for at in range(PAGE.size, end, size)]


def even(size: int) -> int:
    return size + (size & 1)
