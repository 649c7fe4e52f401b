"""The contract that every store keeps (tests/contract runs it against each of them)."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import Reference
from heliosfs.steps import Work
from heliosfs.store.declared import Declaration
from heliosfs.store.encoding.versions import PreparedObject
from heliosfs.store.promises import Promises
from heliosfs.store.reaching import Reaching

LISTED = b"@"
"""First byte of the key `@name/<commit id>`, whose value is empty: the list `name` has the
commit."""
NUMBERED = b"~"
"""First byte of the key `~name/<slot><number>` (8 bytes each, big-endian): one of a series.

L2 packs both kinds: an entry of a list takes two bytes for each commit; a value of a series that
begins with the id of a commit takes three bytes for that id.
"""
SLOT_BYTES = 8


Edit = tuple[int, bytes]
"""Offset in an object, and the bytes that are there instead of those of its base."""


class NewObject(NamedTuple):
    """The arguments of `Store.add`, except the id."""

    kind: Kind
    data: bytes | memoryview
    base: Oid | None = None
    edits: Sequence[Edit] = ()


class Addition(Work, Protocol):
    """A piece of work that adds objects."""

    oids: list[Oid]
    """Ids in the order of the objects; empty until the work was executed."""


@dataclass(slots=True)
class StoreStats:
    """Counters since the store was opened, and sizes now."""

    hits: int = 0
    """Reads answered by pending objects or L1."""
    misses: int = 0
    """Reads that went to L2."""
    objects: int = 0
    """Objects in L2."""
    stored_bytes: int = 0
    """Bytes that the encoded payloads of these objects take in L2."""
    logical_bytes: int = 0
    """Bytes of these objects when decoded."""
    file_bytes: int = 0
    """Bytes of disk that the store's files take."""
    cache_bytes: int = 0
    """Bytes that L1 holds."""
    pending_bytes: int = 0
    """Bytes that are not in L2 yet: in the journal and in memory."""


class SweepResult(NamedTuple):
    """The totals of a garbage collection: removed, or, in a dry run, to be removed."""

    objects: int = 0
    stored_bytes: int = 0
    """Bytes that their encoded payloads took."""


class Collection(Reaching, Protocol):
    """A garbage collection that is under way; a store has one at a time.

    Nothing is removed before the first call of `plan_sweep`.  The sweep then removes every object
    that was neither marked nor added since the collection began, unless another object needs it to
    be decoded.  The caller ensures that nothing refers to the removed objects.
    """

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the state under a prefix with a slash, at least as of `plan_settle`; no order."""

    def listed(self, prefix: bytes) -> list[Oid]:
        """Return the commits of a list that are not old, in the order in which they were added."""

    def is_old(self, oid: Oid) -> bool:
        """Return True if an earlier collection that is recalled kept an object and all it needs."""

    def recall(self, data: bytes) -> list[Reference] | None:
        """Take over what an earlier collection reached: it is *old*, stays, and is not entered.

        Call it first; nothing from before that collection is removed.  Return objects that must be
        entered, too; None if the bytes are of no use, and nothing was recalled.
        """

    def remember(self) -> bytes | None:
        """Return bytes for `recall`, after a sweep, on any thread; None if they were too many."""

    def plan_pack(self) -> Work | None:
        """Return work that encodes some marked objects in less space; None when done.

        Do this work before a sweep.  It is slow: a few MB a second.
        """

    @property
    def packed_bytes(self) -> int:
        """Number of bytes that `plan_pack` has saved."""

    def plan_settle(self) -> Work | None:
        """Return work that moves published batches into L2; None when done.

        It is done when everything that was published before the first call is in L2.  Do this work
        before a sweep, so that no state in L2 names an object that the sweep removes.
        """

    @property
    def promised_count(self) -> int:
        """Number of contents that were entered, and are promised instead of here."""

    def plan_promises(self) -> Work | None:
        """Return work that drops the promises of contents that were not entered; None when done.

        Nothing is dropped after `recall`.  Do this work after a sweep.
        """

    def plan_count(self) -> Work | None:
        """Return work that adds to `swept` the objects a sweep would remove; None when done."""

    def plan_sweep(self) -> Work | None:
        """Return work that removes some unmarked objects in a few ms; None when all are gone.

        Nothing can be marked after the first call.
        """

    @property
    def swept(self) -> SweepResult:
        """Totals of what was removed, or counted, so far."""

    def close(self) -> None:
        """End the collection at any point; objects that were not removed stay.  Idempotent."""


class Bulk(Protocol):
    """A way for many objects that come at once and are read later, such as an import.

    They bypass the journal and the memory of pending objects, and none can be read before a write
    was executed.  State is written with the last objects, so that it never names a missing one:
    after a crash, everything that was written is there, perhaps with objects that nothing refers
    to.  Nobody else may put the same keys meanwhile.

    A store has one at a time, and no garbage collection beside it.
    """

    waiting_bytes: int
    """Bytes of objects for which no write was planned yet."""
    prefer_zstd: bool
    """The choice of codec that the store got from `tune`."""

    def add(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None = None) -> None:
        """Take an object as `Store.add` does.  Only commits may share a base."""

    def add_prepared(self, prepared: PreparedObject) -> None:
        """Take an object that `Versions` encoded; its base must have been added before."""

    def put_all(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set each key, as `Store.put` does."""

    def plan_write(self) -> Work | None:
        """Return work that writes everything added since the last one, safe from a power cut.

        On StoreError or StoreFull, some of its objects are in the store, and none of its state.
        """

    def close(self) -> None:
        """End the bulk; drop everything for which no write was planned.  Idempotent."""


class Link(NamedTuple):
    """A record in a chain of L2."""

    number: int
    base: int | None
    """Number of the record to which it is a delta."""
    position: int
    """Position in the chain; 0 for a record that is whole."""
    kind: Kind
    codec: str
    size: int
    """Bytes of the object."""
    stored_bytes: int
    """Bytes of its body."""
    place: str
    """Place of the body: in the record, or in a pack."""


class StateSeen(NamedTuple):
    """Description of a key and its value in the state, and the layer that has them."""

    key: bytes
    value: bytes | None
    """Value; None for a removed key, which a lower layer may still have."""
    layer: str


class ObjectSeen(NamedTuple):
    """Description of an object in a record of the journal."""

    oid: Oid
    kind: Kind
    size: int
    held: str
    """Form in which the journal has it: its bytes, a place in a pack, or edits."""


class BatchSeen(NamedTuple):
    """Description of a record of the journal."""

    file: str
    at: int
    end: int
    number: int
    durable: int
    objects: list[ObjectSeen]
    state: list[tuple[bytes, bytes | None]]


class FileSeen(NamedTuple):
    """Description of a file of the journal: where its sound records end, and its size."""

    file: str
    sound_bytes: int
    file_bytes: int


class Inspection(Protocol):
    """A look into the store's layers that changes nothing."""

    def ids(self, prefix: str, limit: int) -> list[Oid]:
        """Return at most `limit` ids of sound objects that begin with a prefix, in hex."""

    def kind(self, oid: Oid) -> Kind | None:
        """Return the kind of an object; None if the store does not have it."""

    def layers(self, oid: Oid) -> list[str]:
        """Return where an object lies: pending, L2, or both."""

    def chain(self, oid: Oid) -> list[Link]:
        """Return the record of an object in L2, then all records that it needs."""

    def state(self, prefix: bytes, limit: int) -> list[StateSeen]:
        """Return the state under a prefix, that of the layers above L2 first."""

    def journal(self) -> Iterator[BatchSeen | FileSeen]:
        """Read the files of the journal as they are now, one record at a time."""

    def problems(self) -> list[str]:
        """Return what is wrong with the files themselves: 4 s for 1 GB.

        Any thread may call it; nothing is written meanwhile.
        """


class Objects(Protocol):
    """The objects of a store: all of it that immutable trees and contents need."""

    def read(self, oid: Oid, kind: Kind) -> bytes:
        """Return the bytes of an object, checked against its id.

        Raise MissingObject (PromisedObject if a remote has it) or CorruptObject.
        """

    def contains(self, oid: Oid) -> bool:
        """Return True if the store has the object; its bytes may still be damaged."""

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
        """Take an object whose id the caller has computed; free if the store has it already.

        `base` is a similar object, usually the previous version of the same path, against which the
        store may encode; it need not exist.  With `edits`, it must: the caller has read it, it is
        of the same kind, and cut off or extended with zeros to the new size and then edited, it is
        this object.  `is_cold` says that nobody will read the object soon, so that it displaces
        nothing in L1.
        """

    def plan_add(self, objects: Sequence[NewObject], *, is_urgent: bool = False) -> Addition:
        """Return work that adds objects, and hashes them; `is_urgent` defers compression."""


class StateMap(Protocol):
    """The state of a store, a small ordered map: all of it that refs, logs and notes need."""

    def get(self, key: bytes) -> bytes | None:
        """Return the state under `key` (1 to 400 bytes), or None."""

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set the state under `key`; None removes it."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return the state under a prefix, in byte order of the keys, as of the call."""


class Store(Objects, StateMap, Protocol):
    """Content-addressed objects, and a small ordered map of state, changed together.

    `add` and `put` gather a *batch*.  It is readable at once, but `publish` alone makes it part of
    the history, atomically: after a crash, all of the batch is there or nothing.  A published batch
    survives a killed process; it survives a power cut once a sync that was planned later was
    executed.

    One thread owns a store; only `Work.execute` may run elsewhere.
    """

    findings: list[str]
    """Lines for people about what was not as it had been left when the store was opened."""
    refusal: StoreError | None
    """Error that refuses each publish, if the disk was full or read-only at the open; else None."""

    promises: Promises
    """Contents that a remote has, and not the store: `read` raises PromisedObject for them."""
    declaration: Declaration

    def directory_beside(self, name: str) -> int:
        """Return a descriptor, to be closed, of a directory for what may be lost.  StoreError."""

    def read_piece(self, oid: Oid, kind: Kind, size: int, start: int, stop: int) -> bytes | None:
        """Return a range of an object of `size` bytes, checked; None if `read` must be asked."""

    def bulk(self) -> Bulk:
        """Begin a bulk.  Raise Busy while another one, or a garbage collection, is under way."""

    def publish(self) -> None:
        """Make the batch atomic and safe from a killed process.

        When it raises StoreError (StoreFull), the batch's state is as it was at the last
        publish, and its objects wait for the next one.
        """

    @property
    def has_changes(self) -> bool:
        """True if state was put since the last publish."""

    def abandon(self) -> None:
        """Take back the state that was put since the last publish; this cannot fail.

        The objects of the batch wait for the next publish.
        """

    def plan_sync(self) -> Work | None:
        """Return work that makes all published batches safe from a power cut; None if they are."""

    def plan_drain(self) -> Work | None:
        """Return work that moves published batches into L2; None if there are none."""

    def plan_compress(self) -> Work | None:
        """Return work that compresses some of what was urgent, once L2 has it; None if done."""

    def collect(self, shallow: Container[Oid] = ()) -> Collection:
        """Begin a garbage collection; commits in `shallow` have no parents.  Busy as for `bulk`."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of objects that are not in L2 yet, and therefore in memory."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the store takes: L1, and the pending objects."""

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        """Bound L1, and choose how objects are encoded from the next drain on."""

    def disk(self) -> os.statvfs_result:
        """Return statvfs(3) of the file system on which the store lies."""

    def stats(self) -> StoreStats:
        """Return counters and sizes in constant time."""

    def inspect(self) -> Inspection:
        """Return an inspection of the store's layers."""

    def close(self) -> None:
        """Drain, sync and release the store; drop the unpublished batch.  Idempotent."""
