"""The objects that can be found by their short ids alone: one pass over the index."""

from __future__ import annotations

import struct
from itertools import islice

from heliosfs.objects.ids import Oid
from heliosfs.pace import Pace, paced
from heliosfs.store.l2.reader import INDEX_KEY, Snapshot, index_entry
from heliosfs.store.l2.record import SHORT_BYTES

_LISTED = 20_000
"""Entries that are read in one go: 5 ms."""
_PIECE = 256
"""Entries between two rests at most."""
_ENTRY = struct.Struct(f">{SHORT_BYTES}sBI")
"""Short id, and the number in two parts."""


class Listing:
    """A byte for each number: 1 if the index has the object, and no other with its short id.

    An object that the index does not have counts as missing, even if its record is still there.
    Objects come to the index at any time, so those that are not in it yet are noted first.
    """

    def __init__(self, end: int) -> None:
        self.is_sole = bytearray(end)
        self._end = end
        self._next: bytes | None = None
        self._shared: set[bytes] = set()
        """Short ids that two objects have."""
        self._last = (b"", 0)

    def advance(self, snapshot: Snapshot) -> bool:
        """Read some entries; return True if there are more."""
        if self._next is None:
            self._note_unindexed(snapshot)
            self._next = index_entry(bytes(SHORT_BYTES), 0)
        cursor = snapshot.txn.cursor(snapshot.tables.ids)
        if not cursor.set_range_dup(INDEX_KEY, self._next):
            return False
        entries, pace = islice(cursor.iternext_dup(), _LISTED), Pace()
        while piece := list(islice(entries, _PIECE)):
            self._note(piece)
            pace()
        short, number = self._last
        self._next = index_entry(short, number + 1)
        return True

    def _note_unindexed(self, snapshot: Snapshot) -> None:
        for short, number in paced(snapshot.recent.numbers.items()):
            if len(snapshot.candidates(Oid(short))) > 1:
                self._shared.add(short)
            elif number < self._end:
                self.is_sole[number] = 1

    def _note(self, entries: list[bytes]) -> None:
        sole, end, shared = self.is_sole, self._end, self._shared
        before, last = self._last
        for short, high, low in _ENTRY.iter_unpack(b"".join(entries)):
            number = high << 32 | low
            if short == before:
                shared.add(short)
                if last < end:
                    sole[last] = 0
            elif number < end and short not in shared:
                sole[number] = 1
            before, last = short, number
        self._last = before, last
