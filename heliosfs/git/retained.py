"""The state of imports and exports that a garbage collection keeps or drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from heliosfs.git.ids import IdMap, known_oid
from heliosfs.git.raw import parse_tag
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.references import NEVER_STORED
from heliosfs.pace import Pace
from heliosfs.repo import keys
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
        for _, oid in self._ids.unfinished.commits():
            yield oid

    def forget(self, collection: Collection) -> Steps[None]:
        """Drop the ids of removed objects, and the annotated tags that led to them."""
        for find in (_stale_ids, _stale_tags):
            stale = yield from on_thread(partial(_within, collection, find))
            for at in range(0, len(stale), _REMOVED_COUNT):
                for key in stale[at : at + _REMOVED_COUNT]:
                    self._store.put(key, None)
                self._store.publish()
                yield TURN
            # L2 must not name what the sweep removes: the keys have to leave it first.
            while (work := collection.plan_settle()) is not None:
                yield work


def _within(collection: Collection, find: Callable[[Collection], list[bytes]]) -> list[bytes]:
    with collection.snapshot():
        return find(collection)


def _stale_ids(collection: Collection) -> list[bytes]:
    """Return the keys of state about objects that a garbage collection did not mark."""
    pace = Pace()

    def is_garbage(oid: Oid) -> bool:
        pace()
        return oid not in NEVER_STORED and not collection.is_marked(oid)

    ids = collection.scan(keys.GIT_ID)
    found = [key for key, value in ids if is_garbage(known_oid(value))]
    for prefix in (keys.GIT_OF, keys.GIT_SERVED):
        scanned = collection.scan(prefix)
        found += [key for key, _ in scanned if is_garbage(Oid(key[len(prefix) :]))]
    return found


def _stale_tags(collection: Collection) -> list[bytes]:
    """Return the keys of annotated tags that lead to no known object any more.

    The memory of refs stays (`OriginNotes`).
    """
    known = {key[len(keys.GIT_ID) :] for key, _ in collection.scan(keys.GIT_ID)}
    tags = {
        key[len(keys.GIT_TAG) :]: parse_tag(data).target
        for key, data in collection.scan(keys.GIT_TAG)
    }
    while led := [tag for tag, target in tags.items() if target in known]:
        # Tags may name tags.
        known.update(led)
        for tag in led:
            del tags[tag]
    return [keys.GIT_TAG + tag for tag in tags]
