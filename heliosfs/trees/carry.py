"""Carry: a working tree that becomes another one, and keeps what is ignored in it.

A step between two trees leaves alone what the ignore files of either keep out of commits: what is
there now stays, and of the tree that is gone to comes what is not there now.
"""

from __future__ import annotations

from heliosfs.errors import AlreadyExists
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry, encode_entry, entry_name, is_dir_entry
from heliosfs.store.base import Store
from heliosfs.trees.edit import edit_tree, put_directory
from heliosfs.trees.links import settle_links
from heliosfs.trees.same import differs
from heliosfs.trees.stored import (
    EMPTY_TREE,
    changed_entries,
    find_entry,
    read_entries,
    walk_changes,
)


def carry(
    store: Store,
    work: Entry,
    selected: Entry,
    target: Entry,
    now_ns: int,
    whole: Entry | None = None,
) -> Entry:
    """Turn a working tree, which is `selected` but for what is ignored, into `target`.

    What is ignored stays where the target has nothing in its place.  `whole` is the tree that the
    target was selected from: what is ignored there comes back where nothing is otherwise.
    Objects go into the store's batch.  Cost: O(changed), ignored files included.
    """
    whole = whole or target
    if work == selected:
        return whole
    changes = walk_changes(store, TreeId(selected.oid), TreeId(target.oid))
    edits = {change.path: change.new for change in changes}
    if differs(work, target):
        edits[b""] = target
    try:
        root = edit_tree(store, work, edits, now_ns)
    except AlreadyExists:
        root = edit_tree(store, work, {**edits, **_in_the_way(store, work, edits)}, now_ns)
    if whole != target:
        root = fill(store, root, whole)
    return settle_links(store, work, root, whole, now_ns)


def fill(store: Store, root: Entry, source: Entry) -> Entry:
    """Add to a tree everything that only `source` has: files, and directories as a whole.

    Where both have something, and it is not two directories, that of `root` stays.
    Objects go into the store's batch.  Cost: O(differing directories).
    """
    places = [_Place(-1, root, source, {})]
    # It grows while it is walked through.
    for number, place in enumerate(places):
        there = changed_entries(store, TreeId(place.entry.oid), TreeId(place.source.oid))
        for name, (mine, other) in there.items():
            if other is None:
                continue
            if mine is None:
                place.added[name] = other
            elif is_dir_entry(mine) and is_dir_entry(other):
                entry, source = decode_entry(mine)[0], decode_entry(other)[0]
                if entry.oid != source.oid:
                    places.append(_Place(number, entry, source, {}))
    for place in reversed(places):
        if place.added:
            place.write(store)
            if place.above >= 0:
                places[place.above].added[place.entry.name] = encode_entry(place.entry)
    return places[0].entry


class _Place:
    """A directory that both trees have."""

    __slots__ = ("above", "added", "entry", "source")

    def __init__(self, above: int, entry: Entry, source: Entry, added: dict[bytes, bytes]) -> None:
        self.above = above
        """The number of the directory that it is in; -1 for the root."""
        self.entry = entry
        self.source = source
        self.added = added
        """Name -> encoded entry, of what comes into it, and of directories that get something."""

    def write(self, store: Store) -> None:
        """Put into the directory what comes into it."""
        tree = TreeId(self.entry.oid)
        children = {entry_name(raw): raw for raw in read_entries(store, tree)} | self.added
        raws = [raw for _, raw in sorted(children.items())]
        self.entry = put_directory(store, self.entry, raws, None if tree == EMPTY_TREE else tree)


def _in_the_way(
    store: Store, work: Entry, edits: dict[bytes, Entry | None]
) -> dict[bytes, Entry | None]:
    """Edits that remove what lies in directories in whose place files are to be."""
    removed: dict[bytes, Entry | None] = {}
    for path, new in edits.items():
        there = find_entry(store, work, path) if new is not None and not new.is_dir else None
        if there is not None and there.is_dir:
            below = walk_changes(store, TreeId(there.oid), EMPTY_TREE, path + b"/")
            removed.update((change.path, None) for change in below)
    return removed
