"""Random histories with garbage collections between and within them.

Whatever can be reached stays as it was; after a collection that nothing interrupts, nothing else
is left.  One collection is kept under way, a step at a time, while all other verbs go on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliosfs.commands.gc import collect
from heliosfs.errors import HeliosError, NotFound, NothingToCommit, StoreError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.references import NEVER_STORED
from heliosfs.objects.tree import decode_entry
from heliosfs.repo import keys
from heliosfs.repo.check import check_store
from heliosfs.repo.gc import recall
from heliosfs.repo.gc.collect import GcResult
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.repository import Repository
from heliosfs.repo.saves import Saves
from heliosfs.repo.working_state import DETACHED, State, decode_state
from heliosfs.steps import Progress, Steps, Turn, run_to_end
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.stored import read_entries
from heliosfs.workspace.unloading import close
from tests.in_memory import tmpfs
from tests.tree_builder import IDENTITY, Stage

Tree = dict[bytes, bytes]
HOUR_NS = 3600 * 10**9

PATHS = st.sampled_from([b"a", b"b", b"d/a", b"d/e/f"])
CONTENTS = [b"1", b"two\n", b"three" * 100, b"four" * 40_000, b"3" * 100]
CHOICES = st.integers(0, len(CONTENTS) - 1)  # a failing example should be short to read
BRANCHES = st.sampled_from(["main", "idea", "other"])


class GcMachine(RuleBasedStateMachine):
    """Machine that makes and collects commits, and notes what each holds when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = self.make_stage()
        self.trees: dict[str, Tree] = {}
        self.running: Steps[GcResult] | None = None
        self.snapshots: list[CommitId] = []

    def make_stage(self) -> Stage:
        return Stage()

    def attempt(self, *argv: str, branch: str | None = None) -> bool:
        """Run a verb that may refuse; whether it did it."""
        try:
            self.stage.run(*argv, branch=branch)
        except StoreError:
            raise
        except HeliosError:
            return False
        return True

    def tree(self) -> Tree:
        found = self.stage.files.tree()
        return {path: data for path, (mode, data) in found.items() if mode & 0o100000}

    @rule(path=PATHS, choice=CHOICES)
    def write(self, path: bytes, choice: int) -> None:
        self.stage.files.write(path, CONTENTS[choice])

    @rule(path=PATHS)
    def remove(self, path: bytes) -> None:
        if path in self.tree():
            self.stage.files.remove(path)

    @rule()
    def commit(self) -> None:
        try:
            self.stage.run("commit", "-m", "work")
        except NothingToCommit:
            return
        self.trees[self.stage.head] = self.tree()

    @precondition(lambda self: self.trees)
    @rule(data=st.data(), mode=st.sampled_from(["--hard", "--soft"]))
    def reset(self, data: st.DataObject, mode: str) -> None:
        target = data.draw(st.sampled_from(sorted(self.trees)))
        if self.attempt("reset", mode, target) and mode == "--hard":
            assert self.tree() == self.trees[target]

    @precondition(lambda self: self.trees)
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(self.trees)))
        if self.attempt("checkout", target):
            assert self.tree() == self.trees[target]

    @rule(verb=st.sampled_from(["undo", "redo"]))
    def go_back(self, verb: str) -> None:
        self.attempt(verb)

    @rule(name=BRANCHES, fork=st.booleans())
    def branch(self, name: str, fork: bool) -> None:
        self.attempt("branch", *(["--fork"] if fork else []), name)

    @rule(name=BRANCHES)
    def checkout(self, name: str) -> None:
        self.attempt("checkout", name)

    @rule()
    def checkout_previous(self) -> None:
        self.attempt("checkout", "-")

    @rule(name=BRANCHES)
    def delete(self, name: str) -> None:
        self.attempt("branch", "-D", name)

    @rule(name=BRANCHES, path=PATHS, choice=CHOICES)
    def edit_elsewhere(self, name: str, path: bytes, choice: int) -> None:
        branch = self.stage.repository.refs.find(name)
        if branch is not None and branch.slot != self.stage.view.slot:
            self.stage.live(name).write(path, CONTENTS[choice])

    @rule(name=st.sampled_from(["v1", "v2"]))
    def tag(self, name: str) -> None:
        self.attempt("tag", "-f", name)

    @rule(name=st.sampled_from(["v1", "v2"]))
    def untag(self, name: str) -> None:
        self.attempt("tag", "-d", name)

    @precondition(lambda self: self.trees)
    @rule(data=st.data())
    def look_at(self, data: st.DataObject) -> None:
        repository = self.stage.repository
        oid = CommitId(Oid(bytes.fromhex(data.draw(st.sampled_from(sorted(self.trees))))))
        if oid in repository.history and oid not in repository.open_snapshots:
            repository.open_snapshots[oid] = repository.snapshot(oid)
        else:
            repository.open_snapshots.pop(oid, None)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.stage.clock.time_ns += hours * HOUR_NS

    @rule()
    def save(self) -> None:
        self.stage.repository.checkpoint()
        work = self.stage.store.plan_drain()
        if work is not None:
            work.execute()
            work.apply()

    @precondition(lambda self: self.running is None)
    @rule()
    def reopen(self) -> None:
        self.stage.reopen()

    def retention(self, hours: int, count: int, unreached: bool) -> Retention:
        return Retention(self.stage.clock.now_ns() - hours * HOUR_NS, count, unreached)

    @precondition(lambda self: self.running is None)
    @rule(hours=st.integers(0, 30), count=st.integers(0, 6), unreached=st.booleans())
    def begin(self, hours: int, count: int, unreached: bool) -> None:
        retention = self.retention(hours, count, unreached)
        self.running = collect(self.stage.repository, retention, packs=not unreached)

    @precondition(lambda self: self.running is not None)
    @rule(count=st.sampled_from([1, 1, 1, 2, 5, 600]))
    def go_on(self, count: int) -> None:
        assert self.running is not None
        for _ in range(count):
            try:
                step = next(self.running)
            except StopIteration:
                self.running = None
                self.everything_that_is_listed_can_be_read()
                return
            if not isinstance(step, (Turn, Progress)):
                step.execute()
                step.apply()

    @precondition(lambda self: self.running is not None)
    @rule()
    def stop(self) -> None:
        assert self.running is not None
        self.running.close()
        self.running = None

    @precondition(lambda self: self.running is None)
    @rule(hours=st.integers(0, 30), count=st.integers(0, 6), unreached=st.booleans())
    def collect_at_once(self, hours: int, count: int, unreached: bool) -> None:
        repository = self.stage.repository
        retention = self.retention(hours, count, unreached)
        would = run_to_end(collect(repository, retention, dry_run=True), self.stage.store)
        self.settle()
        did = run_to_end(collect(repository, retention, packs=not unreached), self.stage.store)
        assert (would.commits, would.operations) == (did.commits, did.operations)
        if not unreached:
            kept = self.reached()
            assert {oid.hex() for oid in repository.history.ids()} == kept
        self.everything_that_is_listed_can_be_read()
        self.nothing_else_is_left()

    def settle(self) -> None:
        self.stage.repository.checkpoint()
        while (work := self.stage.store.plan_drain()) is not None:
            work.execute()
            work.apply()

    def states(self) -> list[State]:
        """Every state that a verb can lead to."""
        repository = self.stage.repository
        found = [decode_state(value)[0] for _, value in repository.store.scan(b"work/")]
        found += [view.state() for view in repository.views()]
        for slot in [0, *(branch.slot for branch in repository.refs)]:
            views = [view for view in repository.views() if view.slot == slot]
            log = (
                views[0].log if views else OperationLog(repository.store, repository.history, slot)
            )
            for operation in log.operations():
                found += [operation.before, operation.after]
            saves = views[0].saves if views else Saves(repository.store, slot)
            found += [saves.read(save) for save in saves.all()]
        return found

    def reached(self) -> set[str]:
        """The ids of all commits that something leads to."""
        repository = self.stage.repository
        pending = [branch.head for branch in repository.refs]
        pending += repository.refs.tags.values()
        pending += repository.open_snapshots
        with suppress(NotFound):
            slot, previous = repository.previous()
            if slot == DETACHED and previous is not None and previous in repository.history:
                pending.append(previous)
        for state in self.states():
            pending += [state.head, state.merging]
        found: set[str] = set()
        while pending:
            oid = pending.pop()
            if oid is not None and oid.hex() not in found:
                found.add(oid.hex())
                pending += repository.history.read(oid).parents
        return found

    def nothing_else_is_left(self) -> None:
        """The store holds what is needed; of deltas, what they are made against may be more."""
        store: Any = self.stage.store
        if isinstance(store, MemoryStore):
            assert store.objects.keys() == self.needed()
        else:
            assert all(store.contains(oid) for oid in self.needed())

    def needed(self) -> set[Oid]:
        repository = self.stage.repository
        found: set[Oid] = set()
        trees = [state.root for state in self.states()]
        for oid in repository.history.ids():
            found.add(oid)
            trees.append(repository.history.read(oid).root)
        while trees:
            entry = trees.pop()
            if entry.oid in found or (not entry.size and not entry.is_dir):
                continue
            if entry.oid not in NEVER_STORED:
                found.add(entry.oid)
            if entry.is_dir:
                raws = read_entries(repository.store, entry.oid)  # type: ignore[arg-type]
                trees += [decode_entry(raw)[0] for raw in raws]
        return found

    def everything_that_is_listed_can_be_read(self) -> None:
        repository = self.stage.repository
        for oid in repository.history.ids():
            workspace = repository.snapshot(oid)
            stage = type(self.stage.files)(workspace)
            files = {p: data for p, (mode, data) in stage.tree().items() if mode & 0o100000}
            if oid.hex() in self.trees:
                assert files == self.trees[oid.hex()]
            close(workspace)

    @invariant()
    def the_working_tree_can_be_read(self) -> None:
        self.tree()

    def teardown(self) -> None:
        if self.running is not None:
            self.running.close()
        checked = run_to_end(check_store(self.stage.repository), self.stage.store)
        assert checked.problems == []
        self.stage.reopen()
        self.everything_that_is_listed_can_be_read()
        self.close()

    def close(self) -> None:
        """Let go of what the stage holds."""


class LocalStage(Stage):
    """A stage on a store on disk."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="heliosfs-gc-", dir=tmpfs()))
        super().__init__(self.opened())

    def opened(self) -> Any:
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return LocalStore.open(fd, cache_bytes=1 << 16, create=True)
        finally:
            os.close(fd)

    def crash(self) -> None:
        self.store.close()
        self.store = self.opened()
        self.repository = Repository.open(self.store, self.clock, IDENTITY)


class LocalGcMachine(GcMachine):
    """The same on disk, where objects are deltas and the sweep has many steps.

    A collection relies on the one before unless a commit was lost, however many trees were.  At the
    end, one that looks at everything leaves what can be reached, and the one before left no less.
    """

    stage: LocalStage

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(recall, "OBJECTS_FOR_A_LOST_TREE", 0)
        super().__init__()

    def make_stage(self) -> Stage:
        return LocalStage()

    @precondition(lambda self: self.running is None)
    @rule()
    def look_at_all(self) -> None:
        """Compare what two collections leave, of which the second recalls nothing."""
        store, repository = self.stage.store, self.stage.repository
        retention = self.retention(0, 3, unreached=True)
        run_to_end(collect(repository, retention), store)
        needed, listed = self.needed(), set(repository.history.ids())
        assert all(store.contains(oid) for oid in needed)
        store.put(keys.GC_HANDOVER, None)
        store.publish()
        run_to_end(collect(repository, retention), store)
        assert (self.needed(), set(repository.history.ids())) == (needed, listed)
        assert all(store.contains(oid) for oid in needed)

    def close(self) -> None:
        self.patch.undo()
        self.stage.store.close()
        shutil.rmtree(self.stage.path)


TestGc = GcMachine.TestCase
TestGc.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
TestLocalGc = LocalGcMachine.TestCase
TestLocalGc.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
