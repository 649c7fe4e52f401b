"""Versions: the choice of the version against which an object is encoded, if a delta pays.

Version i of a chain is a delta to version i minus the largest power of 16 that divides i, and every
256th is whole.  So no object needs more than 30 others, while most deltas are to the version just
before.

Theory of operation.  In base 16, version i is a delta to i with its last digit that is not 0
lowered by one: 0x35 to 0x34, and so on down to 0x30; that to 0x20, 0x10 and 0x00.  So decoding
takes at most 15 steps in each of the two digits.  Two versions of each chain are
held, the last one and the last that 16 divides (its *anchor*), and whatever comes next is encoded
against one of these, without reading.  A delta must save a quarter of the object encoded alone:
it makes reading dearer, and branches of a history each continue the chain of their base.

Refused: chains of unbounded length, as in RCS, of which the thousandth version takes a
thousand steps; each version against the whole one, so that every edit since then is stored in
each of them again; each 16th version in zstd, which saves 11 bytes a version and makes a cold read
three times as long (docs/decisions/2026-11-25-store-format-2.md).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from heliosfs.emptying import Container
from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Encoded
from heliosfs.store.encoding.large import encode_object
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.remembered import TwoGenerationCache

STEP = 16
WHOLE_EVERY = STEP * STEP
_PAYS_BELOW = 0.75
"""Largest size of a delta relative to the object encoded alone.  A delta must save a quarter,
because it makes reading slower."""
SURELY_PAYS = 4
"""Factor by which a delta of a large or cold object is smaller if it needs no comparison."""
_PAYS_BYTES = 12
_FLAT_SAVING_BYTES = 128
"""Size below which a saving of `_PAYS_BYTES` is enough, because such chains are read fast."""
KNOWN_MAX = 50_000
"""Objects of which the place in a chain or the number is known, in each of two generations."""


def pays(delta: Encoded, alone: Encoded | None) -> bool:
    """Return True if a delta saves enough; `alone` is None if that is certain."""
    if alone is None:
        return True
    delta_bytes, alone_bytes = len(delta.body), len(alone.body)
    if alone_bytes < _FLAT_SAVING_BYTES:
        return delta_bytes <= alone_bytes - _PAYS_BYTES
    return delta_bytes < alone_bytes * _PAYS_BELOW


def encode_alone(oid: Oid, kind: Kind, data: bytes, *, prefer_zstd: bool) -> Encoded:
    """Encode an object without reference."""
    if len(data) >= PACKED_FROM_BYTES:
        return encode_object(oid, kind, data, prefer_zstd=prefer_zstd)
    return codecs.encode(data, prefer_zstd=prefer_zstd)


class PreparedObject(NamedTuple):
    """An object that was encoded, as far as possible, before the store got it."""

    oid: Oid
    kind: Kind
    size: int
    """Bytes of the object."""
    position: int
    """Position in its chain; 0 if it is not a delta."""
    base: Oid | None
    """Object against which it is encoded."""
    encoded: Encoded | None
    """Encoded object; None if the bytes of its base were not at hand."""
    data: bytes = b""
    """Bytes of the object, if it is not encoded."""


class Versions:
    """The last versions of changing objects, so that the next one is encoded without a read.

    Their bytes are bounded.  The position of a dropped version in its chain is still known, so that
    the chain continues if somebody else has its bytes.
    """

    def __init__(self, limit_bytes: int, *, prefer_zstd: bool = False) -> None:
        self._prefer_zstd = prefer_zstd
        self._room = limit_bytes
        self._cached: OrderedDict[Oid, bytes] = OrderedDict()
        self._places: TwoGenerationCache[tuple[int, Oid]] = TwoGenerationCache(KNOWN_MAX)
        """Position, and the last version up to this one whose position 16 divides."""

    def containers(self) -> tuple[Container, ...]:
        """Return what holds the versions, for whoever empties it."""
        return self._cached, *self._places.containers()

    def encode(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None) -> PreparedObject | None:
        """Encode the version after `base`, which has no other successor unless it is a commit.

        Return None if the object is known, and thus encoded already.  A small edit in 10 KB takes
        15 us.
        """
        if oid in self._places:
            return None
        size = len(data)
        place = None
        if base is not None:
            place = self._places.get(base)
        position, anchor = 0, oid
        against: Oid | None = None
        prefer_zstd = self._prefer_zstd
        if place is not None and base is not None:
            position = place[0] + 1
            if position >= WHOLE_EVERY:
                # What begins a chain anew is rare and large: worth zstd.
                position, prefer_zstd = 0, True
            elif position % STEP:
                against, anchor = base, place[1]
            else:
                against = place[1]
        delta = None
        if against is not None:
            old = self._take(against, kind)
            if old is None:
                # The base was dropped from memory; whoever has its bytes encodes against it later.
                self._cache(oid, data, position, anchor)
                return PreparedObject(oid, kind, size, position, against, None, data)
            named = codecs.named_id(kind, against)
            delta = codecs.encode_delta(data, old, named, prefer_zstd=prefer_zstd)
            if delta is not None and len(delta.body) * SURELY_PAYS <= size:
                self._cache(oid, data, position, anchor)
                return PreparedObject(oid, kind, size, position, against, delta)
        alone = encode_alone(oid, kind, data, prefer_zstd=prefer_zstd)
        if delta is not None and pays(delta, alone):
            self._cache(oid, data, position, anchor)
            return PreparedObject(oid, kind, size, position, against, delta)
        self._cache(oid, data, 0, oid)
        return PreparedObject(oid, kind, size, 0, None, alone)

    def _take(self, oid: Oid, kind: Kind) -> bytes | None:
        """Return the bytes of a version; drop them if no other one will be encoded against it."""
        held = self._cached
        data = held.get(oid)
        if data is None:
            return None
        place = self._places.get(oid)
        if kind is Kind.COMMIT or place is None or place[1] == oid:
            held.move_to_end(oid)
        else:
            del held[oid]
            self._room += len(data)
        return data

    def _cache(self, oid: Oid, data: bytes, position: int, anchor: Oid) -> None:
        self._places.put(oid, (position, anchor))
        held = self._cached
        self._room += len(held.pop(oid, b"")) - len(data)
        held[oid] = data
        while self._room < 0:
            _, dropped = held.popitem(last=False)
            self._room += len(dropped)
