"""The room for writes: a write that the store could not keep is refused at once, with ENOSPC.

Bytes in memory are a promise that a save will find a place for them.  So they are counted, and
from time to time compared with the free space of the disk, or the rest of `storage.max_size`.
"""

from __future__ import annotations

from heliosfs.errors import StoreFull
from heliosfs.repo.repository import Repository

RESERVE_BYTES = 8 * 1024 * 1024
"""Space kept for trees, commits and the journal: a commit fits when a write no longer does."""
LOOK_AGAIN_BYTES = 16 * 1024 * 1024
"""Most bytes written before the free space is read again, since others use the disk, too."""


class Room:
    """Count of the bytes that may be written before the free space is read again: 50 ns a write."""

    __slots__ = ("_left_bytes", "_repository")

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._left_bytes = 0

    def take(self, count_bytes: int) -> None:
        """Count bytes that are about to be written.

        Raise StoreFull if there is no room for them.
        """
        self._left_bytes -= count_bytes
        if self._left_bytes < 0:
            self._look(count_bytes)

    def check(self, count_bytes: int) -> None:
        """Check that L2 has room for so many bytes now; reserve nothing: 10 us.

        Raise StoreFull.
        """
        disk = self._repository.store.disk()
        if disk.f_bavail * disk.f_frsize < count_bytes:
            raise StoreFull("the disk of the store is full: make room there")
        limit = self._repository.configuration.settings.max_size_bytes
        if limit and limit - self._repository.store.stats().file_bytes < count_bytes:
            raise StoreFull(
                f"the store has reached storage.max_size, {limit} bytes: raise it, or run gc"
            )

    def _look(self, count_bytes: int) -> None:
        repository = self._repository
        store = repository.store
        disk = store.disk()
        # Each byte goes into the journal before it goes into L2.
        room = disk.f_bavail * disk.f_frsize // 2
        what = "the disk of the store is full"
        limit = repository.configuration.settings.max_size_bytes
        if limit and limit - store.stats().file_bytes < room:
            room = limit - store.stats().file_bytes
            what = f"the store has reached storage.max_size, {limit} bytes"
        room -= RESERVE_BYTES + repository.working_set.account.dirty_bytes + store.pending_bytes
        if room < count_bytes:
            self._left_bytes = 0
            raise StoreFull(what)
        self._left_bytes = min(room, LOOK_AGAIN_BYTES) - count_bytes
