"""A transaction that removes objects from L2, or replaces their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from heliosfs.pace import paced
from heliosfs.store.encoding.codecs import Codec
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.places import PackLocation, decode_location
from heliosfs.store.l2.environment import Tables, Transaction
from heliosfs.store.l2.reader import (
    INDEX_KEY,
    NUMBER,
    Snapshot,
    Unindexed,
    piece_key,
)
from heliosfs.store.l2.record import (
    BUNDLE_BYTES,
    END_BYTES,
    Payload,
    cut_alone,
    join_bundle,
    unpack,
)
from heliosfs.store.l2.walk import StoredValue, alone_keys, values


def packed_bytes(number: int, record: bytes) -> int:
    """Return the bytes of an object that lie in a pack.  Raise DecodeError."""
    payload = unpack(number, record)
    return decode_location(payload.body)[0].length if payload.codec == Codec.PACKED else 0


class ReclaimTransaction:
    """The effects of a transaction on L2, gathered until it is committed or aborted."""

    def __init__(self, txn: Transaction, tables: Tables, packs: Packs) -> None:
        self._txn = txn
        self._snapshot = Snapshot(txn, tables, Unindexed({}), packs)
        self.places: list[PackLocation] = []
        """Places in packs that records name from now on."""
        self.lost_places: list[PackLocation] = []
        """Places in packs that records name no longer."""
        self._objects = tables.objects
        self._ids = tables.ids
        self.objects = self.stored_bytes = self.logical_bytes = 0

    def unlist(self, entries: Iterable[bytes]) -> None:
        """Remove entries from the index."""
        for entry in paced(entries):
            self._txn.delete(INDEX_KEY, entry, db=self._ids)

    def remove(self, stored: StoredValue, keeps: Callable[[int], bool]) -> None:
        """Remove from a stored value the records whose numbers are not kept.  Raise DecodeError."""
        left = []
        for number, record in stored.records:
            if not record or keeps(number):
                left.append(record)
                continue
            # An empty record keeps the place: numbers of the later ones follow from it.
            left.append(b"")
            self.objects += 1
            self.logical_bytes += self._drop_references(number, record).size
            if not stored.is_alone:
                self.stored_bytes += len(record)
        if stored.is_alone:
            self._remove_alone(stored)
        elif any(left):
            self._txn.put(NUMBER.pack(stored.first), join_bundle(left), db=self._objects)
        else:
            self._txn.delete(NUMBER.pack(stored.first), db=self._objects)

    def rewrite(self, number: int, record: bytes) -> None:
        """Replace the record of a number.  Raise DecodeError."""
        stored = next(values(self._snapshot, number))
        if stored.is_alone:
            self._remove_alone(stored)
            is_small = len(record) + END_BYTES <= BUNDLE_BYTES
            pieces = [join_bundle([record])] if is_small else cut_alone(record)
            for index, piece in enumerate(pieces):
                self._txn.put(piece_key(number, index), piece, db=self._objects)
            self.stored_bytes -= len(record)
        else:
            records = [each for _, each in stored.records]
            self.stored_bytes += len(records[number - stored.first]) - len(record)
            records[number - stored.first] = record
            self._put_bundles(stored.first, records)

    def _put_bundles(self, first: int, records: list[bytes]) -> None:
        """Write records as one bundle, or as several if they do not fit into one."""
        run: list[bytes] = []
        room = BUNDLE_BYTES
        for number, record in enumerate(records, first):
            room -= len(record) + END_BYTES
            if run and room < 0:
                key = NUMBER.pack(number - len(run))
                self._txn.put(key, join_bundle(run), db=self._objects)
                run, room = [], BUNDLE_BYTES - len(record) - END_BYTES
            run.append(record)
        key = NUMBER.pack(first + len(records) - len(run))
        self._txn.put(key, join_bundle(run), db=self._objects)

    def move(self, number: int, record: bytes, place: PackLocation) -> None:
        """Replace the record of an object in a pack by one with another place."""
        self._drop_references(number, self._record_of(number))
        self.places.append(place)
        self.stored_bytes -= place.length
        self.rewrite(number, record)

    def _record_of(self, number: int) -> bytes:
        return dict(next(values(self._snapshot, number)).records)[number]

    def _drop_references(self, number: int, record: bytes) -> Payload:
        """Note that a record, and its place in a pack if it has one, will be removed."""
        payload = unpack(number, record)
        if payload.codec == Codec.PACKED:
            place, _ = decode_location(payload.body)
            self.lost_places.append(place)
            self.stored_bytes += place.length
        return payload

    def _remove_alone(self, stored: StoredValue) -> None:
        for key in alone_keys(stored.first, stored.value):
            piece = self._txn.pop(key, db=self._objects)
            if piece is None:
                break
            self.stored_bytes += len(piece)
        self.stored_bytes -= len(stored.value) - len(stored.records[0][1])
