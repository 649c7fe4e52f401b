"""Objects on the straight way to L2: past the journal, L1 and the memory of what is pending."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoder import write_batches
from heliosfs.store.lmdbstore import ObjectDatabase
from heliosfs.store.pace import Pace
from heliosfs.store.pending import Changes, check_key
from heliosfs.store.versions import Numbers, Prepared, Versions

VERSIONS_BYTES = 16 * 1024 * 1024


class LocalBulk:
    """Gathers what the next write takes; see `base.Bulk`."""

    def __init__(
        self, database: ObjectDatabase, closed: Callable[[], None], *, prefer_zstd: bool
    ) -> None:
        self._database = database
        self._closed = closed
        self._versions = Versions(VERSIONS_BYTES, prefer_zstd=prefer_zstd)
        self._numbers = Numbers()
        self.prefer_zstd = prefer_zstd
        self._objects: list[Prepared | _Given] = []
        self._state: dict[bytes, bytes | None] = {}
        self.waiting_bytes = 0

    def add(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None = None) -> None:
        self._objects.append((oid, kind, data, base))
        self.waiting_bytes += len(data)

    def add_prepared(self, prepared: Prepared) -> None:
        self._objects.append(prepared)
        self.waiting_bytes += len(prepared.body)

    def put_all(self, changes: Changes) -> None:
        for key in changes:
            check_key(key)
        self._state.update(changes)

    def plan_write(self) -> _Write | None:
        if not self._objects and not self._state:
            return None
        work = _Write(self, self._objects, self._state)
        self._objects, self._state = [], {}
        self.waiting_bytes = 0
        return work

    def write(self, objects: list[Prepared | _Given], state: dict[bytes, bytes | None]) -> None:
        """On any thread, one call at a time.  StoreError, StoreFull."""
        pace = Pace()
        prepared: list[Prepared] = []
        encode = self._versions.encode
        for each in objects:
            if isinstance(each, Prepared):
                prepared.append(each)
            elif (encoded := encode(*each)) is not None:
                prepared.append(encoded)
            pace()
        steps = write_batches(
            self._database,
            prepared,
            state,
            None,
            prefer_zstd=self.prefer_zstd,
            numbers=self._numbers,
        )
        for _ in steps:
            pace()

    def close(self) -> None:
        self._closed()


_Given = tuple[Oid, Kind, bytes, Oid | None]


class _Write:
    def __init__(
        self,
        bulk: LocalBulk,
        objects: list[Prepared | _Given],
        state: dict[bytes, bytes | None],
    ) -> None:
        self._bulk = bulk
        self._objects = objects
        self._state = state

    def execute(self) -> None:
        self._bulk.write(self._objects, self._state)

    def apply(self) -> None:
        self._objects, self._state = [], {}
