"""Uncommitted changes of a view, staged and not."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.diff.changes import FileChange, compare_in_steps
from heliosfs.repo.view import View
from heliosfs.steps import Steps, at_once


class UncommittedChanges(NamedTuple):
    """The uncommitted changes of a view, in two steps."""

    staged: list[FileChange]
    """Changes from HEAD to the stage; empty while nothing is staged."""
    unstaged: list[FileChange]
    """Changes from the stage, or from HEAD, to the working tree."""

    @property
    def is_clean(self) -> bool:
        return not (self.staged or self.unstaged)


def uncommitted(view: View) -> list[FileChange]:
    """Return the changes since HEAD, in byte order of the paths."""
    return at_once(find_uncommitted(view))


def find_uncommitted(view: View) -> Steps[list[FileChange]]:
    """Return the changes since HEAD, as of the call, in steps."""
    work = view.selected()
    return (yield from compare_in_steps(view.core.store, view.head_root(), work))


def uncommitted_changes(view: View) -> Steps[UncommittedChanges]:
    """Return the changes since HEAD, staged and not, as of the call, in steps."""
    staged = view.stage.root
    if staged is None:
        return UncommittedChanges([], (yield from find_uncommitted(view)))
    # Others may stage and write meanwhile: both roots are those of one moment.
    store, head, work = view.core.store, view.head_root(), view.selected()
    return UncommittedChanges(
        (yield from compare_in_steps(store, head, staged)),
        (yield from compare_in_steps(store, staged, work)),
    )
