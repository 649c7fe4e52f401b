"""Objects that a fetch has stored or promised, and that need not be read back to be checked.

Each new tree and commit is read again when it is checked, and from the store that takes 30 us, as
most are deltas.  So the first of them stay in memory.  All of it is in the store, or promised,
before a check begins.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.errors import MissingObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.remote.damage import read_here, read_whole
from heliosfs.remote.frames import NamedObject
from heliosfs.remote.packfile import RemoteObject
from heliosfs.store.base import Store

_KEPT_BYTES = 64 * 1024 * 1024
_CONTENTS_MAX = 200_000
"""Contents whose ids are remembered, about: 25 MB."""


class Arrived:
    """The objects of a fetch that are in memory."""

    def __init__(self) -> None:
        self._contents: set[Oid] = set()
        self._objects: dict[Oid, tuple[Kind, bytes]] = {}
        self._kept_bytes = 0

    def note(self, found: RemoteObject) -> None:
        """Keep an object that is being stored: of a content the id, of all others the bytes."""
        if found.kind is Kind.BLOB:
            if len(self._contents) < _CONTENTS_MAX:
                self._contents.add(found.oid)
        elif self._kept_bytes < _KEPT_BYTES:
            self._objects[found.oid] = found.kind, found.data
            self._kept_bytes += len(found.data)

    def note_contents(self, oids: Iterable[Oid]) -> None:
        """Remember contents that are being promised."""
        if len(self._contents) < _CONTENTS_MAX:
            self._contents.update(oids)

    def has_content(self, oid: Oid) -> bool:
        """Return True if a content is known to be stored, or promised."""
        return oid in self._contents

    def data(self, oid: Oid, kind: Kind) -> bytes | None:
        """Return the bytes of an object of a kind; None if they are not known."""
        known = self._objects.get(oid)
        return known[1] if known is not None and known[0] is kind else None


class OlderHere:
    """The objects of dictionaries that have arrived, or were here before."""

    def __init__(self, store: Store, arrived: Arrived) -> None:
        self._store = store
        self._arrived = arrived

    def contains(self, named: NamedObject) -> bool:
        """Return True if an object can be read: not all that was taken is written at once."""
        kind, oid = named
        return self._arrived.data(oid, kind) is not None or self._store.contains(oid)

    def read(self, named: NamedObject) -> bytes:
        """Return an object that is contained.  CorruptObject, DamagedHere."""
        kind, oid = named
        data = self._arrived.data(oid, kind)
        if data is not None:
            return data
        try:
            return read_whole(self._store, oid, kind)
        except MissingObject:
            # It was contained.
            return read_here(self._store, oid, kind)
