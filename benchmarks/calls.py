"""Python calls of the paths that are taken most: exact figures, the same on every machine.

A call costs some 60 ns, and a path that grew by calls shows here when the time of a busy machine
shows nothing.  What C functions do is not counted.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from types import FrameType

from benchmarks.measure import Plan
from benchmarks.table import Row, Unit, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import World, world
from heliosfs.commands.status.uncommitted import uncommitted
from heliosfs.repo.branching import create_branch
from heliosfs.repo.undoing import undo

MOST = {
    "write 4 KB of an open file": 8,
    "commit, one file changed": 80,
    "save, one file changed": 56,
    "commit after that save": 52,
    "reset --hard, one file changed": 145,
    "checkout, branches differ in one file": 130,
    "undo of a commit": 130,
    "status, one file changed": 100,
    "branch": 28,
}
"""Most Python calls that each may take, which a test holds; now it takes at most a tenth less."""
_WARM_UP = 4
_TIMES = 12


def calls(plan: Plan) -> Iterator[Row]:
    """Python calls of a write and of the verbs that are used most."""
    for what, counts in measured(plan).items():
        figure = figure_of([float(count) for count in counts])
        yield Row("calls", what, figure, Unit.CALLS, budget=MOST[what])


def measured(plan: Plan) -> Mapping[str, list[int]]:
    """Return what is measured, and how many calls each of some runs took."""
    with world(plan, Tree(1_000)) as where:
        found = {}
        for what, action, before in _paths(where):
            for _ in range(_WARM_UP):
                before()
                action()
            found[what] = [_counted(action, before) for _ in range(_TIMES)]
        return found


def _paths(where: World) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    repository = where.repository
    view = repository.root
    files = where.files
    handle = files.handles[files.open_node(where.find(where.tree.hot[0]), writing=True)]
    data = bytes(4096)
    yield "write 4 KB of an open file", lambda: files.write(handle, 0, data), lambda: None

    def saved() -> None:
        where.change()
        view.checkpoint()

    yield "commit, one file changed", lambda: view.commit("message"), where.change
    yield "commit after that save", lambda: view.commit("message"), saved
    yield "save, one file changed", view.checkpoint, where.change
    head = view.commit("message", allow_empty=True)
    yield "reset --hard, one file changed", lambda: view.reset(head), where.change_first
    yield "status, one file changed", lambda: uncommitted(view), where.change_first
    numbers = iter(range(1_000))
    yield "branch", lambda: create_branch(repository, f"b{next(numbers)}", head), lambda: None
    create_branch(repository, "other", view.commit("message"))

    def committed() -> None:
        where.change()
        view.commit("message")
        repository.take_stale()

    yield "undo of a commit", lambda: undo(repository, view), committed
    view.reset(head)
    names = cycle(("other", "main"))
    what = "checkout, branches differ in one file"
    yield what, lambda: repository.checkout_branch(next(names)), repository.take_stale


def _counted(action: Callable[[], object], before: Callable[[], object]) -> int:
    before()
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    # Finalisers of earlier garbage would be counted.
    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    # Not the action itself.
    return count - 1
