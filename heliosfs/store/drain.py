"""Work that a store plans: syncs of the journal, and drains of its content into L2."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.store.cache import CachedObject
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.journal.journal import Journal, Segment
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.encoder import write_batches
from heliosfs.store.pending import Batches, Pending


class Slice(NamedTuple):
    """The objects of one LMDB transaction of a drain."""

    objects: list[Pending]
    """Objects that L2 has now, whether from this transaction or from before."""
    cached: list[tuple[Oid, CachedObject]]
    """Encoded objects that L1 may take."""


class Drain:
    """Work that moves batches into L2; the store has frozen them, and takes over the result."""

    def __init__(
        self,
        database: ObjectDatabase,
        directory: Directory,
        batches: Batches,
        segments: list[Segment],
        cache_bytes: int,
        done: Callable[[Drain], None],
        *,
        prefer_zstd: bool = False,
    ) -> None:
        self.state = batches.state
        self.last = batches.last
        """Number of the last batch."""
        self.segments = segments
        self.slices: deque[Slice] = deque()
        """Slices that are in L2 and that the store has not yet taken over; filled while it runs."""
        self.succeeded = False
        self._waiting = deque(batches.objects)
        self._started: list[Pending] = []
        self._database = database
        self._directory = directory
        self._cache_bytes = cache_bytes
        self._prefer_zstd = prefer_zstd
        self._done = done
        self._running = threading.Lock()
        self._cancelled = False

    def execute(self) -> None:
        """Encode and write.  After StoreError or StoreFull, the next drain takes the rest."""
        with self._running:
            if self._cancelled or self.succeeded:
                return
            steps = write_batches(
                self._database,
                self._consume(),
                self.state,
                self.last,
                self._cache_bytes,
                prefer_zstd=self._prefer_zstd,
            )
            for cached in steps:
                self.slices.append(Slice(self._started, cached))
                self._started = []
            self.succeeded = True
            try:
                for segment in self.segments:
                    # After the last commit of L2: until then the journal alone has the rest.
                    segment.shrink(self._directory)
            except OSError as error:
                raise store_error("cannot shorten the journal", error) from error

    def apply(self) -> None:
        self._done(self)

    def left(self) -> list[Pending]:
        """Return the objects that did not reach L2; call it only when the drain has stopped."""
        return [*self._started, *self._waiting]

    def wait(self) -> None:
        """Wait until the drain has stopped."""
        with self._running:
            pass

    def cancel(self) -> None:
        """Wait until the drain has stopped, and keep it from running again."""
        with self._running:
            self._cancelled = True

    def _consume(self) -> Iterator[Pending]:
        """Yield each object, and drop the reference to it, so that its memory can be freed."""
        waiting = self._waiting
        while waiting:
            item = waiting.popleft()
            self._started.append(item)
            yield item


class Waiting:
    """Work that waits for a drain on another thread."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def execute(self) -> None:
        self._drain.wait()

    def apply(self) -> None:
        pass


class Sync:
    """Work that makes safe from a power cut all batches published before it was planned.

    Batches stay marked as unsafe until every call of a sync has returned: two syncs, or a sync and
    a drain, may run at once, and each of them syncs everything that it relies on.
    """

    def __init__(self, directory: Directory, journal: Journal, packs: Packs) -> None:
        self.number = journal.number
        """Number of the last batch that the sync covers."""
        self.names_made = journal.names_made
        """Number of journal files that existed when the sync was planned."""
        self.succeeded = False
        self.packs = packs.begin_sync()
        self._are_names_new = bool(self.packs.names) or journal.names_made > journal.names_synced
        self._directory = directory
        self._journal = journal
        self._all_packs = packs
        self._fds = self.packs.fds
        try:
            # Duplicated: the journal may close its own meanwhile.
            self._fds += [os.dup(segment.fd) for segment in journal.unsynced()]
        except OSError as error:
            self._drop_references()
            raise store_error("cannot sync the journal", error) from error

    def execute(self) -> None:
        """Call fdatasync(2) on each file: the packs first, because the journal refers to them.

        Raise StoreError.
        """
        try:
            for fd in self._fds:
                self._directory.sync(fd)
            if self._are_names_new:
                self._directory.sync_names()
        finally:
            self._drop_references()
        self.succeeded = True

    def apply(self) -> None:
        """Record the synced batches as safe; after a failure, record none."""
        self._drop_references()
        # I35: `durable` is raised only after the sync that covers the batch has returned.
        if self.succeeded:
            journal = self._journal
            assert self.number <= journal.number
            journal.note_durable(self.number)
            journal.names_synced = max(journal.names_synced, self.names_made)
            self._all_packs.end_sync(self.packs)

    def _drop_references(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
