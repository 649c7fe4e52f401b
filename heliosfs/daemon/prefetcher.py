"""Background task that reads promised contents of the commits that are shown.

First is that of the mount point, and then those of live branches, the branch that was entered last
before the others.

After the mount, and after each verb that shows another commit, it reads the few files without which
neither a status nor a commit can be made; all others wait for a while.  It never is in the way: one
range of 1 MiB at a time, none while a request waits for a content, and after each a pause as long
as it took, longer while requests come.  It ends when all is here, at the bound of
`remotes.prefetch`, or when the disk becomes full; when the remote does not answer it tries again
later, each time after a longer pause.  Of the next commit it looks at what differs alone.  A read
in a live branch that has to wait for its content begins it, too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import islice

import trio

from heliosfs.config.settings import Settings
from heliosfs.daemon.driver import SLICE_NS
from heliosfs.daemon.hydrator import Hydrator
from heliosfs.errors import HeliosError, Interrupted, StoreFull, Unfetched
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.pace import Pace
from heliosfs.repo import keys
from heliosfs.repo.repository import Repository
from heliosfs.store.promisefile import Promise

START_SECONDS = 5.0
"""Time after the mount, or a verb, in which whoever looks around is not disturbed."""
RETRY_MIN_SECONDS = 5.0
RETRY_MAX_SECONDS = 300.0
_WALK_PAUSE_SECONDS = 0.005
_PAUSE_MIN_SECONDS = 0.02
_BUSY_PAUSE_SECONDS = 0.2
"""Pause after a range while requests come."""
_TOGETHER_COUNT = 20_000
"""Most promises that are gathered before they are read, so that memory is bounded."""
_LIVE_MAX = 8
"""Most live branches whose commits are read ahead."""
_LOOKED_KEPT = 64
_FREE_SHARE = 20
"""Share of the disk, 1 in so many, that stays free."""

log = logging.getLogger(__name__)


class Prefetcher:
    """Task that reads ahead; `note` tells it that a verb has ended."""

    def __init__(self, repository: Repository, hydrator: Hydrator) -> None:
        self._repository = repository
        self._hydrator = hydrator
        self._wanted = trio.Event()
        self._looked: dict[CommitId, None] = {}
        """Commits whose contents were looked at, the last one last."""
        self._whole: Entry | None = None
        """Root of the last tree of which nothing is missing."""
        self._spent_bytes = 0
        self._told = ""
        """Reason that was logged last."""

    @property
    def is_needed(self) -> bool:
        """Return True if there are contents to be read, or a fetch may leave some."""
        store = self._repository.store
        # Not by the remotes themselves, of which all refs would be read.
        return bool(store.promises) or any(True for _ in store.scan(keys.REMOTE_LAZY))

    def note(self) -> None:
        """Wake the task if another commit is shown: 1 us, and 0.2 us for each live branch."""
        if self._next() is not None:
            self._wanted.set()

    def _next(self) -> CommitId | None:
        """Return the commit that is to be read ahead next."""
        return next((each for each in self._shown() if each not in self._looked), None)

    def _shown(self) -> Iterator[CommitId]:
        """Yield the commits that are shown, in the order of their worth."""
        repository = self._repository
        if repository.root.head is not None:
            yield repository.root.head
        for view in islice(reversed(repository.live.values()), _LIVE_MAX):
            if view.head is not None:
                yield view.head

    def _note_looked(self, head: CommitId) -> None:
        self._looked[head] = None
        if len(self._looked) > _LOOKED_KEPT:
            del self._looked[next(iter(self._looked))]

    async def run(self) -> None:
        """Work until cancelled."""
        self._repository.configuration.follow(self._configured)
        self.note()
        retry_seconds = RETRY_MIN_SECONDS
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            head = self._next()
            if head is None:
                continue
            try:
                if await self._bring(head):
                    self._note_looked(head)
                retry_seconds = RETRY_MIN_SECONDS
                # Another one may be shown, or have been shown meanwhile.
                self.note()
            except Unfetched as error:
                log.info("reading ahead goes on in %d s: %s", retry_seconds, error)
                await trio.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, RETRY_MAX_SECONDS)
                self._wanted.set()
            except Interrupted:
                return
            except HeliosError as error:
                # Once, and not after each commit; whoever needs the contents is told, too.
                if str(error) != self._told:
                    self._told = str(error)
                    log.warning("contents are not read ahead: %s", error)
                self._note_looked(head)
                self.note()
            except Exception:
                log.exception("contents are not read ahead")
                self._note_looked(head)
                self.note()

    def _configured(self, settings: Settings) -> None:
        """Go on when the bound was raised."""
        if settings.prefetch_bytes > self._spent_bytes:
            self._looked.clear()
            self.note()

    async def _bring(self, head: CommitId) -> bool:
        """Read what is missing of a commit, class by class.  Raise HeliosError.

        Return False if something else is to be read before it.
        """
        from heliosfs.remote.prefetch import Worth, missing

        repository = self._repository
        if not repository.store.promises:
            return True
        root = repository.history.read(head).root
        for worth in Worth:
            if not self._may_go_on(head):
                return self._is_enough()
            if worth is Worth.SMALL:
                await trio.sleep(START_SECONDS)
            found: list[Promise] = []
            slice_end_ns = time.monotonic_ns() + SLICE_NS
            for each in missing(repository.store, root, worth, self._whole):
                if each is not None:
                    found.append(each)
                if len(found) >= _TOGETHER_COUNT:
                    await self._read(head, found)
                    found = []
                elif time.monotonic_ns() >= slice_end_ns:
                    if not self._may_go_on(head):
                        return self._is_enough()
                    await trio.sleep(_WALK_PAUSE_SECONDS)
                else:
                    continue
                slice_end_ns = time.monotonic_ns() + SLICE_NS
            await self._read(head, found)
        if self._may_go_on(head):
            self._whole = root
            return True
        return self._is_enough()

    async def _read(self, head: CommitId, found: list[Promise]) -> None:
        """Read promised contents, a range at a time.  Raise HeliosError."""
        from heliosfs.remote.prefetch import ranges

        hydration = self._hydrator.hydration
        for together in ranges(found):
            while hydration.is_busy:
                await trio.sleep(_PAUSE_MIN_SECONDS)
            if not self._may_go_on(head):
                return
            # Some may have come since they were gathered.
            rows = [each for each in together if not hydration.contains(each.oid)]
            if not rows:
                continue
            count, began = Pace.request_count, trio.current_time()
            fetch = hydration.read(rows[0], rows)
            await self._hydrator.arrived(fetch, rows[0].oid)
            self._spent_bytes += fetch.received_bytes
            hydration.counts.prefetched_bytes += fetch.received_bytes
            failure = fetch.failure(rows[0].oid)
            # What is damaged at one place does not keep the rest from being read.
            if failure is not None and not fetch.is_damaged:
                raise failure
            pause = max(trio.current_time() - began, _PAUSE_MIN_SECONDS)
            if Pace.request_count != count:
                pause = max(pause, _BUSY_PAUSE_SECONDS)
            await trio.sleep(pause)

    def _is_enough(self) -> bool:
        """Return True if as much was read as `remotes.prefetch` says."""
        return self._spent_bytes >= self._repository.configuration.settings.prefetch_bytes

    def _may_go_on(self, head: CommitId) -> bool:
        """Return True unless something else is to be read first, or enough was.  StoreFull.

        Nothing but the commit of the mount point interrupts another one that is still shown.
        """
        settings = self._repository.configuration.settings
        store = self._repository.store
        disk = store.disk()
        if disk.f_bavail * _FREE_SHARE < disk.f_blocks:
            raise StoreFull(f"less than 1/{_FREE_SHARE} of the disk is free")
        most = settings.max_size_bytes
        if most and store.stats().file_bytes > most - most // 4:
            raise StoreFull("the store is near to storage.max_size")
        first = self._repository.root.head
        is_first = first is None or first == head or first in self._looked
        return is_first and head in self._shown() and not self._is_enough()
