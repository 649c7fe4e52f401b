"""The stash: commits of uncommitted changes that were put aside, shared by all branches.

An entry keeps its number for ever, and the newest is `stash@{0}`.  The operation that added or
removed entries records them, so that its undo takes that back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo import keys
from heliosfs.store.base import StateMap

_CHANGE = struct.Struct(">?Q32s")


class StashEntry(NamedTuple):
    """An entry of the stash."""

    number: int
    """Number, which is never used again."""
    oid: CommitId
    """Commit, whose first parent is the HEAD of the changes; a second parent is the stage."""


class StashChange(NamedTuple):
    """An entry that an operation added or removed."""

    is_added: bool
    entry: StashEntry


def stashed(store: StateMap) -> list[StashEntry]:
    """Return all entries, the newest first."""
    found = [
        StashEntry(keys.number_in(keys.STASH, key), CommitId(Oid(value)))
        for key, value in store.scan(keys.STASH)
    ]
    return found[::-1]


def find_stashed(store: StateMap, position: int) -> StashEntry:
    """Return the entry `stash@{position}`.  Raise NotFound."""
    entries = stashed(store)
    if position >= len(entries):
        count = f"there are {len(entries)}" if entries else "the stash is empty"
        raise NotFound(f"no stash@{{{position}}}: {count}")
    return entries[position]


def new_entry(store: StateMap, oid: CommitId) -> StashEntry:
    """Return an entry with a new number for a commit; within a transaction."""
    known = store.get(keys.NEXT_STASH)
    number = keys.NUMBER.unpack(known)[0] if known else 1
    store.put(keys.NEXT_STASH, keys.NUMBER.pack(number + 1))
    return StashEntry(number, oid)


def change_stash(store: StateMap, slot: int, sequence: int, changes: Sequence[StashChange]) -> None:
    """Add and remove entries, for the operation just recorded; in its transaction."""
    for is_added, entry in changes:
        store.put(keys.of_number(keys.STASH, entry.number), entry.oid if is_added else None)
    data = b"".join(_CHANGE.pack(each, entry.number, entry.oid) for each, entry in changes)
    store.put(keys.of_operation(keys.STASH_CHANGE, slot, sequence), data)


def take_back_stash(store: StateMap, slot: int, target: int, sequence: int) -> None:
    """Take back the changes of the operation `target` to the stash, as part of `sequence`."""
    data = store.get(keys.of_operation(keys.STASH_CHANGE, slot, target))
    if data is not None:
        changes = [StashChange(not each.is_added, each.entry) for each in _changes(data)]
        change_stash(store, slot, sequence, changes)


def stashed_since(store: StateMap, firsts: Mapping[int, int]) -> Iterator[CommitId]:
    """Yield the commits that operations added or removed, for their undo.

    `firsts` has the first operation in the log of each slot.
    """
    for key, data in store.scan(keys.STASH_CHANGE):
        slot, sequence = keys.operation_in(keys.STASH_CHANGE, key)
        if slot in firsts and sequence >= firsts[slot]:
            yield from (each.entry.oid for each in _changes(data))


def _changes(data: bytes) -> list[StashChange]:
    return [
        StashChange(is_added, StashEntry(number, CommitId(Oid(oid))))
        for is_added, number, oid in _CHANGE.iter_unpack(data)
    ]
