"""How batches become records in L2: each object against an earlier version where that pays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store import codecs
from heliosfs.store.cache import ENTRY_BYTES, Cached
from heliosfs.store.codecs import DecodeError
from heliosfs.store.lmdbstore import Insert, ObjectDatabase, Totals
from heliosfs.store.payload import (
    SHORT_BYTES,
    bundle_count,
    cut_alone,
    decode_chain,
    fits_bundle,
    join_bundle,
    kept_id,
    pack,
    split_bundle,
)
from heliosfs.store.pending import Changes, Pending
from heliosfs.store.snapshot import Snapshot

TXN_BYTES = 4 * 1024 * 1024
"""Records in one transaction, about."""
_STEP = 16
_WHOLE_EVERY = _STEP * _STEP
_PAYS_BELOW = 0.75
"""A delta must save a quarter of the object encoded alone: it makes reading dearer."""
_PAYS_BYTES = 12
_TINY_BYTES = 128
"""Of a smaller object, that it saves `_PAYS_BYTES` is enough: such chains are read fast."""


def write_batches(
    database: ObjectDatabase,
    objects: Iterable[Pending],
    state: Changes,
    last: int,
    cache_bytes: int = 0,
    *,
    prefer_zstd: bool = False,
) -> list[tuple[Oid, Cached]]:
    """Write what batches gave to L2, and say what L1 may take of it.  StoreError, StoreFull.

    `last` is the number of the last batch.  The state, and that number, which says that the
    batches are here, go with the last transaction: a crash between two leaves objects that
    nothing refers to.
    """
    items = iter(objects)
    cached: list[tuple[Oid, Cached]] = []
    is_more = True
    while is_more:
        with database.reading() as snapshot:
            encoder = Encoder(snapshot, database.totals, cache_bytes, prefer_zstd=prefer_zstd)
            is_more = encoder.take(items)
        if is_more:
            database.write(encoder.inserts(), encoder.numbers, {}, encoder.totals)
        else:
            totals = encoder.totals._replace(batch=last)
            database.write(encoder.inserts(), encoder.numbers, state, totals)
        cached += encoder.cached
        cache_bytes = encoder.room
    return cached


class _Version(NamedTuple):
    """An object that a delta can be made against."""

    number: int
    position: int
    base: int | None
    kind: Kind
    id: bytes
    """As far as its record keeps it."""
    data: bytes


class Encoder:
    """Encodes the objects of one transaction, in order.

    Version i of a chain changes version i less the lowest power of 16 that divides i,
    and every 256th is whole: so no object needs more than 30 others, while most deltas
    are against the version just before.
    """

    def __init__(
        self, snapshot: Snapshot, totals: Totals, cache_bytes: int, *, prefer_zstd: bool = False
    ) -> None:
        """`snapshot` is of what the transaction is to change."""
        self._snapshot = snapshot
        self._prefer_zstd = prefer_zstd
        self._before = totals
        self._number = totals.next_number
        self._stored_bytes = self._logical_bytes = 0
        self.cached: list[tuple[Oid, Cached]] = []
        """What L1 may take: the first `cache_bytes` of what was encoded."""
        self.room = cache_bytes
        self._ids: dict[Oid, int] = {}
        self._versions: dict[int, _Version] = {}
        self._done: list[Insert] = []
        self._bundle_first = self._number
        self._bundle: list[bytes] = []
        self._bundle_bytes = 0
        last = snapshot.last_bundle()
        if last is not None and last[0] + bundle_count(last[1]) == self._number:
            self._bundle_first = last[0]
            self._bundle = split_bundle(last[1])
            self._bundle_bytes = sum(map(len, self._bundle))

    def take(self, items: Iterator[Pending]) -> bool:
        """Encode as many objects as one transaction should have; whether there may be more."""
        for item in items:
            self._encode(item)
            if self._stored_bytes >= TXN_BYTES:
                return True
        return False

    def inserts(self) -> list[Insert]:
        """What to write: the first may replace the bundle that was the last."""
        if self._ids and self._bundle:
            return [*self._done, Insert(self._bundle_first, [join_bundle(self._bundle)])]
        return self._done

    @property
    def totals(self) -> Totals:
        """What L2 will hold with all that was encoded."""
        before = self._before
        return before._replace(
            next_number=self._number,
            objects=before.objects + len(self._ids),
            stored_bytes=before.stored_bytes + self._stored_bytes,
            logical_bytes=before.logical_bytes + self._logical_bytes,
        )

    @property
    def numbers(self) -> list[tuple[bytes, int]]:
        """The short ids of the new objects and their numbers."""
        return [(oid[:SHORT_BYTES], number) for oid, number in self._ids.items()]

    def _encode(self, item: Pending) -> None:
        """Give an object the next number, unless L2 has it."""
        oid, kind, data, base_oid = item
        if oid in self._ids or self._snapshot.find(oid, kind, data) is not None:
            return
        size = len(data)
        number = self._number
        base, position = self._base_of(base_oid) if base_oid is not None else (None, 0)
        # What begins a chain anew is rare and large: worth zstd.
        prefer_zstd = self._prefer_zstd or position == _WHOLE_EVERY
        alone = codecs.encode(data, prefer_zstd=prefer_zstd)
        self._offer(oid, Cached(kind, size, *alone))
        delta = None
        if base is not None:
            named = base.id if kind is Kind.COMMIT else b""
            delta = codecs.encode_delta(data, base.data, named, prefer_zstd=prefer_zstd)
        if base is not None and delta is not None and _pays(delta.body, alone.body):
            version = _Version(number, position, base.number, kind, kept_id(oid, kind), data)
            record = pack(oid, kind, size, delta, number - base.number, position)
        else:
            version = _Version(number, 0, None, kind, kept_id(oid, kind), data)
            record = pack(oid, kind, size, alone)
        self._ids[oid] = number
        self._versions[number] = version
        self._number += 1
        self._stored_bytes += len(record)
        self._logical_bytes += size
        self._place(number, record)

    def _place(self, number: int, record: bytes) -> None:
        """Put a record behind those before it."""
        bundle = self._bundle
        if fits_bundle(self._bundle_bytes + len(record), len(bundle) + 1):
            if not bundle:
                self._bundle_first = number
            bundle.append(record)
            self._bundle_bytes += len(record)
            return
        if bundle:
            self._done.append(Insert(self._bundle_first, [join_bundle(bundle)]))
            self._bundle = []
            self._bundle_bytes = 0
        if fits_bundle(len(record), 1):
            self._place(number, record)
        else:
            self._done.append(Insert(number, cut_alone(record)))

    def _offer(self, oid: Oid, entry: Cached) -> None:
        self.room -= len(entry.body) + ENTRY_BYTES
        if self.room >= 0:
            self.cached.append((oid, entry))

    def _base_of(self, oid: Oid) -> tuple[_Version | None, int]:
        """The version to encode against, if any, and the position in the chain."""
        position = wanted = 0
        for version in self._lineage(oid):
            if not position:
                position = version.position + 1
                if position >= _WHOLE_EVERY:
                    return None, position
                wanted = position - (1 if position % _STEP else _STEP)
            if version.position == wanted:
                return version, position
        return None, 0

    def _lineage(self, oid: Oid) -> Iterator[_Version]:
        """An object, and what it is a delta to, and so on; nothing when it is not sound."""
        number: int | None = self._ids.get(oid)
        if number is None:
            for candidate in self._snapshot.candidates(oid):
                versions = self._stored(candidate)
                if versions and object_id(versions[0].kind, versions[0].data) == oid:
                    yield from versions
                    return
            return
        while number in self._versions:
            version = self._versions[number]
            yield version
            number = version.base
        if number is not None:
            yield from self._stored(number)

    def _stored(self, number: int) -> list[_Version]:
        """An object that is in L2, and what it is a delta to, and so on."""
        try:
            chain = self._snapshot.chain(number)
            objects = decode_chain(chain)
        except DecodeError:
            return []
        return [
            _Version(payload.number, payload.position, payload.base, payload.kind, payload.id, data)
            for payload, data in zip(reversed(chain), reversed(objects), strict=True)
        ]


def _pays(delta: bytes, alone: bytes) -> bool:
    """Whether a delta is worth it."""
    if len(alone) < _TINY_BYTES:
        return len(delta) <= len(alone) - _PAYS_BYTES
    return len(delta) < len(alone) * _PAYS_BELOW
