"""Everything that some objects reach, entered one after another."""

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

    `enter` is told of every object, and says whether it is new: what a new one refers to is
    entered, too.  Memory: what is to be visited still, and 10 MB for what was met lately, since
    most of a tree is also in the version of it that comes next.
    """

    def __init__(
        self,
        read: Callable[[Oid, Kind], bytes],
        enter: Callable[[Kind, Oid], bool],
        link: Callable[[Oid], None] = lambda oid: None,
    ) -> None:
        """`link` is told of the blob of every link's target, which may not be there."""
        self._read = read
        self._enter = enter
        self._link = link
        self._pending: list[Reference] = []
        self._lately: set[Oid] = set()
        self.count = 0
        """Of the objects that were new."""

    def add(self, roots: Iterable[Reference]) -> None:
        """Enter these, too; not while `advance` runs."""
        self._pending += roots

    def advance(self, limit: int) -> bool:
        """Enter at most `limit` objects; whether there are more.

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
