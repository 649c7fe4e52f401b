"""add, commit, edit, reset, undo, redo, checkout in any order, against a model of whole trees."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliosfs.errors import NotFound, NothingToCommit
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import EMPTY_TREE, walk_changes
from tests.tree_builder import Stage

Tree = dict[bytes, bytes]

PATHS = st.sampled_from([b"a", b"b", b"d/a", b"d/e/f", b"g/h"])
DATA = st.sampled_from([b"", b"1", b"two\n", b"three" * 100])


@dataclass
class Moment:
    """A working state: what HEAD is, every file, and what is staged."""

    head: str | None
    tree: Tree
    stage: Tree | None = None

    def copy(self) -> Moment:
        return Moment(self.head, dict(self.tree), self.stage)


@dataclass
class Line:
    """A branch in the model: its state now, and what undo and redo lead back to."""

    now: Moment
    undo: list[Moment] = field(default_factory=list)
    redo: list[Moment] = field(default_factory=list)

    def step(self, after: Moment) -> None:
        self.undo.append(self.now)
        self.redo.clear()
        self.now = after


class HistoryMachine(RuleBasedStateMachine):
    """The model keeps every state in full; the repository must agree after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.lines = {"main": Line(Moment(None, {}))}
        self.current = "main"
        self.commits: dict[str, Tree] = {}

    @property
    def line(self) -> Line:
        return self.lines[self.current]

    @rule(path=PATHS, data=DATA)
    def write(self, path: bytes, data: bytes) -> None:
        self.stage.files.write(path, data)
        self.line.now.tree[path] = data

    @rule(path=PATHS)
    def remove(self, path: bytes) -> None:
        if self.line.now.tree.pop(path, None) is not None:
            self.stage.files.remove(path)
            parent = path.rpartition(b"/")[0]
            while parent and not self.names(parent):
                self.stage.files.remove(parent)
                parent = parent.rpartition(b"/")[0]

    @rule(path=PATHS, new_path=PATHS)
    def rename(self, path: bytes, new_path: bytes) -> None:
        tree = self.line.now.tree
        if path in tree and path != new_path:
            self.write(new_path, tree[path])
            self.remove(path)

    @rule()
    def commit(self) -> None:
        now = self.line.now
        taken = now.tree if now.stage is None else now.stage
        if now.head is not None and self.commits[now.head] == taken:
            with pytest.raises(NothingToCommit):
                self.stage.run("commit")
            return
        self.stage.run("commit", "--allow-empty")
        self.commits[self.stage.head] = dict(taken)
        self.line.step(Moment(self.stage.head, dict(now.tree)))

    @rule(words=st.sampled_from([["--work"], ["--amend", "--work"], ["--amend"]]))
    def commit_otherwise(self, words: list[str]) -> None:
        now = self.line.now
        if now.head is None and "--amend" in words:
            with pytest.raises(NotFound, match="no commit yet"):
                self.stage.run("commit", *words)
            return
        self.stage.run("commit", "--allow-empty", *words)
        taken = now.tree if now.stage is None or "--work" in words else now.stage
        self.commits[self.stage.head] = dict(taken)
        self.line.step(Moment(self.stage.head, dict(now.tree)))

    @rule(path=PATHS)
    def add(self, path: bytes) -> None:
        now = self.line.now
        base = self.base(now)
        if path not in now.tree and path not in base:
            with pytest.raises(NotFound):
                self.stage.run("add", path.decode())
            return
        self.stage.run("add", path.decode())
        staged = {key: data for key, data in base.items() if key != path}
        if path in now.tree:
            staged[path] = now.tree[path]
        now.stage = None if staged == self.head_tree(now) else staged

    def head_tree(self, moment: Moment) -> Tree:
        return self.commits[moment.head] if moment.head is not None else {}

    def base(self, moment: Moment) -> Tree:
        return self.head_tree(moment) if moment.stage is None else moment.stage

    @precondition(lambda self: self.commits)
    @rule(data=st.data(), mode=st.sampled_from(["--hard", "--soft", "--mixed"]))
    def reset(self, data: st.DataObject, mode: str) -> None:
        target = data.draw(st.sampled_from(sorted(self.commits)))
        self.stage.run("reset", mode, target)
        tree = self.commits[target] if mode == "--hard" else self.line.now.tree
        staged = self.line.now.stage if mode == "--soft" else None
        if staged == self.commits[target]:
            staged = None
        self.line.step(Moment(target, dict(tree), staged))

    @rule()
    def undo(self) -> None:
        line = self.line
        if not line.undo:
            with pytest.raises(NotFound, match="nothing to undo"):
                self.stage.run("undo")
            return
        self.stage.run("undo")
        line.redo.append(line.now)
        line.now = line.undo.pop()
        line.now = line.now.copy()

    @rule()
    def redo(self) -> None:
        line = self.line
        if not line.redo:
            with pytest.raises(NotFound, match="nothing to redo"):
                self.stage.run("redo")
            return
        self.stage.run("redo")
        line.undo.append(line.now)
        line.now = line.redo.pop()
        line.now = line.now.copy()

    @precondition(lambda self: self.line.undo)
    @rule(path=PATHS, data=DATA)
    def there_and_back(self, path: bytes, data: bytes) -> None:
        """An edit between an undo and a redo is what the next undo finds."""
        self.undo()
        self.write(path, data)
        self.redo()
        self.undo()
        self.agrees()

    @precondition(lambda self: len(self.lines) < 4)
    @rule()
    def fork(self) -> None:
        name = f"branch-{len(self.lines)}"
        self.stage.run("branch", "--fork", name)
        self.lines[name] = Line(self.line.now.copy())

    @rule(data=st.data())
    def checkout(self, data: st.DataObject) -> None:
        self.current = data.draw(st.sampled_from(sorted(self.lines)))
        self.stage.run("checkout", self.current)

    @rule(data=st.data(), path=PATHS, content=DATA)
    def edit_elsewhere(self, data: st.DataObject, path: bytes, content: bytes) -> None:
        name = data.draw(st.sampled_from(sorted(self.lines)))
        if name != self.current:
            self.stage.live(name).write(path, content)
            self.lines[name].now.tree[path] = content

    @rule(verb=st.sampled_from(["status", "diff", "branch", "oplog"]))
    def look(self, verb: str) -> None:
        self.stage.run(verb)

    @rule()
    def reopen(self) -> None:
        self.stage.reopen()

    @invariant()
    def agrees(self) -> None:
        now = self.line.now
        head = self.stage.view.head
        assert (head.hex() if head else None) == now.head
        found = self.stage.files.tree()
        files = {path: data for path, (mode, data) in found.items() if mode & 0o100000}
        assert files == now.tree
        assert self.stage.view.branch == self.current
        staged = self.stage.view.stage.root
        assert (staged is None) == (now.stage is None)
        if staged is not None:
            assert self.files_of(staged) == now.stage

    def files_of(self, root: Entry) -> Tree:
        store = self.stage.store
        changes = walk_changes(store, EMPTY_TREE, TreeId(root.oid))
        return {
            change.path: read_file(store, change.new)
            for change in changes
            if change.new is not None and not change.new.is_dir
        }

    def names(self, path: bytes) -> list[bytes]:
        files = self.stage.files
        return list(files.workspace.names(files.directory(path)))

    def teardown(self) -> None:
        """Every branch is as the model has it, not only the one that was looked at."""
        for name, line in self.lines.items():
            self.stage.run("checkout", name)
            self.current = name
            assert line is self.line
            self.agrees()


TestHistory = HistoryMachine.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
