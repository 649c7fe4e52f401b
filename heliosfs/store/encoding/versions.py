"""Which version an object is encoded against, and whether that pays.

Version i of a chain changes version i less the lowest power of 16 that divides i, and every
256th is whole: so no object needs more than 30 others, while most deltas are against the
version just before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Encoded
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES, encode_large

STEP = 16
WHOLE_EVERY = STEP * STEP
_PAYS_BELOW = 0.75
"""A delta must save a quarter of the object encoded alone: it makes reading dearer."""
SURELY_PAYS = 4
"""A delta of a large or cold object, so many times smaller, is not compared with anything."""
_PAYS_BYTES = 12
_TINY_BYTES = 128
"""Of a smaller object, that it saves `_PAYS_BYTES` is enough: such chains are read fast."""
_KNOWN_MAX = 50_000


def pays(delta: Encoded, alone: Encoded | None) -> bool:
    """Whether a delta is worth it; None when that is certain."""
    if alone is None:
        return True
    delta_bytes, alone_bytes = len(delta.body), len(alone.body)
    if alone_bytes < _TINY_BYTES:
        return delta_bytes <= alone_bytes - _PAYS_BYTES
    return delta_bytes < alone_bytes * _PAYS_BELOW


def encode_alone(data: bytes, *, prefer_zstd: bool) -> Encoded:
    """Encode an object that is no delta."""
    if len(data) >= PACKED_FROM_BYTES:
        return encode_large(data, prefer_zstd=prefer_zstd)
    return codecs.encode(data, prefer_zstd=prefer_zstd)


class Prepared(NamedTuple):
    """An object that was encoded before it came to the store, as far as that could be."""

    oid: Oid
    kind: Kind
    size: int
    """Bytes of the object."""
    position: int
    """In its chain; 0 when it is not a delta."""
    base: Oid | None
    """What it is encoded against."""
    encoded: Encoded | None
    """None for want of the bytes of its base."""
    data: bytes = b""
    """The object, when it is not encoded."""


class Versions:
    """The last versions of what changes, so that the next one is encoded without reading.

    Bounded in bytes; of a version that was let go it knows where it stands in its chain, so
    that the chain goes on when somebody else has its bytes.
    """

    def __init__(self, limit_bytes: int, *, prefer_zstd: bool = False) -> None:
        self._prefer_zstd = prefer_zstd
        self._room = limit_bytes
        self._held: OrderedDict[Oid, bytes] = OrderedDict()
        self._young: dict[Oid, tuple[int, Oid]] = {}
        """Position, and the last version before it, or it itself, that 16 divides."""
        self._old: dict[Oid, tuple[int, Oid]] = {}

    def encode(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None) -> Prepared | None:
        """Encode the version after `base`, which has no other one but if it is a commit.

        None when the object is known: it was encoded before.  A small edit in 10 KB takes 15 us.
        """
        if oid in self._young or oid in self._old:
            return None
        size = len(data)
        place = None
        if base is not None:
            place = self._young.get(base) or self._old.get(base)
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
                self._hold(oid, data, position, anchor)
                return Prepared(oid, kind, size, position, against, None, data)
            named = against if kind is Kind.COMMIT else b""
            delta = codecs.encode_delta(data, old, named, prefer_zstd=prefer_zstd)
            if delta is not None and len(delta.body) * SURELY_PAYS <= size:
                self._hold(oid, data, position, anchor)
                return Prepared(oid, kind, size, position, against, delta)
        alone = encode_alone(data, prefer_zstd=prefer_zstd)
        if delta is not None and pays(delta, alone):
            self._hold(oid, data, position, anchor)
            return Prepared(oid, kind, size, position, against, delta)
        self._hold(oid, data, 0, oid)
        return Prepared(oid, kind, size, 0, None, alone)

    def _take(self, oid: Oid, kind: Kind) -> bytes | None:
        """The bytes of a version; forgotten, when no other one will be encoded against it."""
        held = self._held
        data = held.get(oid)
        if data is None:
            return None
        place = self._young.get(oid) or self._old.get(oid)
        if kind is Kind.COMMIT or place is None or place[1] == oid:
            held.move_to_end(oid)
        else:
            del held[oid]
            self._room += len(data)
        return data

    def _hold(self, oid: Oid, data: bytes, position: int, anchor: Oid) -> None:
        if len(self._young) >= _KNOWN_MAX:
            self._old, self._young = self._young, {}
        self._young[oid] = position, anchor
        held = self._held
        self._room += len(held.pop(oid, b"")) - len(data)
        held[oid] = data
        while self._room < 0:
            _, dropped = held.popitem(last=False)
            self._room += len(dropped)


class Numbers:
    """Numbers of objects that were written lately, by their ids."""

    def __init__(self) -> None:
        self._young: dict[Oid, int] = {}
        self._old: dict[Oid, int] = {}

    def get(self, oid: Oid) -> int | None:
        """The number of an object; None when that is not known any more."""
        return self._young.get(oid) or self._old.get(oid)

    def add(self, numbers: Mapping[Oid, int]) -> None:
        """What was written with one transaction."""
        if len(self._young) >= _KNOWN_MAX:
            self._old, self._young = self._young, {}
        self._young.update(numbers)
