"""Steps between sets of ignore rules, in any order, against a model of plain dictionaries.

No step loses an ignored file: it stays, or the step back brings it, whichever side has the rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliosfs.errors import NotFound, NothingToCommit
from tests.tree_builder import Stage

Tree = dict[bytes, bytes]

IGNORE = b".heliosignore"
PATHS = st.sampled_from([b"a", b".env", b"x.o", b"d", b"d/y.o", b"d/b", b"d/build/z", b"build/z"])
DATA = st.sampled_from([b"1", b"2\n", b"three" * 100])
RULES = st.lists(st.sampled_from([b"*.o", b".env", b"build/", b"/d/", b"!x.o", b"b"]), max_size=3)


def ignores(rules: Tree, path: bytes) -> bool:
    """Return True if the ignore files of a tree, or one above the path, keep a file out."""
    parts = path.split(b"/")
    return any(
        _matches(rules, b"/".join(parts[: at + 1]), is_dir=at + 1 < len(parts))
        for at in range(len(parts))
    )


def _matches(rules: Tree, path: bytes, *, is_dir: bool) -> bool:
    verdict = False
    for place in (b"", b"d/"):
        if not path.startswith(place):
            continue
        for line in rules.get(place + IGNORE, b"").split(b"\n"):
            pattern = line.removeprefix(b"!").removesuffix(b"/")
            below = path[len(place) :]
            name = below if pattern.startswith(b"/") else below.rpartition(b"/")[2]
            if pattern and fnmatchcase(name.decode(), pattern.removeprefix(b"/").decode()):
                verdict = not line.startswith(b"!") if is_dir or line[-1:] != b"/" else verdict
    return verdict


def is_blocked(tree: Iterable[bytes], path: bytes) -> bool:
    """Return True if something in the tree is where the path, or a directory above it, must be."""
    return any(
        each == path or each.startswith(path + b"/") or path.startswith(each + b"/")
        for each in tree
    )


@dataclass
class Moment:
    """A working state: what HEAD is, and every file."""

    head: str | None
    tree: Tree


@dataclass
class Done:
    """An operation, or an undo of one."""

    before: Moment
    after: Moment


@dataclass
class Line:
    undo: list[Done] = field(default_factory=list)
    redo: list[Done] = field(default_factory=list)


class IgnoredMachine(RuleBasedStateMachine):
    """Model that knows every file of the working tree, and what each step must make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.line = Line()
        self.head: str | None = None
        self.tree: Tree = {}
        self.commits: dict[str, Tree] = {}
        # A link group is in the tree, so ids of commits would differ from run to run.
        groups = itertools.count(1)
        self.patch = patch("secrets.randbits", lambda bits: next(groups) << 1)
        self.patch.start()

    def tracked(self, head: str | None) -> Tree:
        return self.commits[head] if head is not None else {}

    def moment(self) -> Moment:
        return Moment(self.head, dict(self.tree))

    def kept(self, target: Tree, there: Tree, done: Done | None = None) -> Tree:
        """The working tree after a step to another one, in which `there` is tracked."""
        now = self.tracked(self.head)
        rules = [now, self.tree, target, there]
        out = {path for path in [*self.tree, *target] if any(ignores(r, path) for r in rules)}
        mine = {path: self.tree[path] for path in out & self.tree.keys() if path not in now}
        if done is not None:
            before, after = done.before.tree, done.after.tree
            mine = {
                path: data
                for path, data in mine.items()
                if path not in before
                or path not in after
                or before[path] == after[path]
                or data != after[path]
            }
            out -= {path for path in before.keys() & after.keys() if path not in mine}
        result = {path: data for path, data in target.items() if path in there or path not in out}
        for files in (mine, target):
            free = {path: data for path, data in files.items() if not is_blocked(result, path)}
            result.update(free)
        return result

    def step(self, tree: Tree, head: str | None) -> None:
        before = self.moment()
        self.tree, self.head = tree, head
        self.line.undo.append(Done(before, self.moment()))
        self.line.redo.clear()

    @rule(path=PATHS, data=DATA)
    def write(self, path: bytes, data: bytes) -> None:
        """A file has the new bytes under each of its names."""
        names = self.names(path)
        self.write_one(path, data)
        self.tree.update(dict.fromkeys(names, data))

    def names(self, path: bytes) -> list[bytes]:
        if path not in self.tree:
            return []
        files = self.stage.files
        return [name for name in self.tree if files.node(name) is files.node(path)]

    @rule(path=PATHS, new_path=PATHS)
    def link(self, path: bytes, new_path: bytes) -> None:
        there = self.stage.files.tree()
        if path in self.tree and new_path not in there and not is_blocked(self.tree, new_path):
            self.stage.files.link(path, new_path)
            self.tree[new_path] = self.tree[path]

    def write_one(self, path: bytes, data: bytes) -> None:
        for each in [each for each in self.tree if is_blocked([each], path) and each != path]:
            self.remove(each)
        if path in self.stage.files.tree() and path not in self.tree:
            # A directory in which nothing is left: a commit may have it.
            self.stage.files.remove(path)
        self.stage.files.write(path, data)
        self.tree[path] = data

    @rule(place=st.sampled_from([b"", b"d/"]), lines=RULES)
    def write_rules(self, place: bytes, lines: list[bytes]) -> None:
        self.write(place + IGNORE, b"\n".join(lines) + b"\n")

    @rule(path=st.one_of(PATHS, st.sampled_from([IGNORE, b"d/" + IGNORE])))
    def remove(self, path: bytes) -> None:
        if self.tree.pop(path, None) is not None:
            while path and not is_blocked(self.tree, path):
                self.stage.files.remove(path)
                path = path.rpartition(b"/")[0]

    @rule()
    def commit(self) -> None:
        now = self.tracked(self.head)
        taken = {
            path: data
            for path, data in self.tree.items()
            if path in now or not ignores(self.tree, path)
        }
        if self.head is not None and taken == now:
            with pytest.raises(NothingToCommit):
                self.stage.run("commit", "-m", "nothing")
            return
        self.stage.run("commit", "--allow-empty", "-m", "work")
        self.commits[self.stage.head] = taken
        self.step(dict(self.tree), self.stage.head)

    @rule()
    def save(self) -> None:
        """An automatic save, between two commits, is no step."""
        self.stage.view.checkpoint()

    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        if not self.commits:
            return
        target = data.draw(st.sampled_from(sorted(self.commits)))
        self.stage.run("reset", "--hard", target)
        tree = self.commits[target]
        self.step(self.kept(tree, tree), target)

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """A file that is named comes from the commit, be it ignored here or not."""
        if not self.commits:
            return
        source = self.commits[data.draw(st.sampled_from(sorted(self.commits)))]
        path = data.draw(st.sampled_from(sorted(source) or [b"a"]))
        others = [each for each in self.tree if each != path]
        if path not in source or self.tree.get(path) == source[path] or is_blocked(others, path):
            return
        oid = next(oid for oid, tree in self.commits.items() if tree is source)
        self.stage.run("restore", "--source", oid, path.decode())
        now = self.tracked(self.head)
        here = {p: d for p, d in self.tree.items() if p in now or not ignores(self.tree, p)}
        tree = here | {path: source[path]}
        self.step(self.kept(tree, tree), self.head)

    @rule()
    def undo(self) -> None:
        self.there_and_back(self.line.undo, self.line.redo, "undo")

    @rule()
    def redo(self) -> None:
        self.there_and_back(self.line.redo, self.line.undo, "redo")

    def there_and_back(self, taken: list[Done], given: list[Done], verb: str) -> None:
        if not taken:
            return
        done = taken.pop()
        before = self.moment()
        target = done.before
        self.tree, self.head = (
            self.kept(target.tree, self.tracked(target.head), done),
            target.head,
        )
        self.stage.run(verb)
        given.append(Done(before, self.moment()))

    @rule()
    def nothing_is_lost(self) -> None:
        """The last step back and forth again: every file is there once, as it was."""
        if not self.line.undo:
            return
        before = dict(self.tree)
        links = {frozenset(self.names(path)) for path in before}
        self.undo()
        between = dict(self.tree)
        self.redo()
        now = self.tree
        assert all(now.get(p) == data or between.get(p) == data for p, data in before.items())
        if now == before:
            assert {frozenset(self.names(path)) for path in now} == links

    @rule()
    def reopen(self) -> None:
        self.stage.reopen()

    @invariant()
    def agrees(self) -> None:
        found = self.stage.files.tree()
        files = {path: data for path, (mode, data) in found.items() if mode & 0o100000}
        assert files == self.tree
        head = self.stage.view.head
        assert (head.hex() if head else None) == self.head

    def teardown(self) -> None:
        """All the way back there is nothing more to undo."""
        while self.line.undo:
            self.undo()
            self.agrees()
        with pytest.raises(NotFound, match="nothing to undo"):
            self.stage.run("undo")
        self.patch.stop()


TestIgnored = IgnoredMachine.TestCase
TestIgnored.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
