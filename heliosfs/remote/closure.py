"""Objects that a commit needs beyond what is known: those to push, and those to be fetched.

Both ask the same question, and it is answered by comparing trees level by level: what a commit
refers to and its parents do not is *beyond* them, and read; what only the parents refer to is read
as well, to know what it refers to.  So a directory that did not change is never entered, and the
cost is O(changed).  A commit whose parents are known to be complete is complete itself if all that
is beyond them is there.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Container, Iterator, Sequence

from heliosfs.errors import CorruptObject, MissingObject, PromisedObject
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.objects.outline import EMPTY_TREE_ID
from heliosfs.objects.references import Reference, references
from heliosfs.remote.arrived import Arrived
from heliosfs.remote.damage import read_here, read_whole
from heliosfs.remote.packfile import RemoteObject
from heliosfs.repo.history import History, links_of
from heliosfs.repo.walks import excluded_commits
from heliosfs.steps import TURN, Steps, Turn
from heliosfs.store.base import Store
from heliosfs.store.promisefile import Promise

_REFERENCES_MAX = 100_000
"""References of trees that are remembered: 15 MB."""


class NewCommits:
    """Commits that some others do not reach, and those where the two meet."""

    def __init__(
        self, store: Store, shallow: Container[CommitId], arrived: Arrived | None = None
    ) -> None:
        """Prepare a search, for which what has arrived is not read from the store.

        The commits in `shallow` have no parents, whatever their bytes say.
        """
        self._store = store
        self._shallow = shallow
        self._arrived = arrived or Arrived()
        self.links: dict[CommitId, CommitLinks] = {}
        """Links of each of them, with no commit before its parents."""
        self.boundary: dict[CommitId, None] = {}
        """Parents of these commits that are reached, or known to be complete."""

    def walk(self, tip: CommitId, known: Collection[CommitId] | History) -> Steps[None]:
        """Take `tip` and its ancestors down to the first known ones.  MissingObject."""
        pending: list[tuple[CommitId, CommitLinks | None]] = [(tip, None)]
        while pending:
            oid, links = pending.pop()
            if links is not None:
                self.links[oid] = links
                continue
            if oid in self.links:
                continue
            if oid in known:
                self.boundary[oid] = None
                continue
            links = self.read(oid)
            pending.append((oid, links))
            pending += [(each, None) for each in reversed(links.parents)]
            yield TURN

    def read(self, oid: CommitId) -> CommitLinks:
        """Return the links of a commit that is to be new.  MissingObject, CorruptObject."""
        links = links_of(oid, self.data(oid))
        return links._replace(parents=()) if oid in self._shallow else links

    def data(self, oid: CommitId) -> bytes:
        """Return the bytes of a commit that is to be new.  MissingObject, CorruptObject."""
        known = self._arrived.data(oid, Kind.COMMIT)
        return known if known is not None else read_whole(self._store, oid, Kind.COMMIT)

    def links_at(self, oid: CommitId) -> CommitLinks:
        """Return the links of a parent of these commits, or of one of them.  DamagedHere."""
        return self.links.get(oid) or links_of(oid, read_here(self._store, oid, Kind.COMMIT))


def unreached(
    store: Store, history: History, tip: CommitId, known: Sequence[CommitId]
) -> Steps[NewCommits]:
    """Return the commits of `tip` that none of `known` reaches, in steps."""
    hidden = yield from excluded_commits(history, [tip], known)
    found = NewCommits(store, history.edge)
    yield from found.walk(tip, hidden)
    return found


class Beyond:
    """Objects of trees that others do not have; one that was found is not found again."""

    def __init__(
        self,
        store: Store,
        *,
        reads_blobs: bool,
        remote: str = "",
        arrived: Arrived | None = None,
    ) -> None:
        """Prepare a search; without `reads_blobs`, contents are only looked for.

        Those that are promised by `remote`, and are not here, are left out.  What has `arrived` is
        not looked for in the store.
        """
        self.left: dict[tuple[bytes, int], Promise] = {}
        """Contents that were left out: one for each pack of the remote, by its name."""
        self._arrived = arrived or Arrived()
        self._references: dict[Oid, list[Reference]] = {}
        """References of the trees that were read last, to which the next commit is compared."""
        self._reference_count = 0
        self._store = store
        self._reads_blobs = reads_blobs
        self._remote = remote
        self._seen: set[Oid] = set()
        self.replaced: list[Reference] = []
        """Trees and lists of parts of the parents of the last commit that it has no more, and that
        were not found before."""

    def of(
        self, links: CommitLinks, parents: Sequence[CommitLinks]
    ) -> Iterator[RemoteObject | Turn]:
        """Yield the objects of a commit's tree that the trees of its parents do not have.

        MissingObject, CorruptObject.  The data of a content that is not read is empty.
        """
        self.replaced = []
        new = _root(links)
        old = [each for parent in parents for each in _root(parent)]
        known: set[Oid] = set()
        while new:
            fresh = self._fresh(new, known, old)
            among = {oid for _, oid in new}
            known.update(oid for _, oid in old)
            new = []
            for kind, oid in fresh:
                if kind is Kind.BLOB and self._is_left(oid):
                    continue
                found = RemoteObject(kind, oid, self._read(kind, oid))
                new += self._referred(found) if kind is not Kind.BLOB else ()
                yield found
            stale, old = old, []
            for kind, oid in stale if new else ():
                if kind is not Kind.BLOB and oid not in among:
                    if oid not in self._seen:
                        self.replaced.append((kind, oid))
                    old += self._known_references(kind, oid)
                    yield TURN

    def _fresh(
        self, new: list[Reference], known: Collection[Oid], old: list[Reference]
    ) -> list[Reference]:
        shared = {oid for _, oid in old}
        fresh = []
        for kind, oid in new:
            if oid not in shared and oid not in known and oid not in self._seen:
                self._seen.add(oid)
                fresh.append((kind, oid))
        return fresh

    def _referred(self, found: RemoteObject) -> list[Reference]:
        """Return the references of an object, and remember them.  CorruptObject."""
        if self._reference_count > _REFERENCES_MAX:
            self._references.clear()
            self._reference_count = 0
        objects = self._references[found.oid] = referred(found)
        self._reference_count += len(objects)
        return objects

    def _known_references(self, kind: Kind, oid: Oid) -> list[Reference]:
        """Return the references of an object that is complete.  DamagedHere, CorruptObject."""
        objects = self._references.get(oid)
        if objects is None:
            data = self._arrived.data(oid, kind)
            if data is None:
                data = read_here(self._store, oid, kind)
            objects = self._referred(RemoteObject(kind, oid, data))
        return objects

    def _read(self, kind: Kind, oid: Oid) -> bytes:
        data = self._arrived.data(oid, kind)
        if data is not None:
            return data
        if kind is Kind.BLOB and not self._reads_blobs:
            # A look into the store takes 10 us, and there are as many as files.
            if (
                not self._arrived.has_content(oid)
                and not self._store.contains(oid)
                and oid not in self._store.promises
            ):
                raise MissingObject(f"object {oid.hex()} is missing")
            return b""
        try:
            return read_whole(self._store, oid, kind)
        except PromisedObject:
            if kind is Kind.BLOB:
                raise
            # Somebody calls it a content: only these are left for later.
            raise MissingObject(f"object {oid.hex()} is missing") from None

    def _is_left(self, oid: Oid) -> bool:
        """Return True, and note it, if a content is at the remote, which promised it, alone."""
        if not self._remote or not self._store.promises:
            return False
        promise = self._store.promises.find(oid, self._remote)
        if promise is None or self._store.contains(oid):
            return False
        self.left.setdefault((promise.pack, promise.pack_size), promise)
        return True


def _root(links: CommitLinks) -> list[Reference]:
    return [(Kind.TREE, links.tree)] if links.tree != EMPTY_TREE_ID else []


def referred(found: RemoteObject) -> list[Reference]:
    """Return what an object refers to.  CorruptObject."""
    try:
        return references(found.kind, found.data)
    except (ValueError, IndexError, struct.error) as error:
        name = found.kind.name.lower()
        raise CorruptObject(f"{name} {found.oid.hex()} cannot be read: {error}") from error
