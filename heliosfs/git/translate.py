"""Translation of git's commits and trees into ours, in the order in which git lists them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from heliosfs.errors import MissingObject
from heliosfs.git.health import Damaged, Unfit
from heliosfs.git.ids import ConvertedObject, IdMap
from heliosfs.git.prepare import CommitRow, Plain
from heliosfs.git.trees import TreeReader
from heliosfs.objects.commit import Commit, commit_id, join_commit
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.repo.first_parents import FirstParents
from heliosfs.repo.history import decoded
from heliosfs.repo.identity import Identity
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Bulk, Store
from heliosfs.store.remembered import TwoGenerationCache

_PLACES_MAX = 65_536
"""Commits whose depth is remembered: more than wait to be written, which cannot be read yet."""


def write(ids: IdMap, bulk: Bulk) -> Steps[None]:
    """Write the gathered objects, and the notes on them.  Raise StoreError."""
    ids.hand_over(bulk)
    work = bulk.plan_write()
    if work is not None:
        yield work


class _Milestones:
    """Records of first parents that are written with the commits of a bulk."""

    def __init__(self, store: Store, bulk: Bulk) -> None:
        self._store = store
        self._bulk = bulk
        self._put: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._put[key] if key in self._put else self._store.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._put[key] = value
        self._bulk.put_all({key: value})

    def read(self, oid: CommitId) -> Commit:
        return decoded(oid, self._store.read(oid, Kind.COMMIT))


class Translator:
    """A translator of commits, trees and tags, each of which comes after the files in it."""

    def __init__(
        self, store: Store, bulk: Bulk, ids: IdMap, owner: Identity, id_bytes: int
    ) -> None:
        self.commit_count = 0
        """Number of commits that were imported."""
        self.is_shallow = False
        """True if the history was cut off in git."""
        stats = store.stats()
        self._is_first = not stats.objects and not stats.pending_bytes
        """True if no commit of git can be known, because the store has no objects."""
        self._bulk = bulk
        self._ids = ids
        self._trees = TreeReader(store, bulk, ids, owner, id_bytes)
        milestones = _Milestones(store, bulk)
        self._first_parents = FirstParents(milestones, milestones.read, _PLACES_MAX)
        self._held: dict[bytes, Plain] = {}
        """Trees of the commit that is being read."""
        self._commits: deque[CommitRow] = deque()
        self._known: TwoGenerationCache[CommitId] = TwoGenerationCache()
        """Our id by git's id of a commit."""

    @property
    def covered_count(self) -> int:
        """Return the number of versions of what is called `.helios`, which no workspace shows."""
        return len(self._trees.covered)

    def take(self, objects: Iterable[Plain | CommitRow]) -> Steps[None]:
        """Take the next objects.  Raise Damaged."""
        for each in objects:
            if len(each) == 5:
                yield from self.close_commits()
                self._commits.append(each)
                continue
            kind, git_id, path, data = each
            if kind == b"tree":
                self._held[git_id] = each
            elif kind == b"tag":
                self._ids.note_tag(git_id, data)
            else:
                oid = git_id.hex()
                raise Unfit(
                    f"git commit {oid} cannot be imported: {path.decode(errors='replace')}", oid
                )

    def close_commits(self) -> Steps[None]:
        """Finish the last commit that was read: all of its objects have come."""
        yield from self._translate_trees()
        while self._commits:
            commit = self._commits.popleft()
            # An import that was cut short has left commits that need not be written again.
            if self._is_first or self._ids.commit(commit[0]) is None:
                self._take_commit(*commit)
            self.commit_count += 1
            yield TURN

    def _translate_trees(self) -> Steps[None]:
        """Translate the trees that are held, the one listed last first.

        Git lists a tree before the trees in it.
        """
        held = self._held
        while held:
            # From the end, because git lists a tree before the trees in it.
            stack = [next(reversed(held))]
            while stack:
                tree = held.get(stack[-1])
                if tree is None:
                    stack.pop()
                    continue
                try:
                    known = self._turn(tree)
                except MissingObject:
                    # The target of a symbolic link is read: it is among what was gathered.
                    yield from write(self._ids, self._bulk)
                    known = self._turn(tree)
                if isinstance(known, list):
                    stack += known
                    continue
                del held[tree[1]]
                yield TURN

    def _turn(self, tree: Plain) -> ConvertedObject | list[bytes]:
        _, git_id, path, data = tree
        return self._trees.translate(git_id, data, path, self._held)

    def _take_commit(
        self, git_id: bytes, tree_id: bytes, parent_ids: list[bytes], lengths: bytes, rest: bytes
    ) -> None:
        tree = self._ids.find(tree_id)
        if tree is None or tree.kind != Kind.TREE:
            owner = git_id.hex()
            raise Damaged(f"tree {tree_id.hex()} of git commit {owner} is not there", owner)
        parents = [self._parent(git_id, each) for each in parent_ids]
        data = join_commit(self._trees.root(tree), parents, lengths, rest)
        oid = commit_id(data)
        self._bulk.add(oid, Kind.COMMIT, data, parents[0] if parents else None)
        self._first_parents.note(oid, parents)
        self._ids.note_commit(git_id, oid)
        self._known.put(git_id, oid)

    def _parent(self, git_id: bytes, parent: bytes) -> CommitId:
        oid = self._known.get(parent) or self._ids.commit(parent)
        if oid is None:
            hint = "the repository is shallow" if self.is_shallow else "it is missing"
            raise Damaged(f"parent {parent.hex()} of {git_id.hex()}: {hint}", git_id.hex())
        return oid
