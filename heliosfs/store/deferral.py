"""Deferred compression: what was added in a hurry lies in packs as it came, until there is time.

A program that writes a large file is faster than the compression of its bytes, and would wait for
it.  So an addition may write bodies as they came, to a pack of their own.  `Deferral` remembers
them, and plans work that reads some, compresses them into the other pack, and names the new places
in L2, as a garbage collection does with the bodies of packs that are mostly dead (`gc.packcopy`).
The pack of deferred bodies is deleted when L2 names nothing in it any more.

What cannot be compressed waits, too: parts of large files get the tables by which a few KB of them
are read alone (`gc.recoding`).  To make them at once would be a fifth of the CPU time of a write.

A crash, at any point, leaves each object at one of its two places.  What a run that ended did not
compress stays as it came, and takes more disk until a `gc --aggressive` (`gc.repack`): the list is
in memory only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from heliosfs.objects.ids import Oid
from heliosfs.pace import Pace
from heliosfs.steps import Work
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.exclusive import Exclusive
from heliosfs.store.gc.recoding import Recoding
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.pending import PendingObjects

_WAITING_MAX = 1 << 18
"""Most objects that are remembered: 32 GiB in parts of large files, in 25 MB of memory.  Those
before them stay as they came."""
_COMPRESSED_COUNT = 32
"""Objects that are compressed in a step: 4 MiB in parts of large files, 5 ms and a sync."""


class Deferral:
    """The objects whose compression was deferred, in the order in which they were added."""

    def __init__(
        self, database: ObjectDatabase, pending: PendingObjects, exclusive: Exclusive
    ) -> None:
        self.prefer_zstd = False
        """Choice of codec for the work planned from now on."""
        self.waiting: deque[Oid] = deque(maxlen=_WAITING_MAX)
        self._database = database
        self._pending = pending
        self._exclusive = exclusive

    def plan(self) -> Work | None:
        """Return work that compresses some of the objects.

        None if there are none that L2 has, or while a collection or a bulk is under way.
        """
        waiting, pending = self.waiting, self._pending.by_oid
        if self._exclusive.collection is not None or self._exclusive.bulk is not None:
            return None
        oids: list[Oid] = []
        # A pending object has its place in memory, too: its turn comes when L2 has it.
        while waiting and len(oids) < _COMPRESSED_COUNT and waiting[0] not in pending:
            oids.append(waiting.popleft())
        if not oids:
            return None
        return _Compression(self._database, oids, self._finished, prefer_zstd=self.prefer_zstd)

    def _finished(self) -> None:
        """Delete the packs that are empty now, on the owner's thread.  Raise StoreError."""
        # A collection that began meanwhile may read what a moment ago was found in them.
        if self.waiting or self._exclusive.collection is not None:
            return
        packs = self._database.packs
        packs.retire(self._database.uses)
        packs.remove_unused(self._database.uses)


class _Compression:
    """Work that compresses some objects, and names their new places in L2."""

    def __init__(
        self,
        database: ObjectDatabase,
        oids: list[Oid],
        done: Callable[[], None],
        *,
        prefer_zstd: bool,
    ) -> None:
        self._database = database
        self._oids = oids
        self._done = done
        self._prefer_zstd = prefer_zstd
        self._succeeded = False

    def execute(self) -> None:
        """Write the objects anew, and commit their places.  After StoreError, no place is new.

        The writer's lock is held from the first read on: nobody else moves a record meanwhile.
        """
        database = self._database
        with database.writing:
            recoding = Recoding(database.packs, prefer_zstd=self._prefer_zstd)
            with database.reading() as snapshot:
                self._take(snapshot, recoding)
            if recoding:
                recoding.write()
                database.change(recoding.apply)
        self._succeeded = True

    def _take(self, snapshot: Snapshot, recoding: Recoding) -> None:
        pace = Pace()
        for oid in self._oids:
            pace()
            for number in snapshot.candidates(oid):
                try:
                    payload = snapshot.payload(number)
                except DecodeError:
                    # Left to the check, and to the reader of this object.
                    continue
                recoding.take(payload, oid)

    def apply(self) -> None:
        if self._succeeded:
            self._done()
