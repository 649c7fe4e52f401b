"""Recovery of disk from packs that are mostly dead: live bodies are copied to another pack."""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.objects.ids import Oid
from heliosfs.pace import Pace, paced
from heliosfs.store.encoding.codecs import Codec, Encoded
from heliosfs.store.encoding.places import PackLocation, decode_location
from heliosfs.store.l2.change import ReclaimTransaction
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.record import Payload, pack
from heliosfs.store.l2.walk import headers

_SCANNED = 5_000
_COPY_STEP_BYTES = 8 * 1024 * 1024


class PackCopy:
    """Work in steps.  Objects keep their numbers; only the places in their records change."""

    def __init__(self, database: ObjectDatabase) -> None:
        self._database = database
        self._end = database.totals.next_number
        # A pack that still grows cannot be copied.
        database.packs.retire(database.uses)
        self._packs = {
            number
            for number, use in database.uses.items()
            if use.live_bytes * 2 < use.end and database.packs.is_settled(number)
        }
        self._next = 1

    @property
    def is_done(self) -> bool:
        """True if no step is left."""
        return not self._packs or self._next >= self._end

    def step(self) -> None:
        """Copy some bodies.  Raise DecodeError.  After StoreError or StoreFull nothing changed."""
        database = self._database
        moves: list[tuple[Payload, PackLocation]] = []
        # Appending needs no lock of the writer: nothing names the copies yet, and a crash leaves
        # only bytes that the next open cuts off.
        for payload, place in self._next_bodies():
            body = database.packs.read(place)
            moves.append((payload, database.packs.append(body)))
        if moves:
            # Copies are on the disk before L2 names them, as in a drain.
            database.packs.sync()
            with database.writing:
                database.change(lambda change: move_bodies(change, moves))

    def _next_bodies(self) -> list[tuple[Payload, PackLocation]]:
        pace, seen, left = Pace(), 0, _COPY_STEP_BYTES
        found: list[tuple[Payload, PackLocation]] = []
        with self._database.browsing() as snapshot:
            for payload in headers(snapshot, self._next):
                pace()
                if payload.number >= self._end or seen == _SCANNED or left < 0:
                    return found
                seen += 1
                self._next = payload.number + 1
                if payload.codec == Codec.PACKED:
                    place, _ = decode_location(payload.body)
                    if place.pack in self._packs:
                        found.append((payload, place))
                        left -= place.length
        self._next = self._end
        return found


def move_bodies(change: ReclaimTransaction, moves: Iterable[tuple[Payload, PackLocation]]) -> None:
    """Let the records of objects name other places in packs, which are on the disk."""
    for payload, place in paced(moves):
        change.move(payload.number, naming(payload, place), place)


def naming(payload: Payload, place: PackLocation) -> bytes:
    """Return the record of an object that names a place in a pack."""
    encoded = Encoded(Codec.PACKED, place.encode())
    return pack(Oid(payload.id), payload.kind, payload.size, encoded)
