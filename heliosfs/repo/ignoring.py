"""Ignored files of a view: the choice of what a commit contains, and the preservation of the rest.

Ignored files belong to the working state, not to commits: they are saved with it, and stay when a
verb makes the working tree equal to another one.  Such a verb leads from one state to another, and
each may have its own rules.  A file that the rules of either state ignore is kept as it is now, or
else as it is in the new state.  So no step loses a file that another step cannot restore, whichever
state has the rules.

A `.git` is kept as ignored files are, without any rule, and as a whole: such a step neither changes
one nor brings one back.  A person who gets back what was lost (`restore --at`) gets one that is
missing, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.errors import StoreError
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.operation import Operation
from heliosfs.repo.working_state import State
from heliosfs.repo.working_tree import WorkingTree
from heliosfs.store.base import Store
from heliosfs.trees.carry import carry
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.gitless import git_dir_of, put_at, without_links
from heliosfs.trees.same import is_same_but_link
from heliosfs.trees.select import Selection, SelectionMemo, has_additions, select
from heliosfs.trees.stored import Change, emptied, find_entry, walk_changes
from heliosfs.workspace.following import Followed, Selected, follow


class Ignoring:
    """The selections of a view.  Without any rules it does nothing, and costs nothing.

    `has_rules` of a workspace is set if an ignore file may apply: a flush saw one above something
    that changed, or the tree came from elsewhere and was not searched yet.
    """

    def __init__(self, tree: WorkingTree) -> None:
        self._tree = tree
        self._quiet = SelectionMemo()
        self._last: Selected | None = None
        """The last commit of everything."""
        tree.workspace.has_rules = True

    def select(self, work: Entry) -> Entry:
        """Return what a commit of everything would contain, of a flushed working tree."""
        if not self._tree.workspace.has_rules:
            return work
        found = self._select(self._tree.base_root(), work, self._quiet)
        self._tree.workspace.has_rules = found.has_rules
        return found.root

    def select_next(self, work: Entry) -> Followed:
        """Return what a commit of everything would contain, of the working tree as shown.

        Cost: O(edited) if the last commit was one of everything, else that of `select`.
        """
        last, core = self._last, self._tree.core
        if last is not None and last.head == self._tree.head and not core.transaction.targets:
            followed = follow(self._tree.workspace, last)
            if followed is not None:
                return followed
        return Followed(self.select(work), is_altered=False)

    def note_commit(self, head: CommitId, root: Entry) -> None:
        """Note a commit of everything in the working tree as shown, for the next one."""
        workspace = self._tree.workspace
        if workspace.has_rules:
            self._last = Selected(head, TreeId(workspace.root.tree), root)
            workspace.record.begin()
        else:
            workspace.record.end()

    def ignored(self) -> list[Change]:
        """Return the ignored files, and whole directories.  Cost: O(changed + ignored)."""
        work = self._tree.state().root
        if not self._tree.workspace.has_rules:
            return []
        return self._select(self._tree.base_root(), work, None).ignored

    def git_dirs(self, work: Entry) -> list[bytes]:
        """Return every `.git` of a flushed working tree that lies in no ignored directory."""
        if not (self._tree.core.working_set.has_git_dirs and self._tree.workspace.has_rules):
            return []
        try:
            base = self._tree.base_root()
        except StoreError:
            # A branch whose HEAD is lost can be left, too.
            base = emptied(work)
        return self._select(base, work, self._quiet).git_dirs

    def keep(self, target: Entry, work: Entry) -> Entry:
        """Return the working tree after a verb that makes it `target`, which has no ignored files.

        Files that are ignored now, or would be there, stay.  If that is impossible because the
        target has something in their place, the target wins.
        """
        if self._has_nothing_more():
            return target
        base = self._tree.base_root()
        store = self._tree.core.store
        if work.oid == base.oid:
            return target
        if not self._tree.workspace.has_rules and not has_additions(store, base, work):
            return target
        rules = [base, *self._head(self._tree.head), target]
        selected = select(store, base, work, self._quiet, rules).root
        return carry(store, work, selected, target, self._now_ns())

    def keep_in(
        self,
        state: State,
        work: Entry,
        taken_back: Operation | None = None,
        *,
        with_git_dirs: bool = False,
    ) -> State:
        """Return an earlier working state, with the files ignored here or there as they are now.

        `taken_back` is the operation that is undone: what it did itself to an ignored file, such as
        a `restore` of one, is undone, too.  `with_git_dirs`, a `.git` that is not here comes back.
        """
        if state.root == work:
            return state
        if not with_git_dirs and self._tree.core.working_set.has_git_dirs:
            state = state._replace(root=self._without_git_dirs(state))
        if self._has_nothing_more():
            # Nothing here is untracked.
            return state
        base = self._tree.base_root()
        if base.oid == work.oid:
            return state
        head = next(self._head(state.head), None) or emptied(state.root)
        # I28: what the rules of either side ignore is kept.
        rules = [base, *self._head(self._tree.head), work, state.root, head]
        store = self._tree.core.store
        selected = select(store, base, work, self._quiet, rules).root
        target = select(store, head, state.root, self._quiet, rules).root
        if taken_back is not None and selected != work:
            done = self._ignored_left_by(taken_back, work, selected)
            now_ns = self._now_ns()
            selected = edit_tree(store, selected, dict(done), now_ns)
            before = {path: find_entry(store, state.root, path) for path, _ in done}
            target = edit_tree(store, target, before, now_ns)
        root = carry(store, work, selected, target, self._now_ns(), state.root)
        return state._replace(root=root)

    def _without_git_dirs(self, state: State) -> Entry:
        """Return the root of an earlier state without a `.git` outside ignored directories."""
        store, root = self._tree.core.store, state.root
        head = next(self._head(state.head), None) or emptied(root)
        for path in select(store, head, root, self._quiet).git_dirs:
            root = put_at(store, root, path, None)
        return root

    def with_ignored_changes(self, state: State, since: Entry) -> State:
        """Return the saved state of a branch with the changes of ignored files here since `since`.

        `since` is an earlier working tree.  Files that are tracked on either side are left out.
        Cost: O(changed since then, and between the states).
        """
        work = self._tree.state().root
        if work.oid == since.oid:
            return state
        store = self._tree.core.store
        base = self._tree.base_root()
        head = next(self._head(state.head), None) or emptied(state.root)
        rules = [base, *self._head(self._tree.head), work, state.root, head]
        selected = select(store, base, work, None, rules).root
        edits: dict[bytes, Entry | None] = {}
        git_dirs: set[bytes] = set()
        for path, _, new in walk_changes(store, TreeId(since.oid), TreeId(work.oid)):
            if (git_dir := git_dir_of(path)) is not None:
                git_dirs.add(git_dir)
                continue
            if new is None or new.is_dir or find_entry(store, selected, path) is not None:
                continue
            if find_entry(store, head, path) is None and _has_room(store, state.root, path):
                # Its other names may not come along, so it is no hard link there.
                edits[path] = new._replace(group=0)
        root = edit_tree(store, state.root, edits, self._now_ns())
        for path in git_dirs:
            # Of which a mixture of two would be none; where there is none, it goes by itself.
            now = find_entry(store, work, path)
            if now is not None and find_entry(store, root, path) is not None:
                root = put_at(store, root, path, without_links(store, now))
        return state._replace(root=root)

    def forget_rules(self) -> None:
        """Forget whether rules apply, because the tree came from elsewhere."""
        head, workspace = self._tree.head, self._tree.workspace
        is_head = self._tree.is_tree(head, workspace.root.tree)
        workspace.has_rules = not is_head
        workspace.nothing_added_to = head if is_head else None

    def _has_nothing_more(self) -> bool:
        """Return True if it is known that no file is here that the base has not."""
        tree = self._tree
        known = tree.workspace.nothing_added_to
        if known is None or tree.stage.root is not None or tree.core.transaction.targets:
            return False
        return known == tree.head

    def _ignored_left_by(
        self, operation: Operation, work: Entry, selected: Entry
    ) -> list[tuple[bytes, Entry]]:
        """Return the ignored files that are still as the operation left them."""
        store = self._tree.core.store
        trees = TreeId(operation.before.root.oid), TreeId(operation.after.root.oid)
        done = []
        for path, old, new in walk_changes(store, *trees):
            if old is None or new is None or old.is_dir or new.is_dir:
                continue
            if git_dir_of(path) is not None:
                continue
            held = find_entry(store, work, path)
            is_left = held is not None and not held.is_dir and is_same_but_link(held, new)
            if held is not None and is_left and find_entry(store, selected, path) is None:
                done.append((path, held))
        return done

    def _head(self, head: CommitId | None) -> Iterator[Entry]:
        if head is not None:
            yield self._tree.core.history.read(head).root

    def _now_ns(self) -> int:
        return self._tree.core.clock.now_ns()

    def _select(self, base: Entry, work: Entry, quiet: SelectionMemo | None) -> Selection:
        return select(self._tree.core.store, base, work, quiet)


def _has_room(store: Store, root: Entry, path: bytes) -> bool:
    """Return True if a file can be put at the path, at most in place of another file."""
    names = path.split(b"/")
    for count in range(1, len(names) + 1):
        there = find_entry(store, root, b"/".join(names[:count]))
        if there is None:
            return True
        if there.is_dir != (count < len(names)):
            return False
    return True
