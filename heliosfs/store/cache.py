"""L1: the objects that were used last, compressed, within a bounded number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.encoding.codecs import Codec

ENTRY_OVERHEAD_BYTES = 300
"""Memory of an entry in addition to its body: id, tuple, numbers, its place in the dict."""
_NEW_SHARE = 4


class CachedObject(NamedTuple):
    """An object that was encoded without reference to another."""

    kind: Kind
    size: int
    """Number of bytes when decoded."""
    codec: Codec
    body: bytes


class ObjectCache:
    """A cache in two parts, each LRU, whose entries take at most `capacity_bytes` together.

    An entry is *new* until it is asked for again.  New entries are dropped first while they take
    over a quarter of the bytes.  So content that passes once, such as a file larger than L1, leaves
    three quarters to what is used repeatedly (segmented LRU: Karedla, Love, Wherry, 1994).
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0
        self._new: OrderedDict[Oid, CachedObject] = OrderedDict()
        self._new_bytes = 0
        self._proven: OrderedDict[Oid, CachedObject] = OrderedDict()

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._proven or oid in self._new

    def __len__(self) -> int:
        return len(self._proven) + len(self._new)

    def get(self, oid: Oid) -> CachedObject | None:
        """Return the entry and make it the one used last; count a hit or a miss."""
        entry = self._proven.get(oid)
        if entry is not None:
            self._proven.move_to_end(oid)
        else:
            entry = self._new.pop(oid, None)
            if entry is None:
                self.misses += 1
                return None
            self._new_bytes -= len(entry.body) + ENTRY_OVERHEAD_BYTES
            self._proven[oid] = entry
        self.hits += 1
        return entry

    def put(self, oid: Oid, entry: CachedObject) -> None:
        """Add an entry and drop others; ignore one that is larger than the cache."""
        size = len(entry.body) + ENTRY_OVERHEAD_BYTES
        if size > self.capacity_bytes or oid in self._new or oid in self._proven:
            return
        self._new[oid] = entry
        self._new_bytes += size
        self.used_bytes += size
        if self.used_bytes > self.capacity_bytes:
            self._shrink()

    def put_all(self, entries: Iterable[tuple[Oid, CachedObject]]) -> None:
        """Add many entries as `put` does: 0.4 us each."""
        proven, new = self._proven, self._new
        added_bytes = 0
        for oid, entry in entries:
            if oid not in proven and oid not in new:
                new[oid] = entry
                added_bytes += len(entry.body) + ENTRY_OVERHEAD_BYTES
        self._new_bytes += added_bytes
        self.used_bytes += added_bytes
        self._shrink()

    def resize(self, capacity_bytes: int) -> None:
        """Set the limit of all entries together, and drop entries until they are within it."""
        self.capacity_bytes = capacity_bytes
        self._shrink()

    def _shrink(self) -> None:
        while self.used_bytes > self.capacity_bytes:
            if self._new_bytes * _NEW_SHARE > self.capacity_bytes or not self._proven:
                _, dropped = self._new.popitem(last=False)
                self._new_bytes -= len(dropped.body) + ENTRY_OVERHEAD_BYTES
            else:
                _, dropped = self._proven.popitem(last=False)
            self.used_bytes -= len(dropped.body) + ENTRY_OVERHEAD_BYTES
