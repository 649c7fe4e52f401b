"""Bundles of consecutive records, as L2 stores them; large records are stored alone."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.pace import paced
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import (
    BUNDLE_BYTES,
    BUNDLE_MAX,
    END_BYTES,
    bundle_count,
    cut_alone,
    join_bundle,
    split_bundle,
)
from heliosfs.store.l2.walk import last_bundle


class Insert(NamedTuple):
    """A bundle, or a large record alone, under the number of its (first) object."""

    number: int
    pieces: list[bytes]


class Bundles:
    """A builder of bundles; records come in order of numbers, and continue L2's last bundle."""

    def __init__(self, snapshot: Snapshot, next_number: int) -> None:
        self._done: list[Insert] = []
        self._first = next_number
        self._records: list[bytes] = []
        self._room = BUNDLE_BYTES
        self._is_changed = False
        last = last_bundle(snapshot)
        # Continued, not begun anew: small drains would leave bundles of a record each.
        if last is not None and last[0] + bundle_count(last[1]) == next_number:
            self._first, self._records = last[0], split_bundle(last[1])
            self._room -= sum(len(record) + END_BYTES for record in self._records)

    def add(self, number: int, added: list[bytes]) -> None:
        """Append records, the first of which has the given number."""
        records, room = self._records, self._room
        for record in paced(added):
            size = len(record) + END_BYTES
            if size <= room and len(records) < BUNDLE_MAX:
                records.append(record)
                room -= size
                self._is_changed = True
            else:
                if self._is_changed:
                    self._done.append(self._bundle())
                self._is_changed = size <= BUNDLE_BYTES
                if self._is_changed:
                    self._first, records, room = number, [record], BUNDLE_BYTES - size
                else:
                    self._first, records, room = number + 1, [], BUNDLE_BYTES
                    self._done.append(Insert(number, cut_alone(record)))
                self._records = records
            number += 1
        self._room = room

    def inserts(self) -> list[Insert]:
        """Return the values to write; the first may replace the last bundle of L2."""
        return [*self._done, self._bundle()] if self._is_changed else self._done

    def _bundle(self) -> Insert:
        return Insert(self._first, [join_bundle(self._records)])
