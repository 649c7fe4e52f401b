"""The edge of a shallow history: the commits whose parents are not here (git-clone(1), `--depth`).

The bytes of such a commit name its parents as ever, and its id is that of these bytes.  So the
state has a record of it, and who reads the links of commits takes it for one without parents:
`History` does, and whoever reads links from bytes asks `Edge.cut`.

A record is there before its commit is listed, and goes once all parents of the commit are listed.
So each listed commit has its parents listed, or is on the edge.  A record of a commit that is not
listed says nothing: a fetch that was cut short has left it.

The bytes of a commit that was made from one on the edge (`commit --amend`) name the same parents,
and it is on the edge, too.  git makes a commit without parents there, and with it a history that
has nothing in common with the one it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from heliosfs.errors import NotPermitted
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.store.base import Store

UNSHALLOW = "'helios fetch --unshallow' brings the rest"


class Edge:
    """The commits on the edge, with the parents that their bytes name.

    Changes go into the store's batch; a transaction publishes them.
    """

    def __init__(
        self,
        store: Store,
        moved: Callable[[CommitId], object],
        inverses: Inverses | None = None,
    ) -> None:
        """Read the records, and let the store say whether there are any.  StoreError.

        `moved` is called for each commit that moves to the edge, or from there.
        """
        self._store = store
        self._moved = moved
        self._inverses = inverses
        self._parents: dict[Oid, tuple[CommitId, ...]] = {
            Oid(key[len(keys.SHALLOW) :]): tuple(_ids(value))
            for key, value in store.scan(keys.SHALLOW)
        }
        declare_edge(store)

    def __len__(self) -> int:
        return len(self._parents)

    def __contains__(self, oid: object) -> bool:
        return oid in self._parents

    def __iter__(self) -> Iterator[CommitId]:
        return map(CommitId, list(self._parents))

    def parents(self, oid: CommitId) -> tuple[CommitId, ...]:
        """Return the parents that the bytes of a commit on the edge name; none for another one."""
        return self._parents.get(oid, ())

    def has_below(self, oids: Collection[CommitId]) -> bool:
        """Return True if any of the commits is a parent of one on the edge."""
        return bool(oids) and any(
            each in oids for parents in self._parents.values() for each in parents
        )

    def cut(self, oid: CommitId, links: CommitLinks) -> CommitLinks:
        """Return the links of a commit, without parents if it is on the edge."""
        return links._replace(parents=()) if oid in self._parents else links

    def add(self, oid: CommitId, parents: Sequence[CommitId]) -> None:
        """Put a commit on the edge, before it is listed.  StoreError."""
        # An earlier version would call the history damaged: it must refuse the store before.
        self._store.declaration.declare(is_shallow=True)
        self._set(oid, tuple(parents))

    def remove(self, oids: Iterable[CommitId]) -> None:
        """Take commits from the edge."""
        for oid in oids:
            self._set(oid, None)

    def _set(self, oid: CommitId, parents: tuple[CommitId, ...] | None) -> None:
        if self._inverses is not None:
            self._inverses.append((self._assign, (oid, self._parents.get(oid))))
        self._assign(oid, parents)
        self._store.put(keys.SHALLOW + oid, None if parents is None else b"".join(parents))

    def _assign(self, oid: CommitId, parents: tuple[CommitId, ...] | None) -> None:
        self._moved(oid)
        if parents is None:
            self._parents.pop(oid, None)
        else:
            self._parents[oid] = parents

    def check_whole(self, oid: CommitId, what: str) -> None:
        """Check that a commit is not on the edge, for what needs all history.  NotPermitted."""
        if oid in self._parents:
            raise NotPermitted(
                f"{what} needs all history, and here it ends at {oid.hex()[:12]}: {UNSHALLOW}"
            )


def declare_edge(store: Store) -> None:
    """Let a store that was just opened, or filled, say whether its history is shallow.  StoreError.

    The last record may have gone since, and is gone from the disk by now.
    """
    is_shallow = next(iter(store.scan(keys.SHALLOW)), None) is not None
    # I80: what was published before the store was opened is on the disk by now.
    if store.refusal is None:
        store.declaration.declare(is_shallow=is_shallow)


def _ids(value: bytes) -> Iterator[CommitId]:
    for at in range(0, len(value), OID_BYTES):
        yield CommitId(Oid(value[at : at + OID_BYTES]))
