"""Export of commits, branches and tags to a git repository."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from heliosfs.errors import Busy, NotFound
from heliosfs.git import raw
from heliosfs.git.conversion import Conversion
from heliosfs.git.filters import ConversionCounts, Guard
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names, Origin, identify
from heliosfs.git.outgoing import LeftOutRefs, Outgoing
from heliosfs.git.pack import Pack
from heliosfs.git.refs import HEADS, TAGS
from heliosfs.git.remembered import RememberedRef
from heliosfs.git.target import Target
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps, on_thread


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
        self._guard = Guard(
            *(repository.store, target.has_file, target.attributes), allows=with_filtered
        )
        hash_name = target.git.hash_name
        self._conversion = Conversion(
            *(repository, self._ids, hash_name, target.has, pack.add, self._guard),
            count=lambda: pack.count,
        )

    def run(
        self, chosen: dict[str, str] | None, *, tags: bool, squash: bool, force: bool
    ) -> Steps[ExportResult]:
        """Export branches, those chosen under names or all; with `tags`, also tags.  Raise Busy."""
        done = ExportResult()
        refs, target, conversion = self._repository.refs, self._target, self._conversion
        origin = yield from identify(self._ids, refs, target.git)
        names = Names(self._ids, refs, origin)
        outgoing = Outgoing(self._repository, self._ids, names, target.refs, conversion.is_there)
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
            done.refs[ref] = (
                yield from self._squash(head, name) if squash else conversion.commit(head)
            )
        for name, ref in tagged.items():
            done.refs[ref] = yield from conversion.tag(name, oids[name], names)
        if tags:
            yield from self._take_other_tags(names, done)
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
        yield from conversion.remember()
        done.converted = self._guard.converted
        encoder = conversion.encoder
        done.empty_count = encoder.empty_count
        done.special_count = encoder.special_count
        done.dotgit_count = encoder.dotgit_count
        done.submodules, done.vendored = sorted(encoder.submodules), sorted(encoder.vendored)
        return done

    def _take_other_tags(self, names: Names, done: ExportResult) -> Steps[None]:
        """Take the tags of no commit that were imported."""
        for ref, git_id in names.commitless():
            # Deleted in git since: an export does not bring it back.
            is_gone = ref in names.known and ref not in self._target.refs
            is_taken = is_gone or ref in done.refs
            if not is_taken and (yield from self._conversion.other_tag(git_id)):
                done.refs[ref] = git_id

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

    def _squash(self, head: CommitId, name: str) -> Steps[bytes]:
        """Return the git id of one commit that replaces all since the last one that git knows."""
        history, conversion = self._repository.history, self._conversion
        tip = history.read(head)
        oid: CommitId | None = head
        subjects = []
        # Back along first parents to a commit that came from git or was exported before.
        while oid is not None and not history.read(oid).git and self._ids.git_of(oid) is None:
            commit = history.read(oid)
            history.edge.check_whole(oid, "git")
            subjects.append(commit.subject)
            oid = commit.parents[0] if commit.parents else None
            yield TURN
        # One commit needs no squash, and keeps its message.
        if len(subjects) < 2:
            return (yield from conversion.commit(head))
        base = [(yield from conversion.commit(oid))] if oid is not None else []
        lines = [f"{name}: {subjects[0]}", "", *(f"* {each}" for each in reversed(subjects))]
        message = "\n".join(lines).encode("utf-8", "surrogateescape")
        squashed = tip._replace(message=message)
        yield from conversion.check_filters(head, [oid] if oid is not None else [], squashed)
        tree = yield from conversion.encoder.root(squashed.tree)
        git_id = conversion.encoder.write_object(
            b"commit",
            raw.encode_commit(tree, base, squashed.author, squashed.committer, squashed.message),
        )
        conversion.fresh.append((head, git_id))
        return git_id

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
