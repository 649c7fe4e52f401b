"""The repository: one store, its history and refs, and the views that are open on it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import NamedTuple

from heliosfs.clock import Clock
from heliosfs.config.settings import Settings
from heliosfs.errors import Busy, NotFound, UsageError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.beneath import Beneath
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.experiments import Experiments
from heliosfs.repo.history import CACHED_MIN, History
from heliosfs.repo.identity import Identity
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.leftovers import commit_leftovers, is_changed
from heliosfs.repo.metrics import Metrics
from heliosfs.repo.operation import Operation
from heliosfs.repo.refs import Branch, Refs
from heliosfs.repo.saves import Saves
from heliosfs.repo.stage import Stage
from heliosfs.repo.transaction import Transaction
from heliosfs.repo.view import View
from heliosfs.repo.working_state import DETACHED, State, decode_state
from heliosfs.steps import Steps, at_once
from heliosfs.store.base import Store
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.switch import Invalidation
from heliosfs.workspace.working_set import DEFAULT_BUDGET_BYTES, WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root

DEFAULT_BRANCH = "main"
NODE_BYTES = 1_100
"""What a node takes: itself, attributes, name, encoded entry, and its places in two tables."""

_SLOT = struct.Struct("<Q")


class Deleted(NamedTuple):
    """What is left of a deleted branch."""

    head: CommitId | None
    """What it named."""
    rest: CommitId | None
    """A commit of its uncommitted changes, if it had any."""
    ignored: CommitId | None
    """A commit of its whole working tree, if there were ignored files in it."""


class Repository:
    """Everything that belongs to one store.  One thread owns it.

    Invariant: the working state of a branch is shown at one place at most: the root view, or a
    live view in `live`.
    """

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        self.store = store
        self.clock = clock
        self.identity = identity
        self.inverses = Inverses()
        self.stale = Invalidation()
        """What the kernel must forget before the verb that runs is answered."""
        self.transaction = Transaction(self)
        """Around everything that changes state: `with repository.transaction:`."""
        self.refs = Refs(store, self.inverses)
        self.experiments = Experiments(store, self.inverses)
        self.history = History(store)
        self.inodes = InodeTable()
        self.working_set = WorkingSet(store, others=self._other_bytes, publish=self.publish)
        self.nodes_max = DEFAULT_BUDGET_BYTES // 4 // NODE_BYTES
        """With more nodes, the kernel is asked to forget some."""
        self.configuration = Configuration()
        self.metrics = Metrics(clock)
        self.live: dict[int, View] = {}
        """Slot -> view, for the branches that are open but not at the root."""
        self.open_snapshots: dict[CommitId, Workspace] = {}
        """The trees of commits that someone looks at; kept by who shows them."""
        self.beneath: Beneath | None = None
        """The directory beneath the mount point, kept by who opened it."""
        self.on_collect: list[Callable[[], None]] = [self._forget_twins]
        """Told when a garbage collection begins: to forget ids of objects that no root reaches."""
        self.is_new = store.get(keys.ROOT) is None
        self.root = self._open_root()

    @classmethod
    def open(
        cls, store: Store, clock: Clock, identity: Identity, branch: str | None = None
    ) -> Repository:
        """Open a store, and make it a repository if it is none yet.

        `branch` is what the root shows: the branch of a new repository, or the one to check
        out.  NotFound.
        """
        if store.get(keys.ROOT) is None:
            slot = Refs(store).create(branch or DEFAULT_BRANCH, None).slot
            store.put(keys.ROOT, _SLOT.pack(slot))
            repository = cls(store, clock, identity)
            repository.is_new = True
            store.publish()
            return repository
        repository = cls(store, clock, identity)
        if branch is not None:
            repository.checkout_branch(branch)
        return repository

    def configure(self, configuration: Configuration) -> None:
        """Work by a configuration, and by what it is changed to.  StoreError."""
        self.configuration = configuration
        configuration.follow(self._apply)

    def close(self) -> None:
        """Save every view and close the store.  StoreError."""
        self.checkpoint()
        self.store.close()

    def checkpoint(self) -> None:
        """Save the uncommitted changes of every view.  StoreError."""
        for view in self.views():
            view.checkpoint()

    def publish(self) -> None:
        """Publish the objects that wait in the batch; later, while a transaction is open."""
        # I22: what is spilled within a transaction waits for its publish.
        if not self.transaction.is_open:
            self.store.publish()

    def views(self) -> list[View]:
        """Every open view, the root first."""
        return [self.root, *self.live.values()]

    def take_stale(self) -> Invalidation:
        """What the kernel must forget now; the caller sees to it."""
        stale, self.stale = self.stale, Invalidation()
        return stale

    def view_of(self, branch: Branch) -> View | None:
        """The open view that shows the branch, if one does."""
        return self.root if self.root.slot == branch.slot else self.live.get(branch.slot)

    def live_view(self, name: str) -> View:
        """The live view of a branch that is not at the root, opened on demand.  NotFound, Busy."""
        branch = self.refs.branch(name)
        # I23: a branch is shown at the root or in one live view, never at both.
        if branch.slot == self.root.slot:
            raise Busy(f"branch {name!r} is checked out at the mount point")
        view = self.live.get(branch.slot)
        if view is None:
            view = self.live[branch.slot] = self._open_view(self.saved_state(branch))
        return view

    def snapshot(self, oid: CommitId) -> Workspace:
        """A read-only tree of a commit, with inodes of its own.  MissingObject."""
        root = self.history.read(oid).root
        return Workspace(
            self.store, self.clock, self.inodes, self.working_set, root, read_only=True
        )

    def saved_state(self, branch: Branch) -> State:
        """The working state of a branch as it was last saved; its HEAD if it has none."""
        data = self.store.get(keys.of_slot(keys.WORK, branch.slot))
        if data is not None:
            saved, _ = decode_state(data)
            if saved.head == branch.head and saved.slot == branch.slot:
                return saved
            return State(saved.slot, branch.head, saved.root, saved.merging)
        if branch.head is not None:
            return State(branch.slot, branch.head, self.history.read(branch.head).root)
        now = self.clock.now_ns()
        root = empty_root(self.identity.uid, self.identity.gid, now)
        return State(branch.slot, None, root)

    def create_branch(self, name: str, base: CommitId | None, fork: View | None = None) -> Branch:
        """A branch at `base`: 10 us.  With `fork`, that view's uncommitted changes come along."""
        with self.transaction:
            branch = self.refs.create(name, base)
            if fork is not None:
                state = fork.state()._replace(slot=branch.slot, head=base)
                self.store.put(keys.of_slot(keys.WORK, branch.slot), state.encode())
                Stage(self.store, branch.slot).replace(fork.stage.root)
        return branch

    def rename_branch(self, old: str, new: str) -> Branch:
        """Give a branch another name; its working state stays.  NotFound, AlreadyExists."""
        branch = self.refs.branch(old)
        with self.transaction:
            self.refs.rename(branch, new)
        return branch

    def tips_beside(self, branches: Collection[Branch]) -> frozenset[CommitId]:
        """Return the commits that are named by anything but these branches."""
        found = {other.head for other in self.refs if other not in branches}
        found |= {self.root.head, *self.refs.tags.values()}
        return frozenset(oid for oid in found if oid is not None)

    def check_reached(self, branches: Collection[Branch]) -> Steps[None]:
        """Check that all commits of branches are reached by something else.  Busy.

        Cost: of each branch that is nobody's ancestor, the commits that it does not share.
        """
        tips = self.tips_beside(branches)
        for branch in branches:
            if branch.head is None or (yield from reaches(self.history, tips, branch.head)):
                continue
            raise Busy(f"branch {branch.name!r} has commits that nothing else reaches: use -D")

    def delete_branch(self, name: str, *, force: bool = False, is_reached: bool = False) -> Deleted:
        """Drop a branch.

        Busy when it is at the root or has open files, and, without `force`, when it has
        uncommitted changes or commits that no other branch or tag reaches; `is_reached` says
        that `check_reached` has looked for these.  With `force`, its uncommitted changes become
        a commit that no branch names, so that they can be had back; so do, in either case, its
        ignored files.
        """
        branch = self.refs.branch(name)
        if branch.slot == self.root.slot:
            raise Busy(f"cannot delete branch {name!r}: it is checked out at the mount point")
        if not force:
            self._check_committed(branch)
            if not is_reached:
                at_once(self.check_reached([branch]))
        with self.transaction:
            self.close_live(branch)
            rest, ignored = commit_leftovers(self, branch.name, self.saved_state(branch))
            self.refs.delete(branch)
            Stage(self.store, branch.slot).replace(None)
            self.experiments.branch_deleted(branch.slot, rest or branch.head)
            if branch.head is not None:
                self.refs.drop(branch.head, self.clock.now_ns())
        return Deleted(branch.head, rest, ignored)

    def checkout_branch(self, name: str) -> bool:
        """Show a branch at the root; False when it is there already.  NotFound, Busy.

        Both branches keep their uncommitted changes.  Cost: O(changed) between the two trees.
        """
        branch = self.refs.branch(name)
        if branch.slot == self.root.slot:
            return False
        with self.transaction:
            if branch.slot in self.live:
                self.close_live(branch)
            self._show(self.saved_state(branch))
        return True

    def take_back_checkout(self, checkout: Operation) -> None:
        """Show the branch again from which a commit was checked out.  NotFound, Busy.

        What was done since then to ignored files, which came along, goes back with them.
        """
        branch = self.refs.of_slot(checkout.before.slot)
        if branch is None:
            raise NotFound("the branch of that operation was deleted")
        with self.transaction:
            self.close_live(branch)
            saved = self.saved_state(branch)
            after = self.root.ignoring.take_along(saved, checkout.after.root)
            if after.root != saved.root:
                self._note_save(saved)
            self._show(after)

    def checkout_commit(self, view: View, oid: CommitId) -> None:
        """Make the tree at the root equal to a commit, with HEAD detached.  UsageError.

        `undo` leads back to the branch; or to the uncommitted changes of the detached state
        that was left last, since these are what the verb discards.
        """
        if view is not self.root:
            raise UsageError(
                f"a live view shows its branch, {view.branch!r}: "
                "use 'reset --hard', or check out at the mount point"
            )
        if view.slot == DETACHED:
            view.restore_detached(oid)
            return
        state = view.state()
        before = self._discarded_state() or state
        after = State(DETACHED, oid, view.ignoring.keep(self.history.read(oid).root, state.root))
        text = f"{oid.hex()[:12]} (from {view.branch})"

        def record(detached: View) -> None:
            detached.log.record(self.clock.now_ns(), "checkout", text, before, after)
            detached.restage(None)
            detached.save(after)

        left = self._left_detached()
        with self.transaction:
            if left is not None and left not in (before, after):
                # Its ignored files make way for those of now.
                self._note_save(left)
            self._show(after, record)

    def previous(self) -> tuple[int, CommitId | None]:
        """What the root showed before: a slot, and the commit at its HEAD then.  NotFound."""
        data = self.store.get(keys.PREVIOUS)
        if data is None:
            raise NotFound("nothing else was checked out before")
        (slot,) = _SLOT.unpack_from(data)
        return slot, CommitId(Oid(data[_SLOT.size :])) if len(data) > _SLOT.size else None

    def close_live(self, branch: Branch) -> None:
        """Save and close the live view of a branch.  Busy when it has open files."""
        view = self.live.get(branch.slot)
        if view is None:
            return
        if view.workspace.handles:
            raise Busy(f"branch {branch.name!r} has open files in its live view")
        with self.transaction as change:
            view.checkpoint()
            del self.live[branch.slot]
            self.inverses.append((self.live.__setitem__, (branch.slot, view)))
            change.afterwards.append(view.workspace.close)

    def _show(self, state: State, record: Callable[[View], None] | None = None) -> None:
        """Let the root view show another working state, when the open transaction ends."""
        # I23: the live view was closed, where the branch had one.
        assert state.slot not in self.live
        leaving = self.root
        workspace = leaving.workspace
        before = leaving.state()
        leaving.save(before)
        saved = self.transaction.show(workspace, state.root)
        self.root = View(self, workspace, state.slot, state.head, state.merging, saved)
        self.inverses.append((setattr, (self, "root", leaving)))
        self.root.save(state)
        self.store.put(keys.ROOT, _SLOT.pack(state.slot))
        self.store.put(keys.PREVIOUS, _SLOT.pack(before.slot) + (before.head or b""))
        if record is not None:
            record(self.root)

    def _apply(self, settings: Settings) -> None:
        working_set_bytes = settings.working_set_bytes
        cache_bytes = min(settings.l1_cache_bytes, working_set_bytes // 2)
        self.store.tune(cache_bytes, prefer_zstd=settings.prefer_zstd)
        self.nodes_max = working_set_bytes // 4 // NODE_BYTES
        self.working_set.budget(working_set_bytes)
        self.history.capacity = max(CACHED_MIN, settings.retention_count)
        for view in self.views():
            view.workspace.gives_new_times = not settings.keeps_committed_times

    def _forget_twins(self) -> None:
        for view in self.views():
            view.workspace.twin = None

    def _other_bytes(self) -> int:
        """What of the working set is not contents."""
        return self.store.memory_bytes + len(self.inodes.nodes) * NODE_BYTES

    def _left_detached(self) -> State | None:
        """The detached state that was left last, if there is one."""
        data = self.store.get(keys.of_slot(keys.WORK, DETACHED))
        return decode_state(data)[0] if data is not None else None

    def _discarded_state(self) -> State | None:
        """The detached state that was left with uncommitted changes, if there is one."""
        state = self._left_detached()
        return state if state is not None and is_changed(self, state) else None

    def _note_save(self, state: State) -> None:
        """Let `restore --saved` have a state that gives way to another one of its slot."""
        saves = Saves(self.store, state.slot, self.inverses)
        saves.add(self.clock.now_ns(), state.encode())

    def _check_committed(self, branch: Branch) -> None:
        view = self.live.get(branch.slot)
        if view is not None:
            view.checkpoint()
        is_staged = Stage(self.store, branch.slot).root is not None
        if is_staged or is_changed(self, self.saved_state(branch)):
            raise Busy(f"branch {branch.name!r} has uncommitted changes: use -D to drop them")

    def _open_root(self) -> View:
        known = self.store.get(keys.ROOT)
        slot = _SLOT.unpack(known)[0] if known else DETACHED
        branch = self.refs.of_slot(slot)
        if branch is not None:
            return self._open_view(self.saved_state(branch))
        data = self.store.get(keys.of_slot(keys.WORK, slot))
        if data is None:
            raise NotFound("the repository does not say what the mount point shows")
        return self._open_view(decode_state(data)[0])

    def _open_view(self, state: State) -> View:
        workspace = Workspace(self.store, self.clock, self.inodes, self.working_set, state.root)
        workspace.gives_new_times = not self.configuration.settings.keeps_committed_times
        return View(self, workspace, state.slot, state.head, state.merging)
