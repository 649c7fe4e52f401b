"""Walks through L2 in order: its values and records by number, and its index by id.

A walk passes everything once, a few ms at a time in a transaction each, while a `Snapshot` finds
one object by its id.  So a walk has a cursor of its own: that of the snapshot stays where the last
object was found, and the next one is often its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from heliosfs.pace import paced
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.l2.reader import INDEX_KEY, NUMBER, Snapshot, entry_number, piece_key, seek
from heliosfs.store.l2.record import (
    SHORT_BYTES,
    Head,
    Payload,
    bundle_count,
    read_alone,
    split_value,
    unpack,
    unpack_head,
)

_NUMBER_MAX = 2**64 - 1


class StoredValue(NamedTuple):
    """The value under the key of a number."""

    first: int
    value: bytes
    records: list[tuple[int, bytes]]
    """Number and record of each object; empty if removed, the first piece of a large object."""

    @property
    def is_alone(self) -> bool:
        """True if the value is one large object."""
        return not bundle_count(self.value)


def alone_keys(number: int, value: bytes) -> Iterator[bytes]:
    """Yield the keys of an object's pieces, the first of which is `value`.  IndexError.

    Stop at the first one that is missing: a damaged value may count more than there can be.
    """
    return (piece_key(number, index) for index in range(read_alone(value)[0] + 1))


def headers(snapshot: Snapshot, number: int) -> Iterator[Payload]:
    """Yield the records from a number on, in order of the numbers; DecodeError.

    Of a large record, the body is only the part in its first piece.
    """
    for first, value in _from(snapshot, number):
        for at, record in enumerate(split_value(value), first):
            if record and at >= number:
                yield unpack(at, record)


def heads(snapshot: Snapshot, number: int) -> Iterator[Head]:
    """Yield the records from a number on, without copies of their bodies: 1 us each; DecodeError.

    Of a large record, the part in its first piece.
    """
    for first, value in _from(snapshot, number):
        for at, record in enumerate(split_value(value), first):
            if record and at >= number:
                yield unpack_head(at, record)


def values(snapshot: Snapshot, number: int) -> Iterator[StoredValue]:
    """Yield the value that holds a number, and those after it; DecodeError."""
    for first, value in _from(snapshot, number):
        records = split_value(value)
        if first + len(records) > number:
            yield StoredValue(first, value, list(enumerate(records, first)))


def records(snapshot: Snapshot, number: int) -> Iterator[tuple[int, bytes | None, str]]:
    """Yield each number from one on that has a record, the record, and an empty text.

    Of a large object, None in place of the record, of which only the first piece was read.  Of a
    damaged value, the first number and what is wrong; then it goes on behind it.
    """
    for first, value in _from(snapshot, number):
        try:
            found = split_value(value)
        except DecodeError as error:
            yield first, None, str(error)
            continue
        is_alone = not bundle_count(value)
        for at, record in enumerate(found, first):
            if record and at >= number:
                yield at, None if is_alone else record, ""


def _from(snapshot: Snapshot, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first number and the value of each key from the one with a number on."""
    cursor = snapshot.txn.cursor(snapshot.tables.objects)
    more = seek(cursor, number)
    while more:
        key, value = cursor.item()
        if len(key) == NUMBER.size:
            (first,) = NUMBER.unpack(key)
            yield first, value
            if not value or not bundle_count(value):
                # Past its further pieces, whose keys are longer, without reading them.
                more = first < _NUMBER_MAX and cursor.set_range(NUMBER.pack(first + 1))
                continue
        more = cursor.next()


def index_entries(snapshot: Snapshot, begin: bytes, limit: int) -> list[tuple[bytes, int]]:
    """Return at most `limit` entries of the index from one on, as short id and number."""
    cursor = snapshot.txn.cursor(snapshot.tables.ids)
    if not cursor.set_range_dup(INDEX_KEY, begin):
        return []
    return [
        (entry[:SHORT_BYTES], entry_number(entry))
        for entry in paced(islice(cursor.iternext_dup(), limit))
    ]


def last_bundle(snapshot: Snapshot) -> tuple[int, bytes] | None:
    """Return first number and value of the bundle that ends L2; None for a large object."""
    cursor = snapshot.txn.cursor(snapshot.tables.objects)
    if not cursor.last():
        return None
    key, value = cursor.item()
    if len(key) != NUMBER.size or not bundle_count(value):
        return None
    return NUMBER.unpack(key)[0], value
