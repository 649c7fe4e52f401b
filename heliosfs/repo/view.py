"""A view: one place where the working state of a branch is shown, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from heliosfs.errors import Busy, NotFound, NothingToCommit, Stale, UsageError
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo import keys
from heliosfs.repo.experiments import METADATA_KEY
from heliosfs.repo.ignoring import Ignoring
from heliosfs.repo.operation import Operation
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.pick_note import OpenPick, pick_of
from heliosfs.repo.saves import Saves
from heliosfs.repo.stage import Stage
from heliosfs.repo.stash import take_back_stash
from heliosfs.repo.working_state import DETACHED, State
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, has_changes, walk_changes
from heliosfs.workspace.flush import flush
from heliosfs.workspace.redate import as_shown
from heliosfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from heliosfs.repo.merge.trees import Conflict
    from heliosfs.repo.repository import Repository

_NO_METADATA: Mapping[str, str] = {}


class View:
    """The workspace of a branch, or of no branch (detached, at the mount point only).

    Every method that changes something is a transaction, or joins the one that is open, and
    records the state it leaves in the operation log.  None of them waits for the kernel: who
    calls through a mount runs the commit barrier first, and invalidates after.
    """

    def __init__(
        self,
        repository: Repository,
        workspace: Workspace,
        slot: int,
        head: CommitId | None,
        merging: CommitId | None = None,
        saved: bytes | None = None,
    ) -> None:
        """`saved` is the encoded root that is in the store; that of the workspace by default."""
        self.repository = repository
        self.workspace = workspace
        self.slot = slot
        self._work_key = keys.of_slot(keys.WORK, slot)
        self._detached_head = head
        self.merging = merging
        """The commit whose merge is open."""
        self.conflicts: list[Conflict] = []
        """Of the merge that was tried last, and refused or left open, since the view was opened."""
        self._transaction = repository.transaction
        self._inverses = repository.inverses
        self.log = OperationLog(repository.store, repository.history, slot, self._inverses)
        self.stage = Stage(repository.store, slot, self._inverses)
        self.saves = Saves(repository.store, slot, self._inverses)
        self.ignoring = Ignoring(self)
        if (last := self.log.last) is not None:
            repository.clock.note(last.time_ns)
        self._altered: tuple[CommitId | None, Oid] | None = None
        """A commit, and a tree that was saved and differs from it in more than times.

        Known from when the save flushed it, so that the commit after it compares nothing.
        """
        self._saved_root = saved or workspace.root.raw or b""
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
    def pick(self) -> OpenPick | None:
        """The cherry-pick or revert that is open; None of a merge, and when nothing is."""
        return pick_of(self.repository.history.read(self.merging)) if self.merging else None

    @property
    def is_root(self) -> bool:
        """Whether this is the view at the mount point."""
        return self is self.repository.root

    def state(self) -> State:
        """Return the state now, or the one that the open transaction will show.

        What is dirty goes into the store's batch.
        """
        planned = self._transaction.targets.get(self.workspace)
        root = planned.root if planned else flush(self.workspace)
        return State(self.slot, self.head, root, self.merging)

    def checkpoint(self) -> None:
        """Save the uncommitted changes.  Does nothing when nothing changed.  StoreError."""
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
            self.saves.add(self.repository.clock.now_ns(), encoded)

    def save(self, state: State) -> None:
        """Put the working state, which is that of the workspace, into the store's batch."""
        planned = self._transaction.targets.get(self.workspace)
        root = planned.raw if planned else self.workspace.root.raw
        assert root is not None
        self.repository.store.put(self._work_key, state.encode_with(root))
        self._inverses.append((setattr, (self, "_saved_root", self._saved_root)))
        self._saved_root = root

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
        """Make a commit of what is staged; of everything in the workspace if nothing is.

        `content` is the root of another tree to commit, after which `kept` is staged.
        It concludes an open merge: the commit that is merged becomes the second parent.
        NothingToCommit when nothing but times differs from HEAD; Stale when `expect` is not HEAD.
        Cost: 50 us for one changed file of 10 KB.
        """
        head = self.head
        if expect is not None:
            _check_head(expect, head)
        repository = self.repository
        workspace = self.workspace
        flushed = workspace.root.tree
        planned = self._transaction.targets.get(workspace)
        root = planned.root if planned else flush(workspace)
        before = State(self.slot, head, root, self.merging)
        content = content or self.stage.root
        if content is None and workspace.has_rules:
            content = self.ignoring.select(root)
        is_altered = content is None and (
            (head, root.oid) == self._altered
            or (workspace.was_altered and self.is_tree(head, flushed))
        )
        root = content or root
        is_wanted = allow_empty or self.merging is not None
        if not (is_altered or is_wanted or self._differs(head, root)):
            raise NothingToCommit("nothing to commit, working tree clean")
        signature = repository.identity.sign(repository.clock)
        parents: tuple[CommitId, ...] = (head,) if head is not None else ()
        if self.merging is not None and self.pick is None:
            parents += (self.merging,)
        text = message.encode("utf-8", "surrogateescape")
        commit = Commit(root, parents, author or signature, signature, text, metadata)
        with self._transaction:
            oid = self.write(commit)
            self._finish("commit", commit.subject, before, State(self.slot, oid, before.root), kept)
        if content is None:
            workspace.nothing_added_to = oid
        return oid

    def write(self, commit: Commit) -> CommitId:
        """Add a commit that is made here to the store's batch, within a transaction.

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
        """Replace the commit at HEAD by one of its parents that has what a commit would take now.

        What is not given (message, author, metadata) is as in the commit that is replaced.
        NotFound before the first commit; Busy while a merge is open; Stale.
        """
        head = self.head
        if expect is not None:
            _check_head(expect, head)
        if head is None:
            raise NotFound("there is no commit yet to amend")
        if self.merging is not None:
            verb = self.pick.options.verb if self.pick else "merge"
            raise Busy(f"a {verb} is open: commit it, or take it back with '{verb} --abort'")
        before = self.state()
        old = self.repository.history.read(head)
        commit = Commit(
            content or self.stage.root or self.selected(),
            old.parents,
            author or old.author,
            self.repository.identity.sign(self.repository.clock),
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

        Nothing is staged then, but with `soft` what was staged before.
        """
        before = self.state()
        goal = self.repository.history.read(target).root
        root = self.ignoring.keep(goal, before.root) if hard else before.root
        after = State(self.slot, target, root)
        staged = self.stage.root if soft else None
        if staged is not None and not self._differs(target, staged):
            staged = None
        mode = "--hard" if hard else "--soft" if soft else "--mixed"
        self.move("reset", f"{mode} {target.hex()[:12]}", before, after, staged)

    def restore_detached(self, target: CommitId) -> None:
        """Of the detached view: go to another commit."""
        before = self.state()
        root = self.repository.history.read(target).root
        after = State(DETACHED, target, self.ignoring.keep(root, before.root))
        self.move("checkout", target.hex()[:12], before, after)

    def undo(self) -> Operation:
        """Revert the last operation that is not undone; gives it.  NotFound."""
        target = self.log.undo_target()
        before = self.state()
        if target.before.slot != self.slot:
            self.repository.take_back_checkout(target)
            return target
        after = self.ignoring.keep_in(target.before, before.root, target)
        self._step(target, before, after, self.log.record_undo)
        return target

    def redo(self) -> Operation:
        """Take back the last undo that is not taken back; gives it.  NotFound."""
        target = self.log.redo_target()
        before = self.state()
        after = self.ignoring.keep_in(target.before, before.root, target)
        self._step(target, before, after, self.log.record_redo)
        return target

    def changes(self) -> Iterator[Change]:
        """What differs from HEAD, as `walk_changes` gives it; the root's own entry included."""
        root = self.selected()
        head = self.head_root()
        if head is not None and differs(head, root):
            yield Change(b"", head, root)
        old = TreeId(head.oid) if head else EMPTY_TREE
        yield from walk_changes(self.repository.store, old, TreeId(root.oid))

    def has_changes(self) -> bool:
        """Whether anything differs from HEAD."""
        return self._differs(self.head, self.selected())

    def head_root(self) -> Entry | None:
        """The root entry of HEAD; None before the first commit."""
        head = self.repository.history.read(self.head).root if self.head else None
        return as_shown(self.workspace, head, is_head=True) if head else None

    def require_branch(self) -> str:
        """The branch's name.  UsageError when detached."""
        if self.branch is None:
            raise UsageError("HEAD is detached: check out a branch first")
        return self.branch

    def selected(self) -> Entry:
        """The root of what a commit of everything would have: what is ignored is not in it."""
        return self.ignoring.select(self.state().root)

    def is_tree(self, head: CommitId | None, tree: Oid) -> bool:
        """Return True if a tree is, as far as that is known, the one of a commit but for times."""
        if head is None:
            return False
        wanted = self.repository.history.read(head).root.oid
        return wanted == tree or (wanted, tree) == self.workspace.twin

    def _shown_root(self, commit: CommitId) -> Entry:
        return as_shown(self.workspace, self.repository.history.read(commit).root)

    def _differs(self, head: CommitId | None, root: Entry) -> bool:
        if head is None:
            return root.oid != EMPTY_TREE
        old = self._shown_root(head)
        if old.oid == root.oid:
            return differs(old, root)
        return differs(old, root) or has_changes(
            self.repository.store, TreeId(old.oid), TreeId(root.oid)
        )

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
        """Go from the state now to another one of the same slot, and record that.

        `staged` is the stage from then on.  Every verb that changes the tree ends here.  Files
        that come or are replaced get its time, or, `with_times`, those that they have.
        """
        with self._transaction as change:
            change.show(self.workspace, after.root, with_times=with_times)
            change.afterwards.append(self.ignoring.look_again)
            self._finish(verb, text, before, after, staged)

    def _step(
        self,
        target: Operation,
        before: State,
        after: State,
        record: Callable[[int, Operation, State, State], None],
    ) -> None:
        """Go to `after`, the state before `target`, its stage included, and record that."""
        with self._transaction as change:
            change.show(self.workspace, after.root)
            change.afterwards.append(self.ignoring.look_again)
            self._adopt(after)
            self.save(after)
            record(self.repository.clock.now_ns(), target, before, after)
            self.restage(self.stage.remembered(target.sequence))
            assert self.log.last is not None
            last = self.log.last.sequence
            take_back_stash(self.repository.store, self.slot, target.sequence, last)

    def _finish(
        self, verb: str, text: str, before: State, after: State, staged: Entry | None
    ) -> None:
        if self.conflicts:
            self._inverses.append((setattr, (self, "conflicts", self.conflicts)))
            self.conflicts = []
        self._adopt(after)
        self.save(after)
        # I27: the state that is left is in the log before another one is shown.
        self.log.record(self.repository.clock.now_ns(), verb, text, before, after)
        if staged is not None or self.stage.root is not None:
            self.restage(staged)

    def restage(self, staged: Entry | None) -> None:
        """Let the operation that was just recorded know the stage before, and stage another."""
        assert self.log.last is not None
        self.stage.remember(self.log.last.sequence)
        self.stage.replace(staged)

    def _adopt(self, state: State) -> None:
        head = state.head
        if self.merging != state.merging:
            self._inverses.append((setattr, (self, "merging", self.merging)))
            self.merging = state.merging
        branch = self.repository.refs.of_slot(self.slot)
        if branch is None:
            self._inverses.append((setattr, (self, "_detached_head", self._detached_head)))
            self._detached_head = head
        elif branch.head != head:
            self.repository.refs.move(branch, head)


def _check_head(expect: CommitId, head: CommitId | None) -> None:
    if expect != head:
        now = head.hex() if head else "no commit"
        raise Stale(f"HEAD is {now}, not {expect.hex()}")
