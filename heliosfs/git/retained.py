"""The state of imports and exports that a garbage collection keeps or drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from heliosfs.git.ids import IdMap
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps, on_thread
from heliosfs.store.base import Collection

_REMOVED_COUNT = 256


class GitState:
    """The part of a garbage collection that knows git.

    It keeps the commits of unfinished imports, and drops the notes on objects that are removed: a
    later import would rely on them.
    """

    def __init__(self, repository: Repository) -> None:
        self._store = repository.store
        self._ids = IdMap(repository.store)

    def commits(self) -> Iterator[CommitId]:
        """Yield the commits of unfinished imports."""
        for _, oid in self._ids.under_way():
            yield oid

    def forget(self, collection: Collection) -> Steps[None]:
        """Drop the ids of removed objects, and the annotated tags that led to them."""
        for find in (self._ids.stale, self._ids.stale_tags):
            keys = yield from on_thread(partial(_within, collection, find))
            for at in range(0, len(keys), _REMOVED_COUNT):
                for key in keys[at : at + _REMOVED_COUNT]:
                    self._store.put(key, None)
                self._store.publish()
                yield TURN
            # L2 must not name what the sweep removes: the keys have to leave it first.
            while (work := collection.plan_settle()) is not None:
                yield work


def _within(collection: Collection, find: Callable[[Collection], list[bytes]]) -> list[bytes]:
    with collection.looking():
        return find(collection)
