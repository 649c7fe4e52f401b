"""Switch: make a live tree equal to another root, under a kernel that has it cached.

What is equal stays untouched.  A directory that is on both sides keeps its inode.  A file
whose content differs becomes a new node: the old one is unlinked, and its open handles go
on reading the bytes they opened.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import LINK, Entry, decode_entry, encode_entry, entry_name
from heliosfs.workspace.node import Child, DirNode, FileNode, LeafNode, Listed, Node, content_oid
from heliosfs.workspace.trees import changed_entries, read_entries, read_index
from heliosfs.workspace.workspace import FLAGS_AT, Workspace


@dataclass(slots=True)
class Invalidation:
    """What the kernel may have cached that is no longer so."""

    entries: list[tuple[int, bytes, int]] = field(default_factory=list)
    """Directory's inode, name, and the inode that the name had (0: that it had none)."""
    attributes: list[int] = field(default_factory=list)
    """Inodes whose attributes changed."""

    def extend(self, other: Invalidation) -> None:
        self.entries += other.entries
        self.attributes += other.attributes

    def __bool__(self) -> bool:
        return bool(self.entries or self.attributes)


def switch(workspace: Workspace, target: Entry) -> Invalidation:
    """Make the tree, which is clean, equal to `target`.

    Gives what must be invalidated before anyone is told.  Cost: O(changed), of what is loaded.
    StoreError leaves the tree as it was: the trees are read before anything is altered.
    """
    assert not workspace.is_dirty
    plan = _plan(workspace, target)
    stale = Invalidation()
    for directory, raw, changes in plan:
        _apply(workspace, directory, raw, changes, stale)
    if plan:
        workspace.has_links = workspace.has_links or target.links_below
        workspace.links_loaded = not target.links_below
        if workspace.groups:
            _relink(workspace, stale)
    return stale


_Changes = dict[bytes, tuple[bytes | None, bytes | None]]
_Plan = list[tuple[DirNode, bytes, _Changes]]


def _plan(workspace: Workspace, target: Entry) -> _Plan:
    """For each directory that stays: its new entry, and what changes in it."""
    raw = encode_entry(target)
    if raw == workspace.root.raw:
        return []
    plan: _Plan = []
    pending = [(workspace.root, raw)]
    while pending:
        directory, raw = pending.pop()
        changes: _Changes = {}
        if directory.children is not None:
            tree = TreeId(decode_entry(raw)[0].oid)
            changes = _changes(workspace, directory, directory.children, tree)
            for name, (_, new) in changes.items():
                child = directory.children.get(name)
                if isinstance(child, DirNode) and new and stat.S_ISDIR(decode_entry(new)[0].mode):
                    pending.append((child, new))
        plan.append((directory, raw, changes))
    return plan


def _changes(
    workspace: Workspace, directory: DirNode, children: dict[bytes, Child], tree: TreeId
) -> _Changes:
    """What differs between a loaded directory, which is clean, and a tree."""
    if directory.tree == tree:
        return {}
    if directory.leaves is not None or workspace.has_links:
        return changed_entries(workspace.store, TreeId(directory.tree), tree)
    before = [child if isinstance(child, bytes) else child.raw for child in children.values()]
    after = read_entries(workspace.store, tree)
    changes: _Changes = {}
    for raw in set(before).difference(after):
        assert raw is not None
        changes[entry_name(raw)] = (raw, None)
    for raw in set(after).difference(before):
        name = entry_name(raw)
        changes[name] = (changes.get(name, (None, None))[0], raw)
    return changes


def _apply(
    workspace: Workspace, directory: DirNode, raw: bytes, changes: _Changes, stale: Invalidation
) -> None:
    entry, _ = decode_entry(raw)
    children = directory.children
    if children is not None:
        for name, (_, new) in changes.items():
            child = children.get(name)
            if isinstance(child, Listed):
                child = workspace.lookup(directory, name)
            if child is None:
                if name in directory.misses:
                    directory.misses.discard(name)
                    stale.entries.append((directory.ino, name, 0))
            elif isinstance(child, Node):
                if new and _stays(child, new):
                    if isinstance(child, LeafNode):
                        _update(child, new, stale)
                    continue
                _part(workspace, directory, name, child, stale)
            if new is None:
                del children[name]
            else:
                children[name] = new
                directory.unsorted = True
    tree = TreeId(entry.oid)
    if directory.leaves is not None:
        _adopt_leaves(workspace, directory, tree, changes)
    if directory.tree != tree:
        directory.tree = tree
        directory.data = None
    directory.subdir_count = entry.size
    _update(directory, raw, stale)


def _relink(workspace: Workspace, stale: Invalidation) -> None:
    """Give the files with several names, as far as they are loaded, those of the new tree."""
    held = list(workspace.groups.values())
    before = [node.link_count for node in held]
    workspace.load_links()
    for node, count in zip(held, before, strict=True):
        workspace.leave_group(node)
        node.raw = node.encode(content_oid(node))
        if node.link_count != count and node.lookups:
            stale.attributes.append(node.ino)


def _stays(child: Node, new: bytes) -> bool:
    """Whether the node can become the new entry without a program noticing but by stat."""
    entry, _ = decode_entry(new)
    if stat.S_IFMT(entry.mode) != stat.S_IFMT(child.mode):
        return False
    if isinstance(child, DirNode):
        return True
    if new[FLAGS_AT] & LINK or (isinstance(child, LeafNode) and child.group):
        return False
    if isinstance(child, FileNode):
        return entry.oid == child.oid and entry.size == child.file_size
    return entry.target == getattr(child, "target", b"") and entry.rdev == child.rdev


def _update(node: Node, raw: bytes, stale: Invalidation) -> None:
    entry, _ = decode_entry(raw)
    node.mode, node.uid, node.gid = entry.mode, entry.uid, entry.gid
    node.mtime_ns = entry.mtime_ns
    node.ctime_ns = node.workspace.clock.now_ns()
    node.xattrs = entry.xattrs
    node.raw = raw
    node.attr = None
    # The kernel knows the root of a mount without ever looking it up.
    if node.lookups or node is node.workspace.root:
        stale.attributes.append(node.ino)


def _part(
    workspace: Workspace, directory: DirNode, name: bytes, child: Node, stale: Invalidation
) -> None:
    """Unlink a node, and all that is loaded below it."""
    entries = [(directory.ino, name, child.ino)] if child.lookups else []
    pending = [(directory, name, child)]
    while pending:
        parent, name, node = pending.pop()
        if isinstance(node, DirNode):
            for below_name, held in list((node.children or {}).items()):
                below = None if isinstance(held, bytes) else workspace.lookup(node, below_name)
                if below is not None:
                    if below.lookups:
                        entries.append((node.ino, below_name, below.ino))
                    pending.append((node, below_name, below))
            node.children = {}
            node.leaves = None
            node.parent = None
        elif isinstance(node, LeafNode):
            node.detach(parent, name)
            if node.parent is not None:
                if node.lookups:
                    stale.attributes.append(node.ino)
                continue
            if workspace.groups.get(node.group) is node:
                del workspace.groups[node.group]
        node.raw = None
        node.attr = None
        workspace.release(node)
    # The kernel takes a directory for removed only when nothing is left in it.
    stale.entries += reversed(entries)


def _adopt_leaves(
    workspace: Workspace, directory: DirNode, tree: TreeId, changes: _Changes
) -> None:
    table = directory.leaves
    assert table is not None
    index = read_index(workspace.store, tree)
    if index is None:
        directory.leaves = None
        return
    for name, (_, new) in changes.items():
        table.note(name, new is not None)
    table.adopt(index)
