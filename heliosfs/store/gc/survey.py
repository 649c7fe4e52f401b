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

import marshal
import struct
from array import array
from collections.abc import Container
from typing import Any, TypeAlias

from heliosfs.emptying import empty_later
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
from heliosfs.objects.references import Reference, cut_references
from heliosfs.pace import Pace, paced
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, decode_splice
from heliosfs.store.gc.chains import Chains
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
_KINDS = {int(kind): kind for kind in Kind}
_BAD = (DecodeError, ValueError, IndexError, struct.error)

KNOWN = 1
"""Flag of an object that was surveyed."""
REFERS = 2
"""Flag of one that refers to others."""
PARTIAL = 4
"""Flag of a tree that was noted without the entries that it shares with its base."""
FURTHER = 8
"""Flag of one that refers to objects whose numbers are not known."""


_Base: TypeAlias = "tuple[bytes, bytes, list[int] | None]"
"""An object that was decoded, the part of its id that its record keeps, and the ends of the entries
of a tree."""


class Bases:
    """The objects that were decoded last, in two generations."""

    def __init__(self) -> None:
        self._young: dict[int, _Base] = {}
        self._old: dict[int, _Base] = {}
        self._forgotten: dict[int, _Base] = {}
        self._young_bytes = 0
        self._chains = Chains()

    def get(self, snapshot: Snapshot, number: int) -> _Base:
        """Return an object.  Raise DecodeError, and ValueError or IndexError for a bad tree."""
        found = self._young.get(number)
        if found is not None:
            return found
        found = self._old.get(number)
        if found is None:
            read = self._chains.decode(snapshot, number)
            ends = outline(read.data).ends if read.kind is _TREE else None
            found = (read.data, read.id, ends)
        self.hold(number, found)
        return found

    def hold(self, number: int, found: _Base) -> None:
        """Keep an object for later ones."""
        young = self._young
        size = self._young_bytes + len(found[0])
        if size > _HELD_BYTES or len(young) >= _BASE_COUNT:
            size = len(found[0])
            if size > _HELD_MAX_BYTES:
                return
            self._forgotten, self._old, self._young = self._old, young, {}
            young = self._young
        young[number] = found
        self._young_bytes = size
        if self._forgotten:
            self._forgotten.popitem()

    def containers(self) -> tuple[dict[int, Any], ...]:
        """Return what holds the objects, for whoever empties it."""
        return self._young, self._old, self._forgotten, *self._chains.containers()


class Met:
    """The numbers of the objects that were met last, by id, in two generations."""

    def __init__(self) -> None:
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._forgotten: dict[bytes, int] = {}

    def get(self, key: bytes) -> int | None:
        """Return the number of an object that is surely the one; None if it is not known."""
        return self._young.get(key) or self._old.get(key)

    def add(self, key: bytes, number: int) -> None:
        """Note the number of an object."""
        if len(self._young) >= _MET_COUNT:
            self._forgotten, self._old, self._young = self._old, self._young, {}
        self._young[key] = number
        # An entry at a time: all at once would keep the interpreter for 20 ms.
        if self._forgotten:
            self._forgotten.popitem()

    def containers(self) -> tuple[dict[bytes, int], ...]:
        """Return what holds the numbers, for whoever empties it."""
        return self._young, self._old, self._forgotten


class Survey:
    """References of the objects from a number on.  Memory: 20 bytes for each, 300 for a commit."""

    def __init__(self, first: int, is_sole: bytearray, *, reads_blobs: bool) -> None:
        """Begin to survey the objects from `first` on; `is_sole` is that of the `Listing`.

        Blobs are decoded and compared with their ids only with `reads_blobs`.
        """
        self.first = first
        self.end = end = first + len(is_sole)
        self.flags = bytearray(end - first)
        """Flags of each object; 0 for one that was not surveyed."""
        self.edges = array("Q")
        """Numbers of the objects that are referred to, one object after another."""
        self.starts = array("Q", (0,))
        """Index in `edges` at which those of each object begin, and those of the last one end."""
        self.bases = array("Q")
        """Number of the base of each tree that is `PARTIAL`."""
        self.further: dict[int, list[Reference]] = {}
        """References of an object to others whose numbers are not known."""
        self.targets: dict[int, list[Oid]] = {}
        """Blobs that would hold the targets of a tree's symbolic links."""
        self.commits: dict[Oid, CommitLinks] = {}
        self.numbers: dict[Oid, int] = {}
        """Number of each commit that was surveyed."""
        self._reads_blobs = reads_blobs
        self._is_sole = is_sole
        self._next = first
        self._told = 0
        """Number of objects of which portions told."""
        self._part = 0, 0
        """Index of the first object of the part that is joined, and that of its first edge."""
        self._met = Met()
        self._bases = Bases()

    @property
    def is_done(self) -> bool:
        """True if all objects were read."""
        return self._next >= self.end

    def advance(self, snapshot: Snapshot) -> None:
        """Read some objects, on any thread."""
        try:
            self._read_some(snapshot)
        except DecodeError:
            # Of a damaged bundle, too, and of all that comes after it.
            self._next = self.end
        if self.is_done:
            self._fill(self.end)
            empty_later(*self._met.containers(), *self._bases.containers())
            self._met, self._bases, self._is_sole = Met(), Bases(), bytearray()

    def _read_some(self, snapshot: Snapshot) -> None:
        left, pace = _READ, Pace()
        for stored in values(snapshot, self._next):
            if stored.first >= self.end or left <= 0:
                break
            left -= len(stored.records)
            is_alone = stored.is_alone
            for number, record in stored.records:
                pace()
                if record and self._next <= number < self.end:
                    self._take(snapshot, number, record, is_alone)
            self._next = stored.first + len(stored.records)
        else:
            self._next = self.end

    def portion(self) -> bytes:
        """Return, for `join`, what was noted since the last call; it is not held any more."""
        begin, self._told = self._told, len(self.bases)
        end, edge_begin = self._told, self.starts[begin]
        links = [(oid, *each, self.numbers[oid]) for oid, each in self.commits.items()]
        further, targets = _plain(self.further), self.targets
        self.commits, self.further, self.targets = {}, {}, {}
        edges, starts = self.edges[edge_begin:], self.starts[begin + 1 : end + 1]
        arrays = [each.tobytes() for each in (edges, starts, self.bases[begin:])]
        return marshal.dumps((bytes(self.flags[begin:end]), arrays, further, targets, links))

    def begin_part(self, first: int) -> None:
        """Let the portions that are joined next be those of a survey that began at `first`.

        What the part before did not tell of counts as not surveyed.
        """
        self.flags += bytes(first - self.first - len(self.flags))
        self._fill(first)
        self._part = first - self.first, len(self.edges)

    def join(self, portion: bytes) -> None:
        """Take over the next portion of a part, on any thread: 0.4 us an object.

        Portions are small, because reading one keeps the interpreter.  They are joined one after
        another for the same reason: two surveys of 100,000 objects would be one in 15 ms.
        """
        flags, (edges, starts, bases), further, targets, links = marshal.loads(portion)
        begin, edge_count = self._part
        self.flags += flags
        self.edges.frombytes(edges)
        own_starts = array("Q", starts)
        self.starts.extend(each + edge_count for each in paced(own_starts))
        self.bases.frombytes(bases)
        for at, found in paced(further.items()):
            self.further[begin + at] = [(_KINDS[kind], oid) for kind, oid in found]
        self.targets.update((begin + at, found) for at, found in paced(targets.items()))
        for oid, tree, parents, seconds, number in paced(links):
            self.commits[oid] = CommitLinks(tree, parents, seconds)
            self.numbers[oid] = number

    def cut(self, shallow: Container[Oid]) -> None:
        """Take the parents from the commits in `shallow`, once all is surveyed."""
        for oid in [oid for oid in paced(self.commits) if oid in shallow]:
            links, number = self.commits[oid], self.numbers[oid]
            at, parents = number - self.first, {self.numbers.get(each) for each in links.parents}
            for place in range(self.starts[at], self.starts[at + 1]):
                if self.edges[place] in parents:
                    # What refers to itself refers to nothing more.
                    self.edges[place] = number
            if at in self.further:
                self.further[at] = cut_references(oid, self.further[at], shallow)
            self.commits[oid] = links._replace(parents=())

    def containers(self) -> tuple[dict[Any, Any], ...]:
        """Return what grows with the history, for whoever empties it."""
        noted = (self.further, self.targets, self.commits, self.numbers)
        return *noted, *self._met.containers(), *self._bases.containers()

    def _fill(self, number: int) -> None:
        """Note that there was nothing before a number, from the last object on."""
        count = number - self.first - len(self.bases)
        if count > 0:
            self.bases.extend(array("Q", (0,)) * count)
            self.starts.extend(array("Q", (len(self.edges),)) * count)

    def _take(self, snapshot: Snapshot, number: int, record: bytes, is_alone: bool) -> None:
        """Note an object as far as it is certain."""
        at = number - self.first
        if len(self.bases) < at:
            self._fill(number)
        edges, edge_count, base = self.edges, len(self.edges), 0
        try:
            head = unpack_head(number, record)
            if head[2] is _BLOB and not self._reads_blobs:
                if self._is_sole[number - self.first]:
                    self.flags[at] = KNOWN
                    self._met.add(head[3], number)
            elif head[1] != _PACKED and head[2] is not _PARTS:
                if is_alone:
                    head = unpack_head(number, snapshot.record(number))
                base = self._read(snapshot, head)
        except _BAD:
            # It is left to whoever needs it, and says so.
            del edges[edge_count:]
            self.flags[at] = 0
            self.further.pop(at, None)
            self.targets.pop(at, None)
        self.starts.append(len(edges))
        self.bases.append(base)

    def _read(self, snapshot: Snapshot, head: Head) -> int:
        """Decode an object, and note it; return its base if only what that lacks was noted."""
        number, codec, kind, kept, size, base, _, record, at = head
        shape = known = None
        if base is None:
            data = decode(codec, record[at:], size)
            if kind is _TREE:
                shape = outline(data)
        else:
            before, before_id, known = self._bases.get(snapshot, base)
            named = before_id if kind is _COMMIT else b""
            data, same, later = decode_splice(codec, record, at, size, before, named)
            if kind is _TREE:
                shape = (
                    outline(data)
                    if known is None
                    else outline_after(known, data, len(before), same, later)
                )
        self._bases.hold(number, (data, kept, None if shape is None else shape.ends))
        oid = object_id(kind, data)
        at = number - self.first
        if not self._is_sole[at] or not oid.startswith(kept):
            return 0
        self._met.add(oid, number)
        if shape is not None:
            self.flags[at] = self._note_tree(at, data, shape)
            if base is not None and known is not None:
                self.flags[at] |= PARTIAL
                return base
        else:
            self.flags[at] = self._note_commit(number, oid, data) if kind is _COMMIT else KNOWN
        return 0

    def _note_tree(self, at: int, data: bytes, shape: Outline) -> int:
        """Note the entries of a tree that its base lacks; return flags."""
        get, edges = self._met.get, self.edges
        further: list[Reference] = []
        flags = KNOWN | REFERS
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
            return KNOWN | REFERS | FURTHER
        return KNOWN | REFERS


def _plain(further: dict[int, list[Reference]]) -> dict[int, list[tuple[int, Oid]]]:
    """Return references without the type of a kind, which `marshal` does not know."""
    return {at: [(int(kind), oid) for kind, oid in found] for at, found in further.items()}
