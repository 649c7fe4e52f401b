"""A view: a place where the working state of a branch is shown, and the operations on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from heliosfs.errors import Busy, NotFound, NothingToCommit, Stale
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo import keys
from heliosfs.repo.core import Core
from heliosfs.repo.experiments import METADATA_KEY
from heliosfs.repo.ignoring import Ignoring
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.pick_note import OpenPick, pick_of
from heliosfs.repo.saves import Saves
from heliosfs.repo.working_state import State
from heliosfs.repo.working_tree import WorkingTree
from heliosfs.trees.graft import graft
from heliosfs.workspace.flush import flush
from heliosfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from heliosfs.repo.merge.trees import Conflict

_NO_METADATA: Mapping[str, str] = {}


class View(WorkingTree):
    """The workspace of a branch, or of no branch (detached, at the mount point only).

    Every method that changes something is a transaction, or joins the open one, and records the new
    state in the operation log.  None of them waits for the kernel: a caller through a mount runs
    the commit barrier first, and invalidates the kernel's caches afterwards.
    """

    def __init__(
        self,
        core: Core,
        workspace: Workspace,
        slot: int,
        head: CommitId | None,
        merging: CommitId | None = None,
        saved: bytes | None = None,
    ) -> None:
        """Open a view; `saved` is the encoded root in the store, else that of the workspace."""
        super().__init__(core, workspace, slot, head, merging)
        self._work_key = keys.of_slot(keys.WORK, slot)
        self.conflicts: list[Conflict] = []
        """Conflicts of the last merge that was refused or left open since the view was opened."""
        self._transaction = core.transaction
        self._inverses = core.inverses
        self.log = OperationLog(core.store, core.history, slot, self._inverses)
        self.saves = Saves(core.store, slot, self._inverses)
        self.ignoring = Ignoring(self)
        if (last := self.log.last) is not None:
            core.clock.note(last.time_ns)
        self._altered: tuple[CommitId | None, Oid] | None = None
        """A commit and a saved tree that differ in more than times, as the save's flush found
        out."""
        self._saved_root = saved or workspace.root.raw or b""
        """Encoded root that is in the store; a flush alone does not bring it there."""

    @property
    def pick(self) -> OpenPick | None:
        """Open cherry-pick or revert; None during a merge, and if nothing is open."""
        return pick_of(self.core.history.read(self.merging)) if self.merging else None

    def checkpoint(self) -> None:
        """Save the uncommitted changes, if anything changed.  StoreError."""
        if self.workspace.root.raw == self._saved_root:
            return
        flushed = self.workspace.root.tree
        with self._transaction:
            state = self.state()
            is_flushed = self.workspace not in self._transaction.targets
            if is_flushed and self.workspace.was_altered and self.is_tree(state.head, flushed):
                self._altered = (state.head, state.root.oid)
            self.save(state)
            encoded = state.encode_with(self._saved_root)
            self.saves.add(self.core.clock.now_ns(), encoded)
            if self.core.history.changed_slots is not None:
                self.core.history.changed_slots.add(self.slot)

    def save(self, state: State) -> None:
        """Put the working state, which is that of the workspace, into the store's batch."""
        planned = self._transaction.targets.get(self.workspace)
        root = planned.raw if planned else self.workspace.root.raw
        assert root is not None
        core = self.core
        core.store.put(self._work_key, state.encode_with(root))
        if core.working_set.has_git_dirs:
            core.note_git_dirs()
        self._inverses.append((setattr, (self, "_saved_root", self._saved_root)))
        self._saved_root = root

    def save_left(self, state: State) -> None:
        """Put the state of a view that shows another branch from now on into the batch."""
        self.core.store.put(self._work_key, state.encode())

    def commit(
        self,
        message: str,
        *,
        allow_empty: bool = False,
        expect: CommitId | None = None,
        author: Signature | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
        content: Entry | None = None,
        kept: Entry | None = None,
    ) -> CommitId:
        """Commit the stage; if nothing is staged, everything in the workspace.

        `content` is another root to commit, after which `kept` is staged.  An open merge becomes
        the second parent.  NothingToCommit if only times differ; Stale if `expect` is not HEAD.
        """
        _check_head(expect, head := self.head)
        core, workspace = self.core, self.workspace
        # Read before the flush: if HEAD had this tree and the flush altered it, they differ.
        flushed = workspace.root.tree
        planned = self._transaction.targets.get(workspace)
        root = planned.root if planned else flush(workspace)
        # What State() does, without its call; so below.
        before = tuple.__new__(State, (self.slot, head, root, self.merging))
        content = content or self.stage.root
        is_selected, is_altered = content is None and workspace.has_rules, False
        if is_selected:
            content, is_altered = self.ignoring.select_next(root)
        is_all = content is None
        was_altered = is_all and workspace.was_altered and self.is_tree(head, flushed)
        is_altered |= was_altered or (is_all and (head, root.oid) == self._altered)
        root = content or root
        if not (is_altered or allow_empty or self.merging or self.differs(head, root)):
            raise NothingToCommit("nothing to commit, working tree clean")
        signature = core.identity.sign(core.clock)
        parents = self._parents() if self.merging is not None else (head,) if head else ()
        data = message.encode("utf-8", "surrogateescape")
        fields = (root, parents, author or signature, signature, data, metadata, b"")
        commit = tuple.__new__(Commit, fields)
        with self._transaction:
            oid = self.write(commit, workspace.root.raw if is_all and not planned else None)
            text = commit if is_all and self.merging is None else commit.subject
            after = tuple.__new__(State, (self.slot, oid, before.root, None))
            self._finish("commit", text, before, after, kept)
        if is_all:
            workspace.nothing_added_to = oid
        elif is_selected and not planned:
            self.ignoring.note_commit(oid, root)
        return oid

    def _parents(self) -> tuple[CommitId, ...]:
        """Return the parents of a commit while a merge or a pick is open."""
        parents = (self.head, None if self.pick is not None else self.merging)
        return tuple(each for each in parents if each is not None)

    def write(self, commit: Commit, root: bytes | None = None) -> CommitId:
        """Add a commit made here to the store's batch, with its experiment's name, if any.

        A caller that has the encoded root passes it, too.
        """
        core = self.core
        experiment = core.experiments.running.get(self.slot)
        if experiment is None:
            return core.history.write(commit, root)
        metadata = {**commit.metadata, METADATA_KEY: experiment.name}
        oid = core.history.write(commit._replace(metadata=metadata))
        core.experiments.add_commit(experiment, oid)
        return oid

    def amend(
        self,
        message: str | None,
        *,
        expect: CommitId | None = None,
        author: Signature | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
        content: Entry | None = None,
        kept: Entry | None = None,
    ) -> CommitId:
        """Replace the commit at HEAD by one with the same parents and the tree of a commit now.

        Message, author and metadata that are not given are those of the replaced commit.  NotFound
        before the first commit; Busy while a merge is open; Stale.
        """
        _check_head(expect, head := self.head)
        if head is None:
            raise NotFound("there is no commit yet to amend")
        if self.merging is not None:
            verb = self.pick.options.verb if self.pick else "merge"
            raise Busy(f"a {verb} is open: commit it, or give it up with '{verb} --abort'")
        before = self.state()
        old = self.core.history.read(head)
        commit = Commit(
            content or self.stage.root or self.selected(),
            self.core.history.edge.parents(head) or old.parents,
            author or old.author,
            self.core.identity.sign(self.core.clock),
            old.message if message is None else message.encode("utf-8", "surrogateescape"),
            metadata or old.metadata,
        )
        with self._transaction:
            oid = self.write(commit)
            after = before._replace(head=oid)
            self._finish("commit", f"(amend) {commit.subject}", before, after, kept)
        return oid

    def reset(self, target: CommitId, *, hard: bool = True, soft: bool = False) -> None:
        """Let the branch name `target`; with `hard`, make the tree exactly equal to it.

        The stage is dropped, except with `soft`.
        """
        before = self.state()
        goal = self.core.history.read(target).root
        root = self.ignoring.keep(goal, before.root) if hard else before.root
        after = State(self.slot, target, root)
        staged = self.stage.root if soft else None
        if staged is not None and not self.differs(target, staged):
            staged = None
        mode = "--hard" if hard else "--soft" if soft else "--mixed"
        self.move("reset", f"{mode} {target.hex()[:12]}", before, after, staged)

    def has_changes(self) -> bool:
        """Return True if anything differs from HEAD."""
        return self.differs(self.head, self.selected())

    def selected(self) -> Entry:
        """Return the root that a commit of everything would have, without ignored files."""
        return self.ignoring.select(self.state().root)

    def move(
        self,
        verb: str,
        text: str,
        before: State,
        after: State,
        staged: Entry | None = None,
        *,
        with_times: bool = False,
    ) -> None:
        """Go from the current state to another one of the same slot, and record that.

        `staged` is the stage from then on.  Every verb that changes the tree ends here.  New and
        replaced files get its time, or, `with_times`, keep their own.
        """
        with self._transaction as change:
            change.show(self.workspace, after.root, with_times=with_times)
            change.afterwards.append(self.ignoring.forget_rules)
            self._finish(verb, text, before, after, staged)

    def _finish(
        self,
        verb: str,
        text: str | Commit,
        before: State,
        after: State,
        staged: Entry | None,
    ) -> None:
        """Go to another state within a transaction, and record the operation.

        In place of a text, the operation may have a commit that says all about it.
        """
        if self.conflicts:
            self._inverses.append((setattr, (self, "conflicts", self.conflicts)))
            self.conflicts = []
        self.adopt(after)
        self.save(after)
        # I27: the state that is left is in the log before another one is shown.
        now_ns = self.core.clock.now_ns()
        if isinstance(text, Commit):
            self.log.record_said(now_ns, text, before, after)
        else:
            self.log.record(now_ns, verb, text, before, after)
        if staged is not None or self.stage.root is not None:
            self.restage(staged)

    def stage_paths(self, source: Entry, paths: Sequence[bytes]) -> list[bytes]:
        """Stage paths as `source` has them; return the paths that changed in the stage.

        A stage that is equal to HEAD is dropped.  StoreError leaves the stage as it was.
        """
        now_ns = self.core.clock.now_ns()
        root, changed = graft(self.core.store, self.base_root(), source, paths, now_ns)
        if changed:
            # I25: a stage that says what HEAD says is none.
            with self._transaction:
                self.stage.replace(root if self.differs(self.head, root) else None)
        return changed

    def restage(self, staged: Entry | None) -> None:
        """Keep the stage with the operation that was just recorded, and stage another tree."""
        assert self.log.last is not None
        self.stage.remember(self.log.last.sequence)
        self.stage.replace(staged)

    def adopt(self, state: State) -> None:
        """Take over HEAD and the open merge of a state, within a transaction."""
        head = state.head
        if self.merging != state.merging:
            self._inverses.append((setattr, (self, "merging", self.merging)))
            self.merging = state.merging
        branch = self.core.refs.of_slot(self.slot)
        if branch is None:
            self._inverses.append((setattr, (self, "_detached_head", self._detached_head)))
            self._detached_head = head
        elif branch.head != head:
            self.core.refs.move(branch, head)


def _check_head(expect: CommitId | None, head: CommitId | None) -> None:
    """Raise Stale if HEAD is not what the caller expects, if it expects anything."""
    if expect is not None and expect != head:
        now = head.hex() if head else "no commit"
        raise Stale(f"HEAD is {now}, not {expect.hex()}")
