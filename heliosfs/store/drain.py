"""Work that a store gives away: the journal to the disk, and the journal's content to L2."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from heliosfs.objects.ids import Oid
from heliosfs.store.cache import Cached
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.encoder import write_batches
from heliosfs.store.journal import Segment
from heliosfs.store.lmdbstore import ObjectDatabase
from heliosfs.store.pending import Batches


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
        self.batches = batches
        self.segments = segments
        self.cached: list[tuple[Oid, Cached]] = []
        """For L1, when it succeeded."""
        self.succeeded = False
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
            batches = self.batches
            self.cached = write_batches(
                self._database,
                batches.objects,
                batches.state,
                batches.last,
                self._cache_bytes,
                prefer_zstd=self._prefer_zstd,
            )
            self.succeeded = True
            try:
                for segment in self.segments:
                    segment.shrink(self._directory)
            except OSError as error:
                raise store_error("cannot shorten the journal", error) from error

    def apply(self) -> None:
        self._done(self)

    def cancel(self) -> None:
        """Wait until it does not run; after this, it does nothing more."""
        with self._running:
            self._cancelled = True


class Sync:
    """Makes what the journal held at the plan safe from a power cut."""

    def __init__(
        self, directory: Directory, number: int, done: Callable[[Sync], None], *, names: bool
    ) -> None:
        self.number = number
        """Of the last batch that it covers."""
        self.names = names
        """Whether names in the directory changed since the last sync."""
        self.failed: str | None = None
        self.succeeded = False
        self._directory = directory
        self._done = done
        self._fds: list[int] = []

    def take(self, fd: int) -> None:
        """A segment to sync.  Duplicated: the journal may close its own meanwhile."""
        try:
            self._fds.append(os.dup(fd))
        except OSError as error:
            self._let_go()
            raise store_error("cannot sync the journal", error) from error

    def execute(self) -> None:
        """Call fdatasync(2) on the segments; StoreError."""
        try:
            for fd in self._fds:
                self._directory.sync(fd)
            if self.names:
                self._directory.sync_names()
        except OSError as error:
            failure = store_error("cannot sync the journal", error)
            self.failed = str(failure)
            raise failure from error
        finally:
            self._let_go()
        self.succeeded = True

    def apply(self) -> None:
        self._let_go()
        self._done(self)

    def _let_go(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []
