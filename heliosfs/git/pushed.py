"""The branches and tags that a push creates, moves or deletes, within one transaction."""

from __future__ import annotations

from heliosfs.git import raw
from heliosfs.git.ids import IdMap
from heliosfs.git.refs import TAGS
from heliosfs.git.remembered import PUSHED_ORIGIN, RememberedRef
from heliosfs.objects.ids import CommitId
from heliosfs.repo import keys
from heliosfs.repo.branching import delete_branch
from heliosfs.repo.leftovers import is_changed
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.refs import Branch
from heliosfs.repo.repository import Repository
from heliosfs.repo.stage import Stage
from heliosfs.repo.tag_notes import Annotation
from heliosfs.repo.tagging import create_tag, delete_tag
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State

_VERB = "push"
_ID_DIGITS = 12


class PushedRefs:
    """The refs of a repository, as a push changes them.

    A branch that moves takes its files along, in every view, and its log has the operation.
    """

    def __init__(self, repository: Repository, ids: IdMap) -> None:
        self._repository = repository
        self._ids = ids
        self._told: list[str] = []
        """Refs that were created or deleted, and tags that were moved, in words."""

    def note(self, view: View) -> None:
        """Record in the log of a view what no log of a branch has: what is new, and what is gone.

        A ref that was deleted has no log any more, and a tag never had one.
        """
        if not self._told:
            return
        slots = {each.slot: each for each in self._repository.views()}
        # It may have been closed, or show another branch, since the push began.
        now = slots.get(view.slot, self._repository.root)
        now_ns = self._repository.clock.now_ns()
        now.log.note(now_ns, _VERB, ", ".join(self._told), now.state())
        self._told.clear()

    def commit_at(self, ref: str) -> CommitId | None:
        """Return the commit that a ref, by its full name, has now."""
        refs, name = self._repository.refs, ref.split("/", 2)[2]
        if ref.startswith(TAGS):
            return refs.tags.get(name)
        branch = refs.find(name)
        return branch.head if branch is not None else None

    def unmovable(self, name: str) -> str:
        """Return the reason why a branch cannot move; empty if it can."""
        branch = self._repository.refs.find(name)
        if branch is None or not self._has_changes(branch):
            return ""
        place = "there" if self._repository.view_of(branch) is None else "in the workspace"
        return (
            f"branch has uncommitted changes {place}: commit or stash them, "
            "or push to another branch"
        )

    def undeletable(self, name: str, view: View) -> str:
        """Return the reason why a branch cannot be deleted; empty if it can."""
        repository = self._repository
        branch = repository.refs.branch(name)
        if branch.slot in (repository.root.slot, view.slot):
            return "deletion of the current branch prohibited: check out another one there first"
        if self._has_changes(branch):
            return f"branch has uncommitted changes: 'helios branch -D {name}' there drops them"
        return ""

    def set_branch(self, name: str, oid: CommitId) -> None:
        """Create a branch, or move it with its files.  Raise AlreadyExists or StoreError."""
        refs = self._repository.refs
        branch = refs.find(name)
        if branch is None:
            refs.create(name, oid)
            self._told.append(f"new branch {name}")
        elif branch.head != oid:
            self._drop(branch.head)
            self._move(branch, oid)

    def set_tag(self, name: str, oid: CommitId, git_id: bytes) -> None:
        """Create or move a tag, with its annotation if `git_id` is that of a tag object."""
        note = tag_note(self._ids, name, git_id)
        before = self._repository.refs.tags.get(name)
        create_tag(self._repository, name, oid, force=True, note=note)
        keep_tag(self._ids, name, git_id, note)
        self._told.append(f"tag {name} moved{_was(before)}" if before else f"new tag {name}")

    def delete_branch(self, name: str) -> None:
        """Delete a branch.  Raise Busy if files in its view are open."""
        refs = self._repository.refs
        head = refs.branch(name).head
        if head is not None:
            delete_branch(self._repository, name, force=True, is_reached=True)
            self._told.append(f"deleted branch {name}{_was(head)}")

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        oid = delete_tag(self._repository, name)
        self._told.append(f"deleted tag {name}{_was(oid)}")
        self._ids.origins.note_ref(PUSHED_ORIGIN, TAGS + name, None)

    def _has_changes(self, branch: Branch) -> bool:
        repository = self._repository
        view = repository.view_of(branch)
        if view is not None:
            is_open = view.stage.root is not None or view.merging is not None
            return is_open or view.has_changes()
        state = repository.saved_state(branch)
        is_open = Stage(repository.store, branch.slot).root is not None or state.merging is not None
        return is_open or is_changed(repository, state)

    def _move(self, branch: Branch, oid: CommitId) -> None:
        """Move a branch with its files, which have no changes, and record that."""
        repository = self._repository
        goal = repository.history.read(oid).root
        text = f"{branch.name} {oid.hex()[:_ID_DIGITS]}"
        view = repository.view_of(branch)
        before = repository.saved_state(branch) if view is None else view.state()
        if view is None and not self._is_plain(before):
            # It has ignored files or a `.git`, which stay.
            view = repository.live_view(branch.name)
        if view is not None:
            root = view.ignoring.keep(goal, before.root)
            view.move(_VERB, text, before, before._replace(head=oid, root=root))
            return
        after = State(branch.slot, oid, goal)
        log = OperationLog(repository.store, repository.history, branch.slot)
        log.record(repository.clock.now_ns(), _VERB, text, before, after)
        repository.store.put(keys.of_slot(keys.WORK, branch.slot), None)
        repository.refs.move(branch, oid)

    def _is_plain(self, state: State) -> bool:
        """Return True if the files of a state are those of its commit, and nothing else."""
        if state.head is None:
            return False
        return state.root.oid == self._repository.history.read(state.head).root.oid

    def _drop(self, oid: CommitId | None) -> None:
        if oid is not None:
            self._repository.dropped.add(oid, self._repository.clock.now_ns())


def tag_note(ids: IdMap, name: str, git_id: bytes) -> Annotation | None:
    """Return the annotation of a tag of git's if its bytes come back from that, or else None."""
    data = ids.tag(git_id)
    if data is None:
        return None
    said, target = raw.tag_text(data), raw.parse_tag(data).target
    short = name.encode("utf-8", "surrogateescape")
    if said.tagger is None or data != raw.encode_tag(target, short, said.tagger, said.message):
        return None
    return Annotation(said.tagger, said.message)


def keep_tag(ids: IdMap, name: str, git_id: bytes, note: Annotation | None) -> None:
    """Let git's own object stand for a tag whose bytes would not come back from an annotation."""
    is_kept = note is None and ids.tag(git_id) is not None
    ids.origins.note_ref(
        PUSHED_ORIGIN, TAGS + name, RememberedRef(git_id, name, b"") if is_kept else None
    )


def _was(oid: CommitId) -> str:
    return f" (was {oid.hex()[:_ID_DIGITS]})"
