"""Unloading of nodes: clean ones become encoded entries again, unused ones are dropped."""

from __future__ import annotations

from heliosfs.objects.tree import FLAGS_AT, LINK
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Listed, Node
from heliosfs.workspace.workspace import Workspace


def unload(workspace: Workspace, node: Node | Listed) -> list[DirNode]:
    """Replace a clean, unused node by its encoded entry, and then its parents where possible.

    Return the directories whose cached listing has become stale by this, because the next node of
    the same name will have another inode number.
    """
    relisted: list[DirNode] = []
    while True:
        parent = node.parent
        # I10: an encoded entry holds everything that such a node knows.
        if (
            parent is None
            or node.raw is None
            or node.lookups
            or node.opens
            or (isinstance(node, DirNode) and not node.holds_no_node)
            # Its other names share the node, and would find it missing.  Also when none is left
            # but the entry has the group still: once all groups are loaded, none is looked for.
            or (isinstance(node, LeafNode) and (node.group or node.raw[FLAGS_AT] & LINK))
        ):
            return relisted
        if isinstance(node, FileNode):
            workspace.working_set.drop(node)
        # I11: the change time never goes back.
        # The next node of the name gets the time of the last change, or a later one.
        below_ns = node.changed_ns if isinstance(node, DirNode) else 0
        parent.changed_ns = max(parent.changed_ns, node.ctime_ns, below_ns)
        workspace.load(parent)[node.name] = node.raw
        del workspace.inodes.nodes[node.ino]
        if parent.mark_listing_stale():
            relisted.append(parent)
        node = parent


def collapse(directory: DirNode) -> None:
    """Unload the children of a directory that is clean and has no nodes below it."""
    if directory.raw is not None and directory.children and directory.holds_no_node:
        directory.children = directory.leaves = directory.data = None


def close(workspace: Workspace) -> None:
    """Mark the workspace closed, and drop the nodes that neither the kernel nor a handle uses."""
    workspace.is_closed = True
    discard(workspace)


def discard(workspace: Workspace) -> None:
    """Drop every node that neither the kernel nor a handle uses.

    The tree must be clean or a snapshot.
    """
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
