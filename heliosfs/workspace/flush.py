"""Flush: from dirty nodes to objects, visiting nothing that is clean."""

from __future__ import annotations

from collections.abc import Collection

from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.tree import (
    INDEX_FROM,
    LINK,
    LINKS_BELOW,
    NO_OID,
    Entry,
    decode_entry,
    encode_index,
    join_leaf,
)
from heliosfs.workspace.leaves import Leaf, LeafTable
from heliosfs.workspace.node import Child, DirNode, FileNode, LeafNode, Node, base_of, content_oid
from heliosfs.workspace.splice import SPLICED_MAX, splice
from heliosfs.workspace.trees import EMPTY_TREE, put_tree, same_but_times
from heliosfs.workspace.workspace import FLAGS_AT, Workspace


def flush(workspace: Workspace) -> Entry:
    """Add all that is dirty to the store's batch, and give the root entry.

    The bytes stay loaded and the nodes become clean.  The caller publishes.
    Cost: O(dirty), and the size of the leaves of the directories on the way.
    """
    root = workspace.root
    workspace.was_altered = False
    if root.raw is None:
        for directory in reversed(_dirty_directories(root)):
            _flush_directory(workspace, directory)
        workspace.contents.flushed()
    assert root.raw is not None
    return decode_entry(root.raw)[0]


def flush_files(workspace: Workspace, limit_bytes: int) -> bool:
    """Store about `limit_bytes` of dirty files ahead of a flush; whether more are left.

    For callers that must not hold the loop for as long as a flush of everything takes.
    """
    contents = workspace.contents
    root = workspace.root
    if root.raw is not None:
        return False
    for directory in _dirty_directories(root):
        children = workspace.load(directory)
        for name, old in directory.dirty.items():
            node = children.get(name)
            if isinstance(node, FileNode) and node.oid is None:
                contents.freeze(node, base_of(old))
                limit_bytes -= node.file_size + 4096
                if limit_bytes < 0:
                    return True
    return False


def _dirty_directories(root: DirNode) -> list[DirNode]:
    """The dirty directories, every one before those below it."""
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
    dirty = directory.dirty
    below = False
    if dirty:
        children = workspace.load(directory)
        for name, old in dirty.items():
            node = children.get(name)
            if isinstance(node, Node):
                _clean(workspace, node, old)
                if isinstance(node, LeafNode) and not workspace.was_altered:
                    workspace.was_altered = old is None or not same_but_times(
                        old, _entry(node, name)
                    )
            elif node is None and old is not None:
                workspace.was_altered = True
        directory.tree = _write_directory(workspace, directory, children)
        directory.dirty = {}
    if workspace.has_links:
        below = any(
            _entry(node, name)[FLAGS_AT] & (LINK | LINKS_BELOW)
            for name, node in workspace.load(directory).items()
        )
    directory.raw = directory.encode(directory.tree, below)


def _clean(workspace: Workspace, node: Node, old: bytes | None) -> None:
    """Give a dirty node that is not a directory its entry; directories were flushed before."""
    if node.raw is not None:
        return
    if isinstance(node, FileNode):
        oid = workspace.contents.freeze(node, base_of(old))
    else:
        oid = NO_OID
    node.raw = node.encode(oid)


def _write_directory(
    workspace: Workspace, directory: DirNode, children: dict[bytes, Child]
) -> TreeId:
    store = workspace.store
    table = directory.leaves
    base = Oid(directory.tree) if directory.tree != EMPTY_TREE else None
    if len(children) < INDEX_FROM:
        directory.leaves = None
        data = _spliced(directory.data, directory.dirty, directory.dirty, children)
        if data is None:
            data = _join(directory, children)
        directory.data = data
        return put_tree(store, data, base)
    directory.data = None
    if table is None:
        table = directory.leaves = LeafTable.of_names(sorted(children))
    else:
        for name in directory.dirty:
            table.note(name, name in children)
    for leaf in table.leaves:
        if leaf.oid is None and leaf.names:
            _write_leaf(workspace, leaf, directory.dirty, children)
    return put_tree(store, encode_index(table.refs()), base)


def _write_leaf(
    workspace: Workspace, leaf: Leaf, dirty: dict[bytes, bytes | None], children: dict[bytes, Child]
) -> None:
    data = _spliced(leaf.data, leaf.touched, dirty, children)
    if data is None:
        data = join_leaf([_entry(children[name], name) for name in leaf.names])
    leaf.written(put_tree(workspace.store, data, leaf.base), data)


def _join(directory: DirNode, children: dict[bytes, Child]) -> bytes:
    if directory.unsorted:
        children = dict(sorted(children.items()))
        directory.children = children
        directory.unsorted = False
    return join_leaf([_entry(child, name) for name, child in children.items()])


def _spliced(
    data: bytes | None,
    names: Collection[bytes],
    dirty: dict[bytes, bytes | None],
    children: dict[bytes, Child],
) -> bytes | None:
    """The leaf that was `data`, with the entries of `names` as they are now.

    None when it has to be joined anew: names came or went, or too many entries changed.
    """
    if data is None or len(names) > SPLICED_MAX:
        return None
    replacements = []
    for name in names:
        old, child = dirty[name], children.get(name)
        if old is None or child is None:
            return None
        replacements.append((old, _entry(child, name)))
    return splice(data, replacements)


def _entry(child: Child, name: bytes) -> bytes:
    if isinstance(child, bytes):
        return child
    if isinstance(child, LeafNode) and child.links:
        return child.encode_as(name, content_oid(child))
    assert child.raw is not None
    return child.raw
