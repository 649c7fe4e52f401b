"""Changes of names by the rules of POSIX: making, linking, removing and renaming.

Every method is synchronous and atomic; errors are HeliosError with the errno that POSIX names for
the call.
"""

from __future__ import annotations

import errno
import stat

from heliosfs.errors import NotPermitted, PosixError
from heliosfs.objects.tree import NAME_MAX
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Node

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


class Naming:
    """Changes of the tree of a workspace by mkdir(2), link(2), rename(2) and their relatives."""

    def __init__(self, filesystem: FileSystem) -> None:
        self._filesystem = filesystem

    def create(
        self,
        parent: StatInode,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Node:
        """Create a file, directory, symbolic link or device.

        Fail with EEXIST, ENOENT (the directory was removed), ENAMETOOLONG, EROFS or EPERM
        (`.helios`).
        """
        directory = self._target(parent, name)
        # A look-up would make a node of what is there.
        if name in directory.workspace.load(directory):
            raise PosixError(errno.EEXIST)
        if directory.mode & stat.S_ISGID:
            gid = directory.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        return directory.workspace.create(directory, name, mode, uid, gid, target=target, rdev=rdev)

    def create_unnamed(self, parent: StatInode, mode: int, uid: int, gid: int) -> FileNode:
        """Create a file without a name in the tree of a directory (O_TMPFILE); `link` can name it.

        It is removed with its last handle.  Fail with ENOENT, EROFS or EPERM (`.helios`).
        """
        directory = self._target(parent, b"")
        gid = directory.gid if directory.mode & stat.S_ISGID else gid
        return directory.workspace.create_unnamed(mode, uid, gid)

    def link(self, node: StatInode, parent: StatInode, name: bytes) -> Node:
        """Add a name to a file.

        Fail with EXDEV between workspaces, EPERM for a directory, and else as `create` does.
        """
        directory = self._target(parent, name)
        if not isinstance(node, LeafNode):
            raise PosixError(errno.EPERM)
        if node.workspace is not directory.workspace:
            raise PosixError(errno.EXDEV)
        if node.parent is None and node not in directory.workspace.unnamed:
            raise PosixError(errno.ENOENT)
        if directory.workspace.lookup(directory, name) is not None:
            raise PosixError(errno.EEXIST)
        directory.workspace.link(node, directory, name)
        return node

    def unlink(self, parent: StatInode, name: bytes) -> Node:
        """Remove a name of a file that is no directory.

        Fail with ENOENT, EISDIR, EROFS or EPERM.
        """
        directory, node = self._existing(parent, name)
        if isinstance(node, DirNode):
            raise PosixError(errno.EISDIR)
        return directory.workspace.remove(directory, name)

    def rmdir(self, parent: StatInode, name: bytes) -> Node:
        """Remove an empty directory.  Fail with ENOENT, ENOTDIR, ENOTEMPTY, EROFS or EPERM."""
        directory, node = self._existing(parent, name)
        if not isinstance(node, DirNode):
            raise PosixError(errno.ENOTDIR)
        if directory.workspace.load(node):
            raise PosixError(errno.ENOTEMPTY)
        return directory.workspace.remove(directory, name)

    def rename(
        self, parent: StatInode, name: bytes, new_parent: StatInode, new_name: bytes, flags: int
    ) -> None:
        """Rename or exchange as renameat2(2) does, with its errors.

        Fail with EXDEV between workspaces.
        """
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE):
            raise PosixError(errno.EINVAL)
        source, node = self._existing(parent, name)
        target = self._target(new_parent, new_name)
        workspace = source.workspace
        if target.workspace is not workspace:
            raise PosixError(errno.EXDEV)
        there = workspace.lookup(target, new_name)
        # In the order in which do_renameat2 (fs/namei.c) looks.
        if flags & RENAME_EXCHANGE and there is None:
            raise PosixError(errno.ENOENT)
        if flags & RENAME_NOREPLACE and there is not None:
            raise PosixError(errno.EEXIST)
        if isinstance(node, DirNode) and _is_below(target, node):
            raise PosixError(errno.EINVAL)
        if flags & RENAME_EXCHANGE:
            if isinstance(there, DirNode) and _is_below(source, there):
                raise PosixError(errno.EINVAL)
            if there is not node:
                workspace.exchange(source, name, target, new_name)
            return
        if there is not None:
            if there is node:
                return
            _check_replaceable(node, there)
        workspace.rename(source, name, target, new_name)

    def _target(self, parent: StatInode, name: bytes) -> DirNode:
        """Return the directory, if this name may be made or removed in it."""
        # First what may be changed at all, then the name, as Linux looks (fs/namei.c): of two
        # rules that a call breaks, it reports the first.
        directory = self._filesystem.check_writable(parent)
        if not isinstance(directory, DirNode):
            raise PosixError(errno.ENOTDIR)
        if len(name) > NAME_MAX:
            raise PosixError(errno.ENAMETOOLONG)
        # I50: what a tree has under that name is not shown, and nothing is added to it.
        if name == DOT_HELIOS:
            raise NotPermitted(f"the name {DOT_HELIOS.decode()} is reserved")
        if directory.parent is None and directory is not directory.workspace.root:
            raise PosixError(errno.ENOENT)
        return directory

    def _existing(self, parent: StatInode, name: bytes) -> tuple[DirNode, Node]:
        """Return a directory and its child, whose name may be removed.

        Fail with ENOENT, and else as `_target` does.
        """
        directory = self._target(parent, name)
        node = directory.workspace.lookup(directory, name)
        if node is None:
            raise PosixError(errno.ENOENT)
        return directory, node


def _check_replaceable(node: Node, there: Node) -> None:
    """Check that a rename may put `node` in the place of `there`.

    Fail with EISDIR, ENOTDIR or ENOTEMPTY.
    """
    if isinstance(there, DirNode):
        if not isinstance(node, DirNode):
            raise PosixError(errno.EISDIR)
        if there.workspace.load(there):
            raise PosixError(errno.ENOTEMPTY)
    elif isinstance(node, DirNode):
        raise PosixError(errno.ENOTDIR)


def _is_below(directory: DirNode, above: DirNode) -> bool:
    """Return True if `directory` is `above` or lies below it."""
    place: DirNode | None = directory
    while place is not None:
        if place is above:
            return True
        place = place.parent
    return False
