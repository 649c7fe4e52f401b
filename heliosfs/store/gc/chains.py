"""Reading of many objects that share chains, decoding each of them once."""

from __future__ import annotations

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.outline import Outline, outline, outline_after
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, decode_splice
from heliosfs.store.l2.reader import Snapshot, unpacked
from heliosfs.store.l2.record import Head, Payload, unpack_head

_HELD_BYTES = 16 * 1024 * 1024
_HELD_COUNT = 50_000
_HELD_MAX_BYTES = 1024 * 1024
"""Size above which objects are not held: they have few versions, and their chains are read anew."""
_CHAIN_MAX = 256
_COMMIT = Kind.COMMIT


class Decoded:
    """An object of L2."""

    __slots__ = ("base", "data", "ends", "head", "id", "kind", "tail")

    def __init__(self, kind: Kind, kept: bytes, data: bytes, base: int | None) -> None:
        self.kind = kind
        self.id = kept
        """The part of the object's id that its record keeps."""
        self.data = data
        self.base = base
        """Number of the object that it shares its first and last bytes with."""
        self.head = self.tail = 0
        self.ends: list[int] | None = None
        """Ends of a tree's entries, set by a caller of `unknown` who knows all of them now."""


class Chains:
    """Decoded objects by number, as many as fit.  A number always means the same object.

    Two generations, each with half of the memory: what was not used lately is forgotten, and then
    freed while the next ones come.
    """

    def __init__(self) -> None:
        self._young: dict[int, Decoded] = {}
        self._old: dict[int, Decoded] = {}
        self._forgotten: dict[int, Decoded] = {}
        """The generation before, which goes a few entries at a time: all at once would keep the
        interpreter for 20 ms."""
        self._young_bytes = 0

    def load(self, snapshot: Snapshot, oid: Oid) -> tuple[Kind, bytes] | None:
        """Return the kind and bytes of an object, checked against its id; None if L2 has none.

        Raise CorruptObject.

        15 us for a small one whose neighbours in the chain were read; `Snapshot.chain` and decoding
        all of it take 150 us.
        """
        found = self.find(snapshot, oid, snapshot.candidates(oid))
        return None if found is None else (found.kind, found.data)

    def find(self, snapshot: Snapshot, oid: Oid, numbers: list[int]) -> Decoded | None:
        """Return the object with this id among those of the numbers; None without numbers.

        Raise CorruptObject.
        """
        reason = ""
        for number in numbers:
            try:
                found = self.decode(snapshot, number)
            except DecodeError as error:
                reason = str(error)
                continue
            if object_id(found.kind, found.data) == oid:
                return found
            reason = "its bytes have another id"
        if reason:
            raise CorruptObject(f"object {oid.hex()} is damaged: {reason}")
        return None

    def unknown(self, found: Decoded) -> Outline:
        """Return the outline of a tree; entries that it shares with its base may be known.

        They are if the base has `ends`.  ValueError, IndexError, struct.error when the object is
        not a tree.
        """
        base = None if found.base is None else self._get(found.base)
        if base is None or base.ends is None:
            return outline(found.data)
        return outline_after(base.ends, found.data, len(base.data), found.head, found.tail)

    def decode(self, snapshot: Snapshot, number: int) -> Decoded:
        """Return an object by its number, without a check of its id.  Raise DecodeError."""
        found = self._get(number)
        if found is not None:
            return found
        return self.decode_record(snapshot, unpack_head(number, snapshot.record(number)))

    def decode_record(self, snapshot: Snapshot, head: Head) -> Decoded:
        """Return the object of a record that was read, as `decode` does.  Raise DecodeError."""
        number, found = head[0], None
        above: list[Head] = []
        while True:
            above.append(head)
            base = head[5]
            if base is None:
                break
            found = self._get(base)
            if found is not None:
                break
            if len(above) > _CHAIN_MAX:
                raise DecodeError(f"object {number} has too long a chain of bases")
            head = unpack_head(base, snapshot.record(base))
        while above:
            head = above.pop()
            found = _whole(snapshot, head) if found is None else _after(found, head)
            self._cache(head[0], found)
        assert found is not None
        return found

    def _get(self, number: int) -> Decoded | None:
        found = self._young.get(number)
        if found is None:
            found = self._old.get(number)
            if found is not None:
                self._cache(number, found)
        return found

    def _cache(self, number: int, found: Decoded) -> None:
        size = len(found.data)
        if size > _HELD_MAX_BYTES:
            return
        if self._young_bytes + size > _HELD_BYTES or len(self._young) >= _HELD_COUNT:
            self._forgotten, self._old, self._young = self._old, self._young, {}
            self._young_bytes = 0
        self._young[number] = found
        self._young_bytes += size
        if self._forgotten:
            self._forgotten.popitem()

    def containers(self) -> tuple[dict[int, Decoded], ...]:
        """Return what holds the objects, for whoever empties it."""
        return self._young, self._old, self._forgotten


def _whole(snapshot: Snapshot, head: Head) -> Decoded:
    """Return an object that is encoded alone, in its record or in a pack.  Raise DecodeError."""
    number, codec, kind, kept, size, base, position, record, at = head
    body = record[at:]
    if codec == Codec.PACKED:
        payload = Payload(number, codec, kind, kept, size, base, position, body)
        _, codec, _, _, _, _, _, body = unpacked(snapshot.packs, payload)
    return Decoded(kind, kept, decode(codec, body, size), None)


def _after(before: Decoded, head: Head) -> Decoded:
    """Return an object that is a delta to the one before.  Raise DecodeError."""
    _, codec, kind, kept, size, base, _, record, at = head
    named = before.id if kind is _COMMIT else b""
    data, head_bytes, tail_bytes = decode_splice(codec, record, at, size, before.data, named)
    found = Decoded(kind, kept, data, base)
    found.head, found.tail = head_bytes, tail_bytes
    return found
