"""Hard links across commits and checkouts, in process: names, link counts, what is stored."""

from __future__ import annotations

import random

import pytest

from heliosfs.clock import FixedClock
from heliosfs.repo.repository import Repository
from heliosfs.store.memory import MemoryStore
from heliosfs.workspace.nodes import DirNode, LeafNode
from tests.posix.consistency import Tree, stored_tree
from tests.tree_builder import IDENTITY, TreeBuilder

NAMES = [b"a", b"b", b"c", b"d/a", b"d/b", b"d/e/a"]


class Stage:
    """A repository whose root view is changed by path."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.repository = Repository.open(self.store, FixedClock(), IDENTITY)
        self.tree = TreeBuilder(self.repository.root.workspace)
        self.tree.directory(b"d/e")

    def place(self, path: bytes) -> tuple[DirNode, bytes]:
        above, _, name = path.rpartition(b"/")
        node = self.tree.node(above)
        assert isinstance(node, DirNode)
        return node, name

    def link(self, old: bytes, new: bytes) -> None:
        node = self.tree.node(old)
        assert isinstance(node, LeafNode)
        self.repository.root.workspace.link(node, *self.place(new))

    def remove(self, path: bytes) -> None:
        self.repository.root.workspace.remove(*self.place(path))

    def rename(self, old: bytes, new: bytes) -> None:
        self.repository.root.workspace.rename(*self.place(old), *self.place(new))

    def exists(self, path: bytes) -> bool:
        return self.repository.root.workspace.lookup(*self.place(path)) is not None

    def same(self, one: bytes, other: bytes) -> bool:
        return self.tree.node(one) is self.tree.node(other)

    def links(self, path: bytes) -> int:
        return self.tree.node(path).link_count

    def commit(self) -> None:
        self.repository.root.commit("m", allow_empty=True)

    def back(self, count: int = 1) -> None:
        """Make the tree that of the commit `count` before HEAD, which stays."""
        view = self.repository.root
        oid = view.head
        for _ in range(count):
            assert oid is not None
            oid = self.repository.history.read(oid).parents[0]
        assert oid is not None
        view.reset(oid)

    def check(self) -> Tree:
        """Sound here, and the same tree when it is loaded again."""
        shown = stored_tree(self.repository)
        self.store.publish()
        again = Repository.open(self.store, FixedClock(), IDENTITY)
        assert stored_tree(again) == shown
        return shown


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_checkout_that_adds_a_name_to_a_file_in_use(stage: Stage) -> None:
    stage.tree.write(b"a", b"one")
    stage.link(b"a", b"b")
    stage.link(b"a", b"d/e/a")
    stage.commit()
    stage.remove(b"d/e/a")
    stage.commit()
    assert stage.links(b"a") == 2
    stage.back()
    assert stage.links(b"a") == stage.links(b"b") == 3
    stage.tree.write(b"a", b"two")
    assert stage.same(b"a", b"d/e/a")
    found = stage.check()
    assert {found[name].content for name in (b"a", b"b", b"d/e/a")} == {b"two"}


def test_a_checkout_that_moves_one_of_two_names(stage: Stage) -> None:
    stage.tree.write(b"a", b"one")
    stage.link(b"a", b"b")
    stage.commit()
    stage.rename(b"a", b"d/a")
    stage.commit()
    stage.back()
    assert stage.same(b"a", b"b")
    assert stage.links(b"b") == 2
    stage.tree.write(b"b", b"two")
    assert stage.check()[b"a"].content == b"two"


def test_a_renamed_name_still_belongs_to_its_file(stage: Stage) -> None:
    stage.tree.write(b"a", b"one")
    stage.link(b"a", b"b")
    stage.rename(b"a", b"c")
    stage.commit()
    stage.link(b"c", b"d/a")
    stage.commit()
    stage.back()
    stage.check()
    assert stage.same(b"b", b"c")
    assert stage.links(b"b") == 2


def test_a_file_that_lost_its_other_names_is_not_linked_to_them_again(stage: Stage) -> None:
    stage.tree.write(b"a", b"one")
    stage.link(b"a", b"b")
    stage.link(b"a", b"c")
    stage.commit()
    stage.remove(b"b")
    stage.remove(b"c")
    stage.tree.write(b"a", b"other")
    stage.commit()
    stage.link(b"a", b"d/a")
    stage.commit()
    stage.check()
    stage.back(2)
    assert stage.links(b"a") == 3
    stage.check()


@pytest.mark.parametrize("seed", range(25))
def test_random_links_and_checkouts(stage: Stage, seed: int) -> None:
    choose = random.Random(seed)
    stage.commit()
    commits = 1
    for number in range(120):
        one, other = choose.choice(NAMES), choose.choice(NAMES)
        action = choose.randrange(8)
        if action < 2:
            stage.tree.write(one, b"%d" % number)
        elif action == 2 and stage.exists(one):
            stage.remove(one)
        elif action < 5 and stage.exists(one) and not stage.exists(other):
            stage.link(one, other)
        elif action == 5 and stage.exists(one) and one != other:
            if not stage.exists(other) or not stage.same(one, other):
                stage.rename(one, other)
        elif action == 6:
            stage.commit()
            commits += 1
        elif action == 7 and commits > 1:
            back = choose.randrange(commits)
            stage.back(back)
            commits -= back
            stage.check()
    stage.check()
