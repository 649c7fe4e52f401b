"""Inode numbers, and what the kernel knows by them."""

from __future__ import annotations

from typing import Generic, TypeVar

ROOT_INO = 1
T = TypeVar("T")


class InodeTable(Generic[T]):
    """Inode number -> node.  A number is given once in the life of a mount, never again."""

    __slots__ = ("_next", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[int, T] = {}
        self._next = ROOT_INO

    def allocate(self) -> int:
        """A number of its own; the first one is the root's."""
        ino = self._next
        self._next += 1
        return ino
