"""Reads of a piece of an object, without all of it: what `Store.read_piece` does in a local store.

Nothing here fails.  Whatever is not as it should be is left to a read of the whole object, which
knows other copies of it, and says what is wrong.
"""

from __future__ import annotations

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoding.codecs import Codec, DecodeError
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.pieces import piece_at
from heliosfs.store.encoding.places import PackedObject, decode_location
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import unpack_head
from heliosfs.store.pending import Pending, PendingObjects

_PACKED = int(Codec.PACKED)


def read_piece(
    database: ObjectDatabase,
    pending: PendingObjects,
    oid: Oid,
    kind: Kind,
    size: int,
    start: int,
    stop: int,
) -> bytes | None:
    """Return the bytes from `start` to `stop` of an object of `size` bytes, checked.

    None if it is of another kind or size, not in blocks, not here, or damaged.
    """
    waiting = pending.by_oid.get(oid)
    if waiting is not None:
        return _of_pending(database.packs, waiting, kind, size, start, stop)
    with database.guarded_reading() as snapshot:
        return _of_stored(snapshot, oid, kind, size, start, stop)


def _of_pending(
    packs: Packs, pending: Pending, kind: Kind, size: int, start: int, stop: int
) -> bytes | None:
    data = pending.data
    if not isinstance(data, PackedObject) or pending.kind is not kind or data.size != size:
        return None
    try:
        return piece_at(packs.files, data.place, pending.oid, size, start, stop)
    except DecodeError:
        return None


def _of_stored(
    snapshot: Snapshot, oid: Oid, kind: Kind, size: int, start: int, stop: int
) -> bytes | None:
    for number in snapshot.candidates(oid):
        try:
            head = unpack_head(number, snapshot.record(number))
            _, codec, found_kind, _, found_size, _, _, record, at = head
            if codec != _PACKED or found_kind is not kind or found_size != size:
                continue
            place, _ = decode_location(record, at)
            piece = piece_at(snapshot.packs.files, place, oid, size, start, stop)
        except (DecodeError, IndexError):
            continue
        if piece is not None:
            return piece
    return None
