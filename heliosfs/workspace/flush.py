"""Flush dirty nodes to objects, visiting no clean node.

Theory of operation.  The dirty directories are found from the root down, by the names that each
keeps in `dirty`, and flushed from the bottom up, because the entry of a directory names its tree.
The bytes of a file become an object, and its entry a part of the tree object.  If only entries of
a tree changed, and no name came or went, the new tree is spliced from the bytes of the last flush,
so a directory of 200 files costs one copy and not 200 encodings.  A directory of 256 entries or
more writes the leaves that changed and an index of all.  Each object is passed to the store with
the id of the previous object at the same path, against which the store may encode it.  Nothing is
published here: if the caller fails, the nodes are clean and their objects wait in the batch, so
the next flush has nothing to do.

The same walk sets `was_altered`: True if more than times differs from the previous flush.  So a
commit can tell that there is something to commit without comparing trees.

Refused: hashing when a file is closed, which hashes content that nobody commits and misses files
that stay open; a walk over all nodes, which costs O(tree); and one object for a large directory,
where a changed file among 10,000 costs 800 KB of writes
(docs/decisions/2026-11-23-leaves-by-name-hash.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.objects.ids import Kind, Oid, TreeId, object_id
from heliosfs.objects.splice import SPLICED_MAX, Replacement, splice
from heliosfs.objects.tree import (
    FLAGS_AT,
    INDEX_FROM,
    LINK,
    LINKS_BELOW,
    NO_OID,
    OID_AT,
    Entry,
    decode_entry,
    encode_index,
    join_leaf,
)
from heliosfs.store.base import Store
from heliosfs.trees.ignore import IGNORE_NAME
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.same import same_but_times
from heliosfs.trees.stored import EMPTY_TREE, put_tree
from heliosfs.workspace.leaves import Leaf, LeafTable
from heliosfs.workspace.nodes import (
    Child,
    DirNode,
    FileNode,
    LeafNode,
    base_of,
    entry_of,
    join_children,
)
from heliosfs.workspace.workspace import Workspace

_TREE = Kind.TREE
"""Kind of tree objects; a global is looked up faster than a member of an enum."""


def flush(workspace: Workspace) -> Entry:
    """Add objects for all dirty nodes to the store's batch, and return the root entry.

    The bytes stay loaded and the nodes become clean.  The caller publishes the batch.
    Cost: O(dirty), and the size of the leaves of the directories on the way.
    """
    root = workspace.root
    workspace.was_altered = False
    if root.raw is None:
        directories = _dirty_directories(root)
        before, record = root.tree, workspace.record
        if record.flushes is not None:
            record.open(directories)
        # I2: children first: the entry of a directory names the tree of its children.
        for directory in reversed(directories):
            _flush_directory(workspace, directory)
        if record.current is not None:
            record.close(TreeId(before), TreeId(root.tree))
        workspace.working_set.account.written_bytes = 0
    assert root.raw is not None
    return decode_entry(root.raw)[0]


def file_slices(workspace: Workspace, limit_bytes: int) -> Iterator[None]:
    """Store dirty files ahead of a flush; yield when about `limit_bytes` are stored and more left.

    This is for callers that must not block the event loop for as long as a full flush takes.  The
    tree may change in between.  It ends when little is left for the flush: O(dirty) in all.
    """
    is_more = True
    while is_more:
        is_more = False
        for _ in _pass(workspace, limit_bytes):
            is_more = True
            yield


def _pass(workspace: Workspace, limit_bytes: int) -> Iterator[None]:
    """Go once through the dirty directories, each before those below it, and store their files."""
    working_set = workspace.working_set
    left_bytes = limit_bytes
    pending = [workspace.root] if workspace.is_dirty else []
    for directory in pending:
        # What was taken out of the tree may have lost its bytes, and its base may be garbage.
        if not _is_shown(workspace, directory):
            continue
        # A copy, because names come and go in between.
        for name in list(directory.dirty):
            children = directory.children
            node = children.get(name) if children is not None else None
            if isinstance(node, DirNode) and node.raw is None:
                pending.append(node)
            elif isinstance(node, FileNode) and node.oid is None:
                working_set.freeze(node, base_of(directory.dirty.get(name)))
                # An object costs some time apart from its bytes: as much as 4 KiB of them.
                left_bytes -= node.file_size + 4096
                if left_bytes < 0:
                    yield
                    left_bytes = limit_bytes
                    if not _is_shown(workspace, directory):
                        break


def _is_shown(workspace: Workspace, directory: DirNode) -> bool:
    """Return True if a directory is still in the tree.  Cost: O(depth)."""
    above: DirNode | None = directory
    while above is not None and above is not workspace.root:
        above = above.parent
    return above is not None and not workspace.is_closed


def _dirty_directories(root: DirNode) -> list[DirNode]:
    """Return the dirty directories, each before those below it."""
    order = [root]
    for directory in order:
        children = directory.children
        if children is not None:
            for name in directory.dirty:
                child = children.get(name)
                if isinstance(child, DirNode) and child.raw is None:
                    order.append(child)
    return order


def _flush_directory(workspace: Workspace, directory: DirNode) -> None:
    if directory.dirty:
        children = directory.children
        if children is None:
            children = workspace.load(directory)
        if IGNORE_NAME in children:
            # I29: False only where no ignore file lies above a change, and no `.git` is.
            workspace.has_rules = True
        if DOT_GIT in children:
            workspace.has_rules = workspace.working_set.has_git_dirs = True
        edits = _clean(workspace, directory.dirty, children)
        if len(children) < INDEX_FROM:
            data = _join_leaf_directory(directory, edits)
        else:
            data = _join_index(workspace.store, directory, children)
        # I3: `data` and the tree that is written here are the same bytes.
        directory.data = data
        base = directory.tree
        # What `put_tree` does, without its call.
        directory.tree = tree = TreeId(object_id(_TREE, data))
        workspace.store.add(tree, _TREE, data, base if base != EMPTY_TREE else None)
        if workspace.record.current is not None:
            workspace.record.note(directory, directory.dirty, children)
        directory.dirty = {}
    # This looks at every child, so trees without hard links do not pay for it.
    below = workspace.links.exist and any(
        entry_of(child, name)[FLAGS_AT] & (LINK | LINKS_BELOW)
        for name, child in workspace.load(directory).items()
    )
    directory.raw = directory.encode(directory.tree, below)


def _clean(
    workspace: Workspace, dirty: dict[bytes, bytes | None], children: dict[bytes, Child]
) -> list[Replacement] | None:
    """Encode the entry of every dirty node except directories, which were flushed before.

    Return the old and the new encoded entries, or None if names came or went.
    """
    edits: list[Replacement] | None = []
    for name, old in dirty.items():
        child = children.get(name)
        if child is None:
            edits = None
            workspace.was_altered |= old is not None
            continue
        if isinstance(child, DirNode):
            # It was flushed before, which has said if it was altered.
            assert child.raw is not None
            if old is None:
                edits = None
            elif edits is not None:
                edits.append((old, child.raw))
            continue
        # I2: from here on the entry is what the node is.
        if isinstance(child, LeafNode) and child.raw is None:
            oid = NO_OID
            if isinstance(child, FileNode):
                # What `base_of` does, without its call.
                base = Oid(old[OID_AT:FLAGS_AT]) if old is not None else NO_OID
                oid = workspace.working_set.freeze(child, base if base != NO_OID else None)
            child.raw = child.encode(oid)
        new = child if isinstance(child, bytes) else child.raw
        # The node of a file with several names has one entry, not that of this name.
        if new is None or (isinstance(child, LeafNode) and child.links):
            new = entry_of(child, name)
        if old is None:
            edits = None
        elif edits is not None:
            edits.append((old, new))
        if not workspace.was_altered and isinstance(child, LeafNode):
            workspace.was_altered = (
                old is None
                or old[OID_AT:FLAGS_AT] != new[OID_AT:FLAGS_AT]
                or not same_but_times(old, new)
            )
    return edits


def _join_leaf_directory(directory: DirNode, edits: list[Replacement] | None) -> bytes:
    """Return the bytes of a directory that is one leaf."""
    if directory.leaves is not None:
        directory.leaves = None
    elif edits is not None and len(edits) <= SPLICED_MAX and directory.data is not None:
        data = splice(directory.data, edits)
        if data is not None:
            return data
    return join_children(directory)


def _join_index(store: Store, directory: DirNode, children: dict[bytes, Child]) -> bytes:
    """Return the bytes of a directory's index, after its leaves were written."""
    table = directory.leaves
    if table is None:
        table = directory.leaves = LeafTable.of_names(sorted(children))
    else:
        for name in directory.dirty:
            table.note(name, name in children)
    edits = []
    for leaf in table.stale:
        # A leaf without names is left out of the index.
        if leaf.names:
            before = leaf.base
            now = _write_leaf(store, leaf, directory.dirty, children)
            if before is not None:
                edits.append((before, now))
    data = None if table.is_regrouped else directory.data
    if data is not None:
        data = splice(data, edits)
    if data is None:
        data = encode_index(table.refs())
    table.mark_written()
    return data


def _write_leaf(
    store: Store, leaf: Leaf, dirty: dict[bytes, bytes | None], children: dict[bytes, Child]
) -> TreeId:
    data = leaf.data
    if data is not None:
        edits = [
            (old, entry_of(children[name], name))
            for name in leaf.touched
            if (old := dirty[name]) is not None
        ]
        data = splice(data, edits) if len(edits) == len(leaf.touched) <= SPLICED_MAX else None
    if data is None:
        data = join_leaf([entry_of(children[name], name) for name in leaf.names])
    oid = put_tree(store, data, leaf.base)
    leaf.written(oid, data)
    return oid
