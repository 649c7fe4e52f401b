"""References from an object to others: the ids in its bytes."""

from __future__ import annotations

import stat
from collections.abc import Container, Iterator
from typing import TypeAlias

from heliosfs.objects.blob import EMPTY_BLOB, WHOLE_MAX, ZERO_PART, decode_parts
from heliosfs.objects.commit import commit_links
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.outline import EMPTY_TREE_ID, outline, references_in
from heliosfs.objects.tree import Entry

Reference: TypeAlias = "tuple[Kind, Oid]"

NEVER_STORED = frozenset((EMPTY_BLOB, ZERO_PART, EMPTY_TREE_ID))
"""Ids of the objects that a reader knows without a store."""


def references(kind: Kind, data: bytes) -> list[Reference]:
    """Return the objects that an object needs to be complete, without those never stored.

    Raise ValueError, IndexError or struct.error when the bytes are not such an object.
    """
    if kind is Kind.TREE:
        return references_in(data, outline(data))
    if kind is Kind.COMMIT:
        links = commit_links(data)
        found: list[Reference] = [(Kind.COMMIT, parent) for parent in links.parents]
        if links.tree != EMPTY_TREE_ID:
            found.append((Kind.TREE, links.tree))
        return found
    if kind is Kind.PARTS:
        return [(Kind.BLOB, part) for part in decode_parts(data).ids.values()]
    return []


def cut_references(oid: Oid, found: list[Reference], shallow: Container[Oid]) -> list[Reference]:
    """Return the references of an object, without the parents of a commit in `shallow`."""
    return [each for each in found if each[0] is not Kind.COMMIT] if oid in shallow else found


def entry_references(entry: Entry) -> Iterator[Reference]:
    """Yield the reference of an entry to its object, unless such an object is never stored."""
    if stat.S_ISREG(entry.mode):
        if entry.size:
            yield (Kind.BLOB if entry.size <= WHOLE_MAX else Kind.PARTS), entry.oid
    elif entry.is_dir and entry.oid != EMPTY_TREE_ID:
        yield Kind.TREE, entry.oid
