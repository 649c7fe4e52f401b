"""Saves: the working states that were saved automatically, fewer the older they are.

A save is a key of state that names a tree whose objects were stored anyway, so it costs one more
small value.  Each new save drops those that have no place any more, so that a slot never has more
than `COUNT_MAX`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import NotFound
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.working_state import State, decode_state
from heliosfs.store.base import StateMap

RECENT_COUNT = 10
"""Number of saves that are kept, whatever their times."""
MINUTE_COUNT = 30
"""Number of earlier minutes of which the last save is kept; minutes without saves do not count."""
HOUR_COUNT = 24
"""Number of still earlier hours of which the last save is kept; hours without saves do not
count."""
COUNT_MAX = RECENT_COUNT + MINUTE_COUNT + HOUR_COUNT

_MINUTE_NS = 60 * 10**9
_HOUR_NS = 60 * _MINUTE_NS
_TOGETHER_NS = 10**9 // 2
"""Time within which saves count as one, for programs that sync each write."""
_TIME = struct.Struct("<q")


class Save(NamedTuple):
    """A saved working state, by number and time."""

    sequence: int
    time_ns: int


class Saves:
    """The saves of one slot.  Changes go into the store's batch, to be published."""

    def __init__(self, store: StateMap, slot: int, inverses: Inverses | None = None) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._prefix = keys.of_slot(keys.SAVE, slot) + b"/"
        self._held: tuple[Save, ...] | None = None
        """Saves, the oldest first; None until they are read."""
        self._begun_ns = 0
        """Time of the save with which later ones are joined; 0 if this run made none."""

    def all(self) -> tuple[Save, ...]:
        """Return every save, the oldest first."""
        if self._held is None:
            at = len(self._prefix)
            self._held = tuple(
                Save(keys.NUMBER.unpack_from(key, at)[0], _TIME.unpack_from(value)[0])
                for key, value in self._store.scan(self._prefix)
            )
        return self._held

    def read(self, save: Save) -> State:
        """Return the working state of a save.  Raise NotFound if it was dropped meanwhile."""
        value = self._store.get(self._key(save.sequence))
        if value is None:
            raise NotFound("the save was deleted meanwhile")
        return decode_state(value, _TIME.size)[0]

    def at(self, time_ns: int) -> Save | None:
        """Return the last save that was made until a moment, or None."""
        return next((save for save in reversed(self.all()) if save.time_ns <= time_ns), None)

    def since(self, time_ns: int, sequence: int) -> list[Save]:
        """Return the saves from a moment on, without those up to `sequence`."""
        return [save for save in self.all() if save.sequence > sequence and save.time_ns >= time_ns]

    def add(self, time_ns: int, state: bytes) -> None:
        """Keep a working state, encoded: 15 us."""
        held = self.all()
        self._inverses.append((self._reset, (held, self._begun_ns)))
        # A clock that was set back begins a new save.
        if held and 0 <= time_ns - self._begun_ns < _TOGETHER_NS:
            save = Save(held[-1].sequence, time_ns)
            self._held = (*held[:-1], save)
        else:
            save = Save(held[-1].sequence + 1 if held else 1, time_ns)
            self._begun_ns = time_ns
            self._held = (*held, save)
            self._drop(set(_surplus(self._held)))
        self._store.put(self._key(save.sequence), _TIME.pack(time_ns) + state)

    def drop_before(self, time_ns: int) -> int:
        """Drop the saves before a moment; return their number.  The caller publishes."""
        old = {save for save in self.all() if save.time_ns < time_ns}
        self._drop(old)
        return len(old)

    def _drop(self, saves: set[Save]) -> None:
        if saves:
            for save in saves:
                self._store.put(self._key(save.sequence), None)
            self._held = tuple(save for save in self.all() if save not in saves)

    def _reset(self, held: tuple[Save, ...], begun_ns: int) -> None:
        self._held, self._begun_ns = held, begun_ns

    def _key(self, sequence: int) -> bytes:
        return self._prefix + keys.NUMBER.pack(sequence)


def _surplus(held: tuple[Save, ...]) -> Iterator[Save]:
    """Yield the saves that have no place any more."""
    minutes: set[int] = set()
    hours: set[int] = set()
    for save in reversed(held[:-RECENT_COUNT]):
        minute, hour = save.time_ns // _MINUTE_NS, save.time_ns // _HOUR_NS
        if minute not in minutes and len(minutes) < MINUTE_COUNT:
            minutes.add(minute)
        elif minute not in minutes and hour not in hours and len(hours) < HOUR_COUNT:
            hours.add(hour)
        else:
            yield save
