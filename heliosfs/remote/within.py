"""The part of a history that a shallow clone has: the last commits of each tip, and their trees.

What a bucket sends is the same for all.  Its frames and packs of trees are held as they came, in
memory, and looked through once for the commits; then those are known that lie within the depth, and
only what their trees reach is taken out.  The newest frames are read first, as a tree refers to
what is as old as itself, or older; so few are decoded twice.

Where too much comes to be held, all of it is stored, as a whole clone does, and only the commits
within the depth are listed; a garbage collection removes the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.objects.references import NEVER_STORED, Reference
from heliosfs.pace import paced
from heliosfs.remote.closure import referred
from heliosfs.remote.frames import NamedObject
from heliosfs.remote.packfile import RemoteObject
from heliosfs.repo.history import History, links_of
from heliosfs.steps import TURN, Steps

HELD_BYTES_MAX = 256 * 1024 * 1024
"""Most bytes, as they came, that are held."""
HELD_COUNT_MAX = 2_000_000
"""Most objects that are looked for in what is held: 200 MB."""

Unit: TypeAlias = Callable[[], Iterable[RemoteObject]]
"""A frame or a pack: its objects are decoded when it is called.  CorruptObject."""
_Place: TypeAlias = tuple[int, int]
"""Number of a source, and of the unit in it, so that the newest objects come first."""


class Wanted(NamedTuple):
    """The commits that a download is to list."""

    lacking: dict[CommitId, CommitId]
    """Commits that are not here, and those by which `trees/` names them."""
    optional: Mapping[CommitId, CommitId] = MappingProxyType({})
    """The same, of commits that are left out if something that they need is below the edge."""
    below: Sequence[CommitId] = ()
    """Commits below the edge; those that the remote does not have any more are left out."""
    trees: Sequence[CommitId] = ()
    """Commits by which `trees/` names all that the refs of the remote reach, if `below` or a depth
    needs that."""
    tips: Sequence[CommitId] = ()
    """Commits from which a depth counts."""

    def named(self) -> list[CommitId]:
        """Return the commits by which `trees/` names what is to be read."""
        return list(dict.fromkeys([*self.lacking.values(), *self.optional.values(), *self.trees]))


class Depth(NamedTuple):
    """The commits within a depth."""

    commits: dict[CommitId, None]
    """All of them, those that are listed already among them."""
    cut: dict[CommitId, tuple[CommitId, ...]]
    """The new ones among them that have a parent outside, with all their parents."""


class Held:
    """Objects that came out of a bucket, and are not stored yet."""

    def __init__(self, arrived: Callable[[RemoteObject], None]) -> None:
        """Hold nothing yet; `arrived` is called for each object that comes."""
        self._arrived = arrived
        self.is_full = False
        """True if no more is held: whoever held it stores all."""
        self.contents: set[Oid] = set()
        """Contents that `reached` has met."""
        self._parents: dict[CommitId, tuple[CommitId, ...]] = {}
        self._units: dict[_Place, Unit] = {}
        self._places: dict[Oid, _Place] = {}
        self._source = self._bytes = 0

    @property
    def count(self) -> int:
        """Number of objects that are held."""
        return len(self._places)

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._places

    def find(self, named: NamedObject) -> bytes | None:
        """Return the bytes of an object that is held; None if it is not.  CorruptObject."""
        kind, oid = named
        place = self._places.get(oid)
        objects = self._units[place]() if place is not None else ()
        return next((each.data for each in objects if each[:2] == (kind, oid)), None)

    def hold(self, units: Iterable[Unit], size: int) -> None:
        """Hold an object of the bucket, of so many bytes; on a thread.  CorruptObject."""
        self._source += 1
        self._bytes += size
        for number, unit in enumerate(units):
            place = self._source, -number
            self._units[place] = unit
            for found in paced(unit()):
                self._places.setdefault(found.oid, place)
                self._arrived(found)
                self.note(found)
        self.is_full = self._bytes > HELD_BYTES_MAX or len(self._places) > HELD_COUNT_MAX

    def note(self, found: RemoteObject) -> None:
        """Note the parents of a commit that is held, or was stored.  CorruptObject."""
        if found.kind is Kind.COMMIT:
            oid = CommitId(found.oid)
            self._parents[oid] = links_of(oid, found.data).parents

    def release(self) -> Iterator[RemoteObject]:
        """Yield all that is held, which is not held any more.  CorruptObject."""
        while self._units:
            place = next(iter(self._units))
            yield from self._units.pop(place)()
        self._places.clear()

    def within(self, history: History, tips: Iterable[CommitId], depth: int) -> Steps[Depth]:
        """Return the commits with less than `depth` commits above them.

        A commit of which all parents are here is not cut, however deep it is.
        """
        found: dict[CommitId, None] = {}
        level = dict.fromkeys(tips)
        for _ in range(depth):
            if not level:
                break
            found.update(level)
            below: dict[CommitId, None] = {}
            for oid in level:
                below.update(dict.fromkeys(self._parents_of(history, oid)))
                yield TURN
            level = {each: None for each in below if each not in found}
        cut = {}
        for oid in found:
            parents = self._parents.get(oid, ())
            yield TURN
            if oid not in history and any(
                each not in found and each not in history for each in parents
            ):
                cut[oid] = parents
        return Depth(found, cut)

    def is_inside(self, history: History, oid: CommitId, within: Depth) -> bool:
        """Return True if a commit came whose parents are all within a depth, or listed."""
        parents = self._parents.get(oid)
        return parents is not None and all(
            each in within.commits or each in history for each in parents
        )

    def _parents_of(self, history: History, oid: CommitId) -> tuple[CommitId, ...]:
        known = self._parents.get(oid)
        if known is None:
            return _named_parents(history, oid)
        return known

    def reached(self, commits: Iterable[CommitId]) -> Iterator[RemoteObject]:
        """Yield what is held of the commits and all that they reach, but for their parents.

        CorruptObject.
        """
        wanted: dict[_Place, list[Oid]] = {}
        queue: list[_Place] = []
        seen: set[Oid] = set(NEVER_STORED)

        def want(kind: Kind, oid: Oid) -> None:
            if oid in seen:
                return
            if kind is Kind.BLOB:
                self.contents.add(oid)
            seen.add(oid)
            place = self._places.get(oid)
            if place is not None:
                if place not in wanted:
                    wanted[place] = []
                    heapq.heappush(queue, place)
                wanted[place].append(oid)

        for commit in commits:
            want(Kind.COMMIT, commit)
        while queue:
            place = heapq.heappop(queue)
            objects = {found.oid: found for found in self._units[place]()}
            left = wanted[place]
            # What it refers to in the same unit is added to the list that is being emptied.
            while left:
                found = objects[left.pop()]
                yield found
                for kind, oid in _references(found):
                    want(kind, oid)
            del wanted[place]


def _named_parents(history: History, oid: CommitId) -> tuple[CommitId, ...]:
    if oid not in history:
        return ()
    return history.edge.parents(oid) or history.read(oid).parents


def _references(found: RemoteObject) -> list[Reference]:
    if found.kind is Kind.BLOB:
        return []
    return [each for each in referred(found) if each[0] is not Kind.COMMIT]
