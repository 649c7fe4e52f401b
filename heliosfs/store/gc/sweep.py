"""Sweep: removal of the objects in L2 that a collection did not mark, in short transactions.

    settle   make the marks final: from here on nothing new relies on an unmarked object
    scan     read which objects are deltas to which, and keep the bases of kept ones
             (none if nothing goes; after a recollection, only the records since then)
    unlist   remove the entries of doomed objects from the index
    remove   remove their records
    copy     move the live bodies out of packs that are more than half dead (`PackCopy`)

Each step holds the writer's lock, so that a drain comes between two steps and never into one.
A crash between two steps leaves objects that no index lists; the next collection removes them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial

from heliosfs.errors import StoreError
from heliosfs.pace import Pace, paced
from heliosfs.store.base import SweepResult
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.gc.packcopy import PackCopy
from heliosfs.store.l2.change import ReclaimTransaction, packed_bytes
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import Snapshot, index_entry
from heliosfs.store.l2.record import SHORT_BYTES, unpack_head
from heliosfs.store.l2.walk import StoredValue, heads, index_entries, values

_SCANNED = 5_000
"""Records whose headers are read in a step: 15 ms."""
_LISTED = 20_000
"""Index entries that are looked at in a step: 15 ms."""
_REMOVED = 1_000
"""Objects that one transaction removes."""


class Sweep:
    """Work in steps; any thread may call `step`."""

    def __init__(self, database: ObjectDatabase, marks: Marks, *, counts_only: bool) -> None:
        self._database = database
        self._marks = marks
        self._counts_only = counts_only
        self.swept = SweepResult()
        self._bases = array("Q")
        """Base of each object from the first on that may go; 0 for one that is whole."""
        self._next = marks.first
        self._end = marks.first
        self._next_entry = index_entry(bytes(SHORT_BYTES), 0)
        self._steps: list[Callable[[], bool]] = [self._scan, self._count]
        if not counts_only:
            # After a recollection, few objects can go: they are looked up, not looked for.
            unlist = self._unlist if marks.first == 1 else self._unlist_young
            self._steps = [self._settle, self._scan, unlist, self._remove]
        self._copy: PackCopy | None = None

    @property
    def is_done(self) -> bool:
        """True if no step is left."""
        return not self._steps and (self._copy is None or self._copy.is_done)

    def step(self) -> None:
        """Do the next step.  Raise StoreError or StoreFull."""
        try:
            if self._steps:
                with self._database.writing:
                    if self._steps[0]():
                        del self._steps[0]
                        self._next = self._marks.first
            elif self._copy is not None:
                self._copy.step()
        except DecodeError as error:
            raise StoreError(f"the store cannot be swept: {error}") from error
        # Only now is it known which packs are mostly dead.
        if not self._steps and self._copy is None and not self._counts_only:
            self._copy = PackCopy(self._database)

    def applied(self) -> None:
        """Delete the packs that L2 does not name any more, after a step.  Raise StoreError.

        Call it on the owner's thread.
        """
        if self._copy is not None:
            self._database.packs.remove_unused(self._database.uses)

    def _settle(self) -> bool:
        self._marks.is_final = True
        return True

    def _scan(self) -> bool:
        """Note the bases of the records; at the end, keep what kept deltas need."""
        marks, first = self._marks, self._marks.first
        if first == 1 and marks.kept_count >= self._database.totals.objects:
            # Nothing goes: most often, and known without a look at the records.
            self._steps = self._steps[:1]
            return True
        if not self._bases:
            # Later objects, too: their bases were chosen when all of them seemed to stay.
            self._end = self._database.totals.next_number
            self._bases = array("Q", bytes(8 * (self._end - first)))
        based, end = self._bases, self._end
        seen = 0
        pace = Pace()
        with self._database.reading() as snapshot:
            for head in heads(snapshot, self._next):
                number, kept, base = head[0], head[3], head[5]
                pace()
                # Newer objects were written when the marks were final, and rely on kept ones only.
                if number >= end or seen == _SCANNED:
                    break
                seen += 1
                self._next = number + 1
                if base is not None:
                    based[number - first] = base
                if first > 1 and not marks.keeps(number):
                    self._spare_copy(snapshot, number, kept)
        if seen == _SCANNED:
            return False
        # I45: what a kept delta needs is kept: from the last to the first.
        for at in range(end - first - 1, -1, -1):
            pace()
            if based[at] and marks.keeps(first + at):
                marks.need(based[at])
        return True

    def _spare_copy(self, snapshot: Snapshot, number: int, kept: bytes) -> None:
        """Keep an object that is stored once more because its older copy is damaged."""
        # I56: what is old is not looked at again, but may need the copy that came later.
        others = snapshot.numbers_with_prefix(kept[:SHORT_BYTES])
        if any(other < self._marks.first for other in others):
            self._marks.need(number)

    def _unlist(self) -> bool:
        """Remove the entries of some doomed objects from the index."""
        # The table in memory is a part of the index. Entries go before records: an entry without a
        # record is damage, a record without an entry only takes space.
        self._database.forget_recent(self._marks.keeps)
        with self._database.reading() as snapshot:
            entries = index_entries(snapshot, self._next_entry, _LISTED)
        if not entries:
            return True
        gone = [index_entry(*entry) for entry in paced(entries) if not self._marks.keeps(entry[1])]
        if gone:
            self._database.change(lambda change: change.unlist(gone))
        short, number = entries[-1]
        self._next_entry = index_entry(short, number + 1)
        return False

    def _unlist_young(self) -> bool:
        """Remove the entries of some doomed objects, which are found by their records."""
        self._database.forget_recent(self._marks.keeps)
        gone = [
            index_entry(unpack_head(number, record)[3][:SHORT_BYTES], number)
            for stored in paced(self._doomed_values())
            for number, record in stored.records
            if record and not self._marks.keeps(number)
        ]
        if gone:
            self._database.change(lambda change: change.unlist(gone))
        return self._next >= self._end

    def _count(self) -> bool:
        """Add some doomed objects to the totals."""
        values = self._doomed_values()
        with self._database.reading() as snapshot:
            for stored in paced(values):
                for number, record in stored.records:
                    if record and not self._marks.keeps(number):
                        alone_bytes = snapshot.alone_bytes(number) if stored.is_alone else 0
                        self._note(1, alone_bytes or len(record) + packed_bytes(number, record))
        return self._next >= self._end

    def _remove(self) -> bool:
        """Remove some doomed objects."""
        values = self._doomed_values()
        if values:
            done = self._database.change(partial(self._remove_from, values))
            self._note(done.objects, done.stored_bytes)
        return self._next >= self._end

    def _remove_from(self, values: list[StoredValue], change: ReclaimTransaction) -> None:
        pace = Pace()
        for stored in values:
            change.remove(stored, self._marks.keeps)
            pace()

    def _doomed_values(self) -> list[StoredValue]:
        """Return the next values with doomed objects, as many as suit one transaction."""
        end = self._end
        keeps = self._marks.keeps
        found: list[StoredValue] = []
        seen = count = 0
        pace = Pace()
        with self._database.reading() as snapshot:
            for stored in values(snapshot, self._next):
                pace()
                if stored.first >= end or seen >= _SCANNED or count >= _REMOVED:
                    break
                self._next = stored.first + len(stored.records)
                seen += len(stored.records)
                doomed = sum(1 for number, record in stored.records if record and not keeps(number))
                # A bundle is read and written as a whole, so it is taken as a whole.
                if doomed:
                    found.append(stored)
                    count += doomed
            else:
                self._next = end
        return found

    def _note(self, objects: int, stored_bytes: int) -> None:
        swept = self.swept
        self.swept = SweepResult(swept.objects + objects, swept.stored_bytes + stored_bytes)
