"""Export of commits, branches and tags to a git repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from heliosfs.errors import Busy, CorruptObject, NotFound, UsageError
from heliosfs.git import raw
from heliosfs.git.encode import GitEncoder
from heliosfs.git.filters import ConversionCounts, Guard
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names, Origin, identify
from heliosfs.git.outgoing import LeftOutRefs, Outgoing
from heliosfs.git.pack import Pack
from heliosfs.git.refs import HEADS, TAGS
from heliosfs.git.remembered import RememberedRef
from heliosfs.git.submodules import checked_out
from heliosfs.git.target import Target
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Kind, TreeId
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import annotation
from heliosfs.steps import TURN, Progress, Steps, on_thread

_ID_DIGITS = 12
_TAG_DEPTH_MAX = 100
_EXPORT_BATCH_COUNT = 1000


@dataclass(slots=True)
class ExportResult:
    """The results of an export."""

    refs: dict[str, bytes] = field(default_factory=dict)
    """Raw id by full name, of every ref that was to be exported."""
    branches: dict[str, str] = field(default_factory=dict)
    """Full name in git by branch here."""
    left: LeftOutRefs = field(default_factory=LeftOutRefs)
    changed: list[str] = field(default_factory=list)
    """Full names of the refs that are new or moved."""
    object_count: int = 0
    empty_count: int = 0
    special_count: int = 0
    dotgit_count: int = 0
    submodules: list[str] = field(default_factory=list)
    """Names of submodules with files, which were not exported."""
    vendored: list[str] = field(default_factory=list)
    """Names of directories that stood for submodules before."""
    converted: ConversionCounts = field(default_factory=ConversionCounts)
    """Changed files that git would have converted, and that were exported unconverted."""


class Export:
    """One export to one repository.

    Objects come first, in one pack that git checks; then all refs move in one transaction of git.
    Nothing else in that repository changes.
    """

    def __init__(
        self, repository: Repository, target: Target, pack: Pack, *, with_filtered: bool = False
    ) -> None:
        self._repository = repository
        self._target = target
        self._ids = IdMap(repository.store)
        self._pack = pack
        git = target.git
        self._hash_name, self._id_bytes = git.hash_name, git.id_bytes
        self._encoder = GitEncoder(
            *(repository.store, git.hash_name, target.has, pack.add),
            partial(checked_out, repository),
        )
        self._guard = Guard(
            *(repository.store, self._has_file, target.attributes), allows=with_filtered
        )
        self._commits: dict[CommitId, bytes] = {}
        self._fresh: list[tuple[CommitId, bytes]] = []

    def run(
        self, chosen: dict[str, str] | None, *, tags: bool, squash: bool, force: bool
    ) -> Steps[ExportResult]:
        """Export branches, those chosen under names or all; with `tags`, also tags.  Raise Busy."""
        done = ExportResult()
        refs, target = self._repository.refs, self._target
        origin = yield from identify(self._ids, refs, target.git)
        names = Names(self._ids, refs, origin)
        outgoing = Outgoing(self._repository, self._ids, names, target.refs, self._is_there)
        done.left = outgoing.left
        heads = {branch.name: branch.head for branch in refs if branch.head is not None}
        oids = dict(sorted(refs.tags.items())) if tags else {}
        if chosen is None:
            # All but those that came from another git repository, or were deleted in this one.
            done.branches = yield from outgoing.all(heads, HEADS)
        else:
            done.branches = outgoing.named(chosen)
        tagged = (yield from outgoing.all(oids, TAGS)) if tags else {}
        for name, ref in done.branches.items():
            head = heads.get(name)
            if head is None:
                raise NotFound(f"branch {name!r} was deleted meanwhile")
            give = self._squash(head, name) if squash else self._commit(head)
            done.refs[ref] = yield from give
        for name, ref in tagged.items():
            done.refs[ref] = yield from self._tag(name, oids[name], names)
        if tags:
            for ref, git_id in names.commitless():
                # Deleted in git since: an export does not bring it back.
                is_gone = ref in names.known and ref not in target.refs
                if not is_gone and ref not in done.refs and (yield from self._other_tag(git_id)):
                    done.refs[ref] = git_id
        # Before any ref moves: a ref must not name an object that git lacks.
        yield from on_thread(self._pack.index)
        done.object_count = self._pack.count
        changes = {ref: new for ref, new in done.refs.items() if target.refs.get(ref) != new}
        if not force:
            for ref, git_id in changes.items():
                yield from on_thread(partial(self._check_forward, ref, git_id))
        yield from on_thread(partial(target.move, changes))
        done.changed = list(changes)
        self._note_refs(origin, names, done, tagged)
        yield from self._remember()
        done.converted = self._guard.converted
        encoder = self._encoder
        done.empty_count = encoder.empty_count
        done.special_count = encoder.special_count
        done.dotgit_count = encoder.dotgit_count
        done.submodules, done.vendored = sorted(encoder.submodules), sorted(encoder.vendored)
        return done

    def _note_refs(
        self, origin: Origin, names: Names, done: ExportResult, tagged: dict[str, str]
    ) -> None:
        """Remember which ref follows which branch or tag, except where the name was changed."""
        self._ids.origins.note(origin.number, origin.encode())
        for kind, pairs in ((HEADS, done.branches), (TAGS, tagged)):
            for name, ref in pairs.items():
                before = names.known.get(ref)
                if ref in done.refs and (before.name == name if before else ref == kind + name):
                    imported = before.imported if before else b""
                    known = RememberedRef(done.refs[ref], name, imported)
                    self._ids.origins.note_ref(origin.number, ref, known)

    def _commit(self, head: CommitId) -> Steps[bytes]:
        """Return the git id of a commit, after packing all commits up to it, parents first."""
        stack = [head]
        while stack:
            oid = stack[-1]
            # The target has a commit only together with all of its ancestors, so the walk ends
            # here.
            if oid in self._commits or self._is_there(oid):
                stack.pop()
                continue
            commit = self._repository.history.read(oid)
            missing = [each for each in commit.parents if each not in self._commits]
            missing = [each for each in missing if not self._is_there(each)]
            yield TURN
            # Parents first, because a commit contains their ids; a stack of its own, because
            # histories are longer than Python's stack is deep.
            if missing:
                stack += missing
                continue
            parents = [self._commits[each] for each in commit.parents]
            self._commits[oid] = yield from self._write(oid, commit, parents)
            stack.pop()
            yield Progress(len(self._commits), 0, "commits", self._pack.count)
        return self._commits[head]

    def _is_there(self, oid: CommitId) -> bool:
        """Return True if the target has the commit, and therefore all before it."""
        git_id = self._ids.git_of(oid)
        if git_id is None:
            commit = self._repository.history.read(oid)
            git_id = raw.git_id(self._hash_name, b"commit", commit.git) if commit.git else None
        if git_id is None or len(git_id) != self._id_bytes or not self._target.has(git_id):
            return False
        self._commits[oid] = git_id
        return True

    def _write(self, oid: CommitId, commit: Commit, parents: list[bytes]) -> Steps[bytes]:
        # What was imported had these contents in git before.
        if not commit.git:
            yield from self._check_filters(oid, commit.parents, commit)
        tree = yield from self._encoder.root(commit.tree)
        if not commit.git:
            git_id = self._encoder.write_object(
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
        # An imported commit is written as it was, signature included; its id is right only if tree
        # and parents came out the same.
        if (said.tree, said.parents) != (tree, parents):
            raise CorruptObject(
                f"imported commit {oid.hex()} cannot be turned back into the commit that git had"
            )
        return self._encoder.write_object(b"commit", commit.git)

    def _squash(self, head: CommitId, name: str) -> Steps[bytes]:
        """Return the git id of one commit that replaces all since the last one that git knows."""
        history = self._repository.history
        tip = history.read(head)
        oid: CommitId | None = head
        subjects = []
        # Back along first parents to a commit that came from git or was exported before.
        while oid is not None and not history.read(oid).git and self._ids.git_of(oid) is None:
            commit = history.read(oid)
            subjects.append(commit.subject)
            oid = commit.parents[0] if commit.parents else None
            yield TURN
        # One commit needs no squash, and keeps its message.
        if len(subjects) < 2:
            return (yield from self._commit(head))
        base = [(yield from self._commit(oid))] if oid is not None else []
        lines = [f"{name}: {subjects[0]}", "", *(f"* {each}" for each in reversed(subjects))]
        message = "\n".join(lines).encode("utf-8", "surrogateescape")
        squashed = tip._replace(message=message)
        yield from self._check_filters(head, [oid] if oid is not None else [], squashed)
        tree = yield from self._encoder.root(squashed.tree)
        git_id = self._encoder.write_object(
            b"commit",
            raw.encode_commit(tree, base, squashed.author, squashed.committer, squashed.message),
        )
        self._fresh.append((head, git_id))
        return git_id

    def _check_filters(
        self, oid: CommitId, parents: Sequence[CommitId], commit: Commit
    ) -> Steps[None]:
        history = self._repository.history
        roots = [history.read(each).root for each in parents]
        label = f"{oid.hex()[:_ID_DIGITS]} ({commit.subject})"
        yield from self._guard.check(roots, commit.root, label)

    def _has_file(self, data: bytes) -> bool:
        return self._target.has(raw.git_id(self._hash_name, b"blob", data))

    def _tag(self, name: str, oid: CommitId, names: Names) -> Steps[bytes]:
        """Return the id of a tag: git's own if it still has the same target, else one made here."""
        commit = yield from self._commit(oid)
        note = annotation(self._repository.store, name)
        if note is not None and note.tagger is not None:
            short = name.encode("utf-8", "surrogateescape")
            data = raw.encode_tag(commit, short, note.tagger, note.message)
            git_id = self._encoder.write_object(b"tag", data)
            self._ids.note_tag(git_id, data)
            return git_id
        # A tag that was imported keeps its object, with the tagger and signature that only git has.
        for known in names.tagged(name):
            chain, target = self._unwrap(known)
            if target == commit:
                self._write_tags(chain)
                return known
        return commit

    def _other_tag(self, git_id: bytes) -> Steps[bool]:
        """Pack an imported tag of a tree or file; return True if `git_id` is such a tag."""
        chain, target = self._unwrap(git_id)
        known = self._ids.find(target)
        if known is None or known.kind == Kind.COMMIT or len(target) != self._id_bytes:
            return False
        if known.kind == Kind.TREE:
            given = yield from self._encoder.root(TreeId(known.oid))
        else:
            given = yield from self._encoder.file(known.oid, known.size)
        if given != target:
            raise CorruptObject(
                f"imported object {target.hex()} cannot be turned back into the object that git had"
            )
        self._write_tags(chain)
        return True

    def _unwrap(self, git_id: bytes) -> tuple[list[bytes], bytes]:
        """Follow annotated tags from an id; return them, and the id that they lead to."""
        chain: list[bytes] = []
        while len(chain) < _TAG_DEPTH_MAX and (data := self._ids.tag(git_id)) is not None:
            chain.append(data)
            git_id = raw.parse_tag(data).target
        return chain, git_id

    def _write_tags(self, chain: list[bytes]) -> None:
        for data in chain:
            self._encoder.write_object(b"tag", data)

    def _check_forward(self, ref: str, git_id: bytes) -> None:
        old = self._target.refs.get(ref)
        if old is None:
            return
        if ref.startswith(TAGS):
            raise Busy(f"{self._target.git.git_dir} has another tag {ref.removeprefix(TAGS)!r}")
        if not self._target.is_ancestor(old, git_id):
            raise Busy(
                f"branch {ref.removeprefix(HEADS)!r} of {self._target.git.git_dir} has commits "
                "that the branch here lacks: import them first, or use --force"
            )

    def _remember(self) -> Steps[None]:
        """Note ids, so that later exports and imports need not compute them again."""
        for tree, git_id in self._encoder.fresh:
            self._ids.note_git_of(tree, git_id)
            yield from self._publish(_EXPORT_BATCH_COUNT)
        for commit, git_id in self._fresh:
            self._ids.note_git_of(commit, git_id)
            self._ids.note(git_id, Kind.COMMIT, commit, 0)
            yield from self._publish(_EXPORT_BATCH_COUNT)
        yield from self._publish(0)

    def _publish(self, at_least: int) -> Steps[None]:
        if self._ids.noted_count >= at_least:
            self._ids.publish()
            yield TURN
