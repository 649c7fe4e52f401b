"""Copy of a store into another one, in pieces for a thread: the common part of backup and restore.

Objects come first, then all state in the transaction that completes the copy.  So whoever opens the
other store after a crash finds the state of the last complete copy, perhaps with objects that
nothing refers to yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import NamedTuple

from heliosfs.emptying import empty
from heliosfs.errors import CorruptObject
from heliosfs.pace import paced
from heliosfs.repo import keys
from heliosfs.steps import perform
from heliosfs.store.base import Bulk
from heliosfs.store.copying import (
    CopiedSnapshot,
    Copying,
    DamagedRecord,
    SeriesMark,
    differences,
    family,
)
from heliosfs.store.copying import shown as shown_keys
from heliosfs.store.encoding.versions import PreparedObject

_COPIED_COUNT = 2_000
"""Objects that are copied in one go."""
_COPIED_BYTES = 4 * 1024 * 1024
_VALUES_COUNT = 5_000
"""Values of state that are written in one go, where no complete copy is there yet."""
_LISTED_COUNT = 20

Changes = Mapping[bytes, "bytes | None"]


class CopyResult(NamedTuple):
    """The counts of what was new in the other store."""

    objects: int
    values: int
    """Number of values of state that were set or removed."""


def is_copied(key: bytes) -> bool:
    """Return True for state that belongs to what is stored, not to the store that has it."""
    return not key.startswith((keys.BACKUP, keys.BACKUP_FILE, keys.GC_HANDOVER))


class StoreCopy:
    """A copy of what one store has into another, which nobody else uses meanwhile.

    Its methods may be called on any thread, one after another.
    """

    def __init__(
        self,
        source: Copying,
        target: Copying,
        bulk: Bulk,
        naming: Callable[[], AbstractContextManager[None]],
        *,
        keeps_going: bool,
    ) -> None:
        """Begin a copy; `bulk` is that of the other store, which `naming` names in its errors.

        With `keeps_going`, what is damaged is left out; without, the copy is not completed.
        """
        self._naming = naming
        self._source = source
        self._target = target
        self._bulk = bulk
        self._keeps_going = keeps_going
        self.damaged: list[str] = []
        """Lines for people about what could not be copied."""
        self._object_count = 0
        self._unwritten: list[PreparedObject] = []

    def close(self) -> None:
        """End the writing, and let go of the objects of both stores: 20 ms.  Idempotent."""
        self._bulk.close()
        empty((*self._source.containers(), *self._target.containers()))

    def piece(self, first: int) -> int:
        """Copy some objects from a number on; return the number after them.  StoreError."""
        with self._source.snapshot() as snapshot:
            after = self._gather(snapshot, first)
        self._write()
        return after

    def _gather(self, snapshot: CopiedSnapshot, first: int) -> int:
        bulk, count = self._bulk, 0
        for found in snapshot.records(first, snapshot.end):
            if isinstance(found, DamagedRecord):
                self.damaged.append(found.text)
                continue
            bulk.add_prepared(found.prepared)
            self._unwritten.append(found.prepared)
            count += 1
            if count >= _COPIED_COUNT or bulk.waiting_bytes >= _COPIED_BYTES:
                return found.number + 1
        return snapshot.end

    def _write(self) -> None:
        """Write what was gathered, and read the new objects back."""
        before = self._target.end
        wanted, self._unwritten = self._unwritten, []
        work = self._bulk.plan_write()
        if work is None:
            return
        with self._naming():
            perform(work)
        with self._naming(), self._target.snapshot() as written:
            for found in written.unlike(before, wanted):
                raise CorruptObject(f"what was just written cannot be read: {found.text}")
            self._object_count += written.end - before

    def finish(
        self,
        first: int,
        rest: Callable[[CopiedSnapshot, Mapping[bytes, SeriesMark]], Changes],
        known: Mapping[bytes, SeriesMark],
        *,
        is_first: bool,
    ) -> CopyResult:
        """Copy the objects from a number on, then all state as of one moment, and `rest` with it.

        `known` are the marks of the copy that is there.  `is_first`: no complete one is there, so
        that state may be written in parts.
        CorruptObject names what is damaged, and the copy is as it was.  StoreError, StoreFull.
        """
        lost: list[bytes] | None = [] if self._keeps_going else None
        with self._source.snapshot() as snapshot:
            while first < snapshot.end:
                first = self._gather(snapshot, first)
                self._write()
            self._check()
            if is_first:
                self._write_state(snapshot, lost)
            if lost is not None:
                lost.clear()
            marks, grown = snapshot.series(known)
            with self._target.snapshot() as there:
                old = self._named(there.state({}, without=grown))
                changes = differences(snapshot.state(grown, lost), old, is_copied)
            if lost:
                self._keep_what_is_lost(changes, lost)
            final = {**changes, **rest(snapshot, marks)}
        # I59: all objects are written, and were read back.
        self._bulk.put_all(final)
        self._write()
        self._check_state(final)
        return CopyResult(self._object_count, len(changes))

    def _named(self, items: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        with self._naming():
            yield from items

    def _check(self) -> None:
        """Raise CorruptObject if something is damaged that may not be left out."""
        if not self.damaged or self._keeps_going:
            return
        count = len(self.damaged)
        lines = [f"{count} {'object is' if count == 1 else 'objects are'} damaged:"]
        lines += [f"  {text}" for text in self.damaged[:_LISTED_COUNT]]
        if count > _LISTED_COUNT:
            lines.append(f"  and {count - _LISTED_COUNT} more")
        lines.append("'helios fsck' tells what needs them; --keep-going copies the rest")
        raise CorruptObject("\n".join(lines))

    def _write_state(self, snapshot: CopiedSnapshot, lost: list[bytes] | None) -> None:
        """Write all state, a part at a time, so that it is never in memory as a whole."""
        items = (item for item in snapshot.state({}, lost) if is_copied(item[0]))
        while some := dict(islice(items, _VALUES_COUNT)):
            self._bulk.put_all(some)
            self._write()

    def _keep_what_is_lost(self, changes: dict[bytes, bytes | None], lost: list[bytes]) -> None:
        """Let what an earlier copy has of a kind of state stay, where values cannot be read."""
        self.damaged += shown_keys(lost, len(lost))
        families = {family(key) for key in lost}
        for key in [key for key, value in changes.items() if value is None]:
            if family(key) in families:
                del changes[key]

    def _check_state(self, changes: Changes) -> None:
        with self._naming(), self._target.snapshot() as written:
            for key, value in paced(changes.items()):
                if written.get(key) != value:
                    raise CorruptObject("the state that was just written cannot be read")
