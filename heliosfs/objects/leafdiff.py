"""Comparison of two leaves that does not look at every entry."""

from __future__ import annotations

from heliosfs.objects.tree import FIXED_BYTES, FLAGS_AT, LEAF, NAME_LENGTH_AT, end_of_extras

Changes = dict[bytes, tuple[bytes | None, bytes | None]]
"""Encoded old and new entry by name; None on a side that has no such entry."""


def changed_names(old: bytes, new: bytes) -> Changes:
    """Return the entries that differ between two leaves: 5 us for one entry of 33.

    Equal stretches are compared whole.  ValueError, IndexError or struct.error when the
    bytes do not fit.
    """
    if old[:1] != LEAF or new[:1] != LEAF:
        raise ValueError("not a leaf")
    changes: Changes = {}
    old_at = new_at = 1
    while old[old_at:] != new[new_at:]:
        skip = _skip(old, old_at, new, new_at)
        old_at, new_at = old_at + skip, new_at + skip
        if not changes and _note_one(old, old_at, new, new_at, changes):
            break
        old_at, new_at = _merge(old, old_at, new, new_at, changes)
    return changes


def _note_one(old: bytes, old_at: int, new: bytes, new_at: int, changes: Changes) -> bool:
    """Note the difference if it is one entry without extras, and what follows is equal.

    Most comparisons are of a directory in which one file changed; this spares them `_merge`.
    """
    old_end, new_end = len(old), len(new)
    while old_at < old_end and new_at < new_end:
        old_stop = old_at + FIXED_BYTES + old[old_at + NAME_LENGTH_AT]
        new_stop = new_at + FIXED_BYTES + new[new_at + NAME_LENGTH_AT]
        name = old[old_at + FIXED_BYTES : old_stop]
        has_extras = old[old_at + FLAGS_AT] or new[new_at + FLAGS_AT]
        if has_extras or name != new[new_at + FIXED_BYTES : new_stop]:
            return False
        old_raw, new_raw = old[old_at:old_stop], new[new_at:new_stop]
        if old_raw != new_raw:
            if old[old_stop:] != new[new_stop:] or old_stop > old_end or new_stop > new_end:
                return False
            changes[name] = old_raw, new_raw
            return True
        # `_skip` stops an entry early at times.
        old_at, new_at = old_stop, new_stop
    return False


def _merge(old: bytes, old_at: int, new: bytes, new_at: int, changes: Changes) -> tuple[int, int]:
    """Note the differences up to the first equal entry after one; return where that entry is."""
    old_end, new_end = len(old), len(new)
    found = False
    while True:
        old_raw = _entry_at(old, old_at) if old_at < old_end else b""
        new_raw = _entry_at(new, new_at) if new_at < new_end else b""
        if old_raw == new_raw:
            # `_skip` stops early: equal entries before the first difference are passed over.
            if found or not old_raw:
                return old_at, new_at
            old_at += len(old_raw)
            new_at += len(new_raw)
            continue
        found = True
        old_name = old_raw[FIXED_BYTES : FIXED_BYTES + old_raw[NAME_LENGTH_AT]] if old_raw else b""
        new_name = new_raw[FIXED_BYTES : FIXED_BYTES + new_raw[NAME_LENGTH_AT]] if new_raw else b""
        if old_name == new_name:
            changes[old_name] = (old_raw, new_raw)
            old_at += len(old_raw)
            new_at += len(new_raw)
        elif not new_raw or (old_raw and old_name < new_name):
            changes[old_name] = (old_raw, None)
            old_at += len(old_raw)
        else:
            changes[new_name] = (None, new_raw)
            new_at += len(new_raw)


def _entry_at(data: bytes, at: int) -> bytes:
    stop = at + FIXED_BYTES + data[at + NAME_LENGTH_AT]
    if data[at + FLAGS_AT]:
        stop = end_of_extras(data, data[at + FLAGS_AT], stop)
    if stop > len(data):
        raise ValueError("a tree ends within an entry")
    return data[at:stop]


def _skip(old: bytes, old_at: int, new: bytes, new_at: int) -> int:
    """Return how many bytes of whole entries both sides begin with, except perhaps the last few."""
    low, high = 0, min(len(old) - old_at, len(new) - new_at)
    # Not to the byte: where the two part within an entry, `_merge` finds out.
    while high - low >= FIXED_BYTES:
        middle = (low + high) // 2
        if old[old_at + low : old_at + middle] == new[new_at + low : new_at + middle]:
            low = middle
        else:
            high = middle
    at, limit = old_at, old_at + low
    while at + FIXED_BYTES <= limit:
        stop = at + FIXED_BYTES + old[at + NAME_LENGTH_AT]
        if old[at + FLAGS_AT]:
            stop = end_of_extras(old, old[at + FLAGS_AT], stop)
        if stop > limit:
            break
        at = stop
    return at - old_at
