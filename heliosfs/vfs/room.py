"""Room for what is written: a write that the store could not keep is refused at once.

Bytes in memory are a promise that a save will find a place for them.  So they are counted, and
from time to time compared with what the disk, or `storage.max_size`, still has.
"""

from __future__ import annotations

from heliosfs.errors import StoreFull
from heliosfs.repo.repository import Repository

RESERVE_BYTES = 8 * 1024 * 1024
"""Left for trees, commits and the journal, so that a commit still fits when a write does not."""
LOOK_AGAIN_BYTES = 16 * 1024 * 1024
"""Written at most before the disk is looked at again, for others use it too."""


class Room:
    """What may be written before the disk has to be looked at: 50 ns a write."""

    __slots__ = ("_left_bytes", "_repository")

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._left_bytes = 0

    def take(self, count_bytes: int) -> None:
        """Count bytes that are about to be written.  StoreFull."""
        self._left_bytes -= count_bytes
        if self._left_bytes < 0:
            self.look(count_bytes)

    def look(self, count_bytes: int) -> None:
        """Look whether so many bytes have room now.  10 us.  StoreFull."""
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
        room -= RESERVE_BYTES + repository.contents.dirty_bytes + store.pending_bytes
        if room < count_bytes:
            self._left_bytes = 0
            raise StoreFull(what)
        self._left_bytes = min(room, LOOK_AGAIN_BYTES) - count_bytes
