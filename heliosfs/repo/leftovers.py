"""What a saved working state has beside its commit: uncommitted changes, and ignored files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.working_state import State
from heliosfs.trees.same import differs
from heliosfs.trees.select import select
from heliosfs.trees.stored import EMPTY_TREE, has_changes

if TYPE_CHECKING:
    from heliosfs.repo.repository import Repository


def is_changed(repository: Repository, state: State) -> bool:
    """Return True if a state differs from its commit in more than times and ignored files."""
    base, selected = _selected(repository, state)
    return differs(base, selected) or has_changes(
        repository.store, TreeId(base.oid), TreeId(selected.oid)
    )


def commit_leftovers(
    repository: Repository, name: str, state: State
) -> tuple[CommitId | None, CommitId | None]:
    """Commit what a branch that is deleted would leave, within a transaction.

    Return a commit of its uncommitted changes, and one of its whole working tree, each None where
    there are none of the former, or no ignored files.  No branch names them.
    """
    base, selected = _selected(repository, state)
    trees = TreeId(base.oid), TreeId(selected.oid), TreeId(state.root.oid)
    rest = ignored = None
    if differs(base, selected) or has_changes(repository.store, *trees[:2]):
        what = f"uncommitted changes of branch {name} when it was deleted"
        rest = _commit(repository, what, state.head, selected)
    if has_changes(repository.store, *trees[1:]):
        what = f"ignored files of branch {name} when it was deleted"
        ignored = _commit(repository, what, rest or state.head, state.root)
    return rest, ignored


def _selected(repository: Repository, state: State) -> tuple[Entry, Entry]:
    """The tree of the commit of a state, and that of the state without what is ignored in it."""
    if state.head is not None:
        base = repository.history.read(state.head).root
    else:
        base = state.root._replace(oid=EMPTY_TREE, size=0, links_below=False)
    return base, select(repository.store, base, state.root).root


def _commit(repository: Repository, message: str, parent: CommitId | None, root: Entry) -> CommitId:
    signature = repository.identity.sign(repository.clock)
    parents = (parent,) if parent is not None else ()
    text = message.encode("utf-8", "surrogateescape")
    return repository.history.write(Commit(root, parents, signature, signature, text))
