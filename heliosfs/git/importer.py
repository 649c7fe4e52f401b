"""Import: what git has becomes objects of the store, in small steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

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
from heliosfs.repo.view import View
from heliosfs.store.steps import TURN, Progress, Steps, on_thread

READ_BYTES = 256 * 1024
"""What is read from git at once, and then taken in and published."""


class Import:
    """The import of some refs.

    Nothing shows in the repository before the last step, and then everything at once.  What was
    taken in is kept when an import ends early, and the next one goes on from there.
    Memory: 60 MB at most for what repeats, the trees of one commit, and what is read at once.
    """

    def __init__(
        self,
        repository: Repository,
        git: Git,
        refs: Refs,
        own: View | None = None,
        *,
        read_bytes: int = READ_BYTES,
    ) -> None:
        """`own` is the view whose files are git's working tree, if one is."""
        self.commit_count = 0
        """Taken in by this run."""
        self.object_count = 0
        self._repository = repository
        self._store = repository.store
        self._git = git
        self._refs = refs
        self._own = own
        self._read_bytes = read_bytes
        self._ids = IdMap(repository.store)
        self._trees = TreeReader(self._store, self._ids, repository.identity, git.id_bytes)
        self._bases: Recent[Oid] = Recent()
        """Path -> what was there last: what the store may encode against."""
        self._held: dict[bytes, GitObject] = {}
        """Trees of the commit that is being read."""
        self._commits: deque[GitObject] = deque()
        self._parts: dict[int, BlobId] = {}
        self._part_count = 0
        self._stream: ObjectStream | None = None
        self._is_shallow = False

    def run(self) -> Steps[Outcome]:
        """Take everything in, then let the refs name it, in one publish.  HeliosError."""
        try:
            yield from self._take_history()
        finally:
            if self._stream is not None:
                self._stream.close()
        return (yield from adopt(self._repository, self._ids, self._refs, self._own))

    def _take_history(self) -> Steps[None]:
        # Only what is complete: of refs that were imported, or of an import that was cut short.
        known = {git_id for _, git_id in self._ids.refs()}
        known.update(git_id for git_id, _ in self._ids.under_way())
        known = {git_id for git_id in known if len(git_id) == self._git.id_bytes}
        wanted = [ref.git_id for ref in self._refs.chosen if ref.git_id not in known]
        if not wanted:
            return
        total, stream = yield from on_thread(partial(self._open, wanted, known))
        while objects := (yield from on_thread(partial(stream.read, self._read_bytes))):
            for _ in self._take_all(objects):
                yield TURN
            self._ids.publish()
            yield Progress(self.commit_count, total, "commits", self.object_count)
        for _ in self._close_commits():
            yield TURN
        self._ids.publish()

    def _open(self, wanted: list[bytes], known: set[bytes]) -> tuple[int, ObjectStream]:
        """On a thread: git walks the history, which takes it seconds when that is long."""
        self._stream = stream = ObjectStream(self._git, wanted, known)
        self._is_shallow = self._git.is_shallow()
        return self._refs.count_commits(wanted, known), stream

    def _take_all(self, objects: list[GitObject]) -> Iterator[None]:
        """Yields after each bounded piece of work."""
        for each in objects:
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
                self.object_count += 1
            yield

    def _take_blob(self, blob: GitObject) -> None:
        oid: Oid
        if self._part_count:
            data = encode_parts(blob.size, self._parts)
            self._parts = {}
            self._part_count = 0
            oid = object_id(Kind.PARTS, data)
            self._store.add(oid, Kind.PARTS, data, is_cold=True)
            self._ids.note(blob.id, Kind.PARTS, oid, blob.size)
            return
        oid = object_id(Kind.BLOB, blob.data)
        if oid != EMPTY_BLOB:
            base = self._base(b"b" + blob.path, oid)
            self._store.add(oid, Kind.BLOB, blob.data, base, is_cold=True)
        self._ids.note(blob.id, Kind.BLOB, oid, blob.size)

    def _take_part(self, data: bytes) -> None:
        oid = BlobId(object_id(Kind.BLOB, data))
        if oid != ZERO_PART:
            self._store.add(oid, Kind.BLOB, data, is_cold=True)
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
            self.commit_count += 1
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
                hint = "the repository is shallow" if self._is_shallow else "it is missing"
                raise HeliosError(f"parent {parent.hex()} of {git_id.hex()}: {hint}")
            parents.append(oid)
        return tuple(parents)
