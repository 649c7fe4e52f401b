"""Uncommitted changes of a view, staged and not."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.diff.changes import FileChange, by_file, compare, find_renames
from heliosfs.repo.view import View


class Standing(NamedTuple):
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
    return find_renames(view.core.store, by_file(view.changes()))


def standing(view: View) -> Standing:
    """Return the changes since HEAD, staged and not."""
    staged = view.stage.root
    if staged is None:
        return Standing([], uncommitted(view))
    store = view.core.store
    return Standing(
        compare(store, view.head_root(), staged), compare(store, staged, view.selected())
    )
