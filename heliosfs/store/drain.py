"""Work that a store gives away: the journal to the disk, and the journal's content to L2."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.store.cache import Cached
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.journal.journal import Journal, Segment
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.encoder import write_batches
from heliosfs.store.pending import Batches, Pending


class Slice(NamedTuple):
    """What a transaction brought to L2."""

    objects: list[Pending]
    """Those that are there now, whether by this transaction or before it."""
    cached: list[tuple[Oid, Cached]]
    """What L1 may take of them."""


class Drain:
    """Moves batches into L2: `plan` froze them, `apply` is the store's."""

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
        """The number of the last batch."""
        self.segments = segments
        self.slices: deque[Slice] = deque()
        """What is in L2 by now and not taken up yet, while it runs."""
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
        """Encode and write; StoreError, StoreFull: what was not written is retried later."""
        with self._running:
            if self._cancelled or self.succeeded:
                return
            steps = write_batches(
                self._database,
                self._taking(),
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
                    segment.shrink(self._directory)
            except OSError as error:
                raise store_error("cannot shorten the journal", error) from error

    def apply(self) -> None:
        self._done(self)

    def left(self) -> list[Pending]:
        """The objects that did not come to L2, when it does not run any more."""
        return [*self._started, *self._waiting]

    def wait(self) -> None:
        """Wait until it does not run."""
        with self._running:
            pass

    def cancel(self) -> None:
        """Wait until it does not run; after this, it does nothing more."""
        with self._running:
            self._cancelled = True

    def _taking(self) -> Iterator[Pending]:
        """Lets go of each object: it stays in memory only as long as the store has it."""
        waiting = self._waiting
        while waiting:
            item = waiting.popleft()
            self._started.append(item)
            yield item


class Waiting:
    """Work that is done when a drain that somebody else executes is."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def execute(self) -> None:
        self._drain.wait()

    def apply(self) -> None:
        pass


class Sync:
    """Makes what journal and packs held at the plan safe from a power cut.

    What is not yet safe stays known as such until every call of a sync has returned: two syncs, or
    a sync and a drain, may run at a time, and each makes sure of everything that it relies on.
    """

    def __init__(
        self, directory: Directory, journal: Journal, packs: Packs, done: Callable[[Sync], None]
    ) -> None:
        self.number = journal.number
        """Of the last batch that it covers."""
        self.names_made = journal.names_made
        """How many files of the journal had been made."""
        self.succeeded = False
        self.packs = packs.begin_sync()
        self._are_names_new = bool(self.packs.names) or journal.names_made > journal.names_synced
        self._directory = directory
        self._done = done
        self._fds = self.packs.fds
        try:
            # Duplicated: the journal may close its own meanwhile.
            self._fds += [os.dup(segment.fd) for segment in journal.unsynced()]
        except OSError as error:
            self._let_go()
            raise store_error("cannot sync the journal", error) from error

    def execute(self) -> None:
        """Call fdatasync(2) on the files, packs before the journal that names what is in them.

        StoreError.
        """
        try:
            for fd in self._fds:
                self._directory.sync(fd)
            if self._are_names_new:
                self._directory.sync_names()
        finally:
            self._let_go()
        self.succeeded = True

    def apply(self) -> None:
        self._let_go()
        self._done(self)

    def _let_go(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
