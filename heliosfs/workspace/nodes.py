"""Nodes: the mutable counterparts of tree entries.

A node is *clean* while `raw`, its encoded entry, equals what it is; `raw` is None while it
is dirty.  Invariant: a dirty node is named in `dirty` of every directory that holds it, and
these are dirty too, up to the root; so a flush visits nothing else.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from heliosfs.objects.blob import EMPTY_BLOB
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import NO_OID, OID_AT, Entry, encode_entry, encode_file, join_leaf
from heliosfs.workspace.inode import KEPT_ALL, KEPT_NOTHING, KEPT_PAGES, Inode, StatInode
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.leaves import LeafTable

if TYPE_CHECKING:
    from heliosfs.workspace.workspace import Workspace

DIRECTORY_BYTES = 4096


class Node(StatInode):
    """What every file of a tree has, whatever its kind."""

    __slots__ = ("name", "parent", "raw", "workspace", "xattrs")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(ino, entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        self.workspace = workspace
        self.parent: DirNode | None = None
        """The directory that holds it; None for a root and for what is unlinked."""
        self.name = entry.name
        self.xattrs: Mapping[bytes, bytes] | None = entry.xattrs
        self.raw = raw

    def touch(self) -> None:
        """Note that the node is not as its entry says.  Cost: up to the first dirty parent."""
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

    def come_from(self, parent: DirNode) -> None:
        """Take the place of an encoded entry of that directory."""
        self.parent = parent
        self.ctime_ns = parent.changed_ns

    def encode(self, oid: Oid) -> bytes:
        """The encoded entry; `oid` is the id of the node's content."""
        raise NotImplementedError


class Listed(Inode):
    """A child that was listed and not used: what the kernel refers to, in a third of the memory.

    It is clean, not a directory, and has one name.  `Workspace.lookup` makes it a node.
    """

    __slots__ = ("ctime_ns", "name", "parent", "raw")

    opens = 0

    def __init__(self, ino: int, parent: DirNode, name: bytes, raw: bytes) -> None:
        super().__init__(ino)
        self.parent = parent
        self.name = name
        self.raw = raw
        self.ctime_ns = parent.changed_ns

    @property
    def workspace(self) -> Workspace:
        """The workspace of its directory."""
        return self.parent.workspace


class DirNode(Node):
    """A directory.  Its children load on first use, as encoded entries that become nodes."""

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
        """The tree as of the last flush."""
        self.children: dict[bytes, Child] | None = None
        """None while not loaded."""
        self.leaves: LeafTable | None = None
        self.data: bytes | None = None
        """The bytes of `tree` when it is one leaf that a flush wrote."""
        self.dirty: dict[bytes, bytes | None] = {}
        """Names whose entries differ from `tree`, with the encoded entry that is there."""
        self.misses: set[bytes] = set()
        """Names of which the kernel may remember that they do not exist."""
        self.is_listing_stale = False
        self.subdir_count = entry.size
        self.unsorted = False
        self.changed_ns = 0
        """No child that is an encoded entry changed later; a node of it gets this as its ctime."""

    def come_from(self, parent: DirNode) -> None:
        super().come_from(parent)
        self.changed_ns = parent.changed_ns

    def relist(self) -> bool:
        """Note that its names changed behind the kernel's back; return True if that is new."""
        is_new, self.is_listing_stale = not self.is_listing_stale, True
        return is_new

    def have_listed(self, *, is_calm: bool) -> None:
        """Note that a listing has come to its end; it may be kept where all `is_calm`."""
        self.is_listing_stale = not is_calm

    @property
    def holds_no_node(self) -> bool:
        """Whether all children are encoded entries."""
        return all(isinstance(child, bytes) for child in (self.children or {}).values())

    def mark(self, name: bytes, old: bytes | None) -> None:
        """Note that the entry of `name`, `old` so far, came, went or was replaced."""
        self.dirty.setdefault(name, old)
        self.touch()

    def have_changed(self, now_ns: int) -> None:
        """Note that a name came, went, or means another file."""
        self.mtime_ns = self.ctime_ns = now_ns
        self.touch()

    def encode(self, oid: Oid, links_below: bool = False) -> bytes:
        if not (self.xattrs or links_below):
            return encode_file(
                self.mode, self.uid, self.gid, self.mtime_ns, self.subdir_count, oid, self.name
            )
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
        if self.parent is None and self is not self.workspace.root:
            return 0
        return 2 + self.subdir_count


class LeafNode(Node):
    """Whatever is not a directory, and so can have several names."""

    __slots__ = ("group", "links")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.group = entry.group
        self.links: set[tuple[DirNode, bytes]] | None = None
        """Names beside `parent` and `name`."""

    def touch(self) -> None:
        if self.links and self.raw is not None:
            oid = content_oid(self)
            for parent, name in self.links:
                parent.mark(name, self.encode_as(name, oid))
        super().touch()

    @property
    def link_count(self) -> int:
        return (self.parent is not None) + (len(self.links) if self.links else 0)

    def attach(self, parent: DirNode, name: bytes) -> None:
        """Give it a name more."""
        if self.parent is None:
            self.parent, self.name = parent, name
        else:
            if self.links is None:
                self.links = set()
            self.links.add((parent, name))
        self.attr = None

    def detach(self, parent: DirNode, name: bytes) -> None:
        """Take one of its names away."""
        if self.parent is parent and self.name == name:
            self.parent = None
            if self.links:
                self.parent, self.name = self.links.pop()
        elif self.links:
            self.links.discard((parent, name))
        self.attr = None

    def encode_as(self, name: bytes, oid: Oid) -> bytes:
        """The encoded entry under one of several names."""
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
    """A regular file."""

    __slots__ = ("content", "file_size", "kept", "oid", "recent")

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.file_size = entry.size
        self.oid: Oid | None = entry.oid
        """The stored content; None while `content` differs from it."""
        self.content: bytes | bytearray | LargeFile | None = None
        """None while not loaded; a bytearray, or parts, once written."""
        self.recent = False
        """Read or written since the working set was last reduced."""
        self.kept = KEPT_NOTHING
        """What the kernel keeps of its bytes, at least if memory is not short."""

    def have_kept(self) -> None:
        """Note that the kernel has all bytes: it made the file, or was given what it lacked."""
        self.kept = KEPT_ALL

    def have_written(self) -> None:
        """Note that a write went through the kernel, which keeps whole pages of it."""
        if self.kept == KEPT_ALL:
            self.kept = KEPT_PAGES

    def have_replaced(self) -> None:
        """Note that bytes were changed that the kernel has not seen."""
        self.kept = KEPT_NOTHING

    @property
    def size(self) -> int:
        return self.file_size

    def encode(self, oid: Oid) -> bytes:
        if self.xattrs or self.links:
            return self.encode_as(self.name, oid)
        return encode_file(
            self.mode, self.uid, self.gid, self.mtime_ns, self.file_size, oid, self.name
        )


class SymlinkNode(LeafNode):
    """A symbolic link."""

    __slots__ = ("target",)

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.target = entry.target

    @property
    def size(self) -> int:
        return len(self.target)


class SpecialNode(LeafNode):
    """A FIFO, a socket, a device node."""

    __slots__ = ("device",)

    def __init__(self, workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> None:
        super().__init__(workspace, ino, entry, raw)
        self.device = entry.rdev

    @property
    def rdev(self) -> int:
        return self.device


Child: TypeAlias = "Node | Listed | bytes"
"""A child of a loaded directory: its encoded entry until somebody asks for it."""


def make_node(workspace: Workspace, ino: int, entry: Entry, raw: bytes | None) -> Node:
    """The node of the kind that the entry's mode names."""
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFREG:
        return FileNode(workspace, ino, entry, raw)
    if kind == stat.S_IFDIR:
        return DirNode(workspace, ino, entry, raw)
    if kind == stat.S_IFLNK:
        return SymlinkNode(workspace, ino, entry, raw)
    return SpecialNode(workspace, ino, entry, raw)


def content_oid(node: Node) -> Oid:
    """The id that a clean node's entry names."""
    if isinstance(node, FileNode):
        return node.oid if node.oid is not None else Oid(EMPTY_BLOB)
    if isinstance(node, DirNode):
        return node.tree
    return NO_OID


def base_of(raw: bytes | None) -> Oid | None:
    """The content that an encoded entry names, as a hint for the store."""
    if raw is None:
        return None
    oid = Oid(raw[OID_AT : OID_AT + 32])
    return oid if oid != NO_OID else None


def entry_of(child: Child, name: bytes) -> bytes:
    """The encoded entry of a clean child under one of its names."""
    if isinstance(child, bytes):
        return child
    if isinstance(child, LeafNode) and child.links:
        return child.encode_as(name, content_oid(child))
    assert child.raw is not None
    return child.raw


def join_children(directory: DirNode) -> bytes:
    """One leaf of all children, which are loaded and clean."""
    children = directory.children
    assert children is not None
    if directory.unsorted:
        children = directory.children = dict(sorted(children.items()))
        directory.unsorted = False
    return join_leaf([entry_of(child, name) for name, child in children.items()])
