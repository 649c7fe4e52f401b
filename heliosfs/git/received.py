"""A push into this repository: the objects first, then all branches and tags in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heliosfs.errors import HeliosError, StoreError, UsageError
from heliosfs.git.adopt import announce
from heliosfs.git.boundary import Pairing, find_boundary
from heliosfs.git.ids import IdMap
from heliosfs.git.intake import Intake
from heliosfs.git.modes import git_mode_of
from heliosfs.git.process import Git
from heliosfs.git.pushed import PushedRefs
from heliosfs.git.refs import HEADS, TAGS, GitRef
from heliosfs.git.served import Served
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import ALONE, TURN, Steps, at_once
from heliosfs.trees.gitlinks import gitlink_of
from heliosfs.trees.stored import EMPTY_TREE, walk_changes

_MOVED_MAX = 500
_BEHIND = "fetch first"
"""Reason that git explains: the branch has commits that the pushing repository lacks."""
_NOT_FORWARD = "non-fast forward"
_STALE = "stale info"
_ATOMIC = "atomic push failed"


class RefUpdate(NamedTuple):
    """One ref of a push."""

    ref: str
    """Full name."""
    old: bytes | None
    """Git's id that the pushing side saw; None if there was no such ref."""
    new: bytes | None
    """Git's id that it is to have; None deletes it."""
    is_forced: bool = False
    was_unknown: bool = False
    """True if the ref was there, with a commit that git had not seen yet."""


class LostEntries(NamedTuple):
    """Numbers of entries that a branch loses by a push, because git cannot hold them."""

    empty_directories: int
    special_files: int


class _Refused(Exception):
    """Reason not to change anything, where a push is to be atomic."""


class ReceivedPush:
    """One push from a git repository."""

    def __init__(
        self, repository: Repository, view: View, git: Git, updates: Sequence[RefUpdate]
    ) -> None:
        """Prepare; `view` is the one through which the push comes."""
        self.reasons: dict[str, str] = {}
        """Reasons, by full name, why refs were not changed; some are words that git explains."""
        self._repository = repository
        self._view = view
        self._git = git
        self._updates = updates
        self._ids = IdMap(repository.store)
        self._served = Served(repository, git.hash_name)
        self._pushed = PushedRefs(repository, self._ids)
        self.lost: dict[str, LostEntries] = {}
        """Entries, by full name of the branch, that git cannot hold, and which the push drops."""
        self._compared: dict[tuple[CommitId, CommitId], bool] = {}

    def run(self, *, is_atomic: bool = False, is_dry: bool = False) -> Steps[dict[str, str]]:
        """Take the objects in, change the refs, and return `reasons`.

        Refs are refused one by one; with `is_atomic`, one that is refused refuses all.  With
        `is_dry`, only look what would be refused.  Raise Damaged or StoreError.
        """
        self._look(self._updates)
        going = [each for each in self._updates if each.ref not in self.reasons]
        if is_dry or not going or (is_atomic and self.reasons):
            self._finish(is_atomic=is_atomic)
            return self.reasons
        yield from self._take_in(going)
        for each in going:
            yield from self._compare(each)
            yield from self._find_lost(each)
        yield from announce(self._repository, self._ids)
        # No verb from here on: what the refs are is looked at, and changed, at one moment.
        yield ALONE
        self._look(going)
        try:
            with self._repository.transaction:
                self._change(going)
                if is_atomic and self.reasons:
                    raise _Refused
                self._pushed.note(self._view)
                self._ids.unfinished.clear()
                self._ids.put_noted()
        except _Refused:
            pass
        self._finish(is_atomic=is_atomic)
        return self.reasons

    def _find_lost(self, update: RefUpdate) -> Steps[None]:
        """Count what a branch has, and a commit of git's cannot have.  Cost: O(changed)."""
        here = self._pushed.commit_at(update.ref)
        new = self._ids.commit_of(update.new) if update.new is not None else None
        if here is None or new is None or update.ref.startswith(TAGS):
            return
        history, empty, special = self._repository.history, 0, 0
        before, after = history.read(here), history.read_whole(new)
        for change in walk_changes(self._repository.store, before.tree, after.tree):
            entry = change.old
            if entry is not None and change.new is None and not gitlink_of(entry):
                empty += entry.is_dir and entry.oid == EMPTY_TREE
                special += not git_mode_of(entry)
            yield TURN
        if empty or special:
            self.lost[update.ref] = LostEntries(empty, special)

    def _finish(self, *, is_atomic: bool) -> None:
        if is_atomic and self.reasons:
            for each in self._updates:
                self.reasons.setdefault(each.ref, _ATOMIC)

    def _take_in(self, updates: Sequence[RefUpdate]) -> Steps[None]:
        """Take in what the new ids reach and is not here."""
        git, ids = self._git, self._ids
        lacking = [
            GitRef(each.ref, each.new)
            for each in updates
            if each.new is not None and not ids.is_complete(each.new)
        ]
        if not lacking:
            return
        refs = self._repository.refs
        heads = {branch.head for branch in refs if branch.head is not None}
        heads.update(refs.tags.values())
        known = {git_id for head in heads if (git_id := self._served.known_id(head)) is not None}
        wanted = [ref.git_id for ref in lacking]
        boundary = yield from find_boundary(git, wanted, ids, known)
        yield from Pairing(self._repository.store, self._repository.history, git, ids).run(boundary)
        yield from Intake(self._repository, git, ids).run(lacking, boundary)

    def _look(self, updates: Sequence[RefUpdate]) -> None:
        """Note which updates cannot be made, as far as that shows without the objects."""
        for each in updates:
            try:
                reason = self._reason(each)
            except StoreError:
                raise
            except HeliosError as error:
                reason = str(error)
            if reason:
                self.reasons[each.ref] = reason

    def _reason(self, update: RefUpdate) -> str:
        ref = update.ref
        if not ref.startswith((HEADS, TAGS)):
            return "a workspace has branches and tags only"
        name = check_name(ref.split("/", 2)[2], "branch" if ref.startswith(HEADS) else "tag")
        here = self._pushed.commit_at(ref)
        if not update.was_unknown and (reason := self._moved(update, here)):
            return reason
        if here is None and update.new is None:
            return "it does not exist"
        if ref.startswith(TAGS):
            is_replaced = here is not None and update.new is not None
            return "already exists" if is_replaced and not update.is_forced else ""
        if update.new is None:
            return self._pushed.undeletable(name, self._view)
        return self._pushed.unmovable(name)

    def _moved(self, update: RefUpdate, here: CommitId | None) -> str:
        """Return the reason if a ref is not as the pushing side saw it."""
        if here is None:
            return "" if update.old is None else _STALE
        now = at_once(self._served.id_of_ref(update.ref, here))
        if now is not None and now == update.old:
            return ""
        return _STALE if update.is_forced or update.new is None else _BEHIND

    def _compare(self, update: RefUpdate, limit: int = 2**62) -> Steps[bool]:
        """Return True if the new commit of a branch descends from the one that it has."""
        here = self._pushed.commit_at(update.ref)
        if update.is_forced or update.new is None or here is None or update.ref.startswith(TAGS):
            return True
        new = self._ids.commit_of(update.new)
        if new is None:
            return True
        if (new, here) not in self._compared:
            history = self._repository.history
            found = yield from reaches(history, [new], here, limit)
            self._compared[new, here] = found
        return self._compared[new, here]

    def _change(self, updates: Sequence[RefUpdate]) -> None:
        """Change the refs that nothing speaks against, deleted ones first: `a` may become `a/b`."""
        for each in sorted(updates, key=lambda each: each.new is not None):
            if each.ref in self.reasons:
                continue
            if not at_once(self._compare(each, _MOVED_MAX)):
                self.reasons[each.ref] = _BEHIND if each.was_unknown else _NOT_FORWARD
                continue
            try:
                self._change_ref(each)
            except StoreError:
                raise
            except HeliosError as error:
                self.reasons[each.ref] = str(error)

    def _change_ref(self, update: RefUpdate) -> None:
        pushed, (_, kind, name) = self._pushed, update.ref.split("/", 2)
        if update.new is None:
            (pushed.delete_branch if kind == "heads" else pushed.delete_tag)(name)
            return
        oid = self._ids.commit_of(update.new)
        if oid is None:
            raise UsageError("it names no commit")
        if kind == "tags":
            pushed.set_tag(name, oid, update.new)
        elif self._ids.tag(update.new) is not None:
            raise UsageError("a branch names a commit, and no tag")
        else:
            pushed.set_branch(name, oid)
