"""Undo and redo: each restores the state before an operation, and is an operation itself."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.errors import NotFound, UsageError
from heliosfs.repo.operation import Operation
from heliosfs.repo.repository import Repository
from heliosfs.repo.stash import take_back_stash
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State


def undo(repository: Repository, view: View) -> Operation:
    """Revert the last operation that is not undone; return it.  Raise NotFound."""
    target = view.log.undo_target()
    before = view.state()
    if target.before.slot != view.slot:
        _take_back_checkout(repository, target)
        return target
    after = view.ignoring.keep_in(target.before, before.root, target)
    _step(view, target, before, after, view.log.record_undo)
    return target


def redo(view: View) -> Operation:
    """Revert the last undo that is not reverted; return it.  Raise NotFound."""
    target = view.log.redo_target()
    before = view.state()
    after = view.ignoring.keep_in(target.before, before.root, target)
    _step(view, target, before, after, view.log.record_redo)
    return target


def take_back(
    repository: Repository, view: View, count: int, *, redoes: bool = False
) -> list[Operation]:
    """Undo, or redo, `count` operations within a transaction; return them.

    Raise NotFound if there are fewer operations, and UsageError if one before the last leads to
    another branch; after UsageError the caller must roll the transaction back.
    """
    done: list[Operation] = []
    while len(done) < count:
        try:
            done.append(redo(view) if redoes else undo(repository, view))
        except NotFound as error:
            if not done:
                raise
            word = "redone" if redoes else "undone"
            raise NotFound(f"only {len(done)} of {count} operations can be {word}") from error
        if view not in repository.views() and len(done) < count:
            raise UsageError(
                f"'undo {len(done)}' leads back to branch {repository.root.branch!r}: "
                "do that first, then go on there"
            )
    return done


def _step(
    view: View,
    target: Operation,
    before: State,
    after: State,
    record: Callable[[int, Operation, State, State], None],
) -> None:
    """Go to `after`, the state before `target`, including its stage, and record that."""
    core = view.core
    with core.transaction as change:
        change.show(view.workspace, after.root)
        change.afterwards.append(view.ignoring.forget_rules)
        view.adopt(after)
        view.save(after)
        record(core.clock.now_ns(), target, before, after)
        view.restage(view.stage.remembered(target.sequence))
        assert view.log.last is not None
        last = view.log.last.sequence
        take_back_stash(core.store, view.slot, target.sequence, last)


def _take_back_checkout(repository: Repository, checkout: Operation) -> None:
    """Show again the branch from which a commit was checked out.  Raise NotFound or Busy.

    Changes of ignored files since then, which came along, are taken back to the branch.
    """
    branch = repository.refs.of_slot(checkout.before.slot)
    if branch is None:
        raise NotFound("the branch of that operation was deleted")
    with repository.transaction:
        repository.close_live(branch)
        saved = repository.saved_state(branch)
        after = repository.root.ignoring.with_ignored_changes(saved, checkout.after.root)
        if after.root != saved.root:
            repository.note_save(saved)
        repository.show(after)
