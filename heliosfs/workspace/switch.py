"""Switch a live tree to another root while the kernel has parts of it cached.

Equal entries stay untouched.  A directory that is in both trees keeps its inode.  A file whose
content differs becomes a new node: the old node is unlinked, and its open handles continue to
read the old bytes.

Theory of operation.  `plan` compares the stored trees from the root down and reads everything that
will be needed; then the batch is published; then `carry_out` only assigns, because a failure
halfway would leave a tree that is neither the old nor the new one.  In a directory that is not
loaded only the tree id changes, so the cost is O(changed and loaded).  On the way everything is
collected that the kernel may have cached: names that it refers to, names that it was told are
missing, attributes, listings.  The kernel is notified after all nodes are up to date, because it
may ask again at once.

Order of the notices: the contents of a directory come before the directory, since the kernel
treats a directory as removed only when nothing is left in it.

Refused: replacing the content of a node in place, which makes open descriptors and mappings
read a mixture of two files, and needs the kernel's pages invalidated under readers
(docs/decisions/2026-11-23-new-inode-on-checkout.md); and building a new tree of nodes, which
removes the working directory of every shell.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import FLAGS_AT, LINK, Entry, decode_entry, encode_entry
from heliosfs.workspace.leaves import LeafTable
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Listed, Node, content_oid
from heliosfs.workspace.plan import KeptDirectory, plan
from heliosfs.workspace.redate import RedateResult, redate
from heliosfs.workspace.workspace import Workspace


@dataclass(slots=True)
class Invalidation:
    """Cached state of the kernel that is no longer valid."""

    entries: list[tuple[int, bytes, int]] = field(default_factory=list)
    """Directory's inode number, name, and the inode number of the name before (0: none)."""
    attributes: list[int] = field(default_factory=list)
    """Inode numbers whose attributes changed."""
    listings: list[int] = field(default_factory=list)
    """Inode numbers of directories in which names, or the inodes of names, changed."""
    changed: list[tuple[DirNode, Changes]] = field(default_factory=list)
    """Directories known to the kernel and their changes, to report to file watchers."""

    def extend(self, other: Invalidation) -> None:
        self.entries += other.entries
        self.attributes += other.attributes
        self.listings += other.listings
        self.changed += other.changed

    def __bool__(self) -> bool:
        return bool(self.entries or self.attributes or self.listings)


def switch(workspace: Workspace, target: Entry) -> Invalidation:
    """Make the clean live tree equal to `target`, except for times (see `redate`).

    Return the cached state that the kernel must forget.  Raise StoreError; the tree is then
    unchanged.  Cost: O(changed).
    """
    dated = redate(workspace, target)
    stale = Invalidation()
    carry_out(workspace, dated, plan(workspace, dated.raw, dated.known), stale)
    return stale


def carry_out(
    workspace: Workspace, dated: RedateResult, steps: list[KeptDirectory], stale: Invalidation
) -> None:
    """Change the tree as planned; add the stale data of the kernel's caches to `stale`.

    `plan` has read all necessary objects, and the tree must not have changed since.
    """
    target = dated.root
    workspace.twin = dated.twin
    workspace.is_twin_due = workspace.gives_new_times
    workspace.nothing_added_to = None
    now_ns = workspace.clock.now_ns()
    # I18: nothing is read from here on, and so nothing can fail halfway.
    for step in steps:
        _apply(workspace, step, now_ns, stale)
    if steps:
        links = workspace.links
        links.exist = links.exist or target.links_below
        links.is_complete = not target.links_below
        if links.by_number:
            _relink(workspace, now_ns, stale)


def _apply(workspace: Workspace, step: KeptDirectory, now_ns: int, stale: Invalidation) -> None:
    directory = step.directory
    children = directory.children
    is_listing_stale = children is None
    if children is None:
        # No name is loaded, but any of them may have a changed entry when it is next looked up.
        directory.changed_ns = now_ns
    if children is not None:
        for name, (old, new) in step.changes.items():
            child = children.get(name)
            if isinstance(child, Listed):
                # The kernel has its number; only a node can be unlinked and live on.
                child = workspace.lookup(directory, name)
            if child is None:
                # I13: the kernel may remember that the name does not exist.
                if name in directory.misses:
                    directory.misses.discard(name)
                    stale.entries.append((directory.ino, name, 0))
            elif isinstance(child, Node):
                if new and _can_update(child, new):
                    # A directory that stays has a step of its own.
                    if isinstance(child, LeafNode):
                        _update(child, new, decode_entry(new)[0], now_ns, stale)
                    continue
                _unlink_subtree(workspace, directory, name, child, now_ns, stale)
            # The name is gone, or leads to another number than a kept listing says.
            is_listing_stale = True
            if new is None:
                del children[name]
            else:
                directory.changed_ns = now_ns
                children[name] = new
                directory.unsorted |= old is None
    # The table of leaves must be of the tree that the directory is going to name.
    if directory.leaves is not None and directory.tree != step.entry.oid:
        _adopt_leaves(directory, directory.leaves, step)
    directory.tree = step.entry.oid
    directory.data = step.data
    directory.subdir_count = step.entry.size
    if _update(directory, step.raw, step.entry, now_ns, stale):
        stale.changed.append((directory, step.changes))
        if is_listing_stale:
            directory.mark_listing_stale()
            stale.listings.append(directory.ino)


def _relink(workspace: Workspace, now_ns: int, stale: Invalidation) -> None:
    """Update the names of loaded files with several names to those in the new tree."""
    held = list(workspace.links.by_number.values())
    before = [node.link_count for node in held]
    workspace.load_links()
    for node, count in zip(held, before, strict=True):
        group = node.group
        workspace.links.leave(node)
        # A single remaining name keeps its stored entry, group included, until it is changed.
        entry = decode_entry(node.encode(content_oid(node)))[0]
        node.raw = encode_entry(entry._replace(group=group))
        if node.link_count != count:
            node.ctime_ns = now_ns
            if node.lookups:
                stale.attributes.append(node.ino)


def _can_update(child: Node, new: bytes) -> bool:
    """Return True if the node can take the new entry, so that only stat(2) shows the change."""
    # What differs below a directory has steps of its own, and shells stand in it.
    if isinstance(child, DirNode):
        return stat.S_ISDIR(new[0] | new[1] << 8)
    entry, _ = decode_entry(new)
    if stat.S_IFMT(entry.mode) != stat.S_IFMT(child.mode):
        return False
    # A name of a link group may lead to another file now, which only `load_links` finds out.
    if new[FLAGS_AT] & LINK or (isinstance(child, LeafNode) and child.group):
        return False
    # I19: another content is another inode; open handles keep the old one.
    if isinstance(child, FileNode):
        return entry.oid == child.oid and entry.size == child.file_size
    return entry.target == getattr(child, "target", b"") and entry.rdev == child.rdev


def _update(node: Node, raw: bytes, entry: Entry, now_ns: int, stale: Invalidation) -> bool:
    """Update a node from its new entry; return True if the kernel knows the node.

    The kernel knows the root of a mount without ever looking it up.
    """
    attributes = entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.xattrs
    if attributes != (node.mode, node.uid, node.gid, node.mtime_ns, node.xattrs):
        node.mode, node.uid, node.gid, node.mtime_ns, node.xattrs = attributes
        node.ctime_ns = now_ns
    node.raw = raw
    node.outdate()
    is_known = bool(node.lookups) or node is node.workspace.root
    if is_known:
        stale.attributes.append(node.ino)
    return is_known


def _unlink_subtree(
    workspace: Workspace,
    directory: DirNode,
    name: bytes,
    child: Node,
    now_ns: int,
    stale: Invalidation,
) -> None:
    """Unlink a node and every loaded node below it."""
    # I13: the kernel may remember what the name leads to.
    entries = [(directory.ino, name, child.ino)] if child.lookups else []
    pending = [(directory, name, child)]
    while pending:
        parent, name, node = pending.pop()
        node.ctime_ns = now_ns
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
            # The file lives on under another name, with one link less.
            if node.parent is not None:
                if node.lookups:
                    stale.attributes.append(node.ino)
                continue
            if node.group:
                workspace.links.drop(node)
        node.raw = None
        node.outdate()
        workspace.release(node)
    # The kernel treats a directory as removed only when nothing is left in it.
    stale.entries += reversed(entries)


def _adopt_leaves(directory: DirNode, table: LeafTable, step: KeptDirectory) -> None:
    if step.leaves is None:
        directory.leaves = None
        return
    for name, (old, new) in step.changes.items():
        if old is None or new is None:
            table.note(name, new is not None)
    table.adopt(*step.leaves)
