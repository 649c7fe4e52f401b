"""Checkout of a commit: the mount point shows it, and HEAD is detached."""

from __future__ import annotations

from heliosfs.errors import UsageError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.leftovers import is_changed
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.repo.working_state import DETACHED, State


def checkout_commit(repository: Repository, view: View, oid: CommitId) -> None:
    """Make the tree at the root equal to a commit, with HEAD detached.  Raise UsageError.

    `undo` leads back to the branch; or, if the detached state that was left last had uncommitted
    changes, to that state, because this verb discards it.
    """
    if view is not repository.root:
        raise UsageError(
            f"a live view cannot leave its branch, {view.branch!r}: "
            "use 'reset --hard', or check out at the mount point"
        )
    goal = repository.history.read(oid).root
    if view.slot == DETACHED:
        before = view.state()
        after = State(DETACHED, oid, view.ignoring.keep(goal, before.root))
        view.move("checkout", oid.hex()[:12], before, after)
        return
    left = repository.kept_state(DETACHED)
    state = view.state()
    before = left if left is not None and is_changed(repository, left) else state
    after = State(DETACHED, oid, view.ignoring.keep(goal, state.root))
    text = f"{oid.hex()[:12]} (from {view.branch})"
    with repository.transaction:
        if left is not None and left not in (before, after):
            # Its ignored files make way for those of now.
            repository.note_save(left)
        detached = repository.show(after)
        detached.log.record(repository.clock.now_ns(), "checkout", text, before, after)
        detached.restage(None)
        detached.save(after)
