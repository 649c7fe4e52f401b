"""Encoding of batches as records in L2: objects become deltas to earlier versions if it pays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.pace import paced
from heliosfs.store.cache import ENTRY_OVERHEAD_BYTES, CachedObject
from heliosfs.store.edited import EditedObject
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.large import encode_object
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, load_packed
from heliosfs.store.encoding.places import PackedObject, PackLocation
from heliosfs.store.encoding.versions import (
    STEP,
    SURELY_PAYS,
    WHOLE_EVERY,
    PreparedObject,
    pays,
)
from heliosfs.store.l2.bundles import Bundles, Insert
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import SHORT_BYTES, decode_chain, kept_id, pack
from heliosfs.store.l2.totals import Totals
from heliosfs.store.pending import Changes, ColdObject, Pending, bytes_of
from heliosfs.store.remembered import TwoGenerationCache

TXN_BYTES = 4 * 1024 * 1024
"""Approximate bytes of records in one transaction."""
TXN_OBJECTS = 4096
"""Largest number of objects in one transaction, so that the owner drops them in 3 ms."""
TXN_EDITED_BYTES = 32 * 1024 * 1024
"""Whole bytes of the edited objects of one transaction, which are in memory until it ends."""


def write_batches(
    database: ObjectDatabase,
    objects: Iterable[Pending | PreparedObject],
    state: Changes,
    last: int | None,
    cache_bytes: int = 0,
    *,
    prefer_zstd: bool = False,
    numbers: TwoGenerationCache[int] | None = None,
) -> Iterator[list[tuple[Oid, CachedObject]]]:
    """Write batches to L2, one transaction for each step; yield the objects that L1 may take.

    StoreError, StoreFull.  `last` is the number of the last batch, if the objects come from
    batches.  It says that the batches are here, and is written, like the state, with the last
    transaction: a crash before that leaves objects that nothing refers to.  `numbers` are the
    numbers of earlier prepared objects, which may be bases of these; the new ones are added.
    """
    items = iter(objects)
    is_more = True
    while is_more:
        # For each transaction alone: a step of a sweep may come between two of them.
        with database.writing:
            marks = database.marks
            with database.reading() as snapshot:
                encoder = Encoder(
                    snapshot,
                    database.totals,
                    cache_bytes,
                    marks,
                    prefer_zstd=prefer_zstd,
                    written=numbers,
                )
                is_more = encoder.take(items)
            # I37: the batch number and the state go with the last of the objects.
            totals = encoder.totals
            if last is not None and not is_more:
                totals = totals._replace(batch=last)
            then: Changes = {} if is_more else state
            # I38: packs are on the disk before L2 names a place in them.
            if encoder.places:
                database.packs.sync()
            database.write(encoder.inserts(), encoder.numbers, then, totals, encoder.places)
        if numbers is not None:
            numbers.put_all(encoder.new_numbers.items())
        yield encoder.cached


class _Version(NamedTuple):
    """An object against which a delta can be made."""

    number: int
    position: int
    base: int | None
    id: bytes
    """The part of the object's id that its record keeps."""
    data: bytes


class Encoder:
    """An encoder of the objects of one transaction, in order.

    Module `versions` describes their chains.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        totals: Totals,
        cache_bytes: int,
        marks: Marks | None = None,
        *,
        prefer_zstd: bool = False,
        written: TwoGenerationCache[int] | None = None,
    ) -> None:
        """Prepare a transaction; `snapshot` is L2 before it, `marks` what a sweep may remove."""
        self._written = written or TwoGenerationCache()
        self._marks = marks
        self._snapshot = snapshot
        self._prefer_zstd = prefer_zstd
        self._before = totals
        self._stored_bytes = self._logical_bytes = self._packed_bytes = 0
        self.cached: list[tuple[Oid, CachedObject]] = []
        """Encoded objects that L1 may take: the first `cache_bytes` of them."""
        self._room = cache_bytes
        self.new_numbers: dict[Oid, int] = {}
        """Numbers of the objects of this transaction."""
        self._items: list[Pending | PreparedObject] = []
        """Objects of this transaction, in the order of their numbers."""
        self._deltas: dict[int, _Version] = {}
        """Objects of this transaction that are deltas, by number."""
        self.places: list[PackLocation] = []
        """Places in packs that the records name."""
        self._bundles = Bundles(snapshot, totals.next_number)
        self._read_last: tuple[tuple[int, Oid] | None, list[_Version]] = None, []
        """The chain that was read last from L2: an edited object is read, and then a delta made
        against it."""

    def take(self, items: Iterator[Pending | PreparedObject]) -> bool:
        """Encode items until the transaction is full; return False if `items` is exhausted."""
        numbers, encoded_items = self.new_numbers, self._items
        prefer_zstd = self._prefer_zstd
        first = number = self._before.next_number
        records: list[bytes] = []
        stored_bytes = logical_bytes = edited_bytes = 0
        is_full = False
        for item in self._snapshot.missing(items, self._marks):
            oid = item[0]
            # The same object may have come in two batches; `missing` sees L2 alone.
            if oid in numbers:
                continue
            if isinstance(item, PreparedObject):
                record = self._link(number, item)
                size = item.size
            else:
                _, kind, data, base = item
                if isinstance(data, EditedObject):
                    data = self._bytes_of(item)
                    edited_bytes += len(data)
                if isinstance(data, bytes):
                    size = len(data)
                    if base is not None:
                        record = self._encode_version(number, item, data, base)
                    else:
                        encoded = self._encode_alone(item, data, prefer_zstd)
                        record = self._whole_record(oid, kind, size, encoded)
                else:
                    record = self._name(oid, kind, data)
                    size = data.size
            records.append(record)
            encoded_items.append(item)
            numbers[oid] = number
            number += 1
            logical_bytes += size
            stored_bytes += len(record)
            if (
                stored_bytes >= TXN_BYTES
                or len(encoded_items) >= TXN_OBJECTS
                or edited_bytes >= TXN_EDITED_BYTES
            ):
                is_full = True
                break
        self._bundles.add(first, records)
        self._logical_bytes = logical_bytes
        self._stored_bytes = stored_bytes + self._packed_bytes
        return is_full

    def _name(self, oid: Oid, kind: Kind, packed: PackedObject) -> bytes:
        """Return the record of an object whose body is in a pack."""
        self.places.append(packed.place)
        self._packed_bytes += packed.place.length
        encoded = codecs.Encoded(codecs.Codec.PACKED, packed.place.encode())
        return pack(oid, kind, packed.size, encoded)

    def _encode_alone(self, item: Pending, data: bytes, prefer_zstd: bool) -> codecs.Encoded:
        if len(data) >= PACKED_FROM_BYTES:
            return encode_object(item.oid, item.kind, data, prefer_zstd=prefer_zstd)
        encoded = codecs.encode(data, prefer_zstd=prefer_zstd)
        if item.__class__ is not ColdObject:
            codec, body = encoded
            self._room -= len(body) + ENTRY_OVERHEAD_BYTES
            if self._room >= 0:
                oid, kind, _, _ = item
                # What Cached() does, without its call.
                fields = (kind, len(data), codec, body)
                self.cached.append((oid, tuple.__new__(CachedObject, fields)))
        return encoded

    def _whole_record(self, oid: Oid, kind: Kind, size: int, encoded: codecs.Encoded) -> bytes:
        """Return the record of an object that is no delta; a large body goes into a pack."""
        if len(encoded.body) >= PACKED_FROM_BYTES // 2:
            return self._name(oid, kind, PackedObject(self._snapshot.packs.append(encoded), size))
        return pack(oid, kind, size, encoded)

    def _link(self, number: int, item: PreparedObject) -> bytes:
        """Return the record of a prepared object."""
        oid, kind, size, position, base, encoded, data = item
        if encoded is not None:
            if base is None:
                return self._whole_record(oid, kind, size, encoded)
            base_number = self.new_numbers.get(base) or self._written.get(base)
            if base_number is not None:
                return pack(oid, kind, size, encoded, number - base_number, position)
            # It was here before, in a chain of its own.
            data = self._restore(item, encoded, base)
        assert base is not None
        return self._encode_version(number, ColdObject(oid, kind, data, base), data, base)

    def _restore(self, item: PreparedObject, encoded: codecs.Encoded, base: Oid) -> bytes:
        named = codecs.named_id(item.kind, base)
        for version in self._lineage(base):
            # Only the first counts: the delta was made against this version and no other.
            with suppress(DecodeError):
                return codecs.decode_delta(*encoded, item.size, version.data, named)
            break
        raise CorruptObject(f"object {base.hex()} is damaged, and is the base of another one")

    def inserts(self) -> list[Insert]:
        """Return the values to write."""
        return self._bundles.inserts()

    @property
    def totals(self) -> Totals:
        """Totals of L2 with everything that was encoded."""
        # I43: a number is given once, and always means the same object.
        before = self._before
        count = len(self._items)
        return before._replace(
            next_number=before.next_number + count,
            objects=before.objects + count,
            stored_bytes=before.stored_bytes + self._stored_bytes,
            logical_bytes=before.logical_bytes + self._logical_bytes,
        )

    @property
    def numbers(self) -> list[tuple[bytes, int]]:
        """Short ids and numbers of the new objects."""
        return [(oid[:SHORT_BYTES], number) for oid, number in paced(self.new_numbers.items())]

    def _encode_version(self, number: int, item: Pending, data: bytes, base_oid: Oid) -> bytes:
        """Return the record of an object that has a base."""
        oid, kind, _, _ = item
        size = len(data)
        base, position = self._base_of(base_oid)
        # What begins a chain anew is rare and large: worth zstd.
        prefer_zstd = self._prefer_zstd or position == WHOLE_EVERY
        delta = None
        if base is not None:
            named = codecs.named_id(kind, base.id)
            delta = codecs.encode_delta(data, base.data, named, prefer_zstd=prefer_zstd)
        # L1 keeps only whole encodings, so a small warm object is encoded alone as well.
        alone = None
        is_for_cache = size < PACKED_FROM_BYTES and item.__class__ is not ColdObject
        if delta is None or is_for_cache or len(delta.body) * SURELY_PAYS > size:
            alone = self._encode_alone(item, data, prefer_zstd)
        if base is not None and delta is not None and pays(delta, alone):
            kept = kept_id(oid, kind)
            self._deltas[number] = _Version(number, position, base.number, kept, data)
            return pack(oid, kind, size, delta, number - base.number, position)
        assert alone is not None
        return self._whole_record(oid, kind, size, alone)

    def _base_of(self, oid: Oid) -> tuple[_Version | None, int]:
        """Return the version to encode against, if any, and the position in the chain."""
        position = wanted = 0
        for version in self._lineage(oid):
            if not position:
                position = version.position + 1
                # I44: no object needs more than 30 others.
                if position >= WHOLE_EVERY:
                    return None, position
                # The rule of module `versions`: the version just before or, at a multiple of 16,
                # the last such multiple.
                wanted = position - (1 if position % STEP else STEP)
            if version.position == wanted:
                return version, position
        return None, 0

    def _lineage(self, oid: Oid) -> Iterator[_Version]:
        """Yield an object, its base, the base of that, and so on; nothing if it is damaged."""
        number = self.new_numbers.get(oid)
        if number is None:
            for candidate in self._snapshot.candidates(oid):
                # A base that the sweep removes would take this object with it.
                if self._marks is not None and not self._marks.is_sure(candidate):
                    continue
                versions = self._stored(candidate, oid)
                if versions:
                    yield from versions
                    return
        first = self._before.next_number
        # A chain that goes on in this transaction may have begun in L2.
        while number is not None and number >= first:
            try:
                version = self._deltas.get(number) or self._whole(number)
            except DecodeError:
                return
            yield version
            number = version.base
        if number is not None:
            yield from self._stored(number)

    def _whole(self, number: int) -> _Version:
        item = self._items[number - self._before.next_number]
        if isinstance(item, PreparedObject):
            raise DecodeError("the bytes of a prepared object are not in memory")
        oid, kind, data, _ = item
        if isinstance(data, PackedObject):
            data = load_packed(self._snapshot.packs, data, kind, oid)
        elif isinstance(data, EditedObject):
            data = self._bytes_of(item)
        return _Version(number, 0, None, kept_id(oid, kind), data)

    def _bytes_of(self, item: Pending) -> bytes:
        """Return all bytes of an edited object.  Raise CorruptObject if its base cannot be read."""
        return bytes_of(self._snapshot.packs, item, self._read)

    def _read(self, oid: Oid, kind: Kind) -> bytes:
        """Return the bytes of an object of this transaction, or of L2."""
        number = self.new_numbers.get(oid)
        if number is not None:
            return (self._deltas.get(number) or self._whole(number)).data
        for candidate in self._snapshot.candidates(oid):
            versions = self._stored(candidate, oid)
            if versions:
                return versions[0].data
        raise CorruptObject(f"object {oid.hex()}, which was edited, cannot be read")

    def _stored(self, number: int, oid: Oid | None = None) -> list[_Version]:
        """Return an object of L2, its base, and so on; nothing if damaged, or its id not `oid`."""
        if (number, oid) == self._read_last[0]:
            return self._read_last[1]
        try:
            chain = self._snapshot.chain(number)
            objects = decode_chain(chain)
        except DecodeError:
            return []
        if oid is not None and object_id(chain[-1].kind, objects[-1]) != oid:
            return []
        versions = [
            _Version(payload.number, payload.position, payload.base, payload.id, data)
            for payload, data in zip(reversed(chain), reversed(objects), strict=True)
        ]
        if oid is not None:
            self._read_last = (number, oid), versions
        return versions
