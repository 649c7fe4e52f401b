"""A view: one place where the working state of a branch is shown, and what can be done there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from heliosfs.errors import NothingToCommit, Stale, UsageError
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.experiments import METADATA_KEY
from heliosfs.repo.oplog import OperationLog
from heliosfs.repo.oprecord import Operation
from heliosfs.repo.state import DETACHED, State
from heliosfs.workspace.flush import flush
from heliosfs.workspace.switch import switch
from heliosfs.workspace.trees import EMPTY_TREE, Change, differs, has_changes, walk_changes
from heliosfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from heliosfs.repo.merge import Conflict
    from heliosfs.repo.repository import Repository

_NO_METADATA: Mapping[str, str] = {}


class View:
    """The workspace of a branch, or of no branch (detached, at the mount point only).

    Every method that changes something records the state it leaves in the operation log and
    publishes; when that fails (StoreError), nothing has changed.  None of them waits for the
    kernel: who calls through a mount runs the commit barrier first, and invalidates after.
    """

    def __init__(
        self,
        repository: Repository,
        workspace: Workspace,
        slot: int,
        head: CommitId | None,
        merging: CommitId | None = None,
    ) -> None:
        self.repository = repository
        self.workspace = workspace
        self.slot = slot
        self._work_key = work_key(slot)
        self._detached_head = head
        self.merging = merging
        """The commit whose merge is open."""
        self.conflicts: list[Conflict] = []
        """Of the merge that was tried last, and refused or left open, since the view was opened."""
        self.log = OperationLog(repository.store, repository.history, slot)
        self._saved_root = workspace.root.raw or b""
        """The encoded root that is in the store; a flush alone does not bring it there."""

    @property
    def branch(self) -> str | None:
        """The name of the branch; None when detached."""
        branch = self.repository.refs.of_slot(self.slot)
        return branch.name if branch else None

    @property
    def head(self) -> CommitId | None:
        """The commit that the state is based on; None before the first."""
        branch = self.repository.refs.of_slot(self.slot)
        return branch.head if branch else self._detached_head

    @property
    def is_root(self) -> bool:
        """Whether this is the view at the mount point."""
        return self is self.repository.root

    def state(self) -> State:
        """The state now; what is dirty goes into the store's batch."""
        return State(self.slot, self.head, flush(self.workspace), self.merging)

    def checkpoint(self) -> None:
        """Save the uncommitted changes.  Does nothing when nothing changed.  StoreError."""
        if self.workspace.root.raw == self._saved_root:
            return
        try:
            self.save(self.state())
            self.repository.store.publish()
        except Exception:
            self.distrust_saved()
            raise

    def save(self, state: State) -> None:
        """Put the working state, which is that of the workspace, into the store's batch."""
        root = self.workspace.root.raw
        assert root is not None
        self.repository.store.put(self._work_key, state.encode_with(root))
        self._saved_root = root

    def distrust_saved(self) -> None:
        """What was saved last may not have been published: save again at the next occasion."""
        self._saved_root = b""

    def commit(
        self,
        message: str,
        *,
        allow_empty: bool = False,
        expect: CommitId | None = None,
        author: Signature | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> CommitId:
        """Make a commit of everything in the workspace: 50 us for one changed file of 10 KB.

        It concludes an open merge: the commit that is merged becomes the second parent.
        NothingToCommit when nothing but times differs from HEAD; Stale when `expect` is not HEAD.
        """
        head = self.head
        if expect is not None and expect != head:
            now = head.hex() if head else "no commit"
            raise Stale(f"HEAD is {now}, not {expect.hex()}")
        repository = self.repository
        workspace = self.workspace
        flushed = workspace.root.tree
        root = flush(workspace)
        before = State(self.slot, head, root, self.merging)
        is_altered = workspace.was_altered and self._is_tree(head, flushed)
        is_wanted = allow_empty or self.merging is not None
        if not (is_altered or is_wanted or self._differs(head, root)):
            raise NothingToCommit("nothing to commit, working tree clean")
        signature = repository.identity.sign(repository.clock)
        parents = tuple(oid for oid in (head, self.merging) if oid is not None)
        text = message.encode("utf-8", "surrogateescape")
        commit = Commit(root, parents, author or signature, signature, text, metadata)
        oid = self.write(commit)
        self._finish("commit", commit.subject, before, State(self.slot, oid, root))
        return oid

    def write(self, commit: Commit) -> CommitId:
        """Add a commit that is made here to the store's batch; the caller publishes.

        That of an experiment carries its name, and is one of its commits.
        """
        repository = self.repository
        experiment = repository.experiments.running.get(self.slot)
        if experiment is None:
            return repository.history.write(commit)
        metadata = {**commit.metadata, METADATA_KEY: experiment.name}
        oid = repository.history.write(replace(commit, metadata=metadata))
        repository.experiments.add_commit(experiment, oid)
        return oid

    def reset(self, target: CommitId, *, hard: bool = True) -> None:
        """Let the branch name `target`; with `hard`, make the tree exactly equal to it."""
        before = self.state()
        root = self.repository.history.read(target).root if hard else before.root
        mode = "--hard" if hard else "--soft"
        self.move("reset", f"{mode} {target.hex()[:12]}", before, State(self.slot, target, root))

    def restore_detached(self, target: CommitId) -> None:
        """Of the detached view: go to another commit."""
        before = self.state()
        root = self.repository.history.read(target).root
        after = State(DETACHED, target, root)
        self.move("checkout", target.hex()[:12], before, after)

    def undo(self) -> Operation:
        """Revert the last operation that is not undone; gives it.  NotFound."""
        target = self.log.undo_target()
        before = self.state()
        if target.before.slot != self.slot:
            self.repository.checkout_slot(target.before.slot)
            return target
        last = self.log.last
        self._go(before, target.before)
        try:
            self.log.record_undo(self.repository.clock.now_ns(), target, before)
            self.repository.store.publish()
        except Exception:
            self.log.restore(last)
            self._go(target.before, before)
            self.distrust_saved()
            raise
        return target

    def redo(self) -> Operation:
        """Take back the last undo that is not taken back; gives it.  NotFound."""
        target = self.log.redo_target()
        before = self.state()
        last = self.log.last
        self._go(before, target.before)
        try:
            self.log.record_redo(self.repository.clock.now_ns(), target, before)
            self.repository.store.publish()
        except Exception:
            self.log.restore(last)
            self._go(target.before, before)
            self.distrust_saved()
            raise
        return target

    def changes(self) -> Iterator[Change]:
        """What differs from HEAD, as `walk_changes` gives it; the root's own entry included."""
        root = flush(self.workspace)
        head = self.head_root()
        if head is not None and differs(head, root):
            yield Change(b"", head, root)
        old = TreeId(head.oid) if head else EMPTY_TREE
        yield from walk_changes(self.repository.store, old, TreeId(root.oid))

    def has_changes(self) -> bool:
        """Whether anything differs from HEAD."""
        return self._differs(self.head, flush(self.workspace))

    def head_root(self) -> Entry | None:
        """The root entry of HEAD; None before the first commit."""
        return self.repository.history.read(self.head).root if self.head else None

    def require_branch(self) -> str:
        """The branch's name.  UsageError when detached."""
        if self.branch is None:
            raise UsageError("HEAD is detached: check out a branch first")
        return self.branch

    def _is_tree(self, head: CommitId | None, tree: Oid) -> bool:
        return head is not None and self.repository.history.read(head).root.oid == tree

    def _differs(self, head: CommitId | None, root: Entry) -> bool:
        if head is None:
            return root.oid != EMPTY_TREE
        old = self.repository.history.read(head).root
        if old.oid == root.oid:
            return differs(old, root)
        return differs(old, root) or has_changes(
            self.repository.store, TreeId(old.oid), TreeId(root.oid)
        )

    def move(self, verb: str, text: str, before: State, after: State) -> None:
        """Go from the state now to another one of the same slot, and record that.

        Every verb that changes the tree ends here.  StoreError leaves everything as it was.
        """
        stale = switch(self.workspace, after.root)
        try:
            self._finish(verb, text, before, after)
        except Exception:
            switch(self.workspace, before.root)
            raise
        finally:
            self.repository.stale.extend(stale)

    def _go(self, before: State, after: State) -> None:
        self.repository.stale.extend(switch(self.workspace, after.root))
        self._adopt(after)
        self.save(after)

    def _finish(self, verb: str, text: str, before: State, after: State) -> None:
        last = self.log.last
        self.conflicts = []
        try:
            self._adopt(after)
            self.save(after)
            self.log.record(self.repository.clock.now_ns(), verb, text, before, after)
            self.repository.store.publish()
        except Exception:
            self._adopt(before)
            self.log.restore(last)
            self.distrust_saved()
            raise

    def _adopt(self, state: State) -> None:
        head, self.merging = state.head, state.merging
        branch = self.repository.refs.of_slot(self.slot)
        if branch is None:
            self._detached_head = head
        elif branch.head != head:
            self.repository.refs.move(branch, head)


def work_key(slot: int) -> bytes:
    """Where the working state of a slot is kept."""
    return b"work/%016x" % slot
