"""The virtual state tree against a plain model: edits, flushes, switches, reloads."""

from __future__ import annotations

import copy
import stat
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from heliosfs.clock import FixedClock
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.stored import EMPTY_TREE, read_entries, read_tree
from heliosfs.workspace.flush import flush
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Listed, Node
from heliosfs.workspace.switch import switch
from heliosfs.workspace.unloading import unload
from heliosfs.workspace.working_set import WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root

NAMES = [b"a", b"b", b"c", b"dd", b"e\xff", b"f" * 255] + [b"n%d" % number for number in range(6)]
names = st.sampled_from(NAMES)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
sizes = st.sampled_from([0, 1, 5, 4096, WHOLE_MAX, WHOLE_MAX + 1])


@dataclass
class File:
    data: bytearray = field(default_factory=bytearray)


Tree = dict[bytes, "File | Tree"]


def check_remembered(store: Store, directory: DirNode) -> None:
    """Check that a directory remembers of its tree what the store has."""
    if directory.data is not None:
        assert directory.data == read_tree(store, TreeId(directory.tree))
    for leaf in directory.leaves.leaves if directory.leaves else ():
        if leaf.data is not None:
            assert leaf.base is not None
            assert leaf.data == read_tree(store, leaf.base)


class WorkspaceMachine(RuleBasedStateMachine):
    """Every rule does the same to the workspace and to nested dictionaries."""

    roots = Bundle("roots")

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.clock = FixedClock()
        self.model: Tree = {}
        self.workspace = self.open(empty_root(0, 0, 1))

    def open(self, root: Entry) -> Workspace:
        inodes = InodeTable()
        return Workspace(self.store, self.clock, inodes, WorkingSet(self.store), root)

    def find(self, path: tuple[bytes, ...]) -> tuple[DirNode, Tree] | None:
        """The directory that holds the last name of a path, on both sides."""
        node: Node | None = self.workspace.root
        tree: Tree = self.model
        for name in path[:-1]:
            assert isinstance(node, DirNode)
            node = self.workspace.lookup(node, name)
            below = tree.get(name)
            if not isinstance(below, dict):
                assert not isinstance(node, DirNode)
                return None
            tree = below
        assert isinstance(node, DirNode)
        return node, tree

    @rule(path=paths)
    def make_directory(self, path: tuple[bytes, ...]) -> None:
        found = self.find(path)
        if found and path[-1] not in found[1]:
            self.workspace.create(found[0], path[-1], stat.S_IFDIR | 0o755, 1, 2)
            found[1][path[-1]] = {}

    @rule(
        path=paths,
        offset=st.sampled_from([0, WHOLE_MAX, WHOLE_MAX + PART_BYTES, WHOLE_MAX + PART_BYTES - 3]),
        length=st.sampled_from([PART_BYTES, 2 * PART_BYTES + 7, WHOLE_MAX]),
        fill=st.binary(min_size=1, max_size=3),
    )
    def write_parts(self, path: tuple[bytes, ...], offset: int, length: int, fill: bytes) -> None:
        self.write(path, offset, (fill * length)[:length])

    @rule(path=paths, offset=sizes, data=st.binary(min_size=1, max_size=20))
    def write(self, path: tuple[bytes, ...], offset: int, data: bytes) -> None:
        found = self.find(path)
        if not found or isinstance(found[1].get(path[-1]), dict):
            return
        node = self.workspace.lookup(found[0], path[-1])
        if node is None:
            node = self.workspace.create(found[0], path[-1], stat.S_IFREG | 0o644, 1, 2)
        file = found[1].setdefault(path[-1], File())
        assert isinstance(node, FileNode) and isinstance(file, File)
        node.touch()
        self.workspace.working_set.write(node, offset, data)
        file.data.extend(bytes(max(0, offset - len(file.data))))
        file.data[offset : offset + len(data)] = data

    @rule(path=paths, size=sizes)
    def truncate(self, path: tuple[bytes, ...], size: int) -> None:
        found = self.find(path)
        if not found:
            return
        file = found[1].get(path[-1])
        if isinstance(file, File):
            node = self.workspace.lookup(found[0], path[-1])
            assert isinstance(node, FileNode)
            node.touch()
            self.workspace.working_set.truncate(node, size)
            del file.data[size:]
            file.data.extend(bytes(size - len(file.data)))

    @rule(path=paths)
    def remove(self, path: tuple[bytes, ...]) -> None:
        found = self.find(path)
        if not found or path[-1] not in found[1]:
            return
        if found[1][path[-1]] == {} or not isinstance(found[1][path[-1]], dict):
            self.workspace.remove(found[0], path[-1])
            del found[1][path[-1]]

    @rule(old=paths, new=paths)
    def rename(self, old: tuple[bytes, ...], new: tuple[bytes, ...]) -> None:
        source, target = self.find(old), self.find(new)
        if not source or not target or old[-1] not in source[1] or new[: len(old)] == old:
            return
        moved, there = source[1][old[-1]], target[1].get(new[-1])
        if there is not None and (isinstance(moved, dict) or isinstance(there, dict)):
            return
        if there is moved:
            return
        self.workspace.rename(source[0], old[-1], target[0], new[-1])
        del source[1][old[-1]]
        target[1][new[-1]] = moved

    @rule(old=paths, new=paths)
    def link(self, old: tuple[bytes, ...], new: tuple[bytes, ...]) -> None:
        source, target = self.find(old), self.find(new)
        if not source or not target or new[-1] in target[1]:
            return
        file = source[1].get(old[-1])
        if isinstance(file, File):
            node = self.workspace.lookup(source[0], old[-1])
            assert isinstance(node, LeafNode)
            self.workspace.link(node, target[0], new[-1])
            target[1][new[-1]] = file

    @rule(target=roots)
    def flush(self) -> tuple[Entry, Tree]:
        return flush(self.workspace), copy.deepcopy(self.model)

    @rule(root=roots)
    def switch(self, root: tuple[Entry, Tree]) -> None:
        flush(self.workspace)
        switch(self.workspace, root[0])
        self.model = copy.deepcopy(root[1])
        assert flush(self.workspace) == root[0]

    @rule()
    def reload(self) -> None:
        self.workspace = self.open(flush(self.workspace))

    @rule()
    def list(self) -> None:
        """List all directories; a look-up later finds the inode that a listing made of a child."""
        pending = [self.workspace.root]
        while pending:
            directory = pending.pop()
            for name in list(self.workspace.names(directory)):
                node = self.workspace.peek(directory, name)
                assert node is not None
                if isinstance(node, DirNode):
                    pending.append(node)
                elif name == NAMES[0]:
                    found = self.workspace.lookup(directory, name)
                    assert found is not None and found.ino == node.ino

    @rule()
    def unload(self) -> None:
        for node in list(self.workspace.inodes.nodes.values()):
            assert isinstance(node, (Node, Listed))
            if node is not self.workspace.root and node.ino in self.workspace.inodes.nodes:
                unload(self.workspace, node)

    @rule()
    def reduce(self) -> None:
        self.workspace.working_set.reduce(0)
        self.workspace.working_set.reduce(0)
        assert self.workspace.working_set.account.resident_bytes == 0

    @invariant()
    def is_equal(self) -> None:
        counts: dict[int, int] = {}
        seen: dict[int, int] = {}
        self.compare(self.workspace.root, self.model, counts, seen)
        for ino, count in counts.items():
            node = self.workspace.inodes.nodes[ino]
            assert isinstance(node, FileNode) and node.link_count == count

    def compare(
        self, directory: DirNode, tree: Tree, counts: dict[int, int], seen: dict[int, int]
    ) -> None:
        assert set(self.workspace.names(directory)) == set(tree)
        check_remembered(self.store, directory)
        assert directory.link_count == 2 + sum(isinstance(each, dict) for each in tree.values())
        for name, expected in tree.items():
            node = self.workspace.lookup(directory, name)
            assert node is not None
            if isinstance(expected, dict):
                assert isinstance(node, DirNode) and node.parent is directory
                self.compare(node, expected, counts, seen)
            else:
                assert isinstance(node, FileNode)
                counts[node.ino] = counts.get(node.ino, 0) + 1
                assert seen.setdefault(id(expected), node.ino) == node.ino
                assert node.size == len(expected.data)
                data = self.workspace.working_set.read(node, 0, node.size + 1)
                assert bytes(data) == bytes(expected.data)


TestWorkspace = WorkspaceMachine.TestCase
TestWorkspace.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class LargeDirectoryMachine(RuleBasedStateMachine):
    """One directory around the size at which its tree gets an index."""

    roots = Bundle("roots")

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        inodes = InodeTable()
        self.workspace = Workspace(
            self.store, FixedClock(), inodes, WorkingSet(self.store), empty_root(0, 0, 1)
        )
        self.model: dict[bytes, int] = {}
        """Name -> size."""

    @rule(numbers=st.sets(st.integers(0, 700), max_size=400))
    def add(self, numbers: set[int]) -> None:
        for number in numbers:
            name = b"%d" % number
            if name not in self.model:
                self.workspace.create(self.workspace.root, name, stat.S_IFREG | 0o644, 0, 0)
                self.model[name] = 0

    @rule(numbers=st.sets(st.integers(0, 700), max_size=30), size=st.integers(0, 3))
    def resize(self, numbers: set[int], size: int) -> None:
        for number in numbers:
            name = b"%d" % number
            if name in self.model:
                node = self.workspace.lookup(self.workspace.root, name)
                assert isinstance(node, FileNode)
                node.touch()
                self.workspace.working_set.truncate(node, size)
                self.model[name] = size

    @rule(numbers=st.sets(st.integers(0, 700), max_size=400))
    def remove(self, numbers: set[int]) -> None:
        for number in numbers:
            name = b"%d" % number
            if name in self.model:
                self.workspace.remove(self.workspace.root, name)
                del self.model[name]

    @rule(target=roots)
    def flush(self) -> tuple[Entry, dict[bytes, int]]:
        root = flush(self.workspace)
        sizes = [decode_entry(raw)[0] for raw in read_entries(self.store, TreeId(root.oid))]
        assert {entry.name: entry.size for entry in sizes} == self.model
        return root, dict(self.model)

    @rule(root=roots)
    def switch(self, root: tuple[Entry, dict[bytes, int]]) -> None:
        flush(self.workspace)
        switch(self.workspace, root[0])
        self.model = dict(root[1])
        assert flush(self.workspace) == root[0]

    @rule()
    def reload(self) -> None:
        inodes = InodeTable()
        root = flush(self.workspace)
        self.workspace = Workspace(self.store, FixedClock(), inodes, WorkingSet(self.store), root)

    @invariant()
    def is_equal(self) -> None:
        root = self.workspace.root
        assert set(self.workspace.names(root)) == set(self.model)
        check_remembered(self.store, root)

    @rule()
    def has_the_id_of_its_contents(self) -> None:
        """The tree's id depends on what is in it, and not on how that came to be."""
        inodes = InodeTable()
        entry = flush(self.workspace)
        fresh = Workspace(self.store, FixedClock(), inodes, WorkingSet(self.store), entry)
        assert set(fresh.names(fresh.root)) == set(self.model)
        if not self.model:
            assert entry.oid == EMPTY_TREE
            return
        name = min(self.model)
        node = fresh.lookup(fresh.root, name)
        assert node is not None
        old = node.raw
        fresh.rename(fresh.root, name, fresh.root, b"elsewhere")
        flush(fresh)
        fresh.rename(fresh.root, b"elsewhere", fresh.root, name)
        again = flush(fresh)
        assert node.raw == old
        assert again.oid == entry.oid


TestLargeDirectory = LargeDirectoryMachine.TestCase
TestLargeDirectory.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
