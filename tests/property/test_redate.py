"""The times that files have after a switch: those of the verb where bytes came, else their own."""

from __future__ import annotations

import stat

from hypothesis import given, settings
from hypothesis import strategies as st

from heliosfs.clock import FixedClock
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import INDEX_FROM, Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.stored import has_changes, read_entries
from heliosfs.workspace.flush import flush
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.nodes import DirNode, FileNode
from heliosfs.workspace.redate import Moment
from heliosfs.workspace.switch import switch
from heliosfs.workspace.working_set import WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root

SECOND_NS = 10**9
NAMES = [b"a", b"b", b"c"]
FILLERS = [b"filler-%d" % number for number in range(INDEX_FROM)]

Model = dict[bytes, bytes]
"""Path of a file -> its bytes; a directory is there while something is in it."""

PATHS = [name + b"/" + below for name in NAMES for below in NAMES] + [b"a/b/" + n for n in NAMES]
CONTENTS = [b"one", b"two", b"three"]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Some files, and now and then so many in a directory that it has an index."""
    chosen = draw(st.dictionaries(st.sampled_from([*NAMES, *PATHS]), st.sampled_from(CONTENTS)))
    directories = {
        path[:at] for path in chosen for at in range(len(path)) if path[at : at + 1] == b"/"
    }
    model = {path: data for path, data in chosen.items() if path not in directories}
    if draw(st.booleans()):
        place = draw(st.sampled_from([b"", *(each + b"/" for each in sorted(directories))]))
        model.update(dict.fromkeys((place + name for name in FILLERS), b"filler"))
    return model


def new_workspace(store: Store, root: Entry, clock: FixedClock) -> Workspace:
    inodes = InodeTable()
    return Workspace(store, clock, inodes, WorkingSet(store), root)


def build(store: Store, model: Model) -> Entry:
    """A root with the files of a model, of long ago."""
    workspace = new_workspace(store, empty_root(0, 0, 1), FixedClock(SECOND_NS))
    for path, data in model.items():
        *above, name = path.split(b"/")
        directory = workspace.root
        for part in above:
            child = workspace.lookup(directory, part) or workspace.create(
                directory, part, stat.S_IFDIR | 0o755, 0, 0
            )
            assert isinstance(child, DirNode)
            directory = child
        node = workspace.create(directory, name, stat.S_IFREG | 0o644, 0, 0)
        assert isinstance(node, FileNode)
        workspace.working_set.write(node, 0, data)
    return flush(workspace)


def entries(store: Store, root: Entry) -> dict[bytes, Entry]:
    """Every path of a root, the directories included, with its entry as the store has it."""
    found = {b"": root}
    pending = [(b"", root)]
    while pending:
        prefix, directory = pending.pop()
        for raw in read_entries(store, TreeId(directory.oid)):
            entry, _ = decode_entry(raw)
            found[prefix + entry.name] = entry
            if entry.is_dir:
                pending.append((prefix + entry.name + b"/", entry))
    return found


def look(workspace: Workspace, path: bytes) -> int | None:
    """Load the way to a path, as far as it goes; return its inode number."""
    node: object = workspace.root
    for part in path.split(b"/"):
        if not isinstance(node, DirNode):
            return None
        node = workspace.lookup(node, part)
    return node.ino if isinstance(node, FileNode) else None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(models(), min_size=2, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from([*NAMES, *PATHS]))), max_size=5),
)
def test_what_a_switch_brings_is_new_and_what_stays_is_not(
    trees: list[Model], steps: list[tuple[int, set[bytes]]]
) -> None:
    store, clock = MemoryStore(), FixedClock()
    roots = [build(store, model) for model in trees]
    workspace = new_workspace(store, roots[0], clock)
    workspace.gives_new_times = True
    latest_ns = 0
    for number, looked in steps:
        known = {path: look(workspace, path) for path in looked}
        before = entries(store, flush(workspace))
        target = roots[number % len(roots)]
        switch(workspace, target)
        after = entries(store, flush(workspace))
        assert not has_changes(store, TreeId(after[b""].oid), TreeId(target.oid))
        latest_ns = max(latest_ns, *(entry.mtime_ns for entry in before.values()))
        for path, entry in after.items():
            was = before.get(path)
            node_after = look(workspace, path) if path else None
            if was is not None and _has_the_same(store, was, entry):
                assert entry.mtime_ns == was.mtime_ns, path
                if known.get(path) is not None:
                    assert node_after == known[path], path
            else:
                assert entry.mtime_ns > latest_ns, path


def _has_the_same(store: Store, was: Entry, entry: Entry) -> bool:
    """Return True if a file has the bytes, a directory the files, that were there."""
    if was.is_dir and entry.is_dir:
        old, new = ({e.name: e for e in map(_decode, read_entries(store, TreeId(each.oid)))}
                    for each in (was, entry))  # fmt: skip
        return old.keys() == new.keys() and all(
            old[name].is_dir == new[name].is_dir
            and (new[name].is_dir or old[name].oid == new[name].oid)
            for name in new
        )
    return was.mode == entry.mode and was.oid == entry.oid


def _decode(raw: bytes) -> Entry:
    return decode_entry(raw)[0]


@given(
    st.integers(0, 4 * SECOND_NS),
    st.integers(0, 4 * SECOND_NS),
    st.integers(0, 4 * SECOND_NS),
    st.booleans(),
)
def test_a_time_is_later_and_in_a_second_that_no_cache_knows(
    now_ns: int, read_ns: int, mtime_ns: int, is_same_size: bool
) -> None:
    time_ns = Moment(now_ns, read_ns).after(mtime_ns, is_same_size=is_same_size)
    assert time_ns >= now_ns
    assert time_ns > mtime_ns
    if is_same_size and mtime_ns <= read_ns:
        assert time_ns // SECOND_NS > mtime_ns // SECOND_NS
    assert time_ns <= max(now_ns, mtime_ns + SECOND_NS)
