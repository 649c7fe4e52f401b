"""Ways back to an earlier state: one of an operation, or one that was saved."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import NamedTuple

from heliosfs.errors import CorruptObject, NotFound, UsageError
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.operation import Operation
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State
from heliosfs.trees.same import differs
from heliosfs.trees.stored import find_entry, walk_changes

_SEARCHED_COUNT = 100
"""Number of operations whose states are searched: 3 ms."""
WALKED_MAX = 1_000
"""Number of edits that are examined to find those that a step removes from the tree: 10 ms."""


class Past(NamedTuple):
    """An earlier state of the view, and its time."""

    state: State
    time_ns: int
    operation: Operation | None
    """Operation that left it; None for an automatic save."""
    is_before: bool = False
    """True if it is the state before the operation."""


def state_after(view: View, number: int, *, before: bool = False) -> Past:
    """Return the state after an operation of the log, or before it.

    Raise NotFound or UsageError.
    """
    log = view.log
    last = log.last.sequence if log.last is not None else 0
    if not log.first <= number <= last:
        known = f"'oplog' lists {log.first} to {last}" if last else "nothing was done here yet"
        raise NotFound(f"no operation {number}: {known}")
    operation = log.read(number)
    if before and operation.before.slot != view.slot:
        raise UsageError(f"operation {number} began on another branch: check that out")
    state = operation.before if before else operation.after
    return Past(state, operation.time_ns, operation, before)


def state_at(view: View, time_ns: int) -> Past:
    """Return the state at a moment, according to operations and saves.  Raise NotFound.

    Cost: the logarithm of the number of operations.
    """
    save = view.saves.at(time_ns)
    operation = _last_until(view, time_ns)
    if operation is not None and (save is None or operation.time_ns >= save.time_ns):
        return Past(operation.after, operation.time_ns, operation)
    if save is None:
        raise NotFound("nothing is known of that moment: all saves and operations are newer")
    return Past(view.saves.read(save), save.time_ns, None)


def recent_states(view: View) -> Iterator[Past]:
    """Return the states of all saves and of the last operations of a view, the newest first."""
    saved = (Past(view.saves.read(save), save.time_ns, None) for save in reversed(view.saves.all()))
    return merge(saved, _around_operations(view), key=lambda past: -past.time_ns)


def _around_operations(view: View) -> Iterator[Past]:
    for operation in islice(view.log.operations(), _SEARCHED_COUNT):
        yield Past(operation.after, operation.time_ns, operation)
        if operation.before.slot == view.slot:
            yield Past(operation.before, operation.time_ns, operation, is_before=True)


def go_to(view: View, past: State, text: str) -> None:
    """Make HEAD and all files as in a state, in one operation; ignored files stay."""
    before = view.state()
    after = view.ignoring.keep_in(past, before.root, with_git_dirs=True)
    view.move("restore", text, before, after)


def lost_edits(view: View, since: Entry, root: Entry, now: Entry) -> list[bytes]:
    """Return the files that were edited between two trees and are different in a third."""
    store = view.core.store
    walk = walk_changes(store, TreeId(since.oid), TreeId(root.oid))
    found = []
    for path, old, new in islice(walk, WALKED_MAX):
        entry = new if new is not None else old
        if entry is not None and not entry.is_dir and differs(find_entry(store, now, path), new):
            found.append(path)
    return found


def _last_until(view: View, time_ns: int) -> Operation | None:
    """Return the last operation until a moment, by bisection: times in a log only grow."""
    log = view.log
    low, high = log.first, log.last.sequence if log.last is not None else 0
    found = None
    while low <= high:
        middle = (low + high) // 2
        try:
            operation = log.read(middle)
        except CorruptObject:
            return found
        if operation.time_ns <= time_ns:
            found, low = operation, middle + 1
        else:
            high = middle - 1
    return found
