"""Switches between directories of every size, in any order."""

from __future__ import annotations

import itertools
import stat

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, TreeId, object_id
from heliosfs.objects.tree import INDEX_FROM, Entry, decode_entry, is_index
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.stored import find_entry, read_entries, read_tree
from heliosfs.workspace.flush import flush
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.nodes import FileNode
from heliosfs.workspace.switch import switch
from heliosfs.workspace.unloading import unload
from heliosfs.workspace.working_set import WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root
from tests.tree_builder import TreeBuilder

COUNTS = (0, 3, INDEX_FROM - 1, INDEX_FROM, 3 * INDEX_FROM)


@pytest.fixture
def workspace() -> Workspace:
    store = MemoryStore()
    inodes = InodeTable()
    return Workspace(store, FixedClock(), inodes, WorkingSet(store), empty_root(0, 0, 1))


def names_of(count: int) -> list[bytes]:
    return [b"file-%d" % number for number in range(count)]


def fill(workspace: Workspace, count: int) -> None:
    """Let the root have so many files, whatever it has."""
    wanted = set(names_of(count))
    held = set(workspace.names(workspace.root))
    for name in held - wanted:
        workspace.remove(workspace.root, name)
    for name in wanted - held:
        workspace.create(workspace.root, name, stat.S_IFREG | 0o644, 0, 0)


def edit(workspace: Workspace, name: bytes, size: int) -> None:
    node = workspace.lookup(workspace.root, name)
    assert isinstance(node, FileNode)
    node.touch()
    workspace.working_set.truncate(node, size)


def sizes(workspace: Workspace, root: Entry) -> dict[bytes, int]:
    """Return the size of each entry of a stored root, by name."""
    raws = read_entries(workspace.store, TreeId(root.oid))
    return {entry.name: entry.size for entry in (decode_entry(raw)[0] for raw in raws)}


@pytest.mark.parametrize("start", COUNTS)
def test_from_any_size_to_any_other_and_on(workspace: Workspace, start: int) -> None:
    roots = {}
    for count in COUNTS:
        fill(workspace, count)
        roots[count] = flush(workspace)
        is_large = is_index(read_tree(workspace.store, TreeId(roots[count].oid)))
        assert is_large == (count >= INDEX_FROM)
    switch(workspace, roots[start])
    for there, back in itertools.permutations(COUNTS, 2):
        for count in (there, back):
            switch(workspace, roots[count])
            assert set(workspace.names(workspace.root)) == set(names_of(count))
            assert flush(workspace) == roots[count]


@pytest.mark.parametrize(("there", "here"), [*itertools.permutations(COUNTS[1:], 2)])
def test_what_is_edited_after_a_switch_is_stored(
    workspace: Workspace, there: int, here: int
) -> None:
    fill(workspace, here)
    root = flush(workspace)
    fill(workspace, there)
    flush(workspace)
    switch(workspace, root)
    edit(workspace, b"file-1", 5)
    expected = {name: 5 if name == b"file-1" else 0 for name in names_of(here)}
    assert sizes(workspace, flush(workspace)) == expected
    switch(workspace, root)
    assert sizes(workspace, flush(workspace)) == dict.fromkeys(names_of(here), 0)


@pytest.mark.parametrize("count", [3, INDEX_FROM])
def test_a_tree_that_cannot_be_read_alters_nothing(workspace: Workspace, count: int) -> None:
    fill(workspace, count)
    before = flush(workspace)
    data = read_tree(workspace.store, TreeId(before.oid))[:-1]
    oid = object_id(Kind.TREE, data)
    workspace.store.add(oid, Kind.TREE, data)
    with pytest.raises(CorruptObject, match=oid.hex()):
        switch(workspace, before._replace(oid=oid))
    assert flush(workspace) == before
    assert set(workspace.names(workspace.root)) == set(names_of(count))


def test_a_file_of_whose_names_one_is_left_can_be_read_from_the_next_tree(
    workspace: Workspace,
) -> None:
    """The tree that is switched to may have the link group still, with the one name."""
    files = TreeBuilder(workspace)
    files.write(b"a", b"1\n")
    files.link(b"a", b"z")
    files.write(b"d/b", b"1\n")
    root = flush(workspace)
    switch(workspace, edit_tree(workspace.store, root, {b"z": None}, 1))
    files.write(b"d/b", b"2\n")
    inodes = InodeTable()
    working_set = WorkingSet(workspace.store)
    opened = Workspace(workspace.store, FixedClock(), inodes, working_set, flush(workspace))
    assert TreeBuilder(opened).read(b"a") == b"1\n"
    files.write(b"a", b"3\n")
    found = find_entry(workspace.store, flush(workspace), b"a")
    assert found is not None
    assert found.group == 0


def test_a_file_of_whose_names_one_is_left_can_be_forgotten(workspace: Workspace) -> None:
    """The entry has the group still, though no other name is looked for any more."""
    files = TreeBuilder(workspace)
    files.write(b"a", b"1\n")
    files.link(b"a", b"z")
    root = flush(workspace)
    switch(workspace, edit_tree(workspace.store, root, {b"z": None}, 1))
    unload(workspace, files.node(b"a"))
    assert files.read(b"a") == b"1\n"


def test_a_tree_with_links_that_cannot_be_read_alters_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with several names are found in directories that nobody has looked at."""
    files = TreeBuilder(workspace)
    files.write(b"a", b"1\n")
    files.link(b"a", b"z")
    before = flush(workspace)
    files.write(b"d/e/b", b"1\n")
    files.link(b"d/e/b", b"d/e/c")
    target = flush(workspace)
    switch(workspace, before)
    store = workspace.store
    below = find_entry(store, target, b"d/e")
    assert below is not None and below.links_below

    def read(oid: Oid, kind: Kind) -> bytes:
        if oid == below.oid:
            raise CorruptObject("damaged")
        return whole(oid, kind)

    whole = store.read
    monkeypatch.setattr(store, "read", read)
    with pytest.raises(CorruptObject):
        switch(workspace, target)
    assert flush(workspace) == before
    assert set(workspace.names(workspace.root)) == {b"a", b"z"}
