"""The work that a store does one at a time: a bulk, or a garbage collection."""

from __future__ import annotations

from heliosfs.errors import Busy, StoreError
from heliosfs.store.base import Bulk, Collection


class Exclusive:
    """The bulk or the garbage collection that is under way in a store.

    They exclude each other: objects of a bulk come to L2 before any state names them, so that a
    collection would find nothing that leads to them.
    """

    def __init__(self) -> None:
        self.bulk: Bulk | None = None
        self.collection: Collection | None = None
        self.refusal: StoreError | None = None
        """Reason why nothing can be written at all."""
        self.collection_count = 0
        """Collections begun so far: what was found in L2 before one began may be gone."""

    def check(self) -> None:
        """Raise Busy if something is under way, and the refusal if there is one."""
        if self.refusal is not None:
            raise type(self.refusal)(str(self.refusal))
        if self.collection is not None:
            raise Busy("a garbage collection is under way")
        if self.bulk is not None:
            raise Busy("an import is under way")

    def begin_collection(self, collection: Collection) -> None:
        """Note that a collection has begun."""
        self.collection = collection
        self.collection_count += 1

    def end(self, work: Bulk | Collection | None) -> None:
        """Note that something has ended.  One that ended before, and is closed again, is not it."""
        if work is self.bulk:
            self.bulk = None
        if work is self.collection:
            self.collection = None
