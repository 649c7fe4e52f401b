"""Graft some paths of one tree onto another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Objects
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.links import settle_links
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, find_entry, walk_changes


class GraftResult(NamedTuple):
    """Result of a graft."""

    root: Entry
    changed: list[bytes]
    """Paths that the graft changed, in byte order."""


def graft(
    store: Objects,
    target: Entry,
    source: Entry,
    paths: Iterable[bytes],
    now_ns: int,
    *,
    overlay: bool = False,
) -> GraftResult:
    """Replace the given paths of `target`, and everything below them, by those of `source`.

    Entries that `source` lacks are removed, or kept with `overlay`.  Missing parent directories
    of a path are taken from `source` too, and those that it lacks go with the last entry in them.
    A name that becomes unlike the other names of its file is parted from them.  Objects go into the
    store's batch.

    Raise AlreadyExists if a file lies where a directory is needed.  Cost: O(changed), and that of
    `settle_links`.
    """
    edits: dict[bytes, Entry | None] = {}
    for path in paths:
        here, there = (find_entry(store, root, path) for root in (target, source))
        for change in _difference(store, path, here, there):
            # A file cannot be laid over a directory: then its contents go in spite of `overlay`.
            is_replaced = there is not None and not there.is_dir
            if change.new is not None or not overlay or is_replaced:
                edits[change.path] = change.new
    changed = sorted(edits)
    for path in changed:
        if edits[path] is None:
            _drop_parents(store, edits, path, source)
        else:
            _make_parents(store, edits, path, target, source)
    root = edit_tree(store, target, edits, now_ns)
    return GraftResult(settle_links(store, target, root, source, now_ns), changed)


def _difference(
    store: Objects, path: bytes, here: Entry | None, there: Entry | None
) -> Iterator[Change]:
    if differs(here, there):
        yield Change(path, here, there)
    old, new = (
        TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE
        for entry in (here, there)
    )
    yield from walk_changes(store, old, new, path + b"/" if path else b"")


def _make_parents(
    store: Objects, edits: dict[bytes, Entry | None], path: bytes, target: Entry, source: Entry
) -> None:
    above = path.rpartition(b"/")[0]
    while above and above not in edits:
        # The target has this directory, and so all those above it.
        if find_entry(store, target, above) is not None:
            return
        edits[above] = find_entry(store, source, above)
        above = above.rpartition(b"/")[0]


def _drop_parents(
    store: Objects, edits: dict[bytes, Entry | None], path: bytes, source: Entry
) -> None:
    above = path.rpartition(b"/")[0]
    while above and above not in edits and find_entry(store, source, above) is None:
        # Of a directory in which something stays, this removes nothing.
        edits[above] = None
        above = above.rpartition(b"/")[0]
