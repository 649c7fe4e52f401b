"""How nodes go: clean ones become encoded entries again, and what nobody holds is dropped."""

from __future__ import annotations

from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Listed, Node
from heliosfs.workspace.workspace import Workspace


def unload(workspace: Workspace, node: Node | Listed) -> list[DirNode]:
    """Let a clean node become its encoded entry again, and those above it that can.

    Return the directories of which a listing was right until now: the next node of the same
    name has another inode number.
    """
    relisted: list[DirNode] = []
    while True:
        parent = node.parent
        # I10: an encoded entry says all that such a node knows.
        if (
            parent is None
            or node.raw is None
            or node.lookups
            or node.opens
            or (isinstance(node, DirNode) and not node.holds_no_node)
            or (isinstance(node, LeafNode) and node.group)
        ):
            return relisted
        if isinstance(node, FileNode):
            workspace.working_set.drop(node)
        # I11: the change time never goes back.
        # Whoever looks again meets the time of its last change, or a later one.
        below_ns = node.changed_ns if isinstance(node, DirNode) else 0
        parent.changed_ns = max(parent.changed_ns, node.ctime_ns, below_ns)
        workspace.load(parent)[node.name] = node.raw
        del workspace.inodes.nodes[node.ino]
        if parent.relist():
            relisted.append(parent)
        node = parent


def collapse(directory: DirNode) -> None:
    """Forget the entries of a directory that is clean and has no nodes below it."""
    if directory.raw is not None and directory.children and directory.holds_no_node:
        directory.children = directory.leaves = directory.data = None


def close(workspace: Workspace) -> None:
    """Note that nothing shows the tree any more, and drop what the kernel does not hold."""
    workspace.is_closed = True
    discard(workspace)


def discard(workspace: Workspace) -> None:
    """Drop every node that the kernel does not hold; the tree is clean or a snapshot."""
    pending: list[Node | Listed] = [workspace.root]
    while pending:
        node = pending.pop()
        if isinstance(node, DirNode):
            pending += [
                child for child in (node.children or {}).values() if not isinstance(child, bytes)
            ]
        if not node.is_used:
            workspace.inodes.nodes.pop(node.ino, None)
            if isinstance(node, FileNode):
                workspace.working_set.drop(node)
