"""Plan of a switch: everything it has to change, read before anything is altered."""

from __future__ import annotations

import stat
from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import (
    FLAGS_AT,
    INDEX,
    LINKS_BELOW,
    Entry,
    LeafRef,
    decode_entry,
    is_dir_entry,
    is_index,
)
from heliosfs.store.base import Store
from heliosfs.trees.stored import (
    changed_entries,
    compare_leaves,
    index_of,
    read_entries,
    read_tree,
)
from heliosfs.workspace.leaves import LeafTable
from heliosfs.workspace.nodes import DirNode, join_children
from heliosfs.workspace.redate import Known
from heliosfs.workspace.workspace import Workspace

_NOTHING: Known = {}


class Index(NamedTuple):
    """New index of a directory, and the bytes of its leaves that differ from the present ones."""

    refs: list[LeafRef]
    read: dict[TreeId, bytes]


class KeptDirectory(NamedTuple):
    """Step of a switch for a directory that both trees have."""

    directory: DirNode
    raw: bytes
    """New encoded entry of the directory."""
    entry: Entry
    changes: Changes
    data: bytes | None
    """Bytes of the directory's new tree, if they are known."""
    leaves: Index | None
    """New index, if the directory has one before and after."""


def plan(workspace: Workspace, raw: bytes, known: Known = _NOTHING) -> list[KeptDirectory]:
    """Return steps that turn the live tree into that of the root `raw`.

    There is a step for each loaded directory that stays.  The live tree must be clean.  `known`
    holds pairs of trees that were compared already.  Raises StoreError.
    """
    # I18: a switch compares stored trees, so what is dirty was flushed.
    assert workspace.root.raw is not None
    if raw == workspace.root.raw:
        return []
    steps: list[KeptDirectory] = []
    pending = [(workspace.root, raw)]
    while pending:
        directory, raw = pending.pop()
        step = _step(workspace, directory, raw, known)
        steps.append(step)
        children = directory.children
        if children is not None:
            for name, (_, new) in step.changes.items():
                child = children.get(name)
                if new and isinstance(child, DirNode) and stat.S_ISDIR(new[0] | new[1] << 8):
                    pending.append((child, new))
    if workspace.links.by_number:
        _read_links(workspace.store, steps[0].entry)
    return steps


def _read_links(store: Store, root: Entry) -> None:
    """Read the directories that contain files with several names, and those above them.

    A switch with such files in memory looks up their names in the new tree after it has begun to
    alter the old one.  The directories read here are in L1 by then.
    """
    pending = [TreeId(root.oid)] if root.links_below else []
    while pending:
        pending += [
            TreeId(decode_entry(raw)[0].oid)
            for raw in read_entries(store, pending.pop())
            if is_dir_entry(raw) and raw[FLAGS_AT] & LINKS_BELOW
        ]


def _step(workspace: Workspace, directory: DirNode, raw: bytes, known: Known) -> KeptDirectory:
    entry, _ = decode_entry(raw)
    tree = TreeId(entry.oid)
    # Only the attributes of the directory differ.
    if directory.tree == tree:
        return KeptDirectory(directory, raw, entry, {}, directory.data, None)
    # Nothing is loaded below it: the next look-up reads the new tree.
    if directory.children is None:
        return KeptDirectory(directory, raw, entry, {}, None, None)
    store = workspace.store
    table = directory.leaves
    compared = known.get((TreeId(directory.tree), tree))
    # `redate` has compared these two trees before; with an index, the table of leaves needs more.
    if compared is not None and table is None and compared[1][:1] != INDEX:
        return KeptDirectory(directory, raw, entry, *compared, None)
    data = read_tree(store, tree)
    if is_index(data):
        if table is not None:
            return _index_step(workspace, directory, table, raw, entry, data)
    else:
        before = directory.data if directory.data is not None else join_children(directory)
        # With an index on one side only, the stored trees are compared.
        if not is_index(before):
            return KeptDirectory(
                directory, raw, entry, compare_leaves([before], [data], tree), data, None
            )
    changes = changed_entries(store, TreeId(directory.tree), tree)
    return KeptDirectory(directory, raw, entry, changes, data, None)


def _index_step(
    workspace: Workspace,
    directory: DirNode,
    table: LeafTable,
    raw: bytes,
    entry: Entry,
    data: bytes,
) -> KeptDirectory:
    store = workspace.store
    tree = TreeId(entry.oid)
    refs = index_of(data, tree)
    # Leaves that both indexes name are equal, and neither read nor compared.
    wanted = {ref.oid for ref in refs}
    held = {leaf.oid: leaf for leaf in table.leaves if leaf.oid is not None}
    before = [
        leaf.data if leaf.data is not None else read_tree(store, oid)
        for oid, leaf in held.items()
        if oid not in wanted
    ]
    read = {ref.oid: read_tree(store, ref.oid) for ref in refs if ref.oid not in held}
    changes = compare_leaves(before, list(read.values()), tree)
    return KeptDirectory(directory, raw, entry, changes, data, Index(refs, read))
