"""Export: commits, branches and tags become those of a git repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from heliosfs.errors import Busy, CorruptObject, NotFound, UsageError
from heliosfs.git import raw
from heliosfs.git.encode import GitEncoder
from heliosfs.git.ids import IdMap
from heliosfs.git.pack import Pack
from heliosfs.git.refs import HEADS, TAGS
from heliosfs.git.target import Target
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Kind, TreeId
from heliosfs.repo.names import check_name
from heliosfs.repo.repository import Repository

_TAG_DEPTH_MAX = 100


@dataclass(slots=True)
class Exported:
    """What an export did."""

    refs: dict[str, bytes] = field(default_factory=dict)
    """Full name -> raw id, of every ref that was to be exported."""
    changed: list[str] = field(default_factory=list)
    """Those of them that moved or are new."""
    object_count: int = 0
    empty_count: int = 0
    special_count: int = 0
    dotgit_count: int = 0


class Export:
    """One export to one repository.

    Objects come first, in one pack that git checks; then all refs move in one transaction.
    Nothing else of the repository changes.
    """

    def __init__(self, repository: Repository, target: Target, pack: Pack) -> None:
        self._repository = repository
        self._target = target
        self._ids = IdMap(repository.store)
        self._pack = pack
        git = target.git
        self._hash_name, self._id_bytes = git.hash_name, git.id_bytes
        self._encoder = GitEncoder(repository.store, git.hash_name, target.has, pack.add)
        self._commits: dict[CommitId, bytes] = {}
        self._fresh: list[tuple[CommitId, bytes]] = []

    def run(self, branches: dict[str, str], *, tags: bool, squash: bool, force: bool) -> Exported:
        """Export branches, each under a name; with `tags`, all tags.

        Busy when a branch is checked out there, or has commits that ours has not.
        """
        done = Exported()
        for name, as_name in branches.items():
            head = self._repository.refs.branch(name).head
            if head is None:
                continue
            ref = HEADS + check_name(as_name)
            done.refs[ref] = self._squash(head, name) if squash else self._commit(head)
        if tags:
            done.refs.update(self._tags())
        self._pack.index()
        done.object_count = self._pack.count
        old = self._target.refs
        changes = {ref: git_id for ref, git_id in done.refs.items() if old.get(ref) != git_id}
        if not force:
            for ref, git_id in changes.items():
                self._check_forward(ref, git_id)
        self._target.move(changes)
        done.changed = list(changes)
        self._remember()
        encoder = self._encoder
        done.empty_count = encoder.empty_count
        done.special_count = encoder.special_count
        done.dotgit_count = encoder.dotgit_count
        return done

    def _commit(self, head: CommitId) -> bytes:
        """The git id of a commit; it and all before it are given to the pack, parents first."""
        stack = [head]
        while stack:
            oid = stack[-1]
            if oid in self._commits or self._is_there(oid):
                stack.pop()
                continue
            commit = self._repository.history.read(oid)
            missing = [each for each in commit.parents if each not in self._commits]
            missing = [each for each in missing if not self._is_there(each)]
            if missing:
                stack += missing
                continue
            parents = [self._commits[each] for each in commit.parents]
            self._commits[oid] = self._write(oid, commit, parents)
            stack.pop()
        return self._commits[head]

    def _is_there(self, oid: CommitId) -> bool:
        """Whether the target has the commit, and so all before it."""
        git_id = self._ids.git_of(oid)
        if git_id is None:
            commit = self._repository.history.read(oid)
            git_id = raw.git_id(self._hash_name, b"commit", commit.git) if commit.git else None
        if git_id is None or len(git_id) != self._id_bytes or not self._target.has(git_id):
            return False
        self._commits[oid] = git_id
        return True

    def _write(self, oid: CommitId, commit: Commit, parents: list[bytes]) -> bytes:
        tree = self._encoder.root(commit.tree)
        if not commit.git:
            git_id = self._encoder.give(
                b"commit",
                raw.encode_commit(tree, parents, commit.author, commit.committer, commit.message),
            )
            self._fresh.append((oid, git_id))
            return git_id
        said = raw.parse_commit(commit.git)
        if len(said.tree) != len(tree):
            raise UsageError(
                f"the history comes from a repository with ids of {len(said.tree)} bytes, and "
                f"{self._target.git.git_dir} has ids of {len(tree)}"
            )
        if (said.tree, said.parents) != (tree, parents):
            raise CorruptObject(f"imported commit {oid.hex()} does not give git's commit back")
        return self._encoder.give(b"commit", commit.git)

    def _squash(self, head: CommitId, name: str) -> bytes:
        """One commit for all that were made since the last one that git has or gave."""
        history = self._repository.history
        tip = history.read(head)
        oid: CommitId | None = head
        subjects = []
        while oid is not None and not history.read(oid).git and self._ids.git_of(oid) is None:
            commit = history.read(oid)
            subjects.append(commit.subject)
            oid = commit.parents[0] if commit.parents else None
        if len(subjects) < 2:
            return self._commit(head)
        base = [self._commit(oid)] if oid is not None else []
        lines = [f"{name}: {subjects[0]}", "", *(f"* {each}" for each in reversed(subjects))]
        message = "\n".join(lines).encode("utf-8", "surrogateescape")
        squashed = replace(tip, message=message)
        tree = self._encoder.root(squashed.tree)
        git_id = self._encoder.give(
            b"commit",
            raw.encode_commit(tree, base, squashed.author, squashed.committer, squashed.message),
        )
        self._fresh.append((head, git_id))
        return git_id

    def _tags(self) -> dict[str, bytes]:
        """Tags as git had them, where they still mean that; plain ones otherwise."""
        found = {}
        for name, oid in sorted(self._repository.refs.tags.items()):
            commit = self._commit(oid)
            known = self._ids.ref((TAGS + name).encode("utf-8", "surrogateescape"))
            chain, target = self._unwrap(known or commit)
            if target == commit:
                self._give_tags(chain)
                found[TAGS + name] = known or commit
            else:
                found[TAGS + name] = commit
        for ref, git_id in self._ids.refs():
            if ref.startswith(TAGS.encode()) and self._other_tag(git_id):
                found[ref.decode("utf-8", "surrogateescape")] = git_id
        return found

    def _other_tag(self, git_id: bytes) -> bool:
        """Give a tag of a tree or of a file, if it is one: only git has a use for it."""
        chain, target = self._unwrap(git_id)
        known = self._ids.find(target)
        if known is None or known.kind == Kind.COMMIT or len(target) != self._id_bytes:
            return False
        if known.kind == Kind.TREE:
            given = self._encoder.root(TreeId(known.oid))
        else:
            given = self._encoder.file(known.oid, known.size)
        if given != target:
            raise CorruptObject(f"imported object {target.hex()} does not give git's back")
        self._give_tags(chain)
        return True

    def _unwrap(self, git_id: bytes) -> tuple[list[bytes], bytes]:
        """The annotated tags that lead from an id to something else, and that."""
        chain: list[bytes] = []
        while len(chain) < _TAG_DEPTH_MAX and (data := self._ids.tag(git_id)) is not None:
            chain.append(data)
            git_id = raw.parse_tag(data).target
        return chain, git_id

    def _give_tags(self, chain: list[bytes]) -> None:
        for data in chain:
            self._encoder.give(b"tag", data)

    def _check_forward(self, ref: str, git_id: bytes) -> None:
        old = self._target.refs.get(ref)
        if old is None:
            return
        if ref.startswith(TAGS):
            raise Busy(f"{self._target.git.git_dir} has another tag {ref.removeprefix(TAGS)!r}")
        if not self._target.is_ancestor(old, git_id):
            raise Busy(
                f"branch {ref.removeprefix(HEADS)!r} of {self._target.git.git_dir} has commits "
                "that ours has not: import them first, or use --force"
            )

    def _remember(self) -> None:
        """What later exports and imports need not find out again."""
        store = self._repository.store
        for tree, git_id in self._encoder.fresh:
            self._ids.note_git_of(tree, git_id)
        for commit, git_id in self._fresh:
            self._ids.note_git_of(commit, git_id)
            self._ids.note(git_id, Kind.COMMIT, commit, 0)
        store.publish()


def choose(repository: Repository, words: Iterable[str]) -> dict[str, str]:
    """Branch -> name in git, of what was asked for (`BRANCH` or `BRANCH:NAME`); else of all."""
    chosen = {}
    for word in words:
        name, colon, as_name = word.partition(":")
        if repository.refs.branch(name).head is None:
            raise NotFound(f"branch {name!r} has no commit yet")
        chosen[name] = as_name if colon else name
    if not chosen:
        chosen = {branch.name: branch.name for branch in repository.refs if branch.head}
    if not chosen:
        raise NotFound("nothing was committed yet")
    return chosen
