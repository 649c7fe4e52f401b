"""The bytes of a leaf from the children of a loaded directory: joined anew, or spliced."""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.objects.tree import join_leaf
from heliosfs.workspace.nodes import Child, DirNode, LeafNode, content_oid

SPLICED_MAX = 16
"""From this many replacements on, joining all entries is as fast."""

Edit = tuple[bytes, bytes]
"""The encoded entry that a name had, and the one that it has."""


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


def splice(data: bytes, edits: Iterable[Edit]) -> bytes | None:
    """Replace encoded entries of a leaf, or ids of an index, without touching the others.

    None when one is not found exactly once: a symlink's target can contain the bytes of
    another entry, and then only a walk of the leaf tells which is which.

    >>> splice(b"_aabbcc", [(b"bb", b"xyz")])
    b'_aaxyzcc'
    >>> splice(b"_aabbaa", [(b"aa", b"x")]) is None
    True
    """
    for old, new in edits:
        at = data.find(old)
        if at < 0 or data.rfind(old) != at:
            return None
        data = b"".join((data[:at], new, data[at + len(old) :]))
    return data
