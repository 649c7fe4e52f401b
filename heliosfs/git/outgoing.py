"""The choice of branches and tags for an export, and their full names in git."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from heliosfs.errors import Busy, NotFound, UsageError
from heliosfs.git import raw
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names
from heliosfs.git.refs import HEADS, TAGS
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps


@dataclass(slots=True)
class LeftOutRefs:
    """The branches and tags that an export of everything leaves out."""

    others: list[str] = field(default_factory=list)
    """Branches and tags of other repositories."""
    deleted_there: list[str] = field(default_factory=list)
    """Branches and tags that were deleted in git, and did not move here since."""
    deleted_here: list[str] = field(default_factory=list)
    """Branches and tags of git that were deleted here."""
    blocked: list[tuple[str, str]] = field(default_factory=list)
    """Branches and tags, and the full name of the ref in git with which theirs would clash."""


def choose(repository: Repository, words: Iterable[str]) -> dict[str, str]:
    """Return the name in git by branch, for words such as `BRANCH` or `BRANCH:NAME`, or for all.

    The name is empty if a word has none.
    """
    chosen = {}
    for word in words:
        name, colon, as_name = word.partition(":")
        if repository.refs.branch(name).head is None:
            raise NotFound(f"branch {name!r} has no commit yet")
        chosen[name] = check_name(as_name) if colon else ""
    if not chosen:
        chosen = {branch.name: "" for branch in repository.refs if branch.head}
    if not chosen:
        raise NotFound("nothing was committed yet")
    return chosen


def hash_of(repository: Repository, branches: Iterable[str], preferred: str = "sha1") -> Steps[str]:
    """Return the name of the hash of git's ids in the history of some branches.

    It is `preferred` if no commit came from git or was sent to a clone.  Raise UsageError if there
    are different ones.  Cost: the commits since the last of these.
    """
    ids = IdMap(repository.store)
    found: dict[str, str] = {}
    seen: set[CommitId] = set()
    for name in branches:
        pending = [repository.refs.branch(name).head]
        while pending:
            oid = pending.pop()
            if oid is None or oid in seen:
                continue
            seen.add(oid)
            commit = repository.history.read(oid)
            git_id = raw.parse_commit(commit.git).tree if commit.git else ids.served(oid)
            if git_id:
                found.setdefault("sha256" if len(git_id) == 32 else "sha1", name)
                break
            pending += commit.parents
            yield TURN
    if len(found) > 1:
        raise UsageError(
            f"branch {found['sha1']!r} has its history from a sha1 repository, and "
            f"{found['sha256']!r} from a sha256 one: name branches of one of them"
        )
    return next(iter(found), preferred)


class Outgoing:
    """The full names in git for the branches and tags of a repository."""

    def __init__(
        self,
        repository: Repository,
        ids: IdMap,
        names: Names,
        there: dict[str, bytes],
        is_there: Callable[[CommitId], bool],
    ) -> None:
        """Prepare; `there` has git's refs now, `is_there` returns True if git has a commit."""
        self.left = LeftOutRefs()
        self._history = repository.history
        self._refs = repository.refs
        self._is_there = is_there
        self._ids = ids
        self._names = names
        self._there = there
        self._below = {parent for name in there for parent in _parents(name)}

    def named(self, chosen: dict[str, str]) -> dict[str, str]:
        """Return the full name in git by chosen branch.  Raise Busy if a name clashes."""
        found = {}
        for name, as_name in chosen.items():
            ref = HEADS + check_name(as_name) if as_name else self._ref(name, HEADS)
            if blocking := self._blocking(ref):
                raise Busy(
                    f"git cannot hold branch {name!r} beside {blocking}: "
                    f"give it another name there, as '{name}:NAME'"
                )
            found[name] = ref
        return found

    def all(self, heads: dict[str, CommitId], kind: str) -> Steps[dict[str, str]]:
        """Return the full name in git by branch or tag, for those exported without being named.

        `kind` is the prefix of the full names.  Cost: for each that follows no ref, a walk along
        first parents up to a commit that git has.
        """
        found: dict[str, str] = {}
        self._look_for_deleted(kind)
        for name, head in heads.items():
            ref = self._ref(name, kind)
            if self._is_there_under_other_name(name, head):
                continue
            follows_other_ref = self._follows_other_ref(name, ref, kind)
            if follows_other_ref or (yield from self._is_foreign(name, kind, head)):
                self.left.others.append(name)
            elif self._is_deleted_there(name, ref, head):
                self.left.deleted_there.append(name)
            elif blocking := self._blocking(ref):
                self.left.blocked.append((name, blocking))
            else:
                found[name] = ref
        return found

    def _ref(self, name: str, kind: str) -> str:
        """Return the ref that a branch or tag follows in git; else the ref of the same name."""
        for ref in self._names.followed(name):
            if ref.startswith(kind):
                return ref
        return kind + check_name(name)

    def _is_there_under_other_name(self, name: str, head: CommitId) -> bool:
        """Return True if git has the branch as a detached HEAD, or as one put aside."""
        for ref in self._names.followed(name):
            if not ref.startswith((HEADS, TAGS)):
                place = ref.partition(":")[2] or ref
                git_id = self._there.get(place)
                return git_id is not None and self._ids.commit_of(git_id) == head
        return False

    def _follows_other_ref(self, name: str, ref: str, kind: str) -> bool:
        """Return True if a branch or tag follows another repository, or its ref another branch."""
        origin = self._names.origin
        if not origin.is_imported:
            return False
        owners = self._names.owners(name, tag=kind == TAGS)
        before = self._names.known.get(ref)
        is_taken = before is not None and before.name not in ("", name)
        return is_taken or (bool(owners) and origin.number not in owners)

    def _is_foreign(self, name: str, kind: str, head: CommitId) -> Steps[bool]:
        """Return True if a branch that follows no ref began in another repository's history."""
        origin = self._names.origin
        if not (origin.is_imported and origin.roots) or self._names.owners(name, tag=kind == TAGS):
            return False
        oid = head
        while not self._is_there(oid):
            commit = self._history.read(oid)
            # The root commit decides: one of another repository, or one made here.
            if not commit.parents:
                if not commit.git:
                    return False
                return raw.git_id(origin.hash_name, b"commit", commit.git) not in origin.roots
            oid = commit.parents[0]
            yield TURN
        return False

    def _is_deleted_there(self, name: str, ref: str, head: CommitId) -> bool:
        before = self._names.known.get(ref)
        if before is None or before.name != name or ref in self._there:
            return False
        return self._ids.commit_of(before.git_id) == head

    def _blocking(self, ref: str) -> str:
        """Return an existing ref that clashes with a ref; empty if none does."""
        if ref in self._there:
            return ""
        # Loose refs are files: `a` and `a/b` cannot both exist (git-check-ref-format(1)).
        if ref in self._below:
            return next(name for name in self._there if name.startswith(f"{ref}/"))
        return next((parent for parent in _parents(ref) if parent in self._there), "")

    def _look_for_deleted(self, kind: str) -> None:
        for ref, before in self._names.known.items():
            if (
                ref.startswith(kind)
                and ref in self._there
                and before.name
                and not self._names.is_here(ref, before.name)
            ):
                self.left.deleted_here.append(ref)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(3, len(parts))]
