"""Commits in a store: writing, reading, listing, search by prefix, walks."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from typing import cast

from heliosfs.emptying import empty_later
from heliosfs.errors import CorruptObject
from heliosfs.objects.commit import (
    Commit,
    CommitHeading,
    CommitLinks,
    commit_heading,
    commit_links,
    decode_commit,
    encode_commit,
)
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.repo import keys
from heliosfs.repo.edge import Edge
from heliosfs.repo.first_parents import FirstParents
from heliosfs.repo.inverses import Inverses
from heliosfs.store.base import Collection as StoreCollection
from heliosfs.store.base import Store
from heliosfs.trees.gitless import GitFree

CACHED_MIN = 2048
WORKING_TREE_KEY = "working-tree"
"""Key in the metadata of a commit that keeps a whole working tree, with what is in no commit."""


class History:
    """The graph of commits."""

    def __init__(self, store: Store, inverses: Inverses | None = None) -> None:
        self._store = store
        self._cache: dict[CommitId, Commit] = {}
        self.edge = Edge(store, lambda oid: self._cache.pop(oid, None), inverses)
        """Commits that count as having no parents, because these are not here."""
        self.first_parents = FirstParents(store, self.read)
        self.git_free = GitFree(store)
        """Trees of commits without a `.git`."""
        self.has_git_dirs = False
        """True if any commit may have a `.git`, because an earlier version made it."""
        self.capacity = CACHED_MIN
        """Largest number of decoded commits in memory."""
        self._condemned: set[CommitId] = set()
        """Commits that are listed in the store, but treated as removed."""
        self.announced: set[CommitId] | None = None
        """Commits announced since a garbage collection began; None while there is none."""
        self.changed_slots: set[int] | None = None
        """Slots with operations and saves since then; None while there is none."""

    def write(self, commit: Commit, root: bytes | None = None) -> CommitId:
        """Add a commit to the store's batch; the caller publishes.

        A caller that has the encoded root passes it, too.
        """
        oid = self.add(commit, root)
        # What `announce` does, without its call.
        self._condemned.discard(oid)
        if self.announced is not None:
            self.announced.add(oid)
        parents = self._parents_here(oid, commit) if self.edge else commit.parents
        self._store.put(keys.COMMIT + oid, b"")
        self.first_parents.note(oid, parents)
        return oid

    def _parents_here(self, oid: CommitId, commit: Commit) -> tuple[CommitId, ...]:
        """Return the parents of a new commit; none, and put it on the edge, if one is below it.

        What was made from a commit on the edge has the same parents.
        """
        missing = [parent for parent in commit.parents if parent not in self]
        if oid not in self.edge and not self.edge.has_below(missing):
            return commit.parents
        # I80: in the same publish as its listing.
        self.edge.add(oid, commit.parents)
        return ()

    def add(self, commit: Commit, root: bytes | None = None) -> CommitId:
        """Add a commit like `write`, but do not list it among all commits before `announce`."""
        data = encode_commit(commit, root)
        oid = CommitId(object_id(Kind.COMMIT, data))
        base = commit.parents[0] if commit.parents else None
        self._store.add(oid, Kind.COMMIT, data, base)
        if WORKING_TREE_KEY not in commit.metadata:
            # What `_keep` does, without its call.
            cache = self._cache
            if len(cache) >= self.capacity:
                cache.clear()
            cache[oid] = commit
        return oid

    def announce(self, oid: CommitId) -> None:
        """List a commit that was added; the caller publishes."""
        self._condemned.discard(oid)
        if self.announced is not None:
            self.announced.add(oid)
        self._store.put(keys.COMMIT + oid, b"")

    def read(self, oid: CommitId) -> Commit:
        """Return a commit, without any `.git` in its tree.  MissingObject, CorruptObject."""
        commit = self._cache.get(oid)
        if commit is None:
            commit = self._without_git_dirs(self.read_whole(oid))
            self._keep(oid, commit)
        return commit

    def read_whole(self, oid: CommitId) -> Commit:
        """Return a commit as it is stored, but for parents that are not here.

        MissingObject, CorruptObject.
        """
        commit = decoded(oid, self._store.read(oid, Kind.COMMIT))
        return commit._replace(parents=()) if oid in self.edge else commit

    def forget_trees(self) -> None:
        """Forget the trees that no commit names, because a collection may remove them."""
        if self.git_free.count:
            self.git_free.forget()
            empty_later(self._cache)
            self._cache = {}

    def _without_git_dirs(self, commit: Commit) -> Commit:
        # I63: such a commit may have a `.git`, and no verb gets to see it.
        if self.has_git_dirs or WORKING_TREE_KEY in commit.metadata:
            return commit._replace(root=self.git_free.strip(commit.root))
        return commit

    def heading(self, oid: CommitId) -> CommitHeading:
        """Return what a list of commits shows, for many of them.  MissingObject, CorruptObject."""
        data = self._store.read(oid, Kind.COMMIT)
        try:
            heading = commit_heading(data)
            return heading._replace(parents=()) if oid in self.edge else heading
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptObject(f"commit {oid.hex()} cannot be read: {error}") from error

    def __contains__(self, oid: CommitId) -> bool:
        if oid in self._condemned:
            return False
        return oid in self._cache or self._store.get(keys.COMMIT + oid) is not None

    def ids(self) -> Iterator[CommitId]:
        """Return every commit, in order of the ids."""
        return self._listed(b"")

    def begin_removal(self, oids: set[CommitId]) -> None:
        """Treat commits as removed; they stay listed until `forget`, or until `cancel_removal`.

        The set is taken over, not copied.  0.3 ms, however many they are.
        """
        oids.update(self._condemned)
        self._condemned = oids
        for oid in [oid for oid in self._cache if oid in oids]:
            del self._cache[oid]

    def cancel_removal(self) -> None:
        """Let the condemned commits that were not forgotten be found again."""
        empty_later(self._condemned)
        self._condemned = set()

    def forget(self, limit: int) -> list[CommitId]:
        """Remove at most `limit` condemned commits from the list, and return them.

        The caller publishes.
        """
        taken = [self._condemned.pop() for _ in range(min(limit, len(self._condemned)))]
        for oid in taken:
            self._store.put(keys.COMMIT + oid, None)
            if oid in self.edge:
                self.edge.remove([oid])
            # One commit in 64 has a record, and a removal takes space until it is in L2.
            if self._store.get(keys.MILESTONE + oid) is not None:
                self._store.put(keys.MILESTONE + oid, None)
        return taken

    def with_prefix(self, prefix: str) -> list[CommitId]:
        """Return the commits whose id in hex begins with `prefix`."""
        whole = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        return [oid for oid in self._listed(whole) if oid.hex().startswith(prefix)]

    def _listed(self, prefix: bytes) -> Iterator[CommitId]:
        for key, _ in self._store.scan(keys.COMMIT + prefix):
            oid = CommitId(Oid(key[len(keys.COMMIT) :]))
            if oid not in self._condemned:
                yield oid

    def walk(self, start: CommitId | None) -> Iterator[tuple[CommitId, Commit]]:
        """Yield the commits reachable from `start`, the newest first, none before its children.

        Up to the first merge, it reads only what it yields; at that merge, it reads all commits
        below.
        """
        if start is None:
            return
        waiting: dict[CommitId, int] | None = None
        order = 0
        first = self.read(start)
        ready = [(-first.committer.seconds, order, start, first)]
        while ready:
            _, _, oid, commit = heapq.heappop(ready)
            yield oid, commit
            parents = dict.fromkeys(commit.parents)
            # Not before: a line of commits needs no counts, and reading all of it would delay the
            # first.
            if waiting is None and len(parents) > 1:
                waiting = _children_count(self, oid)
            for parent in parents:
                if waiting is not None:
                    waiting[parent] -= 1
                    if waiting[parent]:
                        continue
                order += 1
                ancestor = self.read(parent)
                heapq.heappush(ready, (-ancestor.committer.seconds, order, parent, ancestor))

    def _keep(self, oid: CommitId, commit: Commit) -> None:
        if len(self._cache) >= self.capacity:
            self._cache.clear()
        self._cache[oid] = commit


def listed_in(collection: StoreCollection) -> list[CommitId]:
    """Return the commits that are listed in L2; call it on the thread of `collection`."""
    # All of them at once, not one after another: the list is as long as the history.
    return cast("list[CommitId]", collection.listed(keys.COMMIT))


def decoded(oid: CommitId, data: bytes) -> Commit:
    """Return the commit of these bytes.  CorruptObject."""
    try:
        return decode_commit(data)
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"commit {oid.hex()} cannot be read: {error}") from error


def links_of(oid: CommitId, data: bytes) -> CommitLinks:
    """Return what the commit of these bytes refers to.  CorruptObject."""
    try:
        return commit_links(data)
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"commit {oid.hex()} cannot be read: {error}") from error


def _children_count(history: History, start: CommitId) -> dict[CommitId, int]:
    """Return how many children, among those reachable from `start`, each commit has."""
    counts: dict[CommitId, int] = {}
    pending = [start]
    while pending:
        for parent in dict.fromkeys(history.read(pending.pop()).parents):
            if parent not in counts:
                pending.append(parent)
            counts[parent] = counts.get(parent, 0) + 1
    return counts
