"""The closure of some objects: everything that they reach, entered one object after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from heliosfs.emptying import Container, empty
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import Reference
from heliosfs.pace import Pace

_LATELY_COUNT = 100_000


class Closure:
    """A walk over objects, in pieces, each of which may run on another thread.

    `enter` is called with every object, and returns the objects to which it refers, or None if it
    was entered before; `follow` is that of the collection.  What a root reaches is entered before
    the next root, so roots are best added in the order in which they came to the store.  Memory:
    the roots, the objects still to be visited, and 10 MB for those met lately.
    """

    def __init__(
        self,
        enter: Callable[[Kind, Oid], list[Reference] | None],
        follow: Callable[[int], tuple[int, list[Reference]] | None],
    ) -> None:
        self._enter = enter
        self._follow = follow
        self._roots: deque[Reference] = deque()
        self._pending: list[Reference] = []
        self._lately: set[Oid] = set()
        self.count = 0
        """Number of new objects."""

    def containers(self) -> tuple[Container, ...]:
        """Return what grows with the history, for whoever empties it."""
        return self._roots, self._pending, self._lately

    def add(self, roots: Iterable[Reference]) -> None:
        """Enter these objects, too; do not call it while `advance` runs."""
        self._roots.extend(roots)

    def advance(self, limit: int) -> bool:
        """Enter about `limit` objects at most; return True if there are more.

        Raise MissingObject or CorruptObject.  Cost: 60,000 objects a second, and ten times as many
        of those that were surveyed.
        """
        roots, pending, lately, pace = self._roots, self._pending, self._lately, Pace()
        enter, follow = self._enter, self._follow
        while limit > 0:
            if pending:
                kind, oid = pending.pop()
            elif (followed := follow(limit)) is not None:
                self.count += followed[0]
                limit -= followed[0]
                pending += followed[1]
                continue
            elif roots:
                kind, oid = roots.popleft()
            else:
                return False
            # A set in memory is faster to ask than the store, which would say the same.
            if oid in lately:
                continue
            pace()
            limit -= 1
            if len(lately) >= _LATELY_COUNT:
                empty([lately])
            lately.add(oid)
            found = enter(kind, oid)
            if found is not None:
                self.count += 1
                pending += found
        return True
