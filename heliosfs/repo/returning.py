"""The way back to a state of before: one that an operation left, or one that was saved."""

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
"""Operations beside which states are looked for: 3 ms."""
WALKED_MAX = 1_000
"""Edits that are looked at, to tell which ones a step takes out of the tree: 10 ms."""


class Past(NamedTuple):
    """A state that the view once had, and when."""

    state: State
    time_ns: int
    operation: Operation | None
    """The one that left it; None of an automatic save."""
    is_before: bool = False
    """Whether it is the state that the operation found."""


def state_after(view: View, number: int, *, before: bool = False) -> Past:
    """The state after an operation of the view's log, or before it.  NotFound, UsageError."""
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
    """The state at a moment, as far as operations and saves tell.  NotFound.

    Cost: the logarithm of the operations.
    """
    save = view.saves.at(time_ns)
    operation = _last_until(view, time_ns)
    if operation is not None and (save is None or operation.time_ns >= save.time_ns):
        return Past(operation.after, operation.time_ns, operation)
    if save is None:
        raise NotFound("nothing is known of that moment: no save and no operation is so old")
    return Past(view.saves.read(save), save.time_ns, None)


def recent_states(view: View) -> Iterator[Past]:
    """The states of all saves and of the last operations of a view, the newest first."""
    saved = (Past(view.saves.read(save), save.time_ns, None) for save in reversed(view.saves.all()))
    return merge(saved, _around_operations(view), key=lambda past: -past.time_ns)


def _around_operations(view: View) -> Iterator[Past]:
    for operation in islice(view.log.operations(), _SEARCHED_COUNT):
        yield Past(operation.after, operation.time_ns, operation)
        if operation.before.slot == view.slot:
            yield Past(operation.before, operation.time_ns, operation, is_before=True)


def go_to(view: View, past: State, text: str) -> None:
    """Make HEAD and all files what they were in a state, as one operation; ignored files stay."""
    before = view.state()
    view.move("restore", text, before, view.ignoring.keep_in(past, before.root))


def lost_edits(view: View, since: Entry, root: Entry, now: Entry) -> list[bytes]:
    """The files that were edited between two trees and are not so in a third one."""
    store = view.core.store
    walk = walk_changes(store, TreeId(since.oid), TreeId(root.oid))
    found = []
    for path, old, new in islice(walk, WALKED_MAX):
        entry = new if new is not None else old
        if entry is not None and not entry.is_dir and differs(find_entry(store, now, path), new):
            found.append(path)
    return found


def _last_until(view: View, time_ns: int) -> Operation | None:
    """The last operation of a log until a moment: their times only grow."""
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
