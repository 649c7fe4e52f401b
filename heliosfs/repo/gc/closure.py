"""The closure of some objects: everything that they reach, entered one object after another."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import Reference, link_blobs, references
from heliosfs.pace import Pace

_LATELY_COUNT = 100_000


class Closure:
    """A walk over objects, in pieces, each of which may run on another thread.

    `enter` is called with every object, and returns True if it is new; then the objects to which it
    refers are entered, too.  Memory: the objects still to be visited, and 10 MB for those met
    lately, because most of a tree also occurs in the next version of it.
    """

    def __init__(
        self,
        read: Callable[[Oid, Kind], bytes],
        enter: Callable[[Kind, Oid], bool],
        link: Callable[[Oid], None] = lambda oid: None,
    ) -> None:
        """Prepare; `link` is called with the blob of every link's target, which may be missing."""
        self._read = read
        self._enter = enter
        self._link = link
        self._pending: list[Reference] = []
        self._lately: set[Oid] = set()
        self.count = 0
        """Number of new objects."""

    def add(self, roots: Iterable[Reference]) -> None:
        """Enter these objects, too; do not call it while `advance` runs."""
        self._pending += roots

    def advance(self, limit: int) -> bool:
        """Enter at most `limit` objects; return True if there are more.

        MissingObject, CorruptObject.  A hundred thousand objects a second, or ten thousand trees.
        """
        pending, lately, pace = self._pending, self._lately, Pace()
        while pending and limit:
            pace()
            kind, oid = pending.pop()
            if oid in lately:
                continue
            limit -= 1
            if len(lately) >= _LATELY_COUNT:
                lately.clear()
            lately.add(oid)
            if self._enter(kind, oid):
                self.count += 1
                if kind is not Kind.BLOB:
                    pending += self._references(kind, oid)
        return bool(pending)

    def _references(self, kind: Kind, oid: Oid) -> list[Reference]:
        data = self._read(oid, kind)
        try:
            if kind is Kind.TREE:
                for blob in link_blobs(data):
                    self._link(blob)
            return list(references(kind, data))
        except (ValueError, IndexError, struct.error) as error:
            name = kind.name.lower()
            raise CorruptObject(f"{name} {oid.hex()} cannot be read: {error}") from error
