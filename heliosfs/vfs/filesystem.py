"""The file system: which nodes there are, where they are found and when they go, without FUSE.

The kernel checks permissions (`default_permissions`).  Every method is synchronous and atomic;
errors are HeliosError with the errno that POSIX names for the call.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from heliosfs.config.settings import Settings
from heliosfs.errors import NotPermitted, PosixError, ReadOnly
from heliosfs.objects.tree import NAME_MAX
from heliosfs.repo.repository import Repository
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.vfs.dotdir import DotDirs
from heliosfs.vfs.virtual import MountContext, VirtualDir, VirtualLink, VirtualNode
from heliosfs.workspace.inode import Inode, StatInode
from heliosfs.workspace.nodes import DirNode, Listed, Node, SymlinkNode
from heliosfs.workspace.unloading import discard, unload
from heliosfs.workspace.workspace import Workspace


class FileSystem:
    """Namespace of a mount: the tree of the root view, `.helios`, and the trees found below it."""

    def __init__(
        self, repository: Repository, is_listed: bool | None = None, *, is_shared: bool = False
    ) -> None:
        """Make the namespace of a repository.

        `is_listed` tells if this mount lists `.helios`; None leaves it to the configuration.
        `is_shared` lets other users read the files under it.
        """
        self.repository = repository
        self.nodes = repository.inodes.nodes
        now_ns = repository.clock.now_ns()
        self.site = site = MountContext(
            repository.inodes, repository.identity, now_ns, is_shared=is_shared
        )
        self.dot = DotDirs(repository, site)
        self.on_relisted: Callable[[int], None] = lambda _ino: None
        """Function to call with the inode of a directory whose listing the kernel must forget."""
        refusal = repository.store.refusal
        self.failure = str(refusal) if refusal is not None else None
        """Message with which every write is refused, once the store has failed, or since it was
        opened to read only; else None."""
        self._is_listed_here = is_listed
        self._is_listed = False
        repository.configuration.follow(self._apply)

    def node(self, ino: int) -> StatInode:
        """Return the node of an inode number.  Fail with ESTALE if no node has it any more."""
        node = self.nodes.get(ino)
        if node is None:
            raise PosixError(errno.ESTALE)
        if isinstance(node, StatInode):
            return node
        assert isinstance(node, Listed)
        found = node.workspace.lookup(node.parent, node.name)
        assert found is not None
        return found

    def lookup(self, parent: StatInode, name: bytes) -> StatInode | None:
        """Return the child of that name, or None.

        Fail with ENOTDIR, ENAMETOOLONG, ESTALE or EIO.
        """
        if isinstance(parent, DirNode):
            # As `guard`, without its call.
            if parent.workspace.is_closed:
                raise PosixError(errno.ESTALE)
            if name == DOT_HELIOS:
                return self._dot_helios(parent)
            found = parent.workspace.lookup(parent, name)
            if found is not None:
                return found
            if len(name) > NAME_MAX:
                raise PosixError(errno.ENAMETOOLONG)
            return None
        if isinstance(parent, VirtualDir):
            return parent.lookup(name)
        raise PosixError(errno.ENOTDIR)

    def peek(self, parent: StatInode, name: bytes) -> Inode | None:
        """Return the child of that name for a listing: as `lookup`, but it may be a `Listed`.

        A `Listed` is cheaper than a node, and most names of a listing never need one.
        """
        if isinstance(parent, DirNode) and name != DOT_HELIOS:
            self.guard(parent.workspace)
            return parent.workspace.peek(parent, name)
        return self.lookup(parent, name)

    def names(self, directory: StatInode) -> list[bytes]:
        """Return the names in a directory, without `.` and `..`.  Fail with ENOTDIR."""
        if isinstance(directory, DirNode):
            names = list(directory.workspace.names(directory))
            if DOT_HELIOS in directory.workspace.load(directory):
                names.remove(DOT_HELIOS)
            if self._is_listed and self._dot_helios(directory):
                names.append(DOT_HELIOS)
            return names
        if isinstance(directory, VirtualDir):
            return list(directory.names())
        raise PosixError(errno.ENOTDIR)

    def _dot_helios(self, directory: DirNode) -> StatInode | None:
        """Return the `.helios` of a view if the directory is its root; None elsewhere.

        What a tree has under that name (an imported repository may) is not there for programs: a
        `.helios/ctl/command` in it would take over the command.
        """
        # I50: no tree has a say in what that name leads to.
        is_root = directory is directory.workspace.root
        return self.dot.of(directory.workspace) if is_root else None

    def parent(self, directory: StatInode) -> StatInode:
        """Return the directory that `..` leads to.

        A root and a virtual directory are their own parents; the kernel knows the real ones.
        """
        above = directory.parent if isinstance(directory, DirNode) else None
        return above or directory

    def readlink(self, node: StatInode) -> bytes:
        """Return the target of a symbolic link.  Fail with EINVAL if the node is none."""
        if isinstance(node, (SymlinkNode, VirtualLink)):
            return node.target
        raise PosixError(errno.EINVAL)

    def forget(self, ino: int, count: int) -> None:
        """Drop `count` references of the kernel to a node; settle the node after the last one."""
        node = self.nodes.get(ino)
        if node is None:
            return
        if node.forget(count):
            self.reclaim(node)

    def reclaim(self, node: Inode) -> None:
        """Drop or unload a node, if neither the kernel nor a handle refers to it."""
        if node.is_used:
            return
        if isinstance(node, VirtualNode):
            if not node.is_fixed:
                self.nodes.pop(node.ino, None)
            return
        assert isinstance(node, (Node, Listed))
        workspace = node.workspace
        if workspace.is_closed:
            self.nodes.pop(node.ino, None)
        elif node is workspace.root:
            if workspace.read_only:
                self.dot.drop_snapshot(workspace)
                discard(workspace)
        elif isinstance(node, Node) and node.parent is None:
            workspace.release(node)
        elif workspace.read_only or len(self.nodes) > self.repository.nodes_max // 2:
            for directory in unload(workspace, node):
                self.on_relisted(directory.ino)

    def check_writable(self, node: StatInode) -> Node:
        """Return the node if it may be changed.

        Fail with EROFS in a snapshot or after the store has failed, ESTALE in a tree that no longer
        shows a branch, EPERM in `.helios`.
        """
        if isinstance(node, Node):
            if node.workspace.read_only:
                raise ReadOnly("a snapshot cannot be changed")
            # As `guard`, without its call.
            if node.workspace.is_closed:
                raise PosixError(errno.ESTALE)
            # I51: nothing is accepted that the store would not keep.
            if self.failure is not None:
                raise ReadOnly(self.failure)
            return node
        raise NotPermitted("files under .helios are made by heliosfs and cannot be changed")

    def device_of(self, ino: int) -> int | None:
        """Return the device of the mount inside that has an inode; None for the workspace's."""
        node = self.nodes.get(ino)
        return node.site.fd if isinstance(node, VirtualNode) else None

    def guard(self, workspace: Workspace) -> None:
        """Check that a tree still shows a branch.  Fail with ESTALE if it does not."""
        if workspace.is_closed:
            raise PosixError(errno.ESTALE)

    def _apply(self, settings: Settings) -> None:
        """List `.helios` or hide it, as the settings say.

        The verb that changed the settings has the kernel forget its listings before it answers.
        """
        is_listed = self._is_listed_here
        if is_listed is None:
            is_listed = settings.is_helios_listed
        if is_listed == self._is_listed:
            return
        self._is_listed = is_listed
        for view in self.repository.views():
            # The method is for a listing that is under way, the transaction for a cached one.
            root = view.workspace.root
            root.mark_listing_stale()
            self.repository.transaction.stale.listings.append(root.ino)
