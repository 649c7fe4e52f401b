"""Recall: the use that a collection makes of the one before it, and what it leaves itself.

Theory of operation.  After a collection, every object of L2 was reached, or is the base of one that
was.  Until the next one, objects are only added.  So while everything that was wanted then still
is, only what was added since can be garbage, and marking can stop wherever it comes to something
that was reached then: its cost follows what has changed.

What was wanted then is known by its ends: the commits without children, and the roots that no
commit has.  If one of the commits is lost, all must be looked at, since what goes with it may be
shared with anything.  The same holds for a lost root, usually the tree of a working state that can
no longer be gone back to; but such are lost all the time, and there is little in each of them.  So
what they have is kept for a while, until there are many for the size of the store.

Refused: counts of references, which each commit would pay for (docs/decisions, 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.emptying import Container
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.objects.references import Reference
from heliosfs.pace import paced
from heliosfs.repo import keys
from heliosfs.repo.gc.handover import OBJECTS_FOR_A_LOST_TREE, Handover, decode_handover
from heliosfs.repo.gc.retention import KeepDecision
from heliosfs.repo.history import links_of
from heliosfs.store.base import Collection, Store


class Lost(Exception):
    """Something that an earlier collection kept may be garbage now."""


class Recall:
    """Knowledge of what an earlier collection has looked at, and of what this one has."""

    def __init__(self, store: Store, collection: Collection) -> None:
        self._store = store
        self._collection = collection
        self._before: Handover | None = None
        self._roots: set[Oid] = set()
        self._lost_count = 0

    @property
    def is_used(self) -> bool:
        """True if an earlier collection was recalled."""
        return self._before is not None

    def begin(self) -> list[Reference]:
        """Recall the last collection if there is one; return objects that are roots, too."""
        data = self._store.get(keys.GC_HANDOVER)
        before = decode_handover(data) if data else None
        if before is None:
            return []
        further = self._collection.recall(before.marks)
        if further is None:
            return []
        self._before = before
        return further

    def tips(self, decision: KeepDecision) -> list[CommitId]:
        """Return the commits without children of then that stay because they are young."""
        heads = self._before.heads if self._before else {}
        return [oid for oid, seconds in heads.items() if decision.is_young(seconds)]

    def note(self, roots: Iterable[Reference]) -> None:
        """Note roots of this collection; commits are known to the decision."""
        self._roots.update(oid for kind, oid in roots if kind is not Kind.COMMIT)

    def check(self, decision: KeepDecision, named: Iterable[CommitId], object_count: int) -> None:
        """Raise Lost if too much of what was kept then does not stay now.

        `named` are the commits that working states name, and `object_count` is that of the store.
        Call it on a thread, in the context of the collection.
        """
        roots, before = self._roots, self._before
        if before is None:
            for _, tree in decision.kept_trees():
                roots.discard(tree)
            return
        # I56: what is not looked at again is all that these reach.
        if not all(oid in decision.old or oid in decision.kept for oid in paced(before.heads)):
            raise Lost
        trees = {tree for _, tree in decision.kept_trees()}
        for oid in paced(decision.old.intersection(named)):
            trees.add(links_of(oid, self._collection.read(oid, Kind.COMMIT)).tree)
        lost = sum(1 for oid in paced(before.trees) if oid not in roots and oid not in trees)
        self._lost_count = before.lost_count + lost
        if self._lost_count * OBJECTS_FOR_A_LOST_TREE > object_count:
            raise Lost
        for tree in paced(trees):
            roots.discard(tree)

    def forget(self) -> None:
        """Hand over nothing, before something goes that was kept; the caller publishes."""
        if self._before is None:
            # I57: it is gone from the disk before the first object that it speaks of.
            self._store.put(keys.GC_HANDOVER, None)

    def hand_over(self, decision: KeepDecision) -> bytes | None:
        """Return what the next collection can rely on, after a sweep: the value for its key.

        Call it on a thread.
        """
        marks = self._collection.remember()
        if marks is None:
            return None
        heads = decision.heads(self._before.heads if self._before else {})
        return Handover(heads, self._roots, self._lost_count, marks).encode()

    def containers(self) -> tuple[Container, ...]:
        """Return what grows with the history, for whoever empties it."""
        return (self._roots,)
