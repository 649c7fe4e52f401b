"""Long verbs on a long history: no piece of their work is as long as the history is.

What is counted is how often a line of Python is executed between two calls of a `Pace` on a thread,
or between two steps on the thread that serves requests; no clock is read.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from heliosfs.pace import Pace
from heliosfs.repo.backup import back_up
from heliosfs.repo.check import check_store
from heliosfs.repo.gc.collect import collect_garbage
from heliosfs.repo.gc.recall import Lost
from heliosfs.repo.gc.retention import Retention
from heliosfs.steps import Progress, Steps, Turn, drain
from heliosfs.store.gc import marking, surveyors
from heliosfs.store.l2 import database
from tests.crash.damage import Opened
from tests.tree_builder import TreeBuilder

START_NS = 1_700_000_000 * 10**9
COMMITS = 400
DOOMED = 200
PACED_COUNT = 400
"""Times between two rests: a block of state has 128 entries with up to three numbers each."""
STEP_COUNT = 900
"""Times in a step on the loop, which takes 500 commits at once."""


class Lines:
    """A count of how often each line is executed between two rests."""

    def __init__(self) -> None:
        self.most = 0
        self.where = ""
        """The line that was executed most often between two rests."""
        self._since: Counter[tuple[str, int]] = Counter()
        self._thread = threading.get_ident()

    def rest(self) -> None:
        """Begin to count anew, on the thread that counts; others may rest meanwhile."""
        if threading.get_ident() != self._thread:
            return
        since, self._since = self._since, Counter()
        for (name, line), count in since.items():
            # Not what this method itself executes.
            if count > self.most and name != __file__:
                self.most, self.where = count, f"{name}:{line}"

    def counted(self, call: Callable[[], Any]) -> Any:
        """Call a function, and count its lines."""
        self.rest()
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return call()
        finally:
            sys.settrace(before)
            self.rest()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._since[frame.f_code.co_filename, frame.f_lineno] += 1
        return self._trace


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A store with a long history, and a long branch that was deleted."""
    # So that most objects are in the index of the file.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "RECENT_MAX", 300)
        yield from long_history(tmp_path_factory.mktemp("long"))


def long_history(path: Path) -> Iterator[Opened]:
    (path / "id").write_text(f"{'0123456789abcdef' * 2}\n")
    opened = Opened(path, START_NS)
    files = TreeBuilder(opened.repository.root.workspace)

    def commit(number: int) -> None:
        files.write(b"d%d/file" % (number % 7), b"version %d\n" % number * 9)
        opened.repository.root.commit(f"number {number}")

    for number in range(COMMITS):
        commit(number)
    opened.verb("branch", "left")
    opened.verb("checkout", "left")
    files = TreeBuilder(opened.repository.root.workspace)
    for number in range(DOOMED):
        commit(-number)
    opened.verb("checkout", "main")
    opened.verb("branch", "-D", "left")
    drain(opened.store)
    yield opened
    opened.close()


class Counted:
    """The lines of long work: on threads between two rests, and on the loop between two steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on_threads, self.on_loop = Lines(), Lines()
        monkeypatch.setattr(Pace, "__call__", lambda pace: self.on_threads.rest())
        # It reads a line for each mapping of this process.
        monkeypatch.setattr(database, "unmap_pages", lambda device, inode: True)

    def run(self, steps: Steps[Any]) -> Any:
        going_on: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                step = self.on_loop.counted(going_on)
            except StopIteration as done:
                return done.value
            going_on = partial(next, steps)
            if isinstance(step, Turn | Progress):
                continue
            try:
                self.on_threads.counted(step.execute)
            except Lost as error:
                going_on = partial(steps.throw, error)
            self.on_loop.counted(step.apply)

    def check(self) -> None:
        threads, loop = self.on_threads, self.on_loop
        assert threads.most <= PACED_COUNT, threads.where
        assert loop.most <= STEP_COUNT, loop.where


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def everything(operation_count: int) -> Retention:
    """Return the limits with which all goes that nothing reaches."""
    return Retention(START_NS * 2, operation_count, keeps_unreached=False)


@pytest.mark.parametrize("programs", [0, 2])
def test_fsck(
    opened: Opened, counted: Counted, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "SHARED_FROM", 1)
    for module in (marking, surveyors):
        monkeypatch.setattr(module, "program_count", lambda: programs)
    checked = counted.run(check_store(opened.repository))
    assert checked.problems == []
    assert checked.commits >= COMMITS
    counted.check()


def test_a_first_backup(opened: Opened, counted: Counted, tmp_path: Path) -> None:
    done = counted.run(back_up(opened.repository, str(tmp_path / "backup"), keeps_going=False))
    assert done.new_object_count > 3 * COMMITS
    counted.check()


@pytest.mark.parametrize("is_dry", [True, False])
def test_gc(opened: Opened, counted: Counted, is_dry: bool) -> None:
    results: list[tuple[int, int]] = []
    for retention in (Retention(0, 10_000), everything(5)):
        steps = collect_garbage(opened.repository, retention, dry_run=is_dry)
        found = counted.run(steps)
        results.append((found.commits, found.objects))
    commit_count, object_count = results[-1]
    assert commit_count == DOOMED
    assert object_count > 3 * DOOMED
    counted.check()
