"""Nodes: the mutable counterparts of tree entries.

A node is *clean* while `raw`, its encoded entry, is up to date; `raw` is None while the node
is dirty.  Invariant: every directory that holds a dirty node has its name in `dirty` and is dirty
too, up to the root; so a flush visits nothing else.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from heliosfs.errors import StoreError
from heliosfs.objects.blob import EMPTY_BLOB, WHOLE_MAX, stored_bytes
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.tree import NO_OID, OID_AT, Entry, encode_entry, join_leaf, pack_fixed
from heliosfs.workspace.holes import data_bytes, small_data_bytes
from heliosfs.workspace.inode import KEPT_ALL, KEPT_NOTHING, KEPT_PAGES, Inode, StatInode
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.leaves import LeafTable

if TYPE_CHECKING:
    from heliosfs.workspace.workspace import Workspace

DIRECTORY_BYTES = 4096


class Node(StatInode):
    """Base class of the nodes of a tree, whatever their kind."""

    __slots__ = ("name", "parent", "raw", "workspace", "xattrs")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(ino, entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        self.workspace = workspace
        self.parent: DirNode | None = None
        """Directory that holds the node; None for a root and for an unlinked node."""
        self.name = entry.name
        self.xattrs: Mapping[bytes, bytes] | None = entry.xattrs
        self.raw = raw

    def touch(self) -> None:
        """Mark the node dirty, and its parents up to the first that is dirty already."""
        self.attr = None
        # I1: a flush goes down only where a directory is dirty, so the way up is marked.
        node: Node = self
        while node.raw is not None:
            parent = node.parent
            if parent is None:
                node.raw = None
                return
            parent.dirty.setdefault(node.name, node.raw)
            node.raw = None
            node = parent

    def replace_entry_in(self, parent: DirNode) -> None:
        """Take the place of an encoded entry in the directory `parent`."""
        self.parent = parent
        self.ctime_ns = parent.changed_ns

    def encode(self, oid: Oid) -> bytes:
        """Return the encoded entry of the node; `oid` is the id of its content."""
        raise NotImplementedError


class Listed(Inode):
    """Child that was listed but not looked up; it takes a third of a node's memory.

    It is clean, not a directory, and has one name.  `Workspace.lookup` replaces it by a node.
    """

    __slots__ = ("ctime_ns", "name", "parent", "raw")

    opens = 0

    def __init__(self, ino: int, parent: DirNode, name: bytes, raw: bytes) -> None:
        # As `Inode.__init__`, without its call: a listing comes here for each file.
        self.ino = ino
        self.lookups = 0
        self.parent = parent
        self.name = name
        self.raw = raw
        self.ctime_ns = parent.changed_ns

    @property
    def workspace(self) -> Workspace:
        """Return the workspace of the directory that holds the child."""
        return self.parent.workspace


class DirNode(Node):
    """Directory, whose children load on first use, as encoded entries that become nodes later."""

    __slots__ = (
        "changed_ns",
        "children",
        "data",
        "dirty",
        "is_listing_stale",
        "leaves",
        "misses",
        "subdir_count",
        "tree",
        "unsorted",
    )

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.tree = entry.oid
        """Id of the tree as of the last flush."""
        self.children: dict[bytes, Child] | None = None
        """Name -> child; None while not loaded."""
        self.leaves: LeafTable | None = None
        self.data: bytes | None = None
        """Bytes of the object `tree` (a leaf or an index), if they are known."""
        self.dirty: dict[bytes, bytes | None] = {}
        """Name -> encoded entry in `tree` (None: has none), for names whose entries differ now."""
        self.misses: set[bytes] = set()
        """Names that the kernel may have cached as missing."""
        self.is_listing_stale = False
        self.subdir_count = entry.size
        self.unsorted = False
        self.changed_ns = 0
        """Latest change of a child that is an encoded entry; its node gets this as ctime."""

    def replace_entry_in(self, parent: DirNode) -> None:
        super().replace_entry_in(parent)
        self.changed_ns = parent.changed_ns

    def mark_listing_stale(self) -> bool:
        """Mark the listing that the kernel has as stale; return False if it was marked already."""
        is_new, self.is_listing_stale = not self.is_listing_stale, True
        return is_new

    def note_listed(self, *, is_calm: bool) -> None:
        """Record the end of a listing, which the kernel may cache if `is_calm` is True."""
        self.is_listing_stale = not is_calm

    @property
    def holds_no_node(self) -> bool:
        """Return True if all loaded children are encoded entries."""
        return all(isinstance(child, bytes) for child in (self.children or {}).values())

    def mark(self, name: bytes, old: bytes | None) -> None:
        """Record that the entry of `name`, so far `old`, was added, removed or replaced."""
        self.dirty.setdefault(name, old)
        self.attr = None
        if self.raw is not None:
            self.touch()

    def note_names_changed(self, now_ns: int) -> None:
        """Set mtime and ctime, because a name was added, removed or given to another file."""
        self.mtime_ns = self.ctime_ns = now_ns
        self.attr = None
        if self.raw is not None:
            self.touch()

    def encode(self, oid: Oid, links_below: bool = False) -> bytes:
        if not (self.xattrs or links_below):
            name, below = self.name, self.subdir_count
            # What `encode_file` does, without its call: a commit encodes a directory per level.
            head = pack_fixed(
                self.mode, self.uid, self.gid, self.mtime_ns, below, oid, 0, len(name)
            )
            return head + name
        return encode_entry(
            Entry(
                self.name,
                self.mode,
                self.uid,
                self.gid,
                self.mtime_ns,
                self.subdir_count,
                oid,
                xattrs=self.xattrs,
                links_below=links_below,
            )
        )

    @property
    def size(self) -> int:
        return DIRECTORY_BYTES

    @property
    def link_count(self) -> int:
        # stat(2) of a removed directory that a process stands in says 0 links.
        if self.parent is None and self is not self.workspace.root:
            return 0
        return 2 + self.subdir_count


class LeafNode(Node):
    """Node that is not a directory, and so can have several names."""

    __slots__ = ("group", "links")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.group = entry.group
        self.links: set[tuple[DirNode, bytes]] | None = None
        """Further names of the node, besides `parent` and `name`."""

    def touch(self) -> None:
        self.attr = None
        if self.raw is None:
            return
        # Each name has an entry in a directory of its own, and all of these are out of date now.
        if self.links:
            oid = content_oid(self)
            for parent, name in self.links:
                parent.mark(name, self.encode_as(name, oid))
        super().touch()

    @property
    def link_count(self) -> int:
        return (self.parent is not None) + (len(self.links) if self.links else 0)

    def attach(self, parent: DirNode, name: bytes) -> None:
        """Add a name to the node."""
        if self.parent is None:
            self.parent, self.name = parent, name
        else:
            if self.links is None:
                self.links = set()
            self.links.add((parent, name))
        self.attr = None

    def detach(self, parent: DirNode, name: bytes) -> None:
        """Remove one of the node's names."""
        if self.parent is parent and self.name == name:
            self.parent = None
            if self.links:
                # Any other name can take its place: a node has one parent while it has a name.
                self.parent, self.name = self.links.pop()
        elif self.links:
            self.links.discard((parent, name))
        self.attr = None

    def encode_as(self, name: bytes, oid: Oid) -> bytes:
        """Return the encoded entry of the node under one of its names."""
        return encode_entry(
            Entry(
                name,
                self.mode,
                self.uid,
                self.gid,
                self.mtime_ns,
                self.size,
                oid,
                group=self.group if self.links else 0,
                target=getattr(self, "target", b""),
                rdev=self.rdev,
                xattrs=self.xattrs,
            )
        )

    def encode(self, oid: Oid) -> bytes:
        return self.encode_as(self.name, oid)


class FileNode(LeafNode):
    """Regular file."""

    __slots__ = ("content", "file_size", "hole_blocks", "kept", "oid", "recent")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.file_size = entry.size
        self.hole_blocks = 0
        """Blocks that were never written, as bits (`holes`), of a file that is not large."""
        self.oid: Oid | None = entry.oid
        """Id of the stored content; None while `content` differs from it."""
        self.content: bytes | bytearray | LargeFile | None = None
        """Content in memory: None while not loaded, a bytearray or a `LargeFile` once written."""
        self.recent = False
        """True if the file was read or written since the working set was last reduced."""
        self.kept = KEPT_NOTHING
        """Bytes that the kernel has cached, unless it dropped some because memory was short."""

    def note_kept(self) -> None:
        """Record that the kernel has all bytes: it created the file, or was sent the rest."""
        self.kept = KEPT_ALL

    def note_written(self) -> None:
        """Record a write that went through the kernel, which keeps whole pages of it."""
        if self.kept == KEPT_ALL:
            self.kept = KEPT_PAGES

    def note_replaced(self) -> None:
        """Record that bytes changed without the kernel's knowledge."""
        self.kept = KEPT_NOTHING

    @property
    def size(self) -> int:
        return self.file_size

    @property
    def data_bytes(self) -> int:
        """`st_blocks` in bytes.  Of a large file that is not loaded, its list of parts is read."""
        content = self.content
        if isinstance(content, LargeFile):
            return data_bytes(content)
        if content is None and self.file_size > WHOLE_MAX and self.oid is not None:
            # stat(2) of a damaged file still has an answer; reading it has none.
            with suppress(StoreError):
                return stored_bytes(self.workspace.store.read(self.oid, Kind.PARTS))
        if self.hole_blocks:
            return small_data_bytes(self.hole_blocks, self.file_size)
        return self.file_size

    def encode(self, oid: Oid) -> bytes:
        if self.xattrs or self.links:
            return self.encode_as(self.name, oid)
        name, size = self.name, self.file_size
        return (
            pack_fixed(self.mode, self.uid, self.gid, self.mtime_ns, size, oid, 0, len(name)) + name
        )


class SymlinkNode(LeafNode):
    """Symbolic link."""

    __slots__ = ("target",)

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.target = entry.target

    @property
    def size(self) -> int:
        return len(self.target)


class SpecialNode(LeafNode):
    """FIFO, socket or device node."""

    __slots__ = ("device",)

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.device = entry.rdev

    @property
    def rdev(self) -> int:
        return self.device


Child: TypeAlias = "Node | Listed | bytes"
"""Child of a loaded directory: an encoded entry until it is first listed or looked up."""


def make_node(workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> Node:
    """Return a new node, of the class for the file type in the entry's mode."""
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFREG:
        return FileNode(workspace, ino, entry, raw)
    if kind == stat.S_IFDIR:
        return DirNode(workspace, ino, entry, raw)
    if kind == stat.S_IFLNK:
        return SymlinkNode(workspace, ino, entry, raw)
    return SpecialNode(workspace, ino, entry, raw)


def content_oid(node: Node) -> Oid:
    """Return the id that a clean node's entry names."""
    if isinstance(node, FileNode):
        return node.oid if node.oid is not None else Oid(EMPTY_BLOB)
    if isinstance(node, DirNode):
        return node.tree
    return NO_OID


def base_of(raw: bytes | None) -> Oid | None:
    """Return the id of the content of an encoded entry, as a hint for the store; None if none."""
    if raw is None:
        return None
    oid = Oid(raw[OID_AT : OID_AT + 32])
    return oid if oid != NO_OID else None


def entry_of(child: Child, name: bytes) -> bytes:
    """Return the encoded entry of a clean child under one of its names."""
    if isinstance(child, bytes):
        return child
    if isinstance(child, LeafNode) and child.links:
        return child.encode_as(name, content_oid(child))
    assert child.raw is not None
    return child.raw


def join_children(directory: DirNode) -> bytes:
    """Return the bytes of one leaf with the entries of all children, which are loaded and clean."""
    children = directory.children
    assert children is not None
    if directory.unsorted:
        children = directory.children = dict(sorted(children.items()))
        directory.unsorted = False
    return join_leaf([entry_of(child, name) for name, child in children.items()])
