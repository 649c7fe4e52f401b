"""Creation, renaming and deletion of branches, each as one transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from heliosfs.errors import Busy
from heliosfs.objects.ids import CommitId
from heliosfs.repo import keys
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.leftovers import commit_leftovers, is_changed
from heliosfs.repo.refs import Branch
from heliosfs.repo.repository import Repository
from heliosfs.repo.stage import Stage
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State
from heliosfs.steps import Steps, at_once


class DeletedBranch(NamedTuple):
    """The remains of a deleted branch."""

    head: CommitId | None
    """Commit that it named."""
    rest: CommitId | None
    """Commit of its uncommitted changes, if it had any."""
    ignored: CommitId | None
    """Commit of its whole working tree, if that had ignored files."""


def create_branch(repository: Repository, name: str, base: CommitId | None) -> Branch:
    """Create a branch at `base`, with nothing uncommitted: 10 us."""
    with repository.transaction:
        return repository.refs.create(name, base)


def fork_branch(repository: Repository, name: str, origin: Branch | View) -> Branch:
    """Create a branch with the working state of another one: files, stage, HEAD.

    `origin` is that branch, shown anywhere or nowhere, or a view, which may be detached.
    Cost: 10 us, and a flush of what is dirty there.
    """
    if isinstance(origin, Branch):
        origin = repository.view_of(origin) or origin
    with repository.transaction:
        if isinstance(origin, View):
            state, staged = origin.state(), origin.stage.root
        else:
            state = repository.saved_state(origin)
            staged = Stage(repository.store, origin.slot).root
        branch = repository.refs.create(name, state.head)
        _start(repository, branch, state)
        Stage(repository.store, branch.slot).replace(staged)
    return branch


def branch_with_ignored(repository: Repository, name: str, base: CommitId, view: View) -> Branch:
    """Create a branch at `base`, with the ignored files of a view, but not its changes.

    Cost: O(changed, and ignored directories); nothing is copied.
    """
    with repository.transaction:
        branch = repository.refs.create(name, base)
        goal = repository.history.read(base).root
        root = view.ignoring.keep(goal, view.state().root)
        if root != goal:
            _start(repository, branch, State(branch.slot, base, root))
    return branch


def _start(repository: Repository, branch: Branch, state: State) -> None:
    """Put the working state of a new branch into the batch."""
    own = state._replace(slot=branch.slot)
    repository.note_git_dirs()
    repository.store.put(keys.of_slot(keys.WORK, branch.slot), own.encode())


def rename_branch(repository: Repository, old: str, new: str) -> Branch:
    """Rename a branch; its working state stays.  Raise NotFound or AlreadyExists."""
    branch = repository.refs.branch(old)
    with repository.transaction:
        repository.refs.rename(branch, new)
    return branch


def tips_beside(repository: Repository, branches: Collection[Branch]) -> frozenset[CommitId]:
    """Return the commits that are named by anything but these branches."""
    found = {other.head for other in repository.refs if other not in branches}
    found |= {repository.root.head, *repository.refs.tags.values()}
    return frozenset(oid for oid in found if oid is not None)


def check_reached(repository: Repository, branches: Collection[Branch]) -> Steps[None]:
    """Check that something else reaches all commits of the branches.  Raise Busy.

    Cost: for each branch that is no ancestor of another one, the commits that it does not share.
    """
    tips = tips_beside(repository, branches)
    for branch in branches:
        if branch.head is None or (yield from reaches(repository.history, tips, branch.head)):
            continue
        raise Busy(f"branch {branch.name!r} has commits that nothing else reaches: use -D")


def delete_branch(
    repository: Repository, name: str, *, force: bool = False, is_reached: bool = False
) -> DeletedBranch:
    """Delete a branch.

    Raise Busy if it is at the root or has open files; without `force`, also if it has uncommitted
    changes, or commits that no other branch or tag reaches (`is_reached` says that `check_reached`
    has already checked this).  With `force`, its uncommitted changes become a commit that no branch
    names, so that they can be restored; its ignored files do in either case.
    """
    branch = repository.refs.branch(name)
    if branch.slot == repository.root.slot:
        raise Busy(f"cannot delete branch {name!r}: it is checked out at the mount point")
    if not force:
        _check_committed(repository, branch)
        if not is_reached:
            at_once(check_reached(repository, [branch]))
    with repository.transaction:
        repository.close_live(branch)
        state, beside = repository.saved_state(branch), repository.root.state().root
        rest, ignored = commit_leftovers(repository, branch.name, state, beside)
        repository.refs.delete(branch)
        Stage(repository.store, branch.slot).replace(None)
        repository.experiments.branch_deleted(branch.slot, rest or branch.head)
        if branch.head is not None:
            repository.dropped.add(branch.head, repository.clock.now_ns())
    return DeletedBranch(branch.head, rest, ignored)


def _check_committed(repository: Repository, branch: Branch) -> None:
    view = repository.live.get(branch.slot)
    if view is not None:
        view.checkpoint()
    is_staged = Stage(repository.store, branch.slot).root is not None
    if is_staged or is_changed(repository, repository.saved_state(branch)):
        raise Busy(f"branch {branch.name!r} has uncommitted changes: use -D to drop them")
