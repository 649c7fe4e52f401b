"""Unresolved paths of an open merge, as `status` and `commit` see them."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from heliosfs.commands.render import quote_path
from heliosfs.errors import Conflicted
from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.text import TEXT_MAX_BYTES, is_text
from heliosfs.repo.merge import Conflict
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import open_conflicts, open_verb
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry

_BEGIN, _MIDDLE, _END = b"<<<<<<< ", b"=======", b">>>>>>> "
_NAMED_COUNT = 10

UNMERGED = {
    "UU": "both modified",
    "AA": "both added",
    "DU": "deleted by us",
    "UD": "deleted by them",
    "AU": "added by us",
    "UA": "added by them",
}
"""The names that git has for the states of an unmerged path."""


def unmerged(view: View) -> dict[bytes, str]:
    """Return the two letters of git's status for each unresolved path, in byte order.

    A text is resolved once no markers are left in it.  What has no markers (a file that one side
    deleted, a binary one) stays until it is removed, or the merge is concluded.
    """
    if view.merging is None:
        return {}
    root = view.state().root
    store = view.core.store
    found = {}
    for conflict in open_conflicts(view):
        if _has_markers(conflict):
            is_left = _is_marked(store, root, conflict.path)
        else:
            is_left = find_entry(store, root, conflict.path) is not None
        if is_left:
            found[conflict.path] = _letters(conflict)
    return dict(sorted(found.items()))


def check_markers(view: View) -> None:
    """Check that no file of the open merge has conflict markers.  Conflicted names the files."""
    if view.merging is None:
        return
    root = view.state().root
    store = view.core.store
    paths = dict.fromkeys(each.path for each in open_conflicts(view) if _has_markers(each))
    left = [path for path in paths if _is_marked(store, root, path)]
    if left:
        raise Conflicted(
            f"conflict markers are left in {_listed(left)}: remove them and commit again, commit "
            f"them with --allow-markers, or give up with '{open_verb(view)} --abort'"
        )


def _listed(paths: Sequence[bytes]) -> str:
    shown = ", ".join(quote_path(path) for path in paths[:_NAMED_COUNT])
    more = len(paths) - _NAMED_COUNT
    return f"{shown} and {more} more" if more > 0 else shown


def _letters(conflict: Conflict) -> str:
    """Return a letter for each side: U changed, A added, D deleted (git-status(1))."""
    if conflict.base is None:
        if conflict.ours is not None and conflict.theirs is not None:
            return "AA"
        return "AU" if conflict.ours is not None else "UA"
    if conflict.ours is None:
        return "DU"
    return "UD" if conflict.theirs is None else "UU"


def _has_markers(conflict: Conflict) -> bool:
    return conflict.kind in ("content", "add/add", "rename/add") and all(
        _is_file(entry) for entry in (conflict.ours, conflict.theirs)
    )


def _is_file(entry: Entry | None) -> bool:
    return entry is not None and stat.S_ISREG(entry.mode)


def _is_marked(store: Store, root: Entry, path: bytes) -> bool:
    entry = find_entry(store, root, path)
    if entry is None or not _is_file(entry) or entry.size > TEXT_MAX_BYTES:
        return False
    data = read_file(store, entry)
    if not is_text(data):
        return False
    return all(data.startswith(mark) or b"\n" + mark in data for mark in (_BEGIN, _MIDDLE, _END))
