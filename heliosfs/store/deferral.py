"""Deferred compression: what was added in a hurry lies in packs as it came, until there is time.

A program that writes a large file is faster than the compression of its bytes, and would wait for
it.  So an addition may write bodies as they came, to a pack of their own.  `Deferral` remembers
them, and plans work that reads some, compresses them into the other pack, and names the new places
in L2, as a garbage collection does with the bodies of packs that are mostly dead (`gc.packcopy`).
The pack of deferred bodies is deleted when L2 names nothing in it any more.

A crash, at any point, leaves each object at one of its two places.  What a run that ended did not
compress stays as it came, and takes more disk until a `gc --aggressive` (`gc.repack`): the list is
in memory only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from heliosfs.objects.ids import Oid, object_id
from heliosfs.pace import Pace
from heliosfs.steps import Work
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded, encode
from heliosfs.store.exclusive import Exclusive
from heliosfs.store.gc.packcopy import move_bodies, raw_body
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import Payload
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
            with database.reading() as snapshot:
                found = list(self._found(snapshot))
            if found:
                places = database.packs.append_all([encoded for _, encoded in found])
                # On the disk before L2 names the new places, as in a drain.
                database.packs.sync()
                payloads = [payload for payload, _ in found]
                moves = list(zip(payloads, places, strict=True))
                database.change(lambda change: move_bodies(change, moves))
        self._succeeded = True

    def _found(self, snapshot: Snapshot) -> Iterator[tuple[Payload, Encoded]]:
        """Yield the record of each object that can be compressed, and its new body."""
        pace = Pace()
        for oid in self._oids:
            pace()
            for number in snapshot.candidates(oid):
                try:
                    payload = snapshot.payload(number)
                    data = raw_body(self._database.packs, payload)
                except DecodeError:
                    # Left to the check, and to the reader of this object.
                    continue
                if data is None or object_id(payload.kind, data) != oid:
                    continue
                encoded = encode(data, prefer_zstd=self._prefer_zstd)
                if encoded.codec != Codec.RAW:
                    yield payload, encoded

    def apply(self) -> None:
        if self._succeeded:
            self._done()
