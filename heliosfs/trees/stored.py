"""Tree objects in a store: functions that read, write and compare them.

A comparison opens only objects whose ids differ.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, TreeId, object_id
from heliosfs.objects.leafdiff import Changes, changed_names
from heliosfs.objects.tree import (
    INDEX,
    INDEX_FROM,
    Entry,
    LeafRef,
    decode_entry,
    decode_index,
    encode_index,
    entry_name,
    is_index,
    join_leaf,
    join_leaves,
    split_leaf,
    starts_leaf,
)
from heliosfs.store.base import Objects
from heliosfs.trees.same import differs

_TREE = Kind.TREE
"""Kind of tree objects; a global is looked up faster than a member of an enum."""

_EMPTY = join_leaf([])
EMPTY_TREE = TreeId(object_id(_TREE, _EMPTY))


class Change(NamedTuple):
    """Change of one path: added (`old` is None), removed (`new` is None), or modified."""

    path: bytes
    old: Entry | None
    new: Entry | None


def put_tree(store: Objects, data: bytes, base: Oid | None = None) -> TreeId:
    """Add a tree object to the store's batch and return its id.

    `base` is a similar object, a hint for the store.
    """
    oid = TreeId(object_id(_TREE, data))
    store.add(oid, _TREE, data, base)
    return oid


def write_entries(store: Objects, raws: list[bytes], base: Oid | None = None) -> TreeId:
    """Add the tree of `raws`, encoded entries in byte order of their names; return its id."""
    if len(raws) < INDEX_FROM:
        return put_tree(store, join_leaf(raws), base)
    runs: list[list[bytes]] = [[]]
    for raw in raws:
        if starts_leaf(entry_name(raw)) and runs[-1]:
            runs.append([])
        runs[-1].append(raw)
    leaves = [LeafRef(entry_name(run[0]), put_tree(store, join_leaf(run))) for run in runs]
    return put_tree(store, encode_index(leaves), base)


def read_leaf(store: Objects, oid: TreeId) -> list[bytes]:
    """Return the encoded entries of one leaf.  Raises CorruptObject if it cannot be read."""
    return _split(read_tree(store, oid), oid)


def read_directory(
    store: Objects, oid: TreeId
) -> tuple[list[bytes], list[tuple[LeafRef, list[bytes]]] | None]:
    """Return all encoded entries of a directory, and its leaves with their entries.

    The leaves are None unless the directory has an index.
    """
    data = read_tree(store, oid)
    if not is_index(data):
        return _split(data, oid), None
    stored = [(leaf, read_leaf(store, leaf.oid)) for leaf in index_of(data, oid)]
    return [raw for _, run in stored for raw in run], stored


def read_entries(store: Objects, oid: TreeId) -> list[bytes]:
    """Return all encoded entries of a directory, in byte order of their names."""
    return read_directory(store, oid)[0]


def changed_entries(store: Objects, old: TreeId, new: TreeId) -> Changes:
    """Return the entries that differ between two trees, one level deep.

    Cost: O(size of both); of a directory with an index, only the leaves that differ are read.
    """
    if old == new:
        return {}
    old_data, new_data = read_tree(store, old), read_tree(store, new)
    if old_data[:1] != INDEX and new_data[:1] != INDEX:
        return compare_leaves([old_data], [new_data], new)
    old_leaves, new_leaves = _leaf_ids(old_data, old), _leaf_ids(new_data, new)
    return compare_leaves(
        [read_tree(store, oid) for oid in old_leaves if oid not in new_leaves],
        [read_tree(store, oid) for oid in new_leaves if oid not in old_leaves],
        new,
    )


def compare_leaves(old: list[bytes], new: list[bytes], oid: TreeId) -> Changes:
    """Return the entries that differ between two runs of leaves.

    Raises CorruptObject, which names `oid`.
    """
    try:
        return changed_names(
            old[0] if len(old) == 1 else join_leaves(old),
            new[0] if len(new) == 1 else join_leaves(new),
        )
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"tree {oid.hex()} cannot be read: {error}") from error


def walk_changes(store: Objects, old: TreeId, new: TreeId, prefix: bytes = b"") -> Iterator[Change]:
    """Yield a change for each path that differs, depth first, in byte order in each directory.

    A directory that only one side has is followed by everything below it.  An entry that
    differs only in its mtime is left out.
    Cost: O(changed); a tree is read only if the ids differ, and a pair of trees that differ in
    times alone only once, wherever it is met.
    """
    silent: set[tuple[TreeId, TreeId]] = set()
    count = 0
    pending: list[tuple[bytes, TreeId, TreeId, int]] = [(prefix, old, new, -1)]
    while pending:
        path, old_tree, new_tree, count_before = pending.pop()
        if count_before >= 0:
            # All that is below this pair of trees was walked.
            if count == count_before:
                silent.add((old_tree, new_tree))
            continue
        if silent and (old_tree, new_tree) in silent:
            continue
        below = []
        pending.append((path, old_tree, new_tree, count))
        for name, (old_raw, new_raw) in sorted(changed_entries(store, old_tree, new_tree).items()):
            before = decode_entry(old_raw)[0] if old_raw else None
            after = decode_entry(new_raw)[0] if new_raw else None
            here = path + name
            if differs(before, after):
                count += 1
                yield Change(here, before, after)
            left = _tree_of(before)
            right = _tree_of(after)
            if left != right:
                # A file that became a directory, too: everything below is an addition.
                below.append((here + b"/", left, right, -1))
        # A stack, so the first of them is visited next and the order of the paths is kept.
        pending += reversed(below)


def has_changes(store: Objects, old: TreeId, new: TreeId) -> bool:
    """Return True if `walk_changes` would yield anything; stop at the first difference."""
    return next(walk_changes(store, old, new), None) is not None


def trees_differ(store: Objects, old: Entry, new: Entry) -> bool:
    """Return True if two trees differ in more than times, in their roots or anywhere below."""
    if differs(old, new):
        return True
    return old.oid != new.oid and has_changes(store, TreeId(old.oid), TreeId(new.oid))


def emptied(root: Entry) -> Entry:
    """Return the entry of a directory as an empty one, with the same attributes."""
    return root._replace(oid=EMPTY_TREE, size=0, links_below=False)


def find_entry(store: Objects, root: Entry, path: bytes) -> Entry | None:
    """Return the entry at `path` (no leading slash; b"" is the root itself), or None."""
    entry = root
    for part in path.split(b"/") if path else ():
        if not entry.is_dir:
            return None
        raw = _find_raw(store, TreeId(entry.oid), part)
        if raw is None:
            return None
        entry = decode_entry(raw)[0]
    return entry


def _tree_of(entry: Entry | None) -> TreeId:
    return TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE


def _find_raw(store: Objects, oid: TreeId, name: bytes) -> bytes | None:
    data = read_tree(store, oid)
    if is_index(data):
        leaf = None
        for candidate in index_of(data, oid):
            if leaf is not None and candidate.first > name:
                break
            leaf = candidate
        data = read_tree(store, leaf.oid) if leaf else _EMPTY
    # A search in bytes is much faster than splitting, and most look-ups of tools are in vain.
    if name not in data:
        return None
    return next((raw for raw in _split(data, oid) if entry_name(raw) == name), None)


def read_tree(store: Objects, oid: TreeId) -> bytes:
    """Return the bytes of a tree object; the empty tree need not be stored."""
    return _EMPTY if oid == EMPTY_TREE else store.read(oid, _TREE)


def _leaf_ids(data: bytes, oid: TreeId) -> dict[TreeId, None]:
    return {leaf.oid: None for leaf in index_of(data, oid)} if is_index(data) else {oid: None}


def _split(data: bytes, oid: TreeId) -> list[bytes]:
    try:
        return split_leaf(data)
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"tree {oid.hex()} cannot be read: {error}") from error


def index_of(data: bytes, oid: TreeId) -> list[LeafRef]:
    """Return the leaves that an index names.  Raises CorruptObject, which names `oid`."""
    try:
        return decode_index(data)
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"tree {oid.hex()} cannot be read: {error}") from error
