"""Leaves of a large directory while it is being changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import LeafRef, entry_name, starts_leaf


class Leaf:
    """Run of names, and the object that holds their entries."""

    __slots__ = ("base", "data", "names", "oid", "touched")

    def __init__(self, names: list[bytes], oid: TreeId | None, base: TreeId | None = None) -> None:
        self.names = names
        self.oid = oid
        """Id of the object that equals the leaf, or None if there is none yet."""
        self.base = base
        """Id of the last object that equalled the leaf, a hint for the store."""
        self.data: bytes | None = None
        """Bytes of `base`, as long as only entries of names in `touched` have changed since."""
        self.touched: set[bytes] = set()

    def written(self, oid: TreeId, data: bytes | None) -> None:
        """Record that the leaf equals the object `oid`; `data` is its bytes, None if not known."""
        self.oid = self.base = oid
        self.data = data
        self.touched = set()

    def regroup(self) -> None:
        """Record that names came or went."""
        self.oid = self.data = None


class LeafTable:
    """Table of a directory's leaves and the names in each.

    Invariant: a leaf begins at every name for which `starts_leaf` returns True, and nowhere else.
    Only the first leaf may differ: it holds the names before the first such name, and may be empty.
    """

    __slots__ = ("_firsts", "is_regrouped", "leaves", "stale")

    def __init__(self, leaves: list[Leaf], firsts: list[bytes]) -> None:
        self.leaves = leaves
        self._firsts = firsts
        self.stale: dict[Leaf, None] = {}
        """Leaves that equal no stored object; one of them may hold no name."""
        self.is_regrouped = False
        """True if names came or went since the index was written."""

    @classmethod
    def of_names(cls, names: Iterable[bytes]) -> LeafTable:
        """Return a table for sorted names of which no leaf is stored."""
        table = cls([Leaf([], None)], [b""])
        for name in names:
            if starts_leaf(name):
                table.leaves.append(Leaf([], None))
                table._firsts.append(name)
            table.leaves[-1].names.append(name)
        table.stale = dict.fromkeys(table.leaves)
        table.is_regrouped = True
        return table

    @classmethod
    def of_stored(cls, stored: list[tuple[LeafRef, list[bytes]]]) -> LeafTable:
        """Return a table for the leaves of a stored index and their encoded entries."""
        leaves: list[Leaf] = []
        firsts: list[bytes] = []
        # Names before the first cut need a leaf of their own, which is empty as yet.
        if stored and starts_leaf(stored[0][0].first):
            leaves.append(Leaf([], None))
            firsts.append(b"")
        for ref, raws in stored:
            firsts.append(ref.first if leaves else b"")
            leaves.append(Leaf([entry_name(raw) for raw in raws], ref.oid, ref.oid))
        return cls(leaves, firsts)

    def note(self, name: bytes, present: bool) -> None:
        """Record that the entry of `name` changed, came (`present` is True) or went."""
        at = bisect_right(self._firsts, name) - 1
        leaf = self.leaves[at]
        names = leaf.names
        place = bisect_left(names, name)
        known = place < len(names) and names[place] == name
        if not known and not present:
            return
        leaf.oid = None
        leaf.touched.add(name)
        self.stale[leaf] = None
        # The entry alone changed: names, and so the cuts, are as before.
        if known and present:
            return
        self.is_regrouped = True
        leaf.regroup()
        # I4: names alone decide where a leaf begins, so that equal directories have equal leaves.
        if not starts_leaf(name):
            if present:
                names.insert(place, name)
            else:
                del names[place]
        elif present:
            # A new name at which a leaf begins: the leaf that it lies in is cut before it.
            cut = Leaf([name, *names[place:]], None, leaf.base)
            self.leaves.insert(at + 1, cut)
            self._firsts.insert(at + 1, name)
            self.stale[cut] = None
            del names[place:]
        else:
            # The name at which the leaf began is gone: the rest belongs to the leaf before it.
            before = self.leaves[at - 1]
            before.names += names[1:]
            before.regroup()
            self.stale[before] = None
            del self.leaves[at]
            del self._firsts[at]
            del self.stale[leaf]

    def adopt(self, index: list[LeafRef], known: Mapping[TreeId, bytes]) -> None:
        """Take ids from a stored index of the same names; `known` maps ids of leaves to bytes."""
        held = [leaf for leaf in self.leaves if leaf.names]
        for leaf, ref in zip(held, index, strict=True):
            if leaf.oid != ref.oid:
                leaf.written(ref.oid, known.get(ref.oid))
        self.mark_written()

    def mark_written(self) -> None:
        """Record that the index and all leaves are stored."""
        self.stale = {}
        self.is_regrouped = False

    def refs(self) -> list[LeafRef]:
        """Return the index, once every leaf that holds a name has an id."""
        return [
            LeafRef(leaf.names[0], leaf.oid)
            for leaf in self.leaves
            if leaf.names and leaf.oid is not None
        ]
