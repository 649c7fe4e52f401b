"""Files with several names, as far as they are loaded."""

from __future__ import annotations

import secrets

from heliosfs.workspace.nodes import LeafNode, Node


class LinkGroups:
    """Link group -> the node that all its names share, every one of them loaded."""

    __slots__ = ("by_number", "exist", "is_complete")

    def __init__(self, *, links_below: bool) -> None:
        self.by_number: dict[int, LeafNode] = {}
        self.exist = links_below
        """Whether the tree has, or had, a file with several names."""
        self.is_complete = not links_below
        """Whether all groups of the tree are loaded."""

    def join(self, node: LeafNode) -> None:
        """Give a file that gets a further name a group, if it has none."""
        if not node.group:
            node.group = secrets.randbits(63) | 1
        self.by_number[node.group] = node
        self.exist = True

    def leave(self, node: Node) -> None:
        """Give up the group of a file that lost a name and has one left, or none."""
        # I8: the entry of a file with one name has no group.
        if isinstance(node, LeafNode) and node.group and not node.links:
            self.by_number.pop(node.group, None)
            node.group = 0

    def drop(self, node: LeafNode) -> None:
        """Forget a file of which no name is left; its entry does not matter any more."""
        if self.by_number.get(node.group) is node:
            del self.by_number[node.group]
