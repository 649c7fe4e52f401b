"""Survey of L2: what each tree and commit refers to, from one pass over the records.

Theory of operation.  An object that is looked up by its id costs a search of the index, a search of
the records, and often its whole chain.  In the order in which they lie, objects need none of that:
the base of a delta was decoded a moment ago, and most objects to which it refers were met a moment
ago.  So a collection first reads all trees and commits, compares them with their ids, and notes
for each the *numbers* of what it refers to.  What is reached then follows from numbers alone.

Only what is certain is noted.  An object that cannot be decoded, has another id, shares its short
id with another object, lies in a pack, or is not in the index is left to who looks up one
object by its id; and so is a reference to such an object, or to one that was met long ago.

A version of a tree that is stored as a delta is noted with the entries that its base does not have.
What it refers to is what they and the base refer to, so that is enough once the base is reached.
"""

from __future__ import annotations

import struct
from array import array

from heliosfs.objects.commit import CommitLinks, commit_links
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.outline import (
    EMPTY_TREE_ID,
    Outline,
    links_in,
    outline,
    outline_after,
    references_in,
)
from heliosfs.objects.references import Reference
from heliosfs.pace import Pace
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, decode_splice
from heliosfs.store.gc.chains import Chains
from heliosfs.store.gc.listing import Listing
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import SHORT_BYTES, Head, unpack_head
from heliosfs.store.l2.walk import values

_READ = 5_000
"""Objects that are read in one go: 30 ms."""
_HELD_BYTES = 16 * 1024 * 1024
_BASE_COUNT = 25_000
"""Objects that are held as bases, in each of two generations."""
_HELD_MAX_BYTES = 1024 * 1024
_MET_COUNT = 200_000
"""Objects to which references are resolved, in each of two generations: 20 MB each."""
_BLOB, _TREE, _COMMIT, _PARTS = Kind.BLOB, Kind.TREE, Kind.COMMIT, Kind.PARTS
_PACKED = int(Codec.PACKED)
_BAD = (DecodeError, ValueError, IndexError, struct.error)

KNOWN = 1
"""Flag of an object that was surveyed."""
REFERS = 2
"""Flag of one that refers to others."""
PARTIAL = 4
"""Flag of a tree that was noted without the entries that it shares with its base."""
FURTHER = 8
"""Flag of one that refers to objects whose numbers are not known."""


class _Base:
    """A decoded object, to which later ones are deltas."""

    __slots__ = ("data", "ends", "id")

    def __init__(self, data: bytes, kept: bytes, ends: list[int] | None) -> None:
        self.data = data
        self.id = kept
        """The part of its id that its record keeps."""
        self.ends = ends
        """Ends of the entries of a tree; None for all others."""


class Bases:
    """The objects that were decoded last, in two generations."""

    def __init__(self) -> None:
        self._young: dict[int, _Base] = {}
        self._old: dict[int, _Base] = {}
        self._young_bytes = 0
        self._chains = Chains()

    def get(self, snapshot: Snapshot, number: int) -> _Base:
        """Return an object.  Raise DecodeError, and ValueError or IndexError for a bad tree."""
        found = self._young.get(number)
        if found is None:
            found = self._old.get(number)
            if found is None:
                read = self._chains.decode(snapshot, number)
                ends = outline(read.data).ends if read.kind is _TREE else None
                found = _Base(read.data, read.id, ends)
            self.hold(number, found)
        return found

    def hold(self, number: int, found: _Base) -> None:
        """Keep an object for later ones."""
        size = len(found.data)
        if size > _HELD_MAX_BYTES:
            return
        if self._young_bytes + size > _HELD_BYTES or len(self._young) >= _BASE_COUNT:
            self._old, self._young = self._young, {}
            self._young_bytes = 0
        self._young[number] = found
        self._young_bytes += size


class Met:
    """The numbers of the objects that were met last, by id, in two generations."""

    def __init__(self) -> None:
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def get(self, key: bytes) -> int | None:
        """Return the number of an object that is surely the one; None if it is not known."""
        return self._young.get(key) or self._old.get(key)

    def add(self, key: bytes, number: int) -> None:
        """Note the number of an object."""
        if len(self._young) >= _MET_COUNT:
            self._old, self._young = self._young, {}
        self._young[key] = number


class Survey:
    """References of the objects from a number on.  Memory: 20 bytes for each, 300 for a commit."""

    def __init__(self, first: int, end: int, *, reads_blobs: bool) -> None:
        """Begin to survey the objects before the number `end`.

        Blobs are decoded and compared with their ids only with `reads_blobs`.
        """
        self.first = first
        self.end = end
        self.flags = bytearray(end - first)
        """Flags of each object; 0 for one that was not surveyed."""
        code = "I" if end < 1 << 32 else "Q"
        self.edges = array(code)
        """Numbers of the objects that are referred to, one object after another."""
        self.starts = array(code, (0,))
        """Index in `edges` at which those of each object begin, and those of the last one end."""
        self.bases = array(code)
        """Number of the base of each tree that is `PARTIAL`."""
        self.further: dict[int, list[Reference]] = {}
        """References of an object to others whose numbers are not known."""
        self.targets: dict[int, list[Oid]] = {}
        """Blobs that would hold the targets of a tree's symbolic links."""
        self.commits: dict[Oid, CommitLinks] = {}
        self.numbers: dict[Oid, int] = {}
        """Number of each commit that was surveyed."""
        self._reads_blobs = reads_blobs
        self._listing: Listing | None = Listing(end)
        self._is_sole = self._listing.is_sole
        self._next = first
        self._met = Met()
        self._bases = Bases()

    @property
    def is_done(self) -> bool:
        """True if all objects were read."""
        return self._next >= self.end

    def advance(self, snapshot: Snapshot) -> None:
        """Read some objects, on any thread."""
        if self._listing is not None:
            if not self._listing.advance(snapshot):
                self._listing = None
            return
        try:
            self._read_some(snapshot)
        except DecodeError:
            # Of a damaged bundle, too, and of all that comes after it.
            self._next = self.end
        if self.is_done:
            self._fill(self.end)
            self._met, self._bases, self._is_sole = Met(), Bases(), bytearray()

    def _read_some(self, snapshot: Snapshot) -> None:
        left, pace = _READ, Pace()
        for stored in values(snapshot, self._next):
            if stored.first >= self.end or left <= 0:
                break
            left -= len(stored.records)
            for number, record in stored.records:
                pace()
                if record and self._next <= number < self.end:
                    self._take(snapshot, number, record, is_alone=stored.is_alone)
            self._next = stored.first + len(stored.records)
        else:
            self._next = self.end

    def _fill(self, number: int) -> None:
        """Note that there was nothing before a number, from the last object on."""
        at, edge_count = number - self.first, len(self.edges)
        while len(self.bases) < at:
            self.bases.append(0)
            self.starts.append(edge_count)

    def _take(self, snapshot: Snapshot, number: int, record: bytes, *, is_alone: bool) -> None:
        """Note an object as far as it is certain."""
        at = number - self.first
        if len(self.bases) < at:
            self._fill(number)
        edges, edge_count, base = self.edges, len(self.edges), 0
        try:
            head = unpack_head(number, record)
            if head[2] is _BLOB and not self._reads_blobs:
                if self._is_sole[number]:
                    self.flags[at] = KNOWN
                    self._met.add(head[3], number)
            elif head[1] != _PACKED and head[2] is not _PARTS:
                if is_alone:
                    head = unpack_head(number, snapshot.record(number))
                base = self._read(snapshot, head)
        except _BAD:
            # It is left to whoever needs it, and says so.
            del edges[edge_count:]
            self.further.pop(at, None)
            self.targets.pop(at, None)
        self.starts.append(len(edges))
        self.bases.append(base)

    def _read(self, snapshot: Snapshot, head: Head) -> int:
        """Decode an object, and note it; return its base if only what that lacks was noted."""
        number, codec, kind, kept, size, base_number, _, record, at = head
        base = shape = None
        if base_number is None:
            data = decode(codec, record[at:], size)
            if kind is _TREE:
                shape = outline(data)
        else:
            base = self._bases.get(snapshot, base_number)
            named = base.id if kind is _COMMIT else b""
            data, same, later = decode_splice(codec, record, at, size, base.data, named)
            if kind is _TREE:
                ends = base.ends
                shape = (
                    outline(data)
                    if ends is None
                    else outline_after(ends, data, len(base.data), same, later)
                )
        self._bases.hold(number, _Base(data, kept, shape.ends if shape else None))
        oid = object_id(kind, data)
        if not self._is_sole[number] or not oid.startswith(kept):
            return 0
        flags = KNOWN
        if shape is not None:
            flags |= self._note_tree(number - self.first, data, shape)
        elif kind is _COMMIT:
            flags |= self._note_commit(number, oid, data)
        is_partial = shape is not None and base is not None and base.ends is not None
        self.flags[number - self.first] = flags | PARTIAL if is_partial else flags
        self._met.add(oid, number)
        return base_number if is_partial and base_number else 0

    def _note_tree(self, at: int, data: bytes, shape: Outline) -> int:
        """Note the entries of a tree that its base lacks; return flags."""
        get, edges = self._met.get, self.edges
        further: list[Reference] = []
        flags = REFERS
        for reference in references_in(data, shape):
            kind, oid = reference
            found = get(oid if kind is not _BLOB or self._reads_blobs else oid[:SHORT_BYTES])
            if found is None:
                further.append(reference)
            else:
                edges.append(found)
        if further:
            self.further[at] = further
            flags |= FURTHER
        targets = links_in(data, shape)
        if targets:
            self.targets[at] = targets
            flags |= FURTHER
        return flags

    def _note_commit(self, number: int, oid: Oid, data: bytes) -> int:
        """Note what a commit refers to; return flags."""
        links = commit_links(data)
        further: list[Reference] = []
        for parent in links.parents:
            found = self.numbers.get(parent)
            if found is None:
                further.append((_COMMIT, parent))
            else:
                self.edges.append(found)
        if links.tree != EMPTY_TREE_ID:
            found = self._met.get(links.tree)
            if found is None:
                further.append((_TREE, links.tree))
            else:
                self.edges.append(found)
        self.commits[oid], self.numbers[oid] = links, number
        if further:
            self.further[number - self.first] = further
            return REFERS | FURTHER
        return REFERS
