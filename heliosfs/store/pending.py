"""Objects and state on their way into L2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, Kind, Oid
from heliosfs.store.base import LISTED, NUMBERED, SLOT_BYTES, Edit
from heliosfs.store.edited import DEPTH_MAX, EditedObject, is_worth_it
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.packs import Packs, load_packed
from heliosfs.store.encoding.places import PackedObject

KEY_MAX = 400
_NUMBER_BYTES = 2 * SLOT_BYTES
SHAPED = LISTED + NUMBERED
"""The first bytes of keys that have one shape."""

Changes = Mapping[bytes, bytes | None]
"""New state by key; None removes a key."""


class Pending(NamedTuple):
    """An object that is not in L2 yet."""

    oid: Oid
    kind: Kind
    data: bytes | PackedObject | EditedObject
    base: Oid | None


class ColdObject(Pending):
    """A pending object that nobody will read soon, so that L1 need not take it."""

    __slots__ = ()


class Batches(NamedTuple):
    """The objects and state of some consecutive batches, in the order of addition."""

    objects: list[Pending]
    state: Changes
    last: int
    """Number of the last of these batches."""


class PendingObjects:
    """The objects that L2 does not have yet, and how far each has come.

    An object is in `batch`, then in `published`, then in a drain, and in `by_oid` all that time.
    The store changes `by_oid`, `used_bytes` and `batch` itself when it adds an object: an import or
    a large write adds thousands a second, and a call for each is what it would notice.
    """

    def __init__(self) -> None:
        self.by_oid: dict[Oid, Pending] = {}
        self.used_bytes = 0
        """Bytes of memory that the objects of `by_oid` hold."""
        self.hits = 0
        """Reads that found their object here."""
        self.batch: list[Pending] = []
        """Objects added since the last publish."""
        self.published: list[Pending] = []
        """Objects that the journal has, and no drain has taken."""

    def edited(
        self,
        base: Oid,
        size: int,
        edits: Sequence[Edit],
        find: Callable[[Iterable[Oid]], Sequence[Oid]],
    ) -> EditedObject | None:
        """Return an object as its edits, if that saves enough and L2 can make a delta of it.

        `find` returns those of some ids that L2 has.
        """
        if not is_worth_it(size, edits):
            return None
        below = self.by_oid.get(base)
        if below is None:
            return EditedObject(base, size, edits) if find((base,)) else None
        depth = below.data.depth + 1 if isinstance(below.data, EditedObject) else 1
        return EditedObject(base, size, edits, depth) if depth <= DEPTH_MAX else None

    def append(self, item: Pending) -> None:
        """Add an object whose bytes are in a pack, unless it is here already."""
        if item.oid not in self.by_oid:
            self.by_oid[item.oid] = item
            self.batch.append(item)

    def take_over(self, objects: Iterable[Pending]) -> None:
        """Add the objects that a journal has, from batches of a run before this one."""
        for item in objects:
            if item.oid not in self.by_oid:
                self.by_oid[item.oid] = item
                self.used_bytes += len(item.data)
                self.published.append(item)

    def make_whole(self, read: Callable[[Oid, Kind], bytes]) -> None:
        """Replace edited objects of the batch by their bytes: a sweep may remove their base.

        Those that are published are drained before a sweep begins.
        """
        for at, item in enumerate(self.batch):
            if isinstance(item.data, EditedObject):
                data = read(item.oid, item.kind)
                self.used_bytes += len(data) - len(item.data)
                self.batch[at] = self.by_oid[item.oid] = item._replace(data=data)

    def release(self, objects: Iterable[Pending]) -> None:
        """Drop objects from memory, which L2 has now."""
        # I31: an object leaves memory when L2 has it.
        for item in objects:
            del self.by_oid[item[0]]
            self.used_bytes -= len(item[2])


def bytes_of(packs: Packs, pending: Pending, read: Callable[[Oid, Kind], bytes]) -> bytes:
    """Return the bytes of a pending object, from its pack if they are there.  Raise CorruptObject.

    `read` reads the base of an edited object.
    """
    oid, kind, data, _ = pending
    try:
        if isinstance(data, PackedObject):
            return load_packed(packs, data, kind, oid)
        if isinstance(data, EditedObject):
            return data.apply(read(data.base, kind), kind, oid)
        return data
    except DecodeError as error:
        raise CorruptObject(f"object {oid.hex()} is damaged: {error}") from error


def check_key(key: bytes) -> None:
    """Raise ValueError unless a key has 1 to 400 bytes, and the shape of its first byte."""
    size = len(key)
    if not 0 < size <= KEY_MAX:
        raise ValueError(f"a state key of {size} bytes; 1 to {KEY_MAX} are allowed")
    # By calls of methods of bytes and without slices: a commit has two such keys.
    wanted = OID_BYTES if key.startswith(LISTED) else _NUMBER_BYTES
    if key[0] in SHAPED and key.find(b"/") != size - wanted - 1:
        rest = size - key.find(b"/") - 1
        raise ValueError(f"a state key beginning with {key[:1]!r} and ending with {rest} bytes")


def overlay(
    below: list[tuple[bytes, bytes]], above: Changes, prefix: bytes
) -> list[tuple[bytes, bytes]]:
    """Return `below`, the sorted state under `prefix`, with the changes of `above` applied."""
    changed = {key: value for key, value in above.items() if key.startswith(prefix)}
    if not changed:
        return below
    merged: dict[bytes, bytes | None] = {**dict(below), **changed}
    return sorted((key, value) for key, value in merged.items() if value is not None)
