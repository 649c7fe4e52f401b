"""New forms of bodies that lie in packs as they came: compressed, or with a table of blocks.

A body that becomes smaller is written to the pack that grows, and L2 names its new place.  A part
of a large file that does not stays where it is, and its record gets a table of its blocks
(`encoding.blocks`), so that a few KB of it can be read and checked alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.objects.ids import Oid, object_id
from heliosfs.pace import paced
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded
from heliosfs.store.encoding.large import compressed_part, encode_large, is_part, raw_table
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.places import PackLocation
from heliosfs.store.gc.packcopy import move_bodies, naming
from heliosfs.store.l2.change import ReclaimTransaction
from heliosfs.store.l2.reader import place_of
from heliosfs.store.l2.record import Payload


class Recoding:
    """The new forms of some bodies, and the change that names them."""

    def __init__(self, packs: Packs, *, prefer_zstd: bool) -> None:
        self._packs = packs
        self._prefer_zstd = prefer_zstd
        self._bodies: list[tuple[Payload, Encoded]] = []
        self._moves: list[tuple[Payload, PackLocation]] = []
        self._tables: list[tuple[Payload, PackLocation]] = []
        """Places as they are named now, with a table."""

    def __bool__(self) -> bool:
        """Return True if there is anything to write."""
        return bool(self._bodies or self._tables)

    def take(self, payload: Payload, oid: Oid | None = None) -> None:
        """Encode an object if its body lies in a pack as it came, and is sound.

        `oid`, if it is known, must be its id: another object may share the short id.  A damaged one
        is left to the check, and to its reader.
        """
        try:
            data = raw_body(self._packs, payload)
        except DecodeError:
            return
        if data is None:
            return
        found = object_id(payload.kind, data)
        if not found.startswith(payload.id) or oid not in (None, found):
            return
        encoded: Encoded | None
        if is_part(payload.kind, payload.size):
            encoded = compressed_part(found, data, prefer_zstd=self._prefer_zstd)
            if encoded is None:
                place = place_of(payload)._replace(
                    codec=int(Codec.BLOCKS), table=raw_table(found, data)
                )
                self._tables.append((payload, place))
                return
        else:
            encoded = encode_large(data, prefer_zstd=self._prefer_zstd)
        if encoded.codec != Codec.RAW:
            self._bodies.append((payload, encoded))

    def write(self) -> None:
        """Write the bodies; they are on the disk on return.  Raise StoreError or StoreFull."""
        packs = self._packs
        if self._bodies:
            places = packs.append_all([encoded for _, encoded in self._bodies])
            # On the disk before L2 names the new places, as in a drain.
            packs.sync()
            payloads = [payload for payload, _ in self._bodies]
            self._moves = list(zip(payloads, places, strict=True))
        if self._tables:
            packs.declaration.declare()

    def apply(self, change: ReclaimTransaction) -> None:
        """Let the records name what was written.

        They must be those that were taken: the caller holds the lock of the writer since, or nobody
        else writes records of old numbers.
        """
        move_bodies(change, self._moves)
        _add_tables(change, self._tables)


def raw_body(packs: Packs, payload: Payload) -> bytes | None:
    """Return the body of an object that lies in a pack as it came, unchecked; None of any other.

    Raise DecodeError.
    """
    if payload.codec != Codec.PACKED:
        return None
    place = place_of(payload)
    return packs.read_whole(place, payload.size) if place.codec == Codec.RAW else None


def _add_tables(change: ReclaimTransaction, tables: Iterable[tuple[Payload, PackLocation]]) -> None:
    """Let records name the places that they name now, with tables: no pack is used otherwise."""
    for payload, place in paced(tables):
        change.rewrite(payload.number, naming(payload, place))
