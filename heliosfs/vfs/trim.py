"""Trim: the choice of nodes that the kernel is asked to forget, so that the daemon can drop them.

The kernel forgets a file when memory is short, its own or a container's, but not because the
daemon has too many nodes; until then each name that was listed or made has a node.  So when there
are too many, the oldest go: the kernel is asked to forget them, answers with a FORGET, and the
node becomes its encoded entry again.  A program notices nothing but one more look-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import Inode
from heliosfs.workspace.nodes import DirNode, LeafNode, Listed, Node
from heliosfs.workspace.unloading import collapse

SLICE_COUNT = 512
"""Names that the kernel is asked to forget at once: about 2 ms."""
_LOOKED_AT_COUNT = 4096
_TARGET = 0.75


class Trim:
    """One pass over the nodes, oldest first, until a quarter of those allowed is free."""

    def __init__(self, filesystem: FileSystem) -> None:
        self._filesystem = filesystem
        self._inodes = list(filesystem.nodes)
        self._at = 0
        self._directories: dict[DirNode, None] = {}
        self._target = int(filesystem.repository.nodes_max * _TARGET)

    def slices(self) -> Iterator[list[tuple[int, bytes, int]]]:
        """Yield lists of names to forget: inode of the directory, name, inode of the child.

        Each slice looks at up to 4096 nodes, and so may be empty.
        """
        nodes = self._filesystem.nodes
        while self._at < len(self._inodes) and len(nodes) > self._target:
            found: list[tuple[int, bytes, int]] = []
            end = min(self._at + _LOOKED_AT_COUNT, len(self._inodes))
            for ino in islice(self._inodes, self._at, end):
                self._at += 1
                node = nodes.get(ino)
                parent = _leavable(node)
                if isinstance(node, (Node, Listed)) and parent is not None:
                    found.append((parent.ino, node.name, ino))
                    self._directories[parent] = None
                    if len(found) == SLICE_COUNT:
                        break
            yield found

    def collapse(self) -> Iterator[None]:
        """Collapse the directories whose nodes all went; yield after each directory."""
        for directory in self._directories:
            collapse(directory)
            yield


def _leavable(node: Inode | None) -> DirNode | None:
    """Return the directory of a node that can be dropped, or None.

    A directory stays, since a process may have it as its working directory; so does a file that
    is open or changed, or has two names.
    """
    if isinstance(node, Listed):
        return node.parent
    can_go = (
        isinstance(node, LeafNode) and node.raw is not None and not node.opens and not node.group
    )
    return node.parent if can_go and isinstance(node, LeafNode) else None
