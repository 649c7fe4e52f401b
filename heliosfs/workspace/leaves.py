"""The leaves of a large directory while it is being changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import LeafRef, entry_name, starts_leaf


class Leaf:
    """A run of names and the object that holds their entries."""

    __slots__ = ("base", "data", "names", "oid", "touched")

    def __init__(self, names: list[bytes], oid: TreeId | None, base: TreeId | None = None) -> None:
        self.names = names
        self.oid = oid
        """None while the leaf is not as any object has it."""
        self.base = base
        """The object that the leaf had last; a hint for the store."""
        self.data: bytes | None = None
        """Its bytes when it was last written, while only entries of `touched` changed since."""
        self.touched: set[bytes] = set()

    def written(self, oid: TreeId, data: bytes) -> None:
        """The leaf is as an object has it."""
        self.oid = self.base = oid
        self.data = data
        self.touched = set()

    def regroup(self) -> None:
        """Names came or went."""
        self.oid = self.data = None


class LeafTable:
    """Which names lie in which leaf.

    Invariant: a leaf begins at every name for which `starts_leaf`, and nowhere else, but for
    the first leaf, which holds what lies before the first such name and may be empty.
    """

    __slots__ = ("_firsts", "leaves")

    def __init__(self, leaves: list[Leaf], firsts: list[bytes]) -> None:
        self.leaves = leaves
        self._firsts = firsts

    @classmethod
    def of_names(cls, names: Iterable[bytes]) -> LeafTable:
        """A table for sorted names none of whose leaves is stored."""
        table = cls([Leaf([], None)], [b""])
        for name in names:
            if starts_leaf(name):
                table.leaves.append(Leaf([], None))
                table._firsts.append(name)
            table.leaves[-1].names.append(name)
        return table

    @classmethod
    def of_stored(cls, stored: list[tuple[LeafRef, list[bytes]]]) -> LeafTable:
        """A table as an index and the encoded entries of its leaves describe it."""
        leaves: list[Leaf] = []
        firsts: list[bytes] = []
        if stored and starts_leaf(stored[0][0].first):
            leaves.append(Leaf([], None))
            firsts.append(b"")
        for ref, raws in stored:
            firsts.append(ref.first if leaves else b"")
            leaves.append(Leaf([entry_name(raw) for raw in raws], ref.oid, ref.oid))
        return cls(leaves, firsts)

    def note(self, name: bytes, present: bool) -> None:
        """Take up that the entry of `name` changed, came (`present`) or went."""
        at = bisect_right(self._firsts, name) - 1
        leaf = self.leaves[at]
        names = leaf.names
        place = bisect_left(names, name)
        known = place < len(names) and names[place] == name
        leaf.oid = None
        leaf.touched.add(name)
        if known == present:
            return
        leaf.regroup()
        if not starts_leaf(name):
            if present:
                names.insert(place, name)
            else:
                del names[place]
        elif present:
            self.leaves.insert(at + 1, Leaf([name, *names[place:]], None, leaf.base))
            self._firsts.insert(at + 1, name)
            del names[place:]
        else:
            before = self.leaves[at - 1]
            before.names += names[1:]
            before.regroup()
            del self.leaves[at]
            del self._firsts[at]

    def adopt(self, index: list[LeafRef]) -> None:
        """Take the ids of a stored index that describes the very same names."""
        held = [leaf for leaf in self.leaves if leaf.names]
        for leaf, ref in zip(held, index, strict=True):
            if leaf.oid != ref.oid:
                leaf.oid = leaf.base = ref.oid
                leaf.data = None
                leaf.touched = set()

    def refs(self) -> list[LeafRef]:
        """The index, once every leaf that holds a name has an id."""
        return [
            LeafRef(leaf.names[0], leaf.oid)
            for leaf in self.leaves
            if leaf.names and leaf.oid is not None
        ]
