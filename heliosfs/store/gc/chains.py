"""Reading of many objects that share chains, decoding each of them once."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, decode_delta, named_id
from heliosfs.store.l2.reader import Snapshot, unpacked
from heliosfs.store.l2.record import Payload

_HELD_BYTES = 32 * 1024 * 1024
_HELD_COUNT = 100_000
_HELD_MAX_BYTES = 1024 * 1024
"""Size above which objects are not held: they have few versions, and their chains are read anew."""
_CHAIN_MAX = 256


class Decoded(NamedTuple):
    """An object of L2."""

    kind: Kind
    id: bytes
    """The part of the object's id that its record keeps."""
    data: bytes


class Chains:
    """Decoded objects by number, as many as fit.  A number always means the same object."""

    def __init__(self) -> None:
        self._held: dict[int, Decoded] = {}
        self._held_bytes = 0

    def load(self, snapshot: Snapshot, oid: Oid) -> tuple[Kind, bytes] | None:
        """Return the kind and bytes of an object, checked against its id; None if L2 has none.

        CorruptObject.

        25 us for a small one whose neighbours in the chain were read; `Snapshot.chain` and decoding
        all of it take 150 us.
        """
        reason = ""
        for number in snapshot.candidates(oid):
            try:
                found = self.decode(snapshot, number)
            except DecodeError as error:
                reason = str(error)
                continue
            if object_id(found.kind, found.data) == oid:
                return found.kind, found.data
            reason = "its bytes have another id"
        if reason:
            raise CorruptObject(f"object {oid.hex()} is damaged: {reason}")
        return None

    def decode(self, snapshot: Snapshot, number: int) -> Decoded:
        """Return an object by its number, without a check of its id; DecodeError."""
        above: list[Payload] = []
        at: int | None = number
        while at is not None and at not in self._held:
            payload = snapshot.payload(at)
            if payload.codec == Codec.PACKED:
                payload = unpacked(snapshot.packs, payload)
            above.append(payload)
            if len(above) > _CHAIN_MAX:
                raise DecodeError(f"object {number} ends a chain that is too long")
            at = payload.base
        found = self._held[at] if at is not None else None
        while above:
            payload = above.pop()
            if found is None:
                data = decode(payload.codec, payload.body, payload.size)
            else:
                named = named_id(payload.kind, found.id)
                data = decode_delta(payload.codec, payload.body, payload.size, found.data, named)
            found = Decoded(payload.kind, payload.id, data)
            self._hold(payload.number, found)
        assert found is not None
        return found

    def _hold(self, number: int, found: Decoded) -> None:
        size = len(found.data)
        if size > _HELD_MAX_BYTES:
            return
        if self._held_bytes + size > _HELD_BYTES or len(self._held) >= _HELD_COUNT:
            self._held.clear()
            self._held_bytes = 0
        self._held[number] = found
        self._held_bytes += size
