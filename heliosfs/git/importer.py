"""Import: what git has becomes objects of the store, in steps of bounded work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from heliosfs.errors import HeliosError
from heliosfs.git.adopt import Outcome, adopt
from heliosfs.git.ids import IdMap
from heliosfs.git.process import Git
from heliosfs.git.raw import RawCommit, parse_commit
from heliosfs.git.recent import Recent
from heliosfs.git.refs import Refs
from heliosfs.git.stream import PART, GitObject, ObjectStream
from heliosfs.git.trees import TreeReader, malformed_commit
from heliosfs.objects.blob import EMPTY_BLOB, ZERO_PART, encode_parts
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import BlobId, CommitId, Kind, Oid, object_id
from heliosfs.repo.repository import Repository
from heliosfs.store.base import Work

STEP_BYTES = 256 * 1024
STEP_OBJECTS = 256
"""What a step reads and takes in: about 10 ms of the owner's time."""
_PUBLISH_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Progress:
    """How far an import is."""

    commits: int = 0
    """Taken in by this run."""
    commit_count: int = 0
    """To be taken in by this run."""
    objects: int = 0


class Import:
    """The import of some refs.

        while (step := importing.plan()) is not None:
            step.execute()       # reads from git; on any thread
            step.apply()         # takes in; on the owner's thread
        outcome = importing.finish()

    Nothing shows in the repository before `finish`, and then everything at once.  What was
    taken in is kept when an import ends early, and the next one goes on from there.
    Memory: 60 MB at most for what repeats, and the trees of one commit; and, as with every
    writer, what the store has not drained yet: the caller looks after `store.pending_bytes`.
    """

    def __init__(self, repository: Repository, git: Git, refs: Refs) -> None:
        self.progress = Progress()
        self._repository = repository
        self._store = repository.store
        self._git = git
        self._refs = refs
        self._ids = IdMap(repository.store)
        self._trees = TreeReader(self._store, self._ids, repository.identity, git.id_bytes)
        self._bases: Recent[Oid] = Recent()
        """Path -> what was there last: what the store may encode against."""
        self._held: dict[bytes, GitObject] = {}
        """Trees of the commit that is being read."""
        self._commits: deque[GitObject] = deque()
        self._parts: dict[int, BlobId] = {}
        self._part_count = 0
        self._fresh_bytes = 0
        self._left: Iterator[None] | None = None
        self._stream: ObjectStream | None = None
        self._opening = self._plan_opening()

    def close(self) -> None:
        """End git.  Idempotent."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def plan(self, limit_bytes: int = STEP_BYTES, limit_objects: int = STEP_OBJECTS) -> Work | None:
        """The next step; None when everything was taken in."""
        if self._opening is not None:
            return self._opening
        if self._left is not None:
            return _Step(self, None, 0, limit_objects)
        if self._stream is None:
            return None
        return _Step(self, self._stream, limit_bytes, limit_objects)

    def finish(self) -> Outcome:
        """Let the refs name what was taken in, in one publish.  StoreError: nothing happened."""
        assert self._stream is None and self._opening is None, "the steps are not done"
        return adopt(self._repository, self._ids, self._refs)

    def take(self, objects: list[GitObject] | None, limit: int) -> None:
        """Take in what a step read, or go on with what the last one left."""
        if objects is not None:
            if not objects:
                self.close()
            self._left = self._take_all(objects)
        assert self._left is not None
        done = sum(1 for _ in islice(self._left, limit))
        if done < limit:
            self._left = None
        if self._fresh_bytes >= _PUBLISH_BYTES or (self._stream is None and self._left is None):
            self._publish()

    def opened(self, stream: ObjectStream, commit_count: int) -> None:
        """Take up what the first step began."""
        self._opening = None
        self._stream = stream
        self.progress.commit_count = commit_count

    def _plan_opening(self) -> _Opening | None:
        # Only what is complete: of refs that were imported, or of an import that was cut short.
        known = {git_id for _, git_id in self._ids.refs()}
        known.update(git_id for git_id, _ in self._ids.under_way())
        known = {git_id for git_id in known if len(git_id) == self._git.id_bytes}
        fresh = [ref.git_id for ref in self._refs.chosen if ref.git_id not in known]
        return _Opening(self, self._git, self._refs, fresh, known) if fresh else None

    def _take_all(self, objects: list[GitObject]) -> Iterator[None]:
        """Yields after each bounded piece of work."""
        for each in objects:
            self._fresh_bytes += len(each.data) + 256
            if each.kind == b"commit":
                yield from self._close_commits()
                self._commits.append(each)
            elif each.kind == b"tree":
                self._held[each.id] = each
            elif each.kind == b"blob":
                self._take_blob(each)
            elif each.kind == PART:
                self._take_part(each.data)
            else:
                self._ids.note_tag(each.id, each.data)
            if each.kind != PART:
                self.progress.objects += 1
            yield
        if not objects:
            yield from self._close_commits()

    def _take_blob(self, blob: GitObject) -> None:
        oid: Oid
        if self._part_count:
            data = encode_parts(blob.size, self._parts)
            self._parts = {}
            self._part_count = 0
            oid = object_id(Kind.PARTS, data)
            self._store.add(oid, Kind.PARTS, data)
            self._ids.note(blob.id, Kind.PARTS, oid, blob.size)
            return
        oid = object_id(Kind.BLOB, blob.data)
        if oid != EMPTY_BLOB:
            self._store.add(oid, Kind.BLOB, blob.data, self._base(b"b" + blob.path, oid))
        self._ids.note(blob.id, Kind.BLOB, oid, blob.size)

    def _take_part(self, data: bytes) -> None:
        oid = BlobId(object_id(Kind.BLOB, data))
        if oid != ZERO_PART:
            self._store.add(oid, Kind.BLOB, data)
            self._parts[self._part_count] = oid
        self._part_count += 1

    def _base(self, path: bytes, oid: Oid) -> Oid | None:
        base = self._bases.get(path)
        self._bases.put(path, oid)
        return base

    def _close_commits(self) -> Iterator[None]:
        """Everything of the commit that was read last is there now."""
        yield from self._turn_trees()
        while self._commits:
            each = self._commits.popleft()
            if self._ids.commit(each.id) is None:
                self._take_commit(each)
            self.progress.commits += 1
            yield

    def _turn_trees(self) -> Iterator[None]:
        """The last that was listed first: git lists a tree before those in it."""
        held = self._held
        while held:
            stack = [next(reversed(held))]
            while stack:
                tree = held.get(stack[-1])
                if tree is None:
                    stack.pop()
                    continue
                path = b"t" + tree.path
                known = self._trees.turn(tree.id, tree.data, self._bases.get(path), held)
                if isinstance(known, list):
                    stack += known
                    continue
                self._bases.put(path, known.oid)
                del held[tree.id]
                yield

    def _take_commit(self, each: GitObject) -> None:
        try:
            raw = parse_commit(each.data)
        except ValueError as error:
            raise malformed_commit(each.id, error) from error
        tree = self._ids.find(raw.tree)
        if tree is None or tree.kind != Kind.TREE:
            raise HeliosError(f"tree {raw.tree.hex()} of git commit {each.id.hex()} is not there")
        commit = Commit(
            self._trees.root(tree),
            self._parents(each.id, raw),
            raw.author,
            raw.committer,
            raw.message,
            git=each.data,
        )
        oid = self._repository.history.add(commit)
        self._ids.note_commit(each.id, oid)

    def _parents(self, git_id: bytes, raw: RawCommit) -> tuple[CommitId, ...]:
        parents = []
        for parent in raw.parents:
            oid = self._ids.commit(parent)
            if oid is None:
                hint = "the repository is shallow" if self._git.is_shallow() else "it is missing"
                raise HeliosError(f"parent {parent.hex()} of {git_id.hex()}: {hint}")
            parents.append(oid)
        return tuple(parents)

    def _publish(self) -> None:
        self._store.publish()
        self._fresh_bytes = 0


class _Opening:
    """The first step: git walks the history, which takes it seconds when that is long."""

    def __init__(
        self, owner: Import, git: Git, refs: Refs, wanted: list[bytes], known: set[bytes]
    ) -> None:
        self._owner = owner
        self._git = git
        self._refs = refs
        self._wanted = wanted
        self._known = known
        self._opened: tuple[ObjectStream, int] | None = None

    def execute(self) -> None:
        count = self._refs.count_commits(self._wanted, self._known)
        self._opened = ObjectStream(self._git, self._wanted, self._known), count

    def apply(self) -> None:
        if self._opened is not None:
            self._owner.opened(*self._opened)


class _Step:
    """Some objects: read on any thread, taken in on the owner's."""

    def __init__(
        self, owner: Import, stream: ObjectStream | None, limit_bytes: int, limit_objects: int
    ) -> None:
        self._owner = owner
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._limit_objects = limit_objects
        self._objects: list[GitObject] | None = None

    def execute(self) -> None:
        if self._stream is not None:
            self._objects = self._stream.read(self._limit_bytes)

    def apply(self) -> None:
        if self._stream is None or self._objects is not None:
            self._owner.take(self._objects, self._limit_objects)
