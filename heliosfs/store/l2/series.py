"""Numbered state in L2: many small values of one family, packed in order into few blocks.

A *block* lies under the family and the number of its first entry.  An entry is

    steps from the number before | bytes of the rest, twice, plus 1 if it refers | [object] | rest

numbers in groups of seven bits.  A value that begins with the id of a commit *refers*: the
number of the object stands for the 32 bytes.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES
from heliosfs.pace import paced
from heliosfs.store.base import LISTED, NUMBERED, SLOT_BYTES
from heliosfs.store.encoding.codecs import read_varint, varint
from heliosfs.store.l2.sealed import SealedTable, shown_key, unseal

_NUMBER = struct.Struct(">Q")
_NUMBER_MAX = 2**64 - 1
_BLOCK_BYTES = 1_320
"""Size of a block; three fill a page.  A block is read from its beginning to the value that is
asked for."""
_BLOCK_MAX = 128
"""Largest number of entries in a block, which are read in 20 us."""

_REMEMBERED_BLOCKS = 16
"""Blocks that are known with their entries, of the last that were read: 20 KB each."""


class Value(NamedTuple):
    """A value as it is packed."""

    refers: int
    """Number of the commit with whose id the value begins; 0 if it begins with none."""
    rest: bytes


def block_number(key: bytes) -> int | None:
    """Return the number with which the block under a key begins; None if a value lies there.

    Raise CorruptObject for a key that L2 has neither for a block nor for a value.
    """
    mark = key[:1]
    if mark not in (LISTED, NUMBERED):
        return None
    rest = len(key) - key.find(b"/") - 1
    # A list has blocks, and the ids of commits that L2 lacks; a series has blocks below a slot.
    if mark == LISTED and rest == OID_BYTES:
        return None
    if rest != (_NUMBER.size if mark == LISTED else SLOT_BYTES + _NUMBER.size):
        raise CorruptObject(f"the state has a damaged key, {shown_key(key)}")
    return int(_NUMBER.unpack_from(key, len(key) - _NUMBER.size)[0])


def split_block(first: int, block: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the entries of a block with their numbers, in order.  Raise CorruptObject."""
    at, end, number = 0, len(block), first
    try:
        while at < end:
            step, at = read_varint(block, at)
            length, at = read_varint(block, at)
            refers = 0
            if length & 1:
                refers, at = read_varint(block, at)
            number += step
            stop = at + (length >> 1)
            if number > _NUMBER_MAX:
                raise IndexError("a number of more than 64 bits")
            yield number, Value(refers, block[at:stop])
            at = stop
    except IndexError as error:
        raise CorruptObject(f"a block of state, from number {first} on, is damaged") from error
    if at != end:
        raise CorruptObject(f"a block of state, from number {first} on, is cut short")


def join_blocks(entries: Mapping[int, Value]) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of sorted entries: the first number and the bytes of each."""
    parts: list[bytes] = []
    size = first = before = 0
    for number, (refers, rest) in paced(entries.items()):
        if size + len(rest) > _BLOCK_BYTES or len(parts) == _BLOCK_MAX:
            yield first, b"".join(parts)
            parts, size = [], 0
        if not parts:
            first = before = number
        link = varint(refers) if refers else b""
        length = varint(len(rest) << 1 | (refers > 0))
        entry = b"".join((varint(number - before), length, link, rest))
        parts.append(entry)
        size += len(entry)
        before = number
    if parts:
        yield first, b"".join(parts)


def get_numbered(state: SealedTable, family: bytes, number: int) -> Value | None:
    """Return a value of a family, or None."""
    found = _block_of(state, family, number)
    return None if found is None else _entries(*found).get(number)


@lru_cache(maxsize=_REMEMBERED_BLOCKS)
def _entries(first: int, block: bytes) -> Mapping[int, Value]:
    """Return the entries of a block by number; neighbours are asked for one after another."""
    return dict(split_block(first, block))


def write_numbered(state: SealedTable, family: bytes, changes: Mapping[int, Value | None]) -> None:
    """Set or remove values of a family, and write each changed block once."""
    waiting = sorted(changes)
    at = 0
    while at < len(waiting):
        number = waiting[at]
        block = _block_of(state, family, number)
        changed: dict[int, Value | None] = dict(split_block(*block)) if block else {}
        limit = _next_block(state, family, number)
        begin = at
        at = len(waiting) if limit is None else bisect_left(waiting, limit, begin)
        for each in paced(waiting[begin:at]):
            changed[each] = changes[each]
        entries = paced(sorted(changed.items()))
        left = {each: value for each, value in entries if value is not None}
        if block:
            state.delete(family + _NUMBER.pack(block[0]))
        for first, data in join_blocks(left):
            state.put(family + _NUMBER.pack(first), data)


def _block_of(state: SealedTable, family: bytes, number: int) -> tuple[int, bytes] | None:
    """Return first number and bytes of the last block that begins at or before a number."""
    cursor = state.txn.cursor(state.table)
    key = family + _NUMBER.pack(number)
    if cursor.set_range(key):
        found = cursor.key() == key or cursor.prev()
    else:
        found = cursor.last()
    if not found:
        return None
    first = _number_in(cursor.key(), family)
    return None if first is None else (first, unseal(*cursor.item()))


def _next_block(state: SealedTable, family: bytes, number: int) -> int | None:
    """Return the first number of the block after a number, or None."""
    cursor = state.txn.cursor(state.table)
    if not cursor.set_range(family + _NUMBER.pack(number + 1)):
        return None
    return _number_in(cursor.key(), family)


def _number_in(key: bytes, family: bytes) -> int | None:
    """Return the number in the key of a block; None if the key is of another kind."""
    if len(key) != len(family) + _NUMBER.size or not key.startswith(family):
        return None
    return int(_NUMBER.unpack_from(key, len(family))[0])
