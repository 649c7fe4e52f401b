"""Repack: smaller encodings of the objects that stay, made in short transactions.

Objects keep their numbers, and deltas their bases, so chains keep their lengths.  Only an object
that is whole, and that is no base, may become a delta, and its base must be whole, too.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, Oid
from heliosfs.pace import Pace, paced
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded, decode, decode_delta
from heliosfs.store.gc.chains import Chains
from heliosfs.store.gc.likeness import SimilarityIndex, features
from heliosfs.store.gc.recoding import Recoding
from heliosfs.store.l2.change import ReclaimTransaction
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import Payload, pack
from heliosfs.store.l2.walk import heads, values

_SCANNED = 5_000
_STEP_BYTES = 256 * 1024
"""Bytes of objects that are encoded in a step: 80 ms."""
_STEP_RECORDS = 2_000
_WHOLE = frozenset((Codec.RAW, Codec.LZ4, Codec.ZSTD))
_REPACKED_MIN_BYTES = 512
"""Size below which an object is skipped, because little can be gained."""
_REPACKED_MAX_BYTES = 4 * 1024 * 1024
_PAYS_BELOW = 0.5
"""Size of a new delta, relative to the object encoded alone, above which it is refused: a delta is
slower to read."""


class _Rewrite(NamedTuple):
    number: int
    record: bytes


class _Found(NamedTuple):
    """Another encoding of an object."""

    encoded: Encoded
    base: int = 0
    position: int = 0


class Repack:
    """Work in steps; any thread may call `step`."""

    def __init__(self, database: ObjectDatabase, marks: Marks) -> None:
        self._database = database
        self._marks = marks
        self._end = database.totals.next_number
        self._is_base = bytearray(self._end)
        self._scanned = False
        self._next = 1
        self._chains = Chains()
        self._similarity = SimilarityIndex()
        self.saved_bytes = 0

    @property
    def is_done(self) -> bool:
        """True if no step is left."""
        return self._scanned and self._next >= self._end

    def step(self) -> None:
        """Do the next step.  Raise StoreError or StoreFull."""
        try:
            if self._scanned:
                self._encode_some()
            else:
                self._scan_some()
        except DecodeError as error:
            raise StoreError(f"the store cannot be packed: {error}") from error

    def _scan_some(self) -> None:
        """Note which objects are bases of others."""
        pace, seen = Pace(), 0
        with self._database.browsing() as snapshot:
            for head in heads(snapshot, self._next):
                number, base = head[0], head[5]
                pace()
                if number >= self._end or seen == _SCANNED:
                    break
                seen += 1
                self._next = number + 1
                if base is not None:
                    self._is_base[base] = 1
        if seen < _SCANNED:
            self._scanned = True
            self._next = 1

    def _encode_some(self) -> None:
        """Encode some objects again, and write the smaller records.

        They cannot change between reading and writing: nobody else writes records of old numbers.
        """
        pace, seen, left = Pace(), 0, _STEP_BYTES
        rewrites: list[_Rewrite] = []
        recoding = Recoding(self._database.packs, prefer_zstd=True)
        with self._database.browsing() as snapshot:
            for stored in values(snapshot, self._next):
                if stored.first >= self._end or left < 0 or seen >= _STEP_RECORDS:
                    break
                for number, record in stored.records:
                    seen += 1
                    if not record or number >= self._end or not self._marks.keeps(number):
                        continue
                    payload = snapshot.payload(number)
                    if payload.codec == Codec.PACKED:
                        recoding.take(payload)
                        left -= payload.size
                    elif _REPACKED_MIN_BYTES <= payload.size <= _REPACKED_MAX_BYTES:
                        smaller = self._smaller(snapshot, payload)
                        left -= payload.size
                        if smaller is not None:
                            rewrites.append(_Rewrite(number, smaller))
                    pace()
                self._next = stored.first + len(stored.records)
            else:
                self._next = self._end
        if rewrites or recoding:
            recoding.write()
            with self._database.writing:
                done = self._database.change(lambda change: _write(change, rewrites, recoding))
            self.saved_bytes += done.stored_bytes

    def _smaller(self, snapshot: Snapshot, payload: Payload) -> bytes | None:
        """Return a smaller record of an object, or None."""
        data = self._chains.decode(snapshot, payload.number).data
        if payload.codec in _WHOLE:
            found = self._whole_again(snapshot, payload, data)
        # The others have little to gain: zstd already, or a tiny or incompressible middle.
        elif payload.codec == Codec.SPLICE_LZ4:
            found = self._delta_again(snapshot, payload, data)
        else:
            return None
        if found is None or len(found.encoded.body) >= len(payload.body):
            return None
        distance = payload.number - found.base if found.base else 0
        return pack(
            Oid(payload.id), payload.kind, payload.size, found.encoded, distance, found.position
        )

    def _whole_again(self, snapshot: Snapshot, payload: Payload, data: bytes) -> _Found | None:
        alone = codecs.squeeze(data) if payload.codec != Codec.ZSTD else _body_of(payload)
        # Only files have relatives under other paths; trees and commits are deltas already where
        # that pays.
        if payload.kind is not Kind.BLOB:
            return _Found(alone)
        marks = features(data)
        nearest = None if self._is_base[payload.number] else self._similarity.nearest(marks)
        if nearest is not None:
            base = self._chains.decode(snapshot, nearest).data
            delta = codecs.encode_delta(data, base, prefer_zstd=True)
            if delta is not None and len(delta.body) < len(alone.body) * _PAYS_BELOW:
                # The base must stay whole from now on: a chain of such deltas would have no bound.
                self._is_base[nearest] = 1
                _check(decode_delta(delta.codec, delta.body, len(data), base), data)
                return _Found(delta, nearest, 1)
        # Only whole objects are offered as bases: a delta to a delta would lengthen a chain.
        self._similarity.add(payload.number, marks)
        _check(decode(alone.codec, alone.body, len(data)), data)
        return _Found(alone)

    def _delta_again(self, snapshot: Snapshot, payload: Payload, data: bytes) -> _Found | None:
        assert payload.base is not None
        base = self._chains.decode(snapshot, payload.base)
        named = codecs.named_id(payload.kind, base.id)
        delta = codecs.encode_delta(data, base.data, named, prefer_zstd=True)
        if delta is None:
            return None
        _check(decode_delta(delta.codec, delta.body, len(data), base.data, named), data)
        return _Found(delta, payload.base, payload.position)


def _body_of(payload: Payload) -> Encoded:
    return Encoded(Codec(payload.codec), payload.body)


def _check(decoded: bytes, data: bytes) -> None:
    """Raise DecodeError unless a new encoding decodes to the object that it is to replace."""
    if decoded != data:
        raise DecodeError("a new encoding of an object does not decode to its bytes")


def _write(
    change: ReclaimTransaction,
    rewrites: list[_Rewrite],
    recoding: Recoding,
) -> None:
    for number, record in paced(rewrites):
        change.rewrite(number, record)
    recoding.apply(change)
