"""A commit of the uncommitted changes of a branch, which the branch itself knows nothing of."""

from __future__ import annotations

from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.leftovers import uncommitted_tree
from heliosfs.repo.refs import Branch
from heliosfs.repo.repository import Repository
from heliosfs.repo.working_state import State

WORK_KEY = "work-of"
"""Key in the metadata of such a commit: the machine that made it."""


def work_of(repository: Repository, branch: Branch, machine: str) -> Commit | None:
    """Return a commit of the changes of a branch, which is not stored yet; None if it has none.

    Ignored files are not in it; what is staged is, as the rest.  Cost: O(changed), and a flush of
    what is dirty there.
    """
    state = _state(repository, branch)
    tree = uncommitted_tree(repository, state)
    if tree is None:
        return None
    text = f"uncommitted work of {branch.name} on {machine}"
    signature = repository.identity.sign(repository.clock)
    return Commit(
        tree,
        _parents(repository, state),
        signature,
        signature,
        text.encode("utf-8", "surrogateescape"),
        {WORK_KEY: machine},
    )


def is_same_work(one: Commit, other: Commit) -> bool:
    """Return True if two such commits differ in their times alone."""
    return (one.root, one.parents, one.metadata) == (other.root, other.parents, other.metadata)


def _state(repository: Repository, branch: Branch) -> State:
    view = repository.view_of(branch)
    return view.state() if view is not None else repository.saved_state(branch)


def _parents(repository: Repository, state: State) -> tuple[CommitId, ...]:
    parents = [state.head] if state.head is not None else []
    # What an open pick merges is a note, which is no history.
    if state.merging is not None and state.merging in repository.history:
        parents.append(state.merging)
    return tuple(parents)
