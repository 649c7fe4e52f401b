"""Link groups of the files with several names, as far as they are loaded."""

from __future__ import annotations

import secrets

from heliosfs.objects.tree import FLAGS_AT, LINK
from heliosfs.workspace.nodes import LeafNode, Node


class LinkGroups:
    """Mapping of link groups to the node that all names of a group share.

    All names of such a node are loaded.
    """

    __slots__ = ("by_number", "exist", "is_complete")

    def __init__(self, *, links_below: bool) -> None:
        self.by_number: dict[int, LeafNode] = {}
        self.exist = links_below
        """True if the tree has, or had, a file with several names."""
        self.is_complete = not links_below
        """True if all groups of the tree are loaded."""

    def find(self, group: int) -> LeafNode | None:
        """Return the node that all names of a group share; None if no name of it is loaded.

        A file that was loaded as the only name of its group, and was changed since, has left it:
        its entry has no group, so other names of the group are another file.
        """
        node = self.by_number.get(group)
        if node is not None and not node.links:
            raw = node.raw
            # I8: a name that comes back must not lead to the node of what is another file now.
            if raw is None or not raw[FLAGS_AT] & LINK:
                del self.by_number[group]
                node.group = 0
                return None
        return node

    def join(self, node: LeafNode) -> None:
        """Assign a link group to a file that gets a further name, unless it has one."""
        if not node.group:
            node.group = secrets.randbits(63) | 1
        self.by_number[node.group] = node
        self.exist = True

    def leave(self, node: Node) -> None:
        """Remove a file that lost a name from its group, if at most one name is left."""
        # I8: the entry of a file with one name has no group.
        if isinstance(node, LeafNode) and node.group and not node.links:
            self.by_number.pop(node.group, None)
            node.group = 0

    def drop(self, node: LeafNode) -> None:
        """Forget a file that has no name left; its entry does not matter any more."""
        if self.by_number.get(node.group) is node:
            del self.by_number[node.group]
