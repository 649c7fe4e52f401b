"""The contract that every store keeps (tests/contract runs it against each of them)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from heliosfs.objects.ids import Kind, Oid
from heliosfs.steps import Work
from heliosfs.store.encoding.versions import Prepared

LISTED = b"@"
"""State `@name/` id of a commit, with an empty value, says that the list of that name has it."""
NUMBERED = b"~"
"""State `#name/` slot number (8 bytes each, big-endian) belongs to a series of values.

Both kinds take a few bytes in L2: a list two for each commit; a value of a series, if it
begins with the id of a commit, what follows and three for the id.
"""
SLOT_BYTES = 8


Edit = tuple[int, bytes]
"""Where in an object, and what is there instead of what its base has."""


class NewObject(NamedTuple):
    """What `Store.add` takes, but for the id."""

    kind: Kind
    data: bytes
    base: Oid | None = None
    edits: Sequence[Edit] = ()


class Addition(Work, Protocol):
    """Work that adds objects."""

    oids: list[Oid]
    """The ids, in the order of the objects; empty unless it was executed."""


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
    """Bytes that their encoded payloads take in L2."""
    logical_bytes: int = 0
    """Bytes that those objects have when decoded."""
    file_bytes: int = 0
    """Bytes of disk that the store's files take."""
    cache_bytes: int = 0
    """Bytes that L1 holds."""
    pending_bytes: int = 0
    """Bytes that are not in L2 yet: in the journal and in memory."""


class Swept(NamedTuple):
    """What a garbage collection removed, or would remove."""

    objects: int = 0
    stored_bytes: int = 0
    """Bytes that their payloads took."""


class Collection(Protocol):
    """A garbage collection that is under way; a store has one at a time.

    Nothing is removed before `plan_sweep` is called for the first time.  Then go the objects
    that were not marked and not added since the collection began, but for those that others
    need to be decoded.  Whoever begins one sees to it that nobody refers to what goes.
    """

    def looking(self) -> AbstractContextManager[None]:
        """Around calls of `read`, `mark`, `is_marked` and `scan`, on any one thread."""

    def read(self, oid: Oid, kind: Kind) -> bytes:
        """`Store.read`, without L1 taking note."""

    def mark(self, oid: Oid) -> bool:
        """Keep an object; whether it was not marked before.  MissingObject."""

    def is_marked(self, oid: Oid) -> bool:
        """Whether an object is there and will stay."""

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """`Store.scan`, of what `plan_settle` moved into L2; later changes may be missing.

        The prefix ends with a slash.
        """

    def plan_pack(self) -> Work | None:
        """Work that encodes some of what is marked in less space; None when nothing is left.

        Before a sweep, and slow: a few MB a second.
        """

    @property
    def packed_bytes(self) -> int:
        """How much less the payloads take by `plan_pack`."""

    def plan_settle(self) -> Work | None:
        """Work that moves what is published into L2; None when all is that was at the first call.

        To be done before a sweep, so that no state in L2 names what goes.
        """

    def plan_count(self) -> Work | None:
        """Work that counts what a sweep would remove into `swept`; None when it is counted."""

    def plan_sweep(self) -> Work | None:
        """Work that removes some of what is not marked, some ms; None when all of it is gone.

        From the first one on, nothing more is marked.
        """

    @property
    def swept(self) -> Swept:
        """What was removed, or counted, so far."""

    def close(self) -> None:
        """End it, at any point: what was not removed yet stays.  Idempotent."""


class Bulk(Protocol):
    """Much that comes at once and is read later: an import.

    What it is given goes past the journal and the memory of what is pending, and nothing of it
    can be read before a write was executed.  The state goes with the last of the objects, so
    that it never names what is not here: a crash leaves all that was written before, or more
    objects that nothing refers to.  Nobody else puts its keys meanwhile.

    A store has one at a time, and no garbage collection beside it.
    """

    waiting_bytes: int
    """Bytes of objects that no write was planned for yet."""
    prefer_zstd: bool
    """As the store was told by `tune`."""

    def add(self, oid: Oid, kind: Kind, data: bytes, base: Oid | None = None) -> None:
        """As `Store.add`.  No other object but a commit has the same base."""

    def add_prepared(self, prepared: Prepared) -> None:
        """An object that `Versions` encoded; what it is encoded against was given before it."""

    def put_all(self, changes: Mapping[bytes, bytes | None]) -> None:
        """As `Store.put`, of each."""

    def plan_write(self) -> Work | None:
        """Work that writes all that was given since the last one, safe from a power cut.

        StoreError, StoreFull: some of its objects are here, none of its state.
        """

    def close(self) -> None:
        """End it; what no write was planned for is dropped.  Idempotent."""


class Store(Protocol):
    """Content-addressed objects, and a small ordered map of state, changed together.

    `add` and `put` gather a *batch*.  What they gave is readable at once, but becomes
    part of the history only by `publish`, which makes the batch atomic: after a crash
    either all of it is there or nothing.  A published batch survives a killed process;
    it survives a power cut once a sync that was planned after it was executed.

    One thread owns a store; only `Work.execute` may run elsewhere.
    """

    def read(self, oid: Oid, kind: Kind) -> bytes:
        """The bytes of an object.  MissingObject, CorruptObject (checked against the id)."""

    def contains(self, oid: Oid) -> bool:
        """Whether the object can be read; no promise that its bytes are sound."""

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
        """Take an object, whose id the caller computed.  What is there already costs nothing.

        `base` is a similar object, usually the previous version of the same path: a hint
        against which the store may encode.  It need not exist, unless there are `edits`: the
        caller has read it then, and it is of the same kind, and with these edits, cut off or
        extended with zeros, it is this object.  What `is_cold` is not going to
        be read soon, and so does not take the place of something else in L1.
        """

    def plan_add(self, objects: Sequence[NewObject]) -> Addition:
        """Work that adds objects, and computes their ids where it is executed."""

    def bulk(self) -> Bulk:
        """Begin to write much.  Busy while another one, or a garbage collection, is under way."""

    def get(self, key: bytes) -> bytes | None:
        """The state under `key` (1 to 400 bytes), or None."""

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set the state under `key`; None removes it."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """State whose key begins with `prefix`, in byte order of the keys, as of the call."""

    def publish(self) -> None:
        """Make the batch atomic and safe from a killed process.

        When it raises StoreError (StoreFull), the batch's state is as it was at the last
        publish, and its objects wait for the next one.
        """

    @property
    def has_changes(self) -> bool:
        """Whether state was put since the last publish."""

    def abandon(self) -> None:
        """Take back the state that was put since the last publish; it cannot fail.

        The objects of the batch wait for the next publish.
        """

    def plan_sync(self) -> Work | None:
        """Work that makes all that is published safe from a power cut; None when it is."""

    def plan_drain(self) -> Work | None:
        """Work that moves what is published into L2; None when there is nothing to move."""

    def collect(self) -> Collection:
        """Begin a garbage collection.  Busy while another one, or a `Bulk`, is under way."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of objects that are not in L2 yet, and so take memory."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the store takes: L1, and what is not in L2 yet."""

    def tune(self, cache_bytes: int, *, prefer_zstd: bool) -> None:
        """Bound L1, and choose how objects are encoded from the next drain on."""

    def disk(self) -> os.statvfs_result:
        """The file system that the store lies on, as statvfs(3) tells it."""

    def stats(self) -> StoreStats:
        """Counters and sizes; constant time."""

    def close(self) -> None:
        """Drain, sync and let go.  What was not published is dropped.  Idempotent."""
