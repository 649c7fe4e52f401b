"""Conversion of commits and tags here to objects of git, each once and parents first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

from heliosfs.errors import CorruptObject, UsageError
from heliosfs.git import raw
from heliosfs.git.encode import GitEncoder, Sink
from heliosfs.git.filters import Guard
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names
from heliosfs.git.submodules import checked_out
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Kind, TreeId
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import annotation
from heliosfs.steps import TURN, Progress, Steps

_ID_DIGITS = 12
_TAG_DEPTH_MAX = 100
_BATCH_COUNT = 1000


class Conversion:
    """One conversion, whose objects go to a sink.

    `has` returns True for an id of an object that git has, with all objects reachable from it.
    `guard` looks at the files of commits made here; without one they go as they are.
    """

    def __init__(
        self,
        repository: Repository,
        ids: IdMap,
        hash_name: str,
        has: Callable[[bytes], bool],
        sink: Sink | None,
        guard: Guard | None,
        count: Callable[[], int] = lambda: 0,
    ) -> None:
        self.commits: dict[CommitId, bytes] = {}
        """Git's id of each commit that was asked for, or met on the way."""
        self.fresh: list[tuple[CommitId, bytes]] = []
        """Commits made here that were encoded, with their ids in git."""
        self.encoder = GitEncoder(
            repository.store, hash_name, has, sink, partial(checked_out, repository)
        )
        self._repository = repository
        self._ids = ids
        self._hash_name = hash_name
        self._id_bytes = hashlib.new(hash_name).digest_size
        self._has = has
        self._guard = guard
        self._count = count
        """Number of objects that the sink got, for the progress."""

    def commit(self, head: CommitId) -> Steps[bytes]:
        """Return the git id of a commit, after packing all commits up to it, parents first."""
        stack = [head]
        while stack:
            oid = stack[-1]
            # The target has a commit only together with all of its ancestors, so the walk ends
            # here.
            if oid in self.commits or self.is_there(oid):
                stack.pop()
                continue
            commit = self._repository.history.read(oid)
            self._repository.history.edge.check_whole(oid, "git")
            missing = [each for each in commit.parents if each not in self.commits]
            missing = [each for each in missing if not self.is_there(each)]
            yield TURN
            # Parents first, because a commit contains their ids; a stack of its own, because
            # histories are longer than Python's stack is deep.
            if missing:
                stack += missing
                continue
            parents = [self.commits[each] for each in commit.parents]
            self.commits[oid] = yield from self._write(oid, commit, parents)
            stack.pop()
            yield Progress(len(self.commits), 0, "commits", self._count())
        return self.commits[head]

    def git_id_of(self, oid: CommitId) -> bytes | None:
        """Return the id that a commit has in git, as far as that is known without encoding it."""
        git_id = self._ids.git_of(oid)
        if git_id is None:
            commit = self._repository.history.read(oid)
            git_id = raw.git_id(self._hash_name, b"commit", commit.git) if commit.git else None
        return git_id

    def is_there(self, oid: CommitId) -> bool:
        """Return True if git has the commit, and therefore all before it."""
        git_id = self.git_id_of(oid)
        if git_id is None or len(git_id) != self._id_bytes or not self._has(git_id):
            return False
        self.commits[oid] = git_id
        return True

    def _write(self, oid: CommitId, commit: Commit, parents: list[bytes]) -> Steps[bytes]:
        # What was imported had these contents in git before.
        if not commit.git:
            yield from self.check_filters(oid, commit.parents, commit)
        tree = yield from self.encoder.root(commit.tree)
        if not commit.git:
            git_id = self.encoder.write_object(
                b"commit",
                raw.encode_commit(tree, parents, commit.author, commit.committer, commit.message),
            )
            self.fresh.append((oid, git_id))
            return git_id
        said = raw.parse_commit(commit.git)
        if len(said.tree) != len(tree):
            raise UsageError(
                f"the history comes from a repository with ids of {len(said.tree)} bytes, and "
                f"git has ids of {len(tree)} there"
            )
        # An imported commit is written as it was, signature included; its id is right only if tree
        # and parents came out the same.
        if (said.tree, said.parents) != (tree, parents):
            raise CorruptObject(
                f"imported commit {oid.hex()} cannot be turned back into the commit that git had"
            )
        return self.encoder.write_object(b"commit", commit.git)

    def check_filters(
        self, oid: CommitId, parents: Sequence[CommitId], commit: Commit
    ) -> Steps[None]:
        """Check what a commit changed against its parents.  Raise NotPermitted."""
        if self._guard is None:
            return
        history = self._repository.history
        roots = [history.read(each).root for each in parents]
        label = f"{oid.hex()[:_ID_DIGITS]} ({commit.subject})"
        yield from self._guard.check(roots, commit.root, label)

    def tag(self, name: str, oid: CommitId, names: Names) -> Steps[bytes]:
        """Return the id of a tag: git's own if it still has the same target, else one made here."""
        commit = yield from self.commit(oid)
        note = annotation(self._repository.store, name)
        if note is not None and note.tagger is not None:
            short = name.encode("utf-8", "surrogateescape")
            data = raw.encode_tag(commit, short, note.tagger, note.message)
            git_id = self.encoder.write_object(b"tag", data)
            if self._ids.tag(git_id) is None:
                self._ids.note_tag(git_id, data)
            return git_id
        # A tag that was imported keeps its object, with the tagger and signature that only git has.
        for known in names.tagged(name):
            chain, target = self.unwrap(known)
            if target == commit:
                self.write_tags(chain)
                return known
        return commit

    def other_tag(self, git_id: bytes) -> Steps[bool]:
        """Pack an imported tag of a tree or file; return True if `git_id` is such a tag."""
        chain, target = self.unwrap(git_id)
        known = self._ids.find(target)
        if known is None or known.kind == Kind.COMMIT or len(target) != self._id_bytes:
            return False
        if known.kind == Kind.TREE:
            given = yield from self.encoder.root(TreeId(known.oid))
        else:
            given = yield from self.encoder.file(known.oid, known.size)
        if given != target:
            raise CorruptObject(
                f"imported object {target.hex()} cannot be turned back into the object that git had"
            )
        self.write_tags(chain)
        return True

    def unwrap(self, git_id: bytes) -> tuple[list[bytes], bytes]:
        """Follow annotated tags from an id; return them, and the id that they lead to."""
        chain: list[bytes] = []
        while len(chain) < _TAG_DEPTH_MAX and (data := self._ids.tag(git_id)) is not None:
            chain.append(data)
            git_id = raw.parse_tag(data).target
        return chain, git_id

    def write_tags(self, chain: list[bytes]) -> None:
        """Pass annotated tags to the sink."""
        for data in chain:
            self.encoder.write_object(b"tag", data)

    def remember(self) -> Steps[None]:
        """Note ids, so that later exports and imports need not compute them again."""
        for tree, git_id in self.encoder.fresh:
            self._ids.note_git_of(tree, git_id)
            yield from self._publish(_BATCH_COUNT)
        for commit, git_id in self.fresh:
            self.note_commit(commit, git_id)
            yield from self._publish(_BATCH_COUNT)
        yield from self._publish(0)

    def note_commit(self, oid: CommitId, git_id: bytes) -> None:
        """Note the id of a commit that was encoded."""
        self._ids.note_git_of(oid, git_id)
        self._ids.note(git_id, Kind.COMMIT, oid, 0)

    def _publish(self, at_least: int) -> Steps[None]:
        if self._ids.noted_count >= at_least:
            self._ids.publish()
            yield TURN
