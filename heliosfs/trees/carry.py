"""Carry ignored files over when a working tree becomes another tree.

A switch between two trees leaves alone the files that the ignore files of either tree keep out of
commits: those that are there now stay, and those of the new tree come where nothing is now.
A `.git` goes with them, but as a whole: one that is there now stays as it is, with the directories
above it, and nothing is put into it.
"""

from __future__ import annotations

from heliosfs.errors import AlreadyExists, Busy
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry, encode_entry, entry_name, is_dir_entry
from heliosfs.store.base import Objects
from heliosfs.trees.edit import edit_tree, put_directory
from heliosfs.trees.gitless import git_dir_of
from heliosfs.trees.links import settle_links
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.same import differs
from heliosfs.trees.stored import (
    EMPTY_TREE,
    changed_entries,
    find_entry,
    read_entries,
    walk_changes,
)


def carry(
    store: Objects,
    work: Entry,
    selected: Entry,
    target: Entry,
    now_ns: int,
    whole: Entry | None = None,
) -> Entry:
    """Return `target` with the ignored files of the working tree `work`.

    `selected` is `work` without its ignored files.  An ignored file stays where the target has
    nothing in its place.  `whole` is the tree that the target was selected from: its ignored files
    come back where nothing else is.
    Objects go into the store's batch.  Cost: O(changed), ignored files included.

    Raise Busy if a file of the target is to go where a directory has a `.git`.
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
        root = edit_tree(store, work, {**edits, **_blocked_paths(store, work, edits)}, now_ns)
    if whole != target:
        root = fill(store, root, whole)
    return settle_links(store, work, root, whole, now_ns)


def fill(store: Objects, root: Entry, source: Entry) -> Entry:
    """Return `root` with the files and whole directories that only `source` has.

    Where both trees have an entry, and the two are not directories, that of `root` stays, and so
    does a `.git`.
    Objects go into the store's batch.  Cost: O(differing directories).
    """
    places = [_Place(-1, root, source, {})]
    # The list grows while the loop runs over it.
    for number, place in enumerate(places):
        there = changed_entries(store, TreeId(place.entry.oid), TreeId(place.source.oid))
        for name, (mine, other) in there.items():
            if other is None:
                continue
            if mine is None:
                place.added[name] = other
            elif name != DOT_GIT and is_dir_entry(mine) and is_dir_entry(other):
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
    """Directory that both trees have."""

    __slots__ = ("above", "added", "entry", "source")

    def __init__(self, above: int, entry: Entry, source: Entry, added: dict[bytes, bytes]) -> None:
        self.above = above
        """Index of the parent directory in the list of places; -1 for the root."""
        self.entry = entry
        self.source = source
        self.added = added
        """Name -> encoded entry, for new entries and for subdirectories that were added to."""

    def write(self, store: Objects) -> None:
        """Write the directory's tree with the added entries."""
        tree = TreeId(self.entry.oid)
        children = {entry_name(raw): raw for raw in read_entries(store, tree)} | self.added
        raws = [raw for _, raw in sorted(children.items())]
        self.entry = put_directory(store, self.entry, raws, None if tree == EMPTY_TREE else tree)


def _blocked_paths(
    store: Objects, work: Entry, edits: dict[bytes, Entry | None]
) -> dict[bytes, Entry | None]:
    """Return edits that empty the directories of `work` that files are going to replace.

    Raise Busy for one that has a `.git`.
    """
    removed: dict[bytes, Entry | None] = {}
    for path, new in edits.items():
        there = find_entry(store, work, path) if new is not None and not new.is_dir else None
        if there is not None and there.is_dir:
            for change in walk_changes(store, TreeId(there.oid), EMPTY_TREE, path + b"/"):
                # I64: no step takes a `.git` away, and so neither the directories above it.
                if (git_dir := git_dir_of(change.path)) is not None:
                    name, place = _shown(git_dir), _shown(path)
                    raise Busy(f"{name} is in the way of a file {place}: move it away first")
                removed[change.path] = None
    return removed


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "surrogateescape"))
