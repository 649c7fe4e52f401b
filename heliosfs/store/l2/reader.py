"""Snapshots of L2: the number of an id, and the record of a number, as of one transaction."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import lmdb

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, DecodeError
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.places import PackLocation, decode_location
from heliosfs.store.encoding.versions import PreparedObject
from heliosfs.store.l2.environment import Tables, Transaction
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.record import (
    NO_BASES,
    SHORT_BYTES,
    DecodedObjects,
    Payload,
    bundle_count,
    commit_oid,
    decode_chain,
    read_alone,
    record_in,
    unpack,
)
from heliosfs.store.pending import Pending

INDEX_KEY = b"\0"
"""The only key of the index; the entries are its values."""
NUMBER = struct.Struct(">Q")
_ENTRY_NUMBER_BYTES = 5
_CHAIN_MAX = 256
_PACKED, _RAW, _BLOCKS = Codec.PACKED, Codec.RAW, Codec.BLOCKS
"""The members as global names, which are found faster than through the enum."""
_PIECE = struct.Struct(">QI")


def index_entry(short: bytes, number: int) -> bytes:
    """Return an entry of the index; entries sort by id."""
    return short + number.to_bytes(_ENTRY_NUMBER_BYTES, "big")


def piece_key(number: int, index: int) -> bytes:
    """Return the key of a piece of an object; that of the first is the number alone."""
    return _PIECE.pack(number, index) if index else NUMBER.pack(number)


class Unindexed:
    """The objects that are not in the index yet: number by short id.  Immutable."""

    def __init__(self, numbers: Mapping[bytes, int]) -> None:
        self.numbers = numbers
        self._order: list[bytes] | None = None

    def with_prefix(self, short: bytes) -> list[int]:
        """Return the numbers of the objects whose short ids begin with `short`."""
        order = self._order
        if order is None:
            order = self._order = sorted(self.numbers)
        found = []
        for each in islice(order, bisect_left(order, short), None):
            if not each.startswith(short):
                break
            found.append(self.numbers[each])
        return found


def unpacked(packs: Packs, payload: Payload, *, keeps_table: bool = False) -> Payload:
    """Return a copy of the payload with its body read from the pack; blocks are decoded.

    With `keeps_table` they are as `Packs.read` returns them.  Raise DecodeError.
    """
    place = place_of(payload)
    if place.codec == _BLOCKS and not keeps_table:
        return payload._replace(codec=_RAW, body=packs.read_whole(place, payload.size))
    codec, body = packs.read(place)
    return payload._replace(codec=codec, body=body)


def place_of(payload: Payload) -> PackLocation:
    """Return the place of the body of an object in a pack.  Raise DecodeError."""
    try:
        return decode_location(payload.body)[0]
    except IndexError as error:
        raise DecodeError(f"object {payload.number} has a damaged location in a pack") from error


class Snapshot:
    """The objects as a transaction sees them.

    An id is looked up by its first bytes, and two objects may share them, by chance or on purpose.
    So the index finds candidates, and methods that take an id compare the whole id.
    """

    __slots__ = ("_cursor", "_first", "_ids_cursor", "recent", "_value", "packs", "tables", "txn")

    def __init__(self, txn: Transaction, tables: Tables, recent: Unindexed, packs: Packs) -> None:
        """Read L2 in the transaction `txn`.

        `recent` must be older than `txn`: then `txn` sees the entries that have left `recent`.
        """
        self.txn = txn
        self.tables = tables
        self._cursor = txn.cursor(tables.objects)
        self._ids_cursor = txn.cursor(tables.ids)
        self.recent = recent
        self.packs = packs
        self._first = 0
        self._value = b""

    def missing(
        self, items: Iterable[Pending | PreparedObject], marks: Marks | None = None
    ) -> Iterator[Pending | PreparedObject]:
        """Yield the items that L2 lacks, or has with other bytes.

        Cost: 1 us for an item that L2 lacks; otherwise the object is read.  An item that is not
        yielded is protected from a garbage collection; if that is impossible, yield it.
        """
        recent = self.recent.numbers
        cursor = self._ids_cursor
        for item in items:
            short = item[0][:SHORT_BYTES]
            is_candidate = short in recent or (
                cursor.set_range_dup(INDEX_KEY, short) and cursor.value().startswith(short)
            )
            # Seven bytes decide for nearly all new objects; only a candidate is read and compared.
            if not is_candidate or not self._holds(item, marks):
                yield item

    def _holds(self, item: Pending | PreparedObject, marks: Marks | None) -> bool:
        if isinstance(item, PreparedObject) or not isinstance(item.data, bytes):
            # The bytes are not at hand, or would have to be made: the id decides alone.
            number = self._first_sound(item.oid)
        else:
            number = self.find(item.oid, item.kind, item.data)
        return number is not None and (marks is None or marks.claim(number))

    def candidates(self, oid: Oid) -> list[int]:
        """Return the numbers of the objects whose short id is that of `oid`, the newest first."""
        short = oid[:SHORT_BYTES]
        recent = self.recent.numbers.get(short)
        found = [] if recent is None else [recent]
        cursor = self._ids_cursor
        if cursor.set_range_dup(INDEX_KEY, short):
            entry = cursor.value()
            at = len(found)
            while entry.startswith(short):
                # The index has them in order of their numbers; inserted at one place, the newest
                # comes first.
                found.insert(at, entry_number(entry))
                if not cursor.next_dup():
                    break
                entry = cursor.value()
        return found

    def numbers_with_prefix(self, prefix: bytes) -> list[int]:
        """Return the numbers of the objects whose ids may begin with `prefix`."""
        short = prefix[:SHORT_BYTES]
        found = self.recent.with_prefix(short)
        cursor = self._ids_cursor
        more = cursor.set_range_dup(INDEX_KEY, short)
        while more and (entry := cursor.value()).startswith(short):
            found.append(entry_number(entry))
            more = cursor.next_dup()
        return found

    def numbers_of(self, oid: Oid) -> list[int]:
        """Return the numbers of an object, or of a single candidate, unchecked: 2 us."""
        found = self.candidates(oid)
        # One candidate is the object, except by a collision of seven bytes, which a read of it
        # would show.
        return found if len(found) < 2 else self.copies_of(oid)

    def copies_of(self, oid: Oid) -> list[int]:
        """Return the numbers of an object, which is read to be compared with its id."""
        return [number for number in self.candidates(oid) if self._is(number, oid)]

    def _is(self, number: int, oid: Oid) -> bool:
        try:
            return self.oid_of(number) == oid
        except DecodeError:
            return False

    def find(self, oid: Oid, kind: Kind, data: bytes | memoryview) -> int | None:
        """Return the number of the object with this id, kind and bytes, or None.

        It costs as much as reading the object if it is here, else 1 us.
        """
        for number in self.candidates(oid):
            try:
                chain = self.chain(number)
                payload = chain[-1]
                is_like = payload.kind is kind and payload.size == len(data)
                if is_like and decode_chain(chain)[-1] == data:
                    return number
            except DecodeError:
                continue
        return None

    def _first_sound(self, oid: Oid) -> int | None:
        for number in self.candidates(oid):
            try:
                chain = self.chain(number)
                if object_id(chain[-1].kind, decode_chain(chain)[-1]) == oid:
                    return number
            except DecodeError:
                continue
        return None

    def commits(self, oid: Oid) -> list[int]:
        """Return the numbers of a commit: several if an earlier copy was found damaged."""
        found = []
        for number in self.candidates(oid):
            try:
                if self.payload(number).id == oid:
                    found.append(number)
            except DecodeError:
                continue
        return found

    def oid_of(self, number: int) -> Oid:
        """Return the id of an object: 2 us for a commit; for others the object is read and hashed.

        Raise DecodeError.
        """
        oid = commit_oid(self.record(number))
        if oid is not None:
            return oid
        chain = self.chain(number)
        return object_id(chain[-1].kind, decode_chain(chain)[-1])

    def payload(self, number: int) -> Payload:
        """Return the payload of an object.  Raise DecodeError if it is missing or damaged."""
        return unpack(number, self.record(number))

    def record(self, number: int) -> bytes:
        """Return the record of an object: 1 us if it is near the last one.  Raise DecodeError."""
        index = number - self._first
        value = self._value
        # Neighbours share a value, and chains and scans go from neighbour to neighbour.
        if not value or not 0 <= index < (value[0] or 1):
            value = self._go_to(number)
            index = number - self._first
        try:
            record = record_in(value, index) if value[0] else self._join(number, value)
        except (IndexError, struct.error) as error:
            raise DecodeError(f"object {number} lies in a damaged bundle") from error
        if not record:
            raise DecodeError(f"object {number} is missing")
        return record

    def chain(self, number: int, known: DecodedObjects = NO_BASES) -> list[Payload]:
        """Return a record and all that it needs to be decoded, bases first.  Raise DecodeError.

        A base in `known`, and what that needs, is left out.
        """
        chain: list[Payload] = []
        at: int | None = number
        while at is not None and (at not in known or not chain):
            payload = unpack(at, self.record(at))
            if payload.codec == _PACKED:
                payload = unpacked(self.packs, payload)
            chain.append(payload)
            if len(chain) > _CHAIN_MAX:
                raise DecodeError(f"object {number} has too long a chain of bases")
            at = payload.base
        chain.reverse()
        return chain

    def alone_bytes(self, number: int) -> int:
        """Return the bytes of the record of a large object.  Raise DecodeError."""
        return len(self._join(number, self._go_to(number)))

    def _go_to(self, number: int) -> bytes:
        """Return the value that holds a number, and keep it for the next call."""
        self._value = b""
        if seek(self._cursor, number):
            key, value = self._cursor.item()
            if len(key) == NUMBER.size:
                (first,) = NUMBER.unpack(key)
                # A call only for what is not there: `bundle_count` refuses an empty value.
                count = value[0] if value else bundle_count(value)
                if first <= number < first + (count or 1):
                    self._first, self._value = first, value
                    return value
        raise DecodeError(f"object {number} is missing")

    def _join(self, number: int, first: bytes) -> bytes:
        try:
            further, record = read_alone(first)
        except IndexError as error:
            raise DecodeError(f"object {number} has a damaged count of pieces") from error
        pieces = [record]
        cursor = self._cursor
        if further and not cursor.set_key(NUMBER.pack(number)):
            raise DecodeError(f"object {number} is missing")
        for index in range(1, further + 1):
            if not cursor.next() or cursor.key() != piece_key(number, index):
                raise DecodeError(f"object {number} lacks its piece {index}")
            pieces.append(cursor.value())
        return b"".join(pieces)


def entry_number(entry: bytes) -> int:
    """Return the number in an entry of the index: of a damaged one some number, of 64 bits."""
    return int.from_bytes(entry[SHORT_BYTES : SHORT_BYTES + NUMBER.size], "big")


def seek(cursor: lmdb.Cursor[bytes], number: int) -> bool:
    """Move a cursor to the key of a number, the last one before it, or else the first of all.

    Return False if there is no key at all.
    """
    key = NUMBER.pack(number)
    if cursor.set_range(key):
        return cursor.key() == key or cursor.prev() or cursor.first()
    return cursor.last()
