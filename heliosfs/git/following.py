"""Files of the branches that follow git to another commit."""

from __future__ import annotations

import stat

from heliosfs.git.refs import GitRef
from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo import keys
from heliosfs.repo.leftovers import is_changed
from heliosfs.repo.refs import Branch
from heliosfs.repo.repository import Repository
from heliosfs.repo.stage import Stage
from heliosfs.repo.view import View
from heliosfs.trees.stored import EMPTY_TREE, Change, find_entry, walk_changes


class Following:
    """The branches that an import moves, with the fate of their uncommitted files.

    A branch that is shown somewhere moves with its view, at the end: until then, the verb can be
    refused, and no file has changed.
    """

    def __init__(self, repository: Repository, head: str, own: View | None) -> None:
        """`head` is the full name of the branch that git has checked out, in the view `own`."""
        self.kept_files = False
        """True if the files of the workspace stayed as they were, as uncommitted changes."""
        self._repository = repository
        self._head = head
        self._own = own
        self._shown: list[tuple[View, CommitId, bool]] = []
        """Open views whose branch moves, the commit it moves to, and True if their files stay."""

    def is_dirty(self, branch: Branch) -> bool:
        """Return True if a branch has uncommitted changes."""
        repository = self._repository
        view = repository.view_of(branch)
        if view is not None:
            return view.has_changes()
        return is_changed(repository, repository.saved_state(branch))

    def has_files_of(self, ref: GitRef, branch: Branch, oid: CommitId) -> bool:
        """Return True if the files of the branch already have the content of git's newer commits.

        Cost: O(changed), in git's commits.
        """
        view = self._repository.view_of(branch)
        if view is None or view.stage.root is not None or view.merging is not None:
            return False
        # Its files are git's own working tree, which git's commits were made from.
        if view is self._own and ref.name == self._head:
            return True
        store, history = self._repository.store, self._repository.history
        old, new = view.head_root(), history.read(oid).root
        here = view.state().root
        return old is not None and all(
            _is_directory(change) or _is_same(change.new, find_entry(store, here, change.path))
            for change in walk_changes(store, TreeId(old.oid), TreeId(new.oid))
        )

    def move(self, branch: Branch, oid: CommitId, *, keeps: bool = False) -> None:
        """Move a branch, at once or when its view is shown; with `keeps`, keep its files."""
        view = self._repository.view_of(branch)
        if view is None:
            held: Oid = EMPTY_TREE
            if branch.head is not None:
                held = self._repository.history.read(branch.head).root.oid
            if self._repository.saved_state(branch).root.oid != held:
                # It has ignored files or a `.git`, which stay.
                view = self._repository.live_view(branch.name)
        if view is not None:
            self._shown.append((view, oid, keeps))
            return
        if branch.head is not None or not self.is_dirty(branch):
            self._repository.store.put(keys.of_slot(keys.WORK, branch.slot), None)
            Stage(self._repository.store, branch.slot).replace(None)
        self.drop(branch.head)
        self._repository.refs.move(branch, oid)

    def drop(self, oid: CommitId | None) -> None:
        """Record that a ref has left a commit, so that the commit can be found for a while."""
        if oid is not None:
            self._repository.dropped.add(oid, self._repository.clock.now_ns())

    def show(self) -> None:
        """Switch the open views to the new commits of their branches."""
        for view, oid, keeps in self._shown:
            self._show(view, oid, keeps)

    def _show(self, view: View, oid: CommitId, keeps: bool) -> None:
        """Switch an open view to its branch; files from before the first commit stay."""
        before = view.state()
        keeps = keeps or (view.head is None and view.has_changes())
        self.kept_files = self.kept_files or keeps
        root = self._repository.history.read(oid).root
        root = before.root if keeps else view.ignoring.keep(root, before.root)
        after = before._replace(head=oid, root=root)
        view.move("import", oid.hex()[:12], before, after)


def _is_directory(change: Change) -> bool:
    return all(entry is None or entry.is_dir for entry in (change.old, change.new))


def _is_same(one: Entry | None, other: Entry | None) -> bool:
    """Return True if the two entries are equal for git."""
    if one is None or other is None:
        return one is other
    same = (one.oid, one.target, stat.S_IFMT(one.mode), one.mode & stat.S_IXUSR)
    return same == (other.oid, other.target, stat.S_IFMT(other.mode), other.mode & stat.S_IXUSR)
