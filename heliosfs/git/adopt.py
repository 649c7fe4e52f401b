"""The branches and tags that an import creates or moves, once their commits are stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

from heliosfs.errors import AlreadyExists, UsageError
from heliosfs.git.descent import Descent
from heliosfs.git.following import Following
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import ASIDE_REF, Names
from heliosfs.git.refs import ASIDE, DETACHED, HEADS, TAGS, GitRef, GitRefs
from heliosfs.git.remembered import RememberedRef
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import DEFAULT_BRANCH, Repository
from heliosfs.repo.view import View
from heliosfs.steps import ALONE, TURN, Steps

_ADOPT_BATCH_COUNT = 500
_MOVED_MAX = 500


@dataclass(slots=True)
class Outcome:
    """The effects of an import on the refs."""

    new: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    """Full names of the branches and tags here."""
    apart: list[tuple[str, str]] = field(default_factory=list)
    """Refs whose names belong to another git repository here, and the names they got instead."""
    aside: list[tuple[str, str]] = field(default_factory=list)
    """Branches that have work of their own here, and the branches that got git's commits
    instead."""
    blocked: list[tuple[str, str]] = field(default_factory=list)
    """Branches whose names clash with others here, and the branches that got git's commits
    instead."""
    deleted: list[str] = field(default_factory=list)
    """Branches and tags that were deleted here, and that did not move in git since: they stay
    deleted."""
    gone: list[str] = field(default_factory=list)
    """Branches and tags that were deleted in git, and still exist here."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Full names of refs that could not be imported, and the reasons."""
    same_count: int = 0
    kept_files: bool = False
    """True if the files of the workspace stayed as they were, as uncommitted changes."""


def adopt(
    repository: Repository, ids: IdMap, refs: GitRefs, names: Names, own: View | None
) -> Steps[Outcome]:
    """Create and move branches and tags, all in one publish.

    A branch that moved only in git follows it, together with its files if nothing is uncommitted.
    With uncommitted changes it follows without its files, if these are git's working tree (the view
    `own`), or already contain all that git's commits changed.

    A branch with commits or other changes of its own stays, and git's goes to `imported/NAME`.  A
    branch or tag that follows another git repository is never moved, and a deleted one stays
    deleted.  In a repository without commits, HEAD gets the name that it has in git.

    Raise StoreError.
    """
    return _Adoption(repository, ids, refs, names, own).run()


def announce(repository: Repository, ids: IdMap) -> Steps[None]:
    """Add the commits that were taken in to the list of commits.

    They are visible a moment before the refs are; each of them is complete.
    """
    for count, (_, oid) in enumerate(ids.unfinished.commits(), 1):
        repository.history.announce(oid)
        if not count % _ADOPT_BATCH_COUNT:
            repository.publish()
            yield TURN
    repository.publish()


class _Adoption:
    """The choice of a branch or tag for each ref, and of what follows and what stays."""

    def __init__(
        self, repository: Repository, ids: IdMap, refs: GitRefs, names: Names, own: View | None
    ) -> None:
        self._repository = repository
        self._ids = ids
        self._refs = refs
        self._names = names
        self._outcome = Outcome()
        self._descent = Descent(repository.history, ids, names)
        self._following = Following(repository, refs.head, own)

    def run(self) -> Steps[Outcome]:
        yield from announce(self._repository, self._ids)
        for ref in self._refs.chosen:
            yield from self._compare(ref, sys.maxsize)
        # No verb from here on: refs are compared with what git has, and then moved, at one moment.
        yield ALONE
        # Where a branch moved meanwhile: from where it was it is not far.
        for ref in self._refs.chosen:
            yield from self._compare(ref, _MOVED_MAX)
        self._move_refs()
        return self._outcome

    def _move_refs(self) -> None:
        """Move all refs or none, in one step: no other task runs in between."""
        with self._repository.transaction:
            self._name_first_branch()
            for ref in self._refs.chosen:
                self._adopt(ref)
            self._report_deleted_refs()
            self._note_origin()
            self._following.show()
            self._outcome.kept_files = self._following.kept_files
            self._ids.unfinished.clear()
            self._ids.put_noted()

    def _adopt(self, ref: GitRef) -> None:
        """Let a branch or tag follow a ref, and remember that it does."""
        target = self._descent.commit_of(ref.git_id)
        name: str | None = ""
        try:
            if ref.is_branch:
                name = self._branch(ref, target)
            elif target is not None:
                name = self._tag(ref, target)
        except (UsageError, AlreadyExists) as error:
            self._outcome.skipped.append((ref.name, str(error)))
            return
        if name is not None:
            if ref.name not in self._names.known and name not in ("", ref.short):
                self._outcome.apart.append((ref.short, name))
            self._note(ref.name, ref.git_id, name)

    def _note(self, ref: str, git_id: bytes, name: str) -> None:
        self._ids.origins.note_ref(
            self._names.origin.number, ref, RememberedRef(git_id, name, git_id)
        )

    def _note_origin(self) -> None:
        origin = replace(self._names.origin, is_imported=True)
        self._ids.origins.note(origin.number, origin.encode())

    def _report_deleted_refs(self) -> None:
        """Report refs that were deleted in git; forget those that were deleted on both sides."""
        for ref, each in self._names.known.items():
            if ref in self._refs.names or not ref.startswith((HEADS, TAGS)):
                continue
            if self._names.is_here(ref, each.name):
                self._outcome.gone.append(each.name)
            else:
                self._ids.origins.note_ref(self._names.origin.number, ref, None)

    def _compare(self, ref: GitRef, limit: int) -> Steps[None]:
        """Find out how the branch of a ref and git's commit descend from each other."""
        oid = self._descent.commit_of(ref.git_id)
        branch = self._repository.refs.find(self._names.of(ref)) if ref.is_branch else None
        if branch is not None and branch.head is not None and oid is not None:
            yield from self._descent.compare(ref, branch.head, oid, limit)

    def _name_first_branch(self) -> None:
        repository, head = self._repository, self._refs.head
        branch = repository.refs.of_slot(repository.root.slot)
        if branch is None or branch.head is not None:
            return
        if head == DETACHED and self._refs.detached not in self._refs.chosen:
            return
        name = self._names.of(GitRef(head, b""))
        if sum(1 for _ in repository.refs) == 1 and branch.name == DEFAULT_BRANCH != name:
            try:
                repository.refs.rename(branch, name)
            except UsageError as error:
                self._outcome.skipped.append((head, str(error)))

    def _tag(self, ref: GitRef, oid: CommitId) -> str | None:
        """Return the name of the tag that follows the ref from now on, or None."""
        tags, name = self._repository.refs.tags, self._names.of(ref)
        if self._has_same_commit(ref, name, tags.get(ref.short), oid):
            return None
        known = tags.get(name)
        if known == oid:
            self._outcome.same_count += 1
            return name
        if known is None and self._names.is_deleted(ref) and not self._refs.restores(ref):
            self._outcome.deleted.append(name)
            return name
        before = self._names.known.get(ref.name)
        # A tag that is not as git had it last is the user's own.
        is_gits = before is not None and self._descent.commit_of(before.git_id) == known
        if known is not None and not is_gits:
            raise AlreadyExists(f"there is another tag {name!r} here")
        self._repository.refs.create_tag(name, oid, force=known is not None)
        self._following.drop(known)
        (self._outcome.new if known is None else self._outcome.moved).append(TAGS + name)
        return name

    def _branch(self, ref: GitRef, oid: CommitId | None) -> str | None:
        """Return the name of the branch that follows the ref from now on, or None."""
        descent, following = self._descent, self._following
        refs, name = self._repository.refs, self._names.of(ref)
        if oid is None:
            raise UsageError("it names no commit")
        other = refs.find(ref.short)
        if self._has_same_commit(ref, name, other.head if other else None, oid):
            return None
        branch = refs.find(name)
        if branch is None:
            if self._names.is_deleted(ref) and not self._refs.restores(ref):
                self._outcome.deleted.append(name)
                return name
            return self._create(ref, name, oid)
        if branch.head == oid:
            self._outcome.same_count += 1
        elif branch.head is None:
            following.move(branch, oid)
            self._outcome.new.append(HEADS + name)
        elif descent.is_behind(ref, branch.head, oid) and not following.is_dirty(branch):
            following.move(branch, oid)
            self._outcome.moved.append(HEADS + name)
        elif descent.is_behind(ref, branch.head, oid) and following.has_files_of(ref, branch, oid):
            following.move(branch, oid, keeps=True)
            self._outcome.moved.append(HEADS + name)
        # Git's commits are all here already, and newer ones besides.
        elif descent.is_ahead(branch.head, oid):
            self._outcome.same_count += 1
        else:
            self._put_aside(ref, name, oid, self._outcome.aside)
        return name

    def _has_same_commit(
        self, ref: GitRef, name: str, other: CommitId | None, oid: CommitId
    ) -> bool:
        """Return True if the branch that follows another repository has the same commit anyway."""
        is_apart = self._names.origin.is_apart or ref.name in self._names.known
        if is_apart or name == ref.short or other != oid:
            return False
        self._outcome.same_count += 1
        return True

    def _create(self, ref: GitRef, name: str, oid: CommitId) -> str | None:
        try:
            self._repository.refs.create(name, oid)
        except AlreadyExists:
            # `topic/a` beside a `topic` that git deleted, for example.
            self._put_aside(ref, name, oid, self._outcome.blocked)
            return None
        self._outcome.new.append(HEADS + name)
        return name

    def _put_aside(
        self, ref: GitRef, name: str, oid: CommitId, told: list[tuple[str, str]]
    ) -> None:
        """Move a branch below `imported/` to git's commit, and report it.  Raise AlreadyExists."""
        refs = self._repository.refs
        key = ref._replace(name=f"{ASIDE_REF}{ref.name}")
        aside = ASIDE + name
        if self._names.follows_other_ref(key, aside):
            aside = f"{ASIDE}{self._names.origin.name}/{ref.short}"
        branch = refs.find(aside)
        if self._names.is_deleted(key) and not self._refs.restores(ref):
            self._outcome.deleted.append(aside)
            return
        if branch is None:
            refs.create(aside, oid)
        elif branch.head != oid:
            if self._following.is_dirty(branch):
                raise AlreadyExists(f"{aside!r} has uncommitted changes")
            if branch.head is not None and not self._descent.is_of_git(branch.head):
                raise AlreadyExists(f"{aside!r} has work of its own: rename it")
            self._following.move(branch, oid)
        self._note(key.name, ref.git_id, aside)
        told.append((name, aside))
