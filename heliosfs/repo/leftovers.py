"""The changes of a saved working state since its commit: uncommitted ones, and ignored files."""

from __future__ import annotations

from collections.abc import Mapping

from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.core import Core
from heliosfs.repo.history import WORKING_TREE_KEY
from heliosfs.repo.working_state import State
from heliosfs.trees.gitless import put_at
from heliosfs.trees.select import Selection, select
from heliosfs.trees.stored import emptied, find_entry, has_changes, trees_differ

_NO_METADATA: Mapping[str, str] = {}


def is_changed(core: Core, state: State) -> bool:
    """Return True if a state differs from its commit in more than times and ignored files."""
    base, selected = _selected(core, state)
    return trees_differ(core.store, base, selected.root)


def uncommitted_tree(core: Core, state: State) -> Entry | None:
    """Return the tree that a commit of all changes of a state would have; None without any."""
    base, selected = _selected(core, state)
    return selected.root if trees_differ(core.store, base, selected.root) else None


def commit_leftovers(
    core: Core, name: str, state: State, beside: Entry
) -> tuple[CommitId | None, CommitId | None]:
    """Commit the changes that would be lost with a deleted branch, within a transaction.

    Return a commit of its uncommitted changes, or None, and one of its whole working tree if that
    has ignored files, or a `.git` that is not the same in the working tree `beside`, or None.  No
    branch names them.
    """
    store = core.store
    base, (selected, _, _, git_dirs) = _selected(core, state)
    rest = ignored = None
    if trees_differ(store, base, selected):
        what = f"uncommitted changes of branch {name} when it was deleted"
        rest = _commit(core, what, state.head, selected)
    whole = state.root
    for path in git_dirs:
        # A fork that did nothing with git leaves nothing of it behind.
        mine, there = (find_entry(store, root, path) for root in (state.root, beside))
        if mine is not None and there is not None and mine.oid == there.oid:
            whole = put_at(store, whole, path, None)
    if has_changes(store, TreeId(selected.oid), TreeId(whole.oid)):
        what = f"ignored files of branch {name} when it was deleted"
        metadata = {WORKING_TREE_KEY: "whole"}
        ignored = _commit(core, what, rest or state.head, state.root, metadata)
    return rest, ignored


def _selected(core: Core, state: State) -> tuple[Entry, Selection]:
    """Return the tree of a state's commit, and what is selected of the state's tree."""
    if state.head is not None:
        base = core.history.read(state.head).root
    else:
        base = emptied(state.root)
    return base, select(core.store, base, state.root)


def _commit(
    core: Core,
    message: str,
    parent: CommitId | None,
    root: Entry,
    metadata: Mapping[str, str] = _NO_METADATA,
) -> CommitId:
    signature = core.identity.sign(core.clock)
    parents = (parent,) if parent is not None else ()
    text = message.encode("utf-8", "surrogateescape")
    return core.history.write(Commit(root, parents, signature, signature, text, metadata))
