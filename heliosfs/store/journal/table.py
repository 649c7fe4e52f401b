"""The items of a record of the journal, read from its table."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import StoreError
from heliosfs.objects.ids import OID_BYTES, Kind, Oid
from heliosfs.store.edited import EditedObject, decode_edited
from heliosfs.store.encoding.places import PackedObject, decode_location
from heliosfs.store.journal.journal import (
    EDITED_TAG,
    OBJECT,
    OBJECT_TAG,
    PACKED_TAG,
    STATE,
    STATE_TAG,
)


class ObjectItem(NamedTuple):
    """An object of a batch."""

    oid: Oid
    kind: Kind
    size: int
    base: Oid | None
    elsewhere: PackedObject | EditedObject | None
    """Place or edits of an object; None if its bytes follow the table."""


class StateItem(NamedTuple):
    """A change of state of a batch."""

    key: bytes
    value: bytes | None
    """Value; None for a removed key."""


def read_items(data: bytes, at: int, stop: int) -> Iterator[ObjectItem | StateItem]:
    """Read the items of a table whose checksum is right.  Raise StoreError.

    A table can be wrong all the same: written by a newer heliosfs, or on purpose.
    """
    try:
        yield from _items(data[at:stop])
    except (IndexError, struct.error, ValueError) as error:
        raise StoreError(f"a journal holds a table that cannot be read: {error}") from error


def _items(data: bytes) -> Iterator[ObjectItem | StateItem]:
    at, stop = 0, len(data)
    while at < stop:
        tag = data[at]
        if tag == STATE_TAG:
            _, removed, key_bytes, value_bytes = STATE.unpack_from(data, at)
            at += STATE.size
            key = data[at : at + key_bytes]
            at += key_bytes
            value = data[at : at + value_bytes]
            at += value_bytes
            if at > stop:
                raise IndexError("a value ends behind the table")
            yield StateItem(key, None if removed else value)
            continue
        if tag not in (OBJECT_TAG, PACKED_TAG, EDITED_TAG):
            raise StoreError(f"a journal holds an item of unknown kind {tag}")
        _, kind, has_base, size, oid = OBJECT.unpack_from(data, at)
        at += OBJECT.size
        base = None
        elsewhere: PackedObject | EditedObject | None = None
        if tag == PACKED_TAG:
            place, at = decode_location(data, at)
            elsewhere = PackedObject(place, size)
        elif tag == EDITED_TAG:
            elsewhere, at = decode_edited(data, at, size)
            base = elsewhere.base
        elif has_base:
            base = Oid(data[at : at + OID_BYTES])
            at += OID_BYTES
        if at > stop:
            raise IndexError("an object ends behind the table")
        yield ObjectItem(Oid(oid), Kind(kind), size, base, elsewhere)
