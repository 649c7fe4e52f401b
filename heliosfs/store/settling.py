"""Settling: the plans of drains, which move published batches into L2 and free their memory."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.steps import Work
from heliosfs.store.cache import ObjectCache
from heliosfs.store.directory import Directory
from heliosfs.store.drain import Drain, Waiting
from heliosfs.store.journal.journal import Journal
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.layers import StateLayers
from heliosfs.store.pending import Batches, PendingObjects


class Settling:
    """The drains of a store, one at a time, so that batches reach L2 in their order.

    A drain takes everything that is published.  Objects leave memory slice by slice while it runs;
    state does so at its end, with the number of the last batch.  What a drain that failed did not
    move is taken by the next one.
    """

    def __init__(
        self,
        directory: Directory,
        database: ObjectDatabase,
        journal: Journal,
        cache: ObjectCache,
        pending: PendingObjects,
        state: StateLayers,
    ) -> None:
        self.prefer_zstd = False
        """Choice of codec for the drains planned from now on."""
        self.drain: Drain | None = None
        """The drain that is under way."""
        self._directory = directory
        self._database = database
        self._journal = journal
        self._cache = cache
        self._pending = pending
        self._state = state

        self.is_stopped = False
        """True if the store cannot be written, so that no drain is planned."""

    @property
    def is_done(self) -> bool:
        """True if all published batches are in L2."""
        return not (self._pending.published or self._state.published)

    def plan(self) -> Work | None:
        """Return a drain; None if there is nothing to move, or while another one is under way."""
        if self.drain is not None or self.is_done or self.is_stopped:
            return None
        journal, pending = self._journal, self._pending
        # The drain frees whole segments, so what comes from now on needs a new one.
        journal.rotate()
        self.drain = Drain(
            self._database,
            self._directory,
            Batches(pending.published, self._state.begin_drain(), journal.number),
            journal.segments_up_to(journal.number),
            self._cache.capacity_bytes,
            self._drained,
            prefer_zstd=self.prefer_zstd,
        )
        pending.published = []
        return self.drain

    def _drained(self, drain: Drain) -> None:
        # A cancelled drain may be applied twice: by `stop`, and by whoever executed it.
        if drain is not self.drain:
            return
        self.release()
        self.drain = None
        self._state.end_drain(succeeded=drain.succeeded)
        if not drain.succeeded:
            self._pending.published = drain.left() + self._pending.published
            return
        # L2 has the batches on the disk, so they are safe without a sync of the journal.
        self._journal.note_durable(drain.last)
        self._journal.free(drain.segments)

    def release(self) -> None:
        """Free the memory of objects that a running drain has written to L2; L1 keeps them."""
        slices = self.drain.slices if self.drain is not None else ()
        while slices:
            objects, cached = slices.popleft()
            self._pending.release(objects)
            self._cache.put_all(cached)

    def until_now(self) -> Callable[[], Work | None]:
        """Return a function that plans work until everything published now is in L2."""
        number = self._journal.number

        def plan() -> Work | None:
            if self._database.totals.batch >= number:
                return None
            return self.plan() if self.drain is None else Waiting(self.drain)

        return plan

    def stop(self) -> None:
        """Wait for the drain that is under way, and take over its result."""
        if self.drain is not None:
            self.drain.cancel()
            self.drain.apply()
