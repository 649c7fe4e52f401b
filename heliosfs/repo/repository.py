"""The repository: one store, its history and refs, and the views that are open on it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from heliosfs.clock import Clock
from heliosfs.config.settings import Settings
from heliosfs.errors import Busy, NotFound, NotPermitted, StoreError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.beneath import Beneath
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.core import NODE_BYTES, Core
from heliosfs.repo.git_dirs import NONE, open_older, taken_over
from heliosfs.repo.history import CACHED_MIN
from heliosfs.repo.identity import Identity
from heliosfs.repo.metrics import Metrics
from heliosfs.repo.prompts import PromptMemory
from heliosfs.repo.refs import Branch, Refs
from heliosfs.repo.seen_settings import see_settings
from heliosfs.repo.view import View
from heliosfs.repo.working_state import DETACHED, State
from heliosfs.store.base import Store
from heliosfs.store.sidefile import SideFile
from heliosfs.workspace.inodes import problem_of
from heliosfs.workspace.switch import Invalidation
from heliosfs.workspace.unloading import close
from heliosfs.workspace.working_set import DEFAULT_BUDGET_BYTES
from heliosfs.workspace.workspace import Workspace

DEFAULT_BRANCH = "main"
_SLOT = struct.Struct("<Q")


class Repository(Core):
    """Everything that belongs to one store.  One thread owns it.

    Invariant: the working state of a branch is shown in at most one place, the root view or a live
    view in `live`.
    """

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        super().__init__(store, clock, identity)
        self.nodes_max = DEFAULT_BUDGET_BYTES // 4 // NODE_BYTES
        """Number of nodes above which the kernel is asked to forget some."""
        self.configuration = Configuration()
        self.metrics = Metrics(clock)
        self.live: dict[int, View] = {}
        """View by slot, for branches that are open but not at the root."""
        self.open_snapshots: dict[CommitId, Workspace] = {}
        """Trees of the commits that someone looks at; kept by the code that shows them."""
        self.beneath: Beneath | None = None
        """Directory beneath the mount point, kept by the code that opened it."""
        self.on_collect: list[Callable[[], None]] = [
            self._forget_twins,
            self.history.forget_trees,
        ]
        """Functions called when a garbage collection begins, to forget ids of objects that no root
        reaches."""
        self.prompts = PromptMemory()
        self.path = ""
        """Path of the workspace, shown to people; "" if it is not known."""
        self.findings = list(store.findings)
        """Lines for people about what was not as it had been left when all this was opened."""
        self.news: list[str] = []
        """Lines for people about what this version does otherwise with this store."""
        known = store.get(keys.ROOT)
        self.is_new = known is None
        if known is not None and (news := open_older(self, _SLOT.unpack(known)[0])):
            self.news.append(news)
        self.root = self._open_root()
        try:
            self.root.read_head()
        except StoreError as error:
            # The files of the working state are there without it, and so are the other branches.
            self.findings.append(str(error))

    @classmethod
    def open(
        cls,
        store: Store,
        clock: Clock,
        identity: Identity,
        branch: str | None = None,
        *,
        is_backup: bool = False,
    ) -> Repository:
        """Open a store, and make it a repository if it is not one yet.

        `branch` is the branch of a new repository, or the one to check out at the root.
        The store of a backup is opened with `is_backup` only, and then nobody works in it.

        Raise NotFound or NotPermitted.
        """
        if not is_backup and store.get(keys.BACKUP) is not None:
            # I58: the next backup replaces all state, and with it what had been done here.
            raise NotPermitted(
                "this store is a backup, in which nobody works: "
                "'helios backup --restore DIR NEW' makes a workspace of it"
            )
        if store.get(keys.ROOT) is None:
            slot = Refs(store).create(branch or DEFAULT_BRANCH, None).slot
            store.put(keys.ROOT, _SLOT.pack(slot))
            store.put(keys.MILESTONES, b"")
            store.put(keys.GIT_DIRS, NONE)
            repository = cls(store, clock, identity)
            repository.is_new = True
            store.publish()
            return repository
        repository = cls(store, clock, identity)
        if branch is not None:
            repository.checkout_branch(branch)
        return repository

    def configure(self, configuration: Configuration) -> None:
        """Apply a configuration, now and after each change.  Raise StoreError."""
        self.configuration = configuration
        seen = see_settings(self, configuration)
        if seen is not None:
            self.findings.append(seen)
        configuration.follow(self._apply)

    def keep_numbers(self, file: SideFile) -> None:
        """Continue the numbers of inodes where the mount before ended.  Raise StoreError."""
        self.look_at_numbers(file)
        self.inodes.go_on(file)
        if self.store.get(keys.NUMBERED) is None and file.read() is not None:
            # A full disk must not keep a workspace from being mounted.
            with suppress(StoreError), self.transaction:
                self.store.put(keys.NUMBERED, b"1")

    def look_at_numbers(self, file: SideFile) -> None:
        """Note if the file with the numbers of inodes is damaged or lost.  Raise StoreError."""
        was_mounted = self.store.get(keys.NUMBERED) is not None
        problem = problem_of(file.read(), was_mounted=was_mounted)
        if problem is not None:
            self.findings.append(problem)

    def close(self) -> None:
        """Save every view and close the store.  Raise StoreError."""
        self.checkpoint()
        self.store.close()

    def checkpoint(self) -> None:
        """Save the uncommitted changes of every view.  Raise StoreError."""
        for view in self.views():
            view.checkpoint()

    def views(self) -> list[View]:
        """Return every open view, the root first."""
        return [self.root, *self.live.values()]

    def take_stale(self) -> Invalidation:
        """Return the cached data that the kernel must forget; the caller notifies the kernel."""
        stale, self.transaction.stale = self.transaction.stale, Invalidation()
        return stale

    def view_of(self, branch: Branch) -> View | None:
        """Return the open view that shows the branch, or None."""
        return self.root if self.root.slot == branch.slot else self.live.get(branch.slot)

    def live_view(self, name: str) -> View:
        """Return the live view of a branch, opened if necessary.  NotFound, Busy at the root."""
        branch = self.refs.branch(name)
        # I23: a branch is shown at the root or in one live view, never at both.
        if branch.slot == self.root.slot:
            raise Busy(f"branch {name!r} is checked out at the mount point: use it there")
        view = self.live.pop(branch.slot, None) or self._open_view(self.saved_state(branch))
        # The last one is the one that was asked for last.
        self.live[branch.slot] = view
        return view

    def checkout_branch(self, name: str) -> bool:
        """Show a branch at the root; return False if it is there already.  Raise NotFound or Busy.

        Both branches keep their uncommitted changes.  Cost: O(changed) between the two trees.
        """
        branch = self.refs.branch(name)
        if branch.slot == self.root.slot:
            return False
        with self.transaction:
            if branch.slot in self.live:
                self.close_live(branch)
            self.show(self.saved_state(branch))
        return True

    def previous(self) -> tuple[int, CommitId | None]:
        """Return slot and HEAD of the working state that the root showed before.

        Raise NotFound.
        """
        data = self.store.get(keys.PREVIOUS)
        if data is None:
            raise NotFound("nothing else was checked out before: name a branch")
        (slot,) = _SLOT.unpack_from(data)
        return slot, CommitId(Oid(data[_SLOT.size :])) if len(data) > _SLOT.size else None

    def close_live(self, branch: Branch) -> None:
        """Save and close the live view of a branch.  Raise Busy if it has open files."""
        view = self.live.get(branch.slot)
        if view is None:
            return
        if view.workspace.handles:
            raise Busy(f"branch {branch.name!r} has open files in its live view")
        with self.transaction as change:
            view.checkpoint()
            del self.live[branch.slot]
            self.inverses.append((self.live.__setitem__, (branch.slot, view)))
            change.afterwards.append(partial(close, view.workspace))

    def show(self, state: State) -> View:
        """Let the root view show another working state when the open transaction ends.

        Return the view, of which HEAD, log and stage are those of that state at once.
        """
        # I23: the live view was closed, where the branch had one.
        assert state.slot not in self.live
        leaving = self.root
        workspace = leaving.workspace
        before = left = leaving.state()
        # The branch that is left keeps its uncommitted changes.
        leaving.save(before)
        # I65: a `.git` at the mount point stays there, and is in one working state.
        if git_dirs := leaving.ignoring.git_dirs(before.root):
            left, state = taken_over(self.store, git_dirs, before, state)
            if left != before:
                leaving.save_left(left)
        saved = self.transaction.show(workspace, state.root)
        self.root = View(self, workspace, state.slot, state.head, state.merging, saved)
        self.inverses.append((setattr, (self, "root", leaving)))
        self.root.save(state)
        self.store.put(keys.ROOT, _SLOT.pack(state.slot))
        self.store.put(keys.PREVIOUS, _SLOT.pack(before.slot) + (before.head or b""))
        return self.root

    def _apply(self, settings: Settings) -> None:
        see_settings(self, self.configuration)
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

    def _open_root(self) -> View:
        known = self.store.get(keys.ROOT)
        slot = _SLOT.unpack(known)[0] if known else DETACHED
        branch = self.refs.of_slot(slot)
        if branch is not None:
            return self._open_view(self.saved_state(branch))
        state = self.kept_state(slot)
        if state is None:
            raise NotFound("the repository does not record which branch the mount point shows")
        return self._open_view(state)

    def _open_view(self, state: State) -> View:
        workspace = Workspace(self.store, self.clock, self.inodes, self.working_set, state.root)
        workspace.gives_new_times = not self.configuration.settings.keeps_committed_times
        return View(self, workspace, state.slot, state.head, state.merging)
