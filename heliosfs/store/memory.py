"""A store in memory, for tests: it keeps the whole contract, but survives nothing."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

from heliosfs.errors import CorruptObject, MissingObject, StoreError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.outline import links_in, outline
from heliosfs.objects.references import Reference, cut_references, references
from heliosfs.steps import Work
from heliosfs.store.addition import HashedAddition
from heliosfs.store.base import (
    Addition,
    Bulk,
    Collection,
    Edit,
    Inspection,
    NewObject,
    StoreStats,
    SweepResult,
)
from heliosfs.store.declared import Declaration
from heliosfs.store.encoding.blocks import decode_encoded
from heliosfs.store.encoding.codecs import decode_delta, named_id
from heliosfs.store.encoding.versions import PreparedObject
from heliosfs.store.exclusive import Exclusive
from heliosfs.store.memoryinspection import HeldObject, MemoryInspection
from heliosfs.store.pending import check_key
from heliosfs.store.promisefile import MemoryPromises
from heliosfs.store.promises import Promises
from heliosfs.store.reaching import Unsurveyed

_SWEPT_COUNT = 16
"""Objects that one step of a sweep removes: few, so that tests can act in between."""


class MemoryState:
    """A dict of state, and what it had before the changes of the batch."""

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self._replaced: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        check_key(key)
        self._replaced.setdefault(key, self.state.get(key))
        self._set(key, value)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(item for item in self.state.items() if item[0].startswith(prefix)))

    @property
    def has_changes(self) -> bool:
        return bool(self._replaced)

    def abandon(self) -> None:
        for key, value in self._replaced.items():
            self._set(key, value)
        self._replaced.clear()

    def _settle(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set keys as published: no batch takes them back."""
        for key, value in changes.items():
            self._replaced.pop(key, None)
            self._set(key, value)

    def _set(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = value


class MemoryStore(MemoryState):
    """A store with a dict of objects, and one of state.

    `drop_unpublished` leaves what a crash would leave.
    """

    pending_bytes = 0
    memory_bytes = 0

    def __init__(self) -> None:
        super().__init__()
        self.refusal: StoreError | None = None
        self.promises = Promises(MemoryPromises(), lambda has_promises: None)
        self.declaration = Declaration(lambda is_shallow: None, is_shallow=False)
        self.objects: dict[Oid, HeldObject] = {}
        self._added: list[Oid] = []
        self.given: set[Oid] = set()
        """Ids that were added in the batch, whether or not the store had them already."""
        self.findings: list[str] = []
        self._hits = 0
        self._logical_bytes = 0
        self._exclusive = Exclusive()
        self._spared: set[Oid] = set()
        """Ids that were added since the last collection began."""
        self._beside = ""

    def directory_beside(self, name: str) -> int:
        if not self._beside:
            self._beside = tempfile.mkdtemp(prefix="heliosfs-")
            weakref.finalize(self, shutil.rmtree, self._beside, ignore_errors=True)
        os.makedirs(os.path.join(self._beside, name), exist_ok=True)
        return os.open(os.path.join(self._beside, name), os.O_RDONLY | os.O_DIRECTORY)

    def read_piece(self, oid: Oid, kind: Kind, size: int, start: int, stop: int) -> bytes | None:
        found = self.objects.get(oid)
        if found is None or (found.kind, len(found.data)) != (kind, size):
            return None
        return found.data[start:stop] if object_id(kind, found.data) == oid else None

    def read(self, oid: Oid, kind: Kind) -> bytes:
        found = self.objects.get(oid)
        if found is None:
            raise self.promises.error(oid)
        if object_id(kind, found.data) != oid:
            raise CorruptObject(f"object {oid.hex()} is damaged: its bytes have another id")
        self._hits += 1
        return found.data

    def contains(self, oid: Oid) -> bool:
        return oid in self.objects

    def add(
        self,
        oid: Oid,
        kind: Kind,
        data: bytes,
        base: Oid | None = None,
        *,
        is_cold: bool = False,
        edits: Sequence[Edit] = (),
    ) -> None:
        if oid not in self.objects:
            self.objects[oid] = HeldObject(kind, data)
            self._added.append(oid)
            self._logical_bytes += len(data)
        self.given.add(oid)
        if self._exclusive.collection is not None:
            self._spared.add(oid)

    def plan_add(self, objects: Sequence[NewObject], *, is_urgent: bool = False) -> Addition:
        return HashedAddition(objects, self.add)

    def bulk(self) -> Bulk:
        self._exclusive.check()
        self._exclusive.bulk = _MemoryBulk(self, self._exclusive.end)
        return self._exclusive.bulk

    def publish(self) -> None:
        self._added.clear()
        self.given.clear()
        self._replaced.clear()

    def drop_unpublished(self) -> None:
        """Go back to the last publish."""
        self._exclusive.end(self._exclusive.collection)
        self._exclusive.end(self._exclusive.bulk)
        for oid in self._added:
            self._logical_bytes -= len(self.objects.pop(oid).data)
        self.abandon()
        self.publish()

    def take(self, objects: Sequence[HeldObject], state: Mapping[bytes, bytes | None]) -> None:
        """Take over objects and state of a bulk as published, independently of the batch."""
        for kind, data in objects:
            oid = object_id(kind, data)
            if oid not in self.objects:
                self.objects[oid] = HeldObject(kind, data)
                self._logical_bytes += len(data)
        self._settle(state)

    def collect(self, shallow: Container[Oid] = ()) -> Collection:
        self._exclusive.check()
        self._spared = set(self.given)
        collection = _MemoryCollection(self, self._spared, shallow, self._exclusive.end)
        self._exclusive.begin_collection(collection)
        return collection

    def forget(self, oid: Oid) -> int:
        """Remove an object; return the number of its bytes."""
        size = len(self.objects.pop(oid).data)
        self._logical_bytes -= size
        return size

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        """Ignore the settings: there is no cache, and nothing is encoded."""

    def disk(self) -> os.statvfs_result:
        return os.statvfs("/")

    def plan_drain(self) -> Work | None:
        return None

    plan_sync = plan_compress = plan_drain

    def inspect(self) -> Inspection:
        return MemoryInspection(self.objects, self.scan)

    def stats(self) -> StoreStats:
        return StoreStats(
            hits=self._hits,
            objects=len(self.objects),
            stored_bytes=self._logical_bytes,
            logical_bytes=self._logical_bytes,
        )

    def close(self) -> None:
        self.drop_unpublished()


class _MemoryBulk:
    """A bulk that decodes prepared objects; its write adds everything as published."""

    def __init__(self, store: MemoryStore, closed: Callable[[Bulk], None]) -> None:
        self._store = store
        self._closed = closed
        self._objects: list[HeldObject] = []
        self._state: dict[bytes, bytes | None] = {}
        self._versions: dict[Oid, bytes] = {}
        self.waiting_bytes = 0
        self.prefer_zstd = False

    def add(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None = None) -> None:
        self._versions[oid] = data
        self._objects.append(HeldObject(kind, data))
        self.waiting_bytes += len(data)

    def add_prepared(self, prepared: PreparedObject) -> None:
        oid, kind, size, _, base, encoded, data = prepared
        if encoded is not None and base is None:
            data = decode_encoded(encoded, size)
        elif encoded is not None and base is not None:
            named = named_id(kind, base)
            data = decode_delta(*encoded, size, self._versions[base], named)
        self.add(oid, kind, data)

    def put_all(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key in changes:
            check_key(key)
        self._state.update(changes)

    def plan_write(self) -> Work | None:
        if not self._objects and not self._state:
            return None
        work = _MemoryWrite(self._store, self._objects, self._state)
        self._objects, self._state, self.waiting_bytes = [], {}, 0
        return work

    def close(self) -> None:
        self._closed(self)


class _MemoryWrite:
    def __init__(
        self, store: MemoryStore, objects: list[HeldObject], state: dict[bytes, bytes | None]
    ) -> None:
        self._store = store
        self._objects = objects
        self._state = state

    def execute(self) -> None:
        pass

    def apply(self) -> None:
        self._store.take(self._objects, self._state)


class _MemoryCollection(Unsurveyed):
    """A collection over the dict of the store; any thread may use it."""

    def __init__(
        self,
        store: MemoryStore,
        added: set[Oid],
        shallow: Container[Oid],
        closed: Callable[[Collection], None],
    ) -> None:
        """Begin to mark.  `added` is the store's own set, and grows."""
        self._shallow = shallow
        self._store = store
        self._added = added
        self._closed = closed
        self._marked: set[Oid] = set()
        self._left: list[Oid] | None = None
        self._promises = store.promises.marks()
        self.swept = SweepResult()

    def snapshot(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, oid: Oid, kind: Kind) -> bytes:
        return self._store.read(oid, kind)

    def mark(self, oid: Oid) -> bool:
        if oid not in self._store.objects:
            raise MissingObject(f"object {oid.hex()} is not in the store")
        self._promises.mark(oid)
        fresh = oid not in self._marked
        self._marked.add(oid)
        return fresh

    def enter(self, kind: Kind, oid: Oid, *, reads_blob: bool = False) -> list[Reference] | None:
        is_here = oid in self._store.objects
        if kind is Kind.BLOB and not is_here and self._promises.mark(oid) is not None:
            return None
        if not self.mark(oid):
            return None
        if kind is Kind.BLOB and not reads_blob:
            return []
        data = self.read(oid, kind)
        try:
            if kind is Kind.TREE:
                self._marked |= self._store.objects.keys() & links_in(data, outline(data))
            return cut_references(oid, references(kind, data), self._shallow)
        except (ValueError, IndexError, struct.error) as error:
            name = kind.name.lower()
            raise CorruptObject(f"{name} {oid.hex()} cannot be read: {error}") from error

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return list(self._store.scan(prefix))

    def listed(self, prefix: bytes) -> list[Oid]:
        return [Oid(key[len(prefix) :]) for key, _ in self._store.scan(prefix)]

    def recall(self, data: bytes) -> list[Reference] | None:
        return None

    def remember(self) -> bytes | None:
        return None

    def is_marked(self, oid: Oid) -> bool:
        return oid in self._marked or oid in self._added or self._promises.is_marked(oid)

    packed_bytes = 0

    @property
    def promised_count(self) -> int:
        return sum(1 for oid in self._promises.marked() if oid not in self._store.objects)

    def plan_promises(self) -> Work | None:
        self._store.promises.drop(self._promises)
        return None

    def plan_pack(self) -> Work | None:
        return None

    def plan_settle(self) -> Work | None:
        return None

    def plan_count(self) -> Work | None:
        return self._plan(removes=False)

    def plan_sweep(self) -> Work | None:
        return self._plan(removes=True)

    def close(self) -> None:
        self._closed(self)

    def _plan(self, *, removes: bool) -> Work | None:
        if self._left is None:
            self._left = [oid for oid in self._store.objects if not self.is_marked(oid)]
        return _MemorySweep(self, removes=removes) if self._left else None

    def take(self, *, removes: bool) -> None:
        """Remove, or count, some of the objects that are left."""
        assert self._left is not None
        for oid in islice(self._left, _SWEPT_COUNT):
            if self.is_marked(oid):
                continue
            size = self._store.forget(oid) if removes else len(self._store.objects[oid].data)
            self.swept = SweepResult(self.swept.objects + 1, self.swept.stored_bytes + size)
        del self._left[:_SWEPT_COUNT]


class _MemorySweep:
    def __init__(self, collection: _MemoryCollection, *, removes: bool) -> None:
        self._collection = collection
        self._removes = removes

    def execute(self) -> None:
        pass

    def apply(self) -> None:
        self._collection.take(removes=self._removes)
