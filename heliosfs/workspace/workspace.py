"""Workspace: a tree of nodes that loads as it is used and records what changed.

This module keeps the tree consistent and leaves the rules of POSIX to the layer above: callers
have checked that names are valid, that file types fit, and that the user has permission.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from heliosfs.clock import Clock
from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.tree import (
    FIXED_BYTES,
    FLAGS_AT,
    LINK,
    LINKS_BELOW,
    NO_OID,
    Entry,
    decode_entry,
    encode_entry,
)
from heliosfs.store.base import Store
from heliosfs.trees.stored import EMPTY_TREE, read_directory
from heliosfs.workspace.flushed import FlushRecord
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.leaves import LeafTable
from heliosfs.workspace.link_groups import LinkGroups
from heliosfs.workspace.nodes import (
    Child,
    DirNode,
    FileNode,
    LeafNode,
    Listed,
    Node,
    make_node,
)
from heliosfs.workspace.working_set import WorkingSet


def empty_root(uid: int, gid: int, mtime_ns: int, mode: int = 0o755) -> Entry:
    """Return the root entry of a tree without files."""
    return Entry(b"", stat.S_IFDIR | mode, uid, gid, mtime_ns, 0, EMPTY_TREE)


class Workspace:
    """Live tree that is shown in one directory of a mount."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        inodes: InodeTable,
        working_set: WorkingSet,
        root: Entry,
        *,
        read_only: bool = False,
    ) -> None:
        self.store = store
        self.clock = clock
        self.inodes = inodes
        self.working_set = working_set
        self.read_only = read_only
        self.handles = 0
        """Number of open files."""
        self.is_closed = False
        """True if the tree is no longer shown, so that the kernel's references to it are stale."""
        self.has_rules = False
        """True if an ignore file may apply to a changed path (see repo/ignoring.py)."""
        self.was_altered = False
        """True if the last flush differed in more than times from the one before."""
        self.record = FlushRecord()
        """Flushes since the last commit, if their edits are followed (see following.py)."""
        self.gives_new_times = False
        """True if files that a switch replaces get its time instead of the stored one."""
        self.read_ns = clock.now_ns()
        """Latest mtime of a file that was opened for reading, as far as is known."""
        self.twin: tuple[Oid, Oid] | None = None
        """Id of a tree that was switched to or compared, and of the same with the times here."""
        self.is_twin_due = True
        """True if the twin of HEAD has not been looked up since the tree was replaced."""
        self.nothing_added_to: Oid | None = None
        """Id of a commit that is known to have every path of this tree."""
        self.links = LinkGroups(links_below=root.links_below)
        self.unnamed: set[LeafNode] = set()
        """Files that never had a name, and exist only as long as they are open."""
        node = make_node(self, inodes.allocate(), root, encode_entry(root))
        assert isinstance(node, DirNode)
        node.ctime_ns = node.changed_ns = self.read_ns
        self.root = node
        inodes.nodes[node.ino] = node

    @property
    def is_dirty(self) -> bool:
        """Return True if anything changed since the last flush."""
        return self.root.raw is None

    def load(self, directory: DirNode) -> dict[bytes, Child]:
        """Return the children of a directory, which are read on first use.  Raises StoreError."""
        children = directory.children
        if children is not None:
            return children
        raws, stored = read_directory(self.store, TreeId(directory.tree))
        if stored is not None:
            directory.leaves = LeafTable.of_stored(stored)
        at = FIXED_BYTES
        directory.children = children = {raw[at : at + raw[at - 1]]: raw for raw in raws}
        return children

    def lookup(self, directory: DirNode, name: bytes) -> Node | None:
        """Return the node of the child called `name`, or None.  Raises StoreError."""
        children = directory.children
        if children is None:
            children = self.load(directory)
        child = children.get(name)
        if child is None or isinstance(child, Node):
            return child
        # The kernel has its number already, which must not change.
        if isinstance(child, Listed):
            return self._promote(child)
        return self._instantiate(directory, name, child)

    def peek(self, directory: DirNode, name: bytes) -> Node | Listed | None:
        """Return a child without creating a node for it where possible, or None.

        This is `lookup` for listings, which need the inode numbers of many children but few nodes.
        """
        children = directory.children
        if children is None:
            children = self.load(directory)
        child = children.get(name)
        if not isinstance(child, bytes):
            return child
        # Others hang on a directory, and several names share the node of a linked file: both need a
        # node.
        if stat.S_ISDIR(child[0] | child[1] << 8) or child[FLAGS_AT] & LINK:
            return self._instantiate(directory, name, child)
        listed = Listed(self.inodes.allocate(), directory, name, child)
        children[name] = self.inodes.nodes[listed.ino] = listed
        return listed

    def _promote(self, listed: Listed) -> Node:
        """Return a new node for a child that was only listed so far; keep its inode number."""
        directory = listed.parent
        entry, _ = decode_entry(listed.raw)
        node = make_node(self, listed.ino, entry, listed.raw)
        node.name = listed.name
        node.parent = directory
        node.ctime_ns = listed.ctime_ns
        node.take_over(listed)
        self.inodes.nodes[node.ino] = node
        self.load(directory)[listed.name] = node
        return node

    def names(self, directory: DirNode) -> Iterator[bytes]:
        """Iterate over the names in a directory, in no particular order."""
        return iter(self.load(directory))

    def _instantiate(self, directory: DirNode, name: bytes, raw: bytes) -> Node:
        # I8: one name alone would make a second node of the same file.
        if raw[FLAGS_AT] & LINK:
            self.load_links()
            held = self.load(directory)[name]
            assert isinstance(held, Node)
            return held
        entry, _ = decode_entry(raw)
        node = make_node(self, self.inodes.allocate(), entry, raw)
        node.replace_entry_in(directory)
        self.inodes.nodes[node.ino] = node
        self.load(directory)[name] = node
        return node

    def load_links(self) -> None:
        """Load a node for every name that has a link group, so that link counts are known.

        Cost: O(size of the directories with such names, and of those above them).
        """
        if self.links.is_complete:
            return
        pending = [self.root]
        while pending:
            directory = pending.pop()
            for name, child in list(self.load(directory).items()):
                if isinstance(child, bytes):
                    if child[FLAGS_AT] & LINK:
                        self._adopt_link(directory, name, child)
                        continue
                    if not child[FLAGS_AT] & LINKS_BELOW:
                        continue
                    child = self._instantiate(directory, name, child)
                if isinstance(child, DirNode) and (
                    child.raw is None or child.raw[FLAGS_AT] & LINKS_BELOW
                ):
                    pending.append(child)
        self.links.is_complete = True

    def _adopt_link(self, directory: DirNode, name: bytes, raw: bytes) -> None:
        entry, _ = decode_entry(raw)
        node = self.links.find(entry.group)
        if node is None:
            made = make_node(self, self.inodes.allocate(), entry, raw)
            assert isinstance(made, LeafNode)
            node = self.links.by_number[entry.group] = made
            self.inodes.nodes[node.ino] = node
            node.ctime_ns = 0
        # The change time of a file is that of its latest name.
        node.ctime_ns = max(node.ctime_ns, directory.changed_ns)
        node.attach(directory, name)
        self.load(directory)[name] = node

    def create(
        self,
        directory: DirNode,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Node:
        """Create a child of the file type in `mode`.  The name must be free."""
        now = self.clock.now_ns()
        entry = Entry(name, mode, uid, gid, now, 0, NO_OID, 0, target, rdev)
        node = make_node(self, self.inodes.allocate(), entry, None)
        if isinstance(node, FileNode):
            self.working_set.begin(node)
        elif isinstance(node, DirNode):
            node.tree = EMPTY_TREE
            node.children = {}
        self.inodes.nodes[node.ino] = node
        self._insert(directory, name, node)
        directory.note_names_changed(now)
        return node

    def create_unnamed(self, mode: int, uid: int, gid: int) -> FileNode:
        """Create a regular file without a name, to which nothing refers yet."""
        entry = Entry(b"", mode, uid, gid, self.clock.now_ns(), 0, NO_OID)
        node = FileNode(self, self.inodes.allocate(), entry, None)
        self.working_set.begin(node)
        self.inodes.nodes[node.ino] = node
        self.unnamed.add(node)
        return node

    def link(self, node: LeafNode, directory: DirNode, name: bytes) -> None:
        """Add a name, which must be free, to a file."""
        now = self.clock.now_ns()
        if node in self.unnamed:
            self.unnamed.discard(node)
        else:
            self.links.join(node)
        node.touch()
        node.ctime_ns = now
        if node.parent is None:
            node.raw = None
        self._insert(directory, name, node)
        directory.note_names_changed(now)

    def remove(self, directory: DirNode, name: bytes) -> Node:
        """Remove a name.  The node lives on while it has other names, or is in use."""
        node = self.lookup(directory, name)
        assert node is not None
        now = self.clock.now_ns()
        self._take(directory, name, node)
        self.links.leave(node)
        node.ctime_ns = now
        node.outdate()
        directory.note_names_changed(now)
        self.release(node)
        return node

    def rename(self, source: DirNode, name: bytes, target: DirNode, new_name: bytes) -> Node | None:
        """Move a child, replacing any child with the new name; return the replaced node."""
        now = self.clock.now_ns()
        node = self.lookup(source, name)
        assert node is not None
        replaced = self.lookup(target, new_name)
        if replaced is not None:
            self._take(target, new_name, replaced)
            self.links.leave(replaced)
            replaced.ctime_ns = now
            replaced.outdate()
        self._take(source, name, node)
        self._insert(target, new_name, node)
        node.ctime_ns = now
        node.outdate()
        source.note_names_changed(now)
        target.note_names_changed(now)
        if replaced is not None:
            self.release(replaced)
        return replaced

    def exchange(self, one: DirNode, name: bytes, other: DirNode, other_name: bytes) -> None:
        """Swap two children."""
        now = self.clock.now_ns()
        first, second = self.lookup(one, name), self.lookup(other, other_name)
        assert first is not None and second is not None
        self._take(one, name, first)
        self._take(other, other_name, second)
        self._insert(one, name, second)
        self._insert(other, other_name, first)
        first.ctime_ns = second.ctime_ns = now
        one.note_names_changed(now)
        other.note_names_changed(now)

    def release(self, node: Node) -> None:
        """Drop a node if nothing refers to it: no name, no open handle, no kernel reference."""
        # I9: a node may go only when all three are gone.
        if node.parent is None and not node.opens and not node.lookups and node is not self.root:
            self.inodes.nodes.pop(node.ino, None)
            if isinstance(node, FileNode):
                self.unnamed.discard(node)
                self.working_set.drop(node)

    def _insert(self, directory: DirNode, name: bytes, node: Node) -> None:
        # A new name may be one that an ignore file names, which the last commit did not know.
        self.nothing_added_to = None
        children = directory.children
        if children is None:
            children = self.load(directory)
        children[name] = node
        directory.unsorted = True
        if isinstance(node, LeafNode):
            node.attach(directory, name)
        else:
            node.parent, node.name = directory, name
            directory.subdir_count += 1
        # Its entry has another name, or lies in another directory.
        node.raw = None
        # The kernel learns by the answer that the name exists.
        directory.misses.discard(name)
        directory.mark(name, None)

    def _take(self, directory: DirNode, name: bytes, node: Node) -> None:
        children = self.load(directory)
        old = node.raw
        if isinstance(node, LeafNode):
            node.touch()
            node.detach(directory, name)
        else:
            node.parent = None
            node.outdate()
            node.raw = None
            directory.subdir_count -= 1
        del children[name]
        directory.mark(name, old)
