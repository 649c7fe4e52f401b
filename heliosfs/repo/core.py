"""The core of a repository: its store, and the objects that every part of the repository needs."""

from __future__ import annotations

from heliosfs.clock import Clock
from heliosfs.objects.ids import CommitId
from heliosfs.repo import keys
from heliosfs.repo.dropped import DroppedCommits
from heliosfs.repo.experiments import Experiments
from heliosfs.repo.history import History
from heliosfs.repo.identity import Identity
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.refs import Branch, Refs
from heliosfs.repo.remotes import Remotes
from heliosfs.repo.saves import Saves
from heliosfs.repo.transaction import Transaction
from heliosfs.repo.working_state import State, decode_state
from heliosfs.steps import Steps
from heliosfs.store.base import Store
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.working_set import WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root

NODE_BYTES = 1_100
"""Memory of a node: itself, attributes, name, encoded entry, and its places in two tables."""


class Core:
    """The store of a repository with the objects made from it; the core does not know the views."""

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        self.store = store
        self.clock = clock
        self.identity = identity
        self.inverses = Inverses()
        self.transaction = Transaction(store, self.inverses)
        """Context for every change of state: `with core.transaction:`."""
        self.refs = Refs(store, self.inverses)
        self.remotes = Remotes(store, self.inverses)
        self.dropped = DroppedCommits(store)
        self.experiments = Experiments(store, self.inverses)
        self.history = History(store, self.inverses)
        self._is_git_noted = False
        """True if the store is known to say that a working tree has a `.git`."""
        self.inodes = InodeTable()
        self.working_set = WorkingSet(store, others=self._other_bytes, publish=self.publish)

    def publish(self) -> None:
        """Publish the objects of the batch, unless a transaction is open."""
        # I22: what is spilled within a transaction waits for its publish.
        if not self.transaction.is_open:
            self.store.publish()

    def snapshot(self, oid: CommitId) -> Workspace:
        """Return a read-only tree of a commit, with inodes of its own.  MissingObject.

        It is the whole tree: what a commit of an earlier version has of a `.git` can be had here.
        """
        root = self.history.read_whole(oid).root
        return Workspace(
            self.store, self.clock, self.inodes, self.working_set, root, read_only=True
        )

    def kept_state(self, slot: int) -> State | None:
        """Return the working state of a slot as it was last saved; None if it has none."""
        data = self.store.get(keys.of_slot(keys.WORK, slot))
        return decode_state(data)[0] if data is not None else None

    def saved_state(self, branch: Branch) -> State:
        """Return the working state of a branch as last saved; that of its HEAD if it has none."""
        # Not by `kept_state`: a checkout is counted in calls.
        data = self.store.get(keys.of_slot(keys.WORK, branch.slot))
        if data is not None:
            saved, _ = decode_state(data)
            if saved.head == branch.head and saved.slot == branch.slot:
                return saved
            return State(saved.slot, branch.head, saved.root, saved.merging)
        if branch.head is not None:
            return State(branch.slot, branch.head, self.history.read(branch.head).root)
        root = empty_root(self.identity.uid, self.identity.gid, self.clock.now_ns())
        return State(branch.slot, None, root)

    @property
    def has_milestones(self) -> bool:
        """True if `index_first_parents` has run to its end in this store."""
        return self.store.get(keys.MILESTONES) is not None

    def index_first_parents(self) -> Steps[None]:
        """Write the records that the chains of all refs lack, in steps.  StoreError."""
        heads = [branch.head for branch in self.refs if branch.head is not None]
        tips = dict.fromkeys([*heads, *self.refs.tags.values(), *self.remotes.commits()])
        yield from self.history.first_parents.index(tips, self.publish)
        self.store.put(keys.MILESTONES, b"")
        self.publish()

    def note_git_dirs(self) -> None:
        """Put into the batch that a working tree has a `.git`, with the first such tree."""
        if self.working_set.has_git_dirs and not self._is_git_noted:
            if self.store.get(keys.GIT_SEEN) is None:
                self.store.put(keys.GIT_SEEN, b"1")
                self.inverses.append((setattr, (self, "_is_git_noted", False)))
            self._is_git_noted = True

    def note_save(self, state: State) -> None:
        """Keep a state for `restore --saved`, before a newer state of the slot replaces it."""
        self.note_git_dirs()
        saves = Saves(self.store, state.slot, self.inverses)
        saves.add(self.clock.now_ns(), state.encode())
        if self.history.changed_slots is not None:
            self.history.changed_slots.add(state.slot)

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that the budget of the working set limits."""
        return self.working_set.account.resident_bytes + self._other_bytes()

    def _other_bytes(self) -> int:
        """Return the bytes of the working set that are not contents of files."""
        return self.store.memory_bytes + len(self.inodes.nodes) * NODE_BYTES
