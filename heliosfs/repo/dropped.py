"""Commits that a ref named once, and that are in no operation log."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo import keys
from heliosfs.store.base import StateMap


class DroppedCommits:
    """A list, by time, in the store's batch.  A garbage collection keeps these for a while."""

    def __init__(self, store: StateMap) -> None:
        self._store = store

    def __iter__(self) -> Iterator[tuple[int, CommitId]]:
        """Yield time and commit of each, the oldest first."""
        at = len(keys.DROPPED) + keys.NUMBER.size
        for key, _ in self._store.scan(keys.DROPPED):
            yield keys.number_in(keys.DROPPED, key), CommitId(Oid(key[at:]))

    def add(self, oid: CommitId, time_ns: int) -> None:
        """Note that a ref named a commit until now; however old it is, it is kept from now on."""
        self._store.put(keys.of_number(keys.DROPPED, time_ns) + oid, b"")

    def forget(self, oid: CommitId, time_ns: int) -> None:
        """Remove the record of a dropped commit; the caller publishes."""
        self._store.put(keys.of_number(keys.DROPPED, time_ns) + oid, None)
