"""A working tree: a workspace, the commit on which it is based, and its stage."""

from __future__ import annotations

from heliosfs.errors import StoreError, UsageError
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.core import Core
from heliosfs.repo.stage import Stage
from heliosfs.repo.working_state import State
from heliosfs.trees.stored import EMPTY_TREE, emptied, trees_differ
from heliosfs.workspace.flush import flush
from heliosfs.workspace.redate import with_shown_times
from heliosfs.workspace.workspace import Workspace


class WorkingTree:
    """A workspace in comparison with commits.  Its methods change nothing but caches."""

    def __init__(
        self,
        core: Core,
        workspace: Workspace,
        slot: int,
        head: CommitId | None,
        merging: CommitId | None = None,
    ) -> None:
        self.core = core
        self.workspace = workspace
        self.slot = slot
        self._detached_head = head
        self.merging = merging
        """Commit whose merge is open."""
        self.stage = Stage(core.store, slot, core.inverses)

    @property
    def branch(self) -> str | None:
        """Name of the branch; None if detached."""
        branch = self.core.refs.of_slot(self.slot)
        return branch.name if branch else None

    @property
    def head(self) -> CommitId | None:
        """Commit on which the state is based; None before the first one."""
        branch = self.core.refs.of_slot(self.slot)
        return branch.head if branch else self._detached_head

    def require_branch(self) -> str:
        """Return the branch's name.  Raise UsageError if detached."""
        if self.branch is None:
            raise UsageError("HEAD is detached: check out a branch first")
        return self.branch

    def state(self) -> State:
        """Return the state now, or the one that the open transaction will show.

        Dirty nodes are flushed into the store's batch.
        """
        planned = self.core.transaction.targets.get(self.workspace)
        root = planned.root if planned else flush(self.workspace)
        return State(self.slot, self.head, root, self.merging)

    def read_head(self) -> Commit | None:
        """Return the commit at HEAD; None before the first one.

        Raise StoreError, which says what to do, if it cannot be read.
        """
        head = self.head
        if head is None:
            return None
        try:
            return self.core.history.read(head)
        except StoreError as error:
            whose = f"HEAD of branch {self.branch!r}" if self.branch is not None else "HEAD"
            raise type(error)(
                f"{head.hex()[:12]}, the {whose}, cannot be read ({error}): 'helios reset REV' "
                "leads it to another commit and leaves all files as they are; 'helios fsck' lists "
                "what is damaged"
            ) from error

    def head_root(self) -> Entry | None:
        """Return the root entry of HEAD; None before the first commit.  Raise StoreError."""
        head = self.read_head()
        return with_shown_times(self.workspace, head.root, is_head=True) if head else None

    def base_root(self) -> Entry:
        """Return the tree with which the working tree is compared: the stage, or HEAD."""
        return self.stage.root or self.head_root() or self.bare_root()

    def bare_root(self) -> Entry:
        """Return the tree of HEAD before the first commit: the working root without contents."""
        return emptied(self.state().root)

    def is_tree(self, head: CommitId | None, tree: Oid) -> bool:
        """Return True if a tree is known to be that of a commit, apart from times."""
        if head is None:
            return False
        wanted = self.core.history.read(head).root.oid
        return wanted == tree or (wanted, tree) == self.workspace.twin

    def differs(self, commit: CommitId | None, root: Entry) -> bool:
        """Return True if a tree differs from that of a commit in more than times.

        Before the first commit, return True if the tree has entries.
        """
        if commit is None:
            return root.oid != EMPTY_TREE
        old = with_shown_times(self.workspace, self.core.history.read(commit).root)
        return trees_differ(self.core.store, old, root)
