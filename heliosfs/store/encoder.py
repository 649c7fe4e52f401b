"""How batches become payloads in L2: each object against an earlier version where that pays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.objects.ids import Oid, object_id
from heliosfs.store import codecs
from heliosfs.store.cache import ENTRY_BYTES, Cached
from heliosfs.store.codecs import DecodeError
from heliosfs.store.lmdbstore import Insert, ObjectDatabase, Reader, Totals
from heliosfs.store.payload import decode_chain, pack
from heliosfs.store.pending import Batches, Pending

TXN_BYTES = 4 * 1024 * 1024
"""Payloads in one transaction, about."""
_STEP = 16
_WHOLE_EVERY = _STEP * _STEP
_PAYS_BELOW = 0.75
"""A delta must save a quarter of the object encoded alone: it makes reading dearer."""


def write_batches(
    database: ObjectDatabase, batches: Batches, cache_bytes: int, *, prefer_zstd: bool = False
) -> list[tuple[Oid, Cached]]:
    """Write batches to L2, and say what L1 may take of them.  StoreError, StoreFull.

    The state, and the number that says that the batches are here, go with the last
    transaction: a crash between two leaves objects that nothing refers to.
    """
    encoder = Encoder(database.totals, cache_bytes, prefer_zstd=prefer_zstd)
    items = iter(batches.objects)
    inserts = _encode_some(database, encoder, items)
    while encoder.waiting_bytes >= TXN_BYTES:
        database.write(inserts, {}, encoder.totals)
        inserts = _encode_some(database, encoder, items)
    database.write(inserts, batches.state, encoder.totals._replace(batch=batches.last))
    return encoder.cached


def _encode_some(
    database: ObjectDatabase, encoder: Encoder, items: Iterator[Pending]
) -> list[Insert]:
    """Inserts for one transaction."""
    inserts = []
    encoder.waiting_bytes = 0
    with database.reading() as reader:
        for item in items:
            insert = encoder.encode(reader, item)
            if insert is not None:
                inserts.append(insert)
                if encoder.waiting_bytes >= TXN_BYTES:
                    break
    return inserts


class _Version(NamedTuple):
    """An object that a delta can be made against."""

    number: int
    position: int
    base: int | None
    data: bytes


class Encoder:
    """Encodes the objects of one drain, in order.

    Version i of a chain changes version i less the lowest power of 16 that divides i,
    and every 256th is whole: so no object needs more than 30 others, while most deltas
    are against the version just before.
    """

    def __init__(self, totals: Totals, cache_bytes: int, *, prefer_zstd: bool = False) -> None:
        self._prefer_zstd = prefer_zstd
        self._before = totals
        self._number = totals.next_number
        self._count = 0
        self._stored_bytes = self._logical_bytes = 0
        self.waiting_bytes = 0
        """Of payloads since the caller set it to 0."""
        self.cached: list[tuple[Oid, Cached]] = []
        """What L1 may take: the first `cache_bytes` of what was encoded."""
        self._room = cache_bytes
        self._ids: dict[Oid, int] = {}
        self._versions: dict[int, _Version] = {}

    @property
    def totals(self) -> Totals:
        """What L2 will hold with all that was encoded."""
        before = self._before
        return before._replace(
            next_number=self._number,
            objects=before.objects + self._count,
            stored_bytes=before.stored_bytes + self._stored_bytes,
            logical_bytes=before.logical_bytes + self._logical_bytes,
        )

    def encode(self, reader: Reader, item: Pending) -> Insert | None:
        """The payload of an object under the next free numbers; None when L2 has it."""
        oid, kind, data, base_oid = item
        if oid in self._ids or reader.find(oid) is not None:
            return None
        size = len(data)
        alone = codecs.encode(data, prefer_zstd=self._prefer_zstd)
        self._offer(oid, Cached(kind, size, *alone))
        number = self._number
        version = None
        pieces: list[bytes] = []
        if base_oid is not None:
            base, position = self._base_of(reader, base_oid)
            delta = None if base is None else self._delta(data, base.data)
            if base is not None and delta and len(delta.body) < len(alone.body) * _PAYS_BELOW:
                version = _Version(number, position, base.number, data)
                pieces = pack(kind, size, delta, number - base.number, position)
        if version is None:
            version = _Version(number, 0, None, data)
            pieces = pack(kind, size, alone)
        self._ids[oid] = number
        self._versions[number] = version
        piece_bytes = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        self.waiting_bytes += piece_bytes
        self._number += len(pieces)
        self._count += 1
        self._stored_bytes += piece_bytes
        self._logical_bytes += size
        return Insert(oid, number, pieces)

    def _delta(self, data: bytes, base: bytes) -> codecs.Encoded | None:
        return codecs.encode_delta(data, base, prefer_zstd=self._prefer_zstd)

    def _offer(self, oid: Oid, entry: Cached) -> None:
        self._room -= len(entry.body) + ENTRY_BYTES
        if self._room >= 0:
            self.cached.append((oid, entry))

    def _base_of(self, reader: Reader, oid: Oid) -> tuple[_Version | None, int]:
        """The version to encode against, if any, and the position that this gives."""
        position = wanted = 0
        for version in self._lineage(reader, oid):
            if not position:
                position = version.position + 1
                if position >= _WHOLE_EVERY:
                    break
                wanted = position - (1 if position % _STEP else _STEP)
            if version.position == wanted:
                return version, position
        return None, 0

    def _lineage(self, reader: Reader, oid: Oid) -> Iterator[_Version]:
        """An object, and what it is a delta to, and so on; nothing when it is not sound."""
        number: int | None = self._ids.get(oid)
        from_l2 = number is None
        if from_l2:
            number = reader.find(oid)
        while number in self._versions:
            version = self._versions[number]
            yield version
            number = version.base
        if number is None:
            return
        try:
            chain = reader.chain(number)
            objects = decode_chain(chain)
        except DecodeError:
            return
        if from_l2 and object_id(chain[-1].kind, objects[-1]) != oid:
            return
        for payload, data in zip(reversed(chain), reversed(objects), strict=True):
            yield _Version(payload.number, payload.position, payload.base, data)
