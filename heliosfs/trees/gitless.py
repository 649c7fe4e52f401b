"""Trees without the `.git` of any directory: repositories of git that lie in a workspace.

A `.git`, directory or file, belongs to a working tree as a whole.  No commit has one, and no step
between two trees changes one (see repo/ignoring.py).
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.emptying import empty_later
from heliosfs.objects.ids import OID_BYTES, Oid, TreeId
from heliosfs.objects.tree import (
    OID_AT,
    Entry,
    decode_entry,
    encode_entry,
    entry_name,
    is_dir_entry,
)
from heliosfs.store.base import Objects
from heliosfs.trees.edit import edit_tree, put_directory
from heliosfs.trees.links import linked_entries
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.stored import find_entry, read_entries


def git_dir_of(path: bytes) -> bytes | None:
    """Return the `.git` that a path is or lies in, the outermost; None if there is none.

    >>> git_dir_of(b"vendor/x/.git/HEAD"), git_dir_of(b".git"), git_dir_of(b".gitignore")
    (b'vendor/x/.git', b'.git', None)
    """
    if DOT_GIT not in path:
        return None
    names = path.split(b"/")
    return b"/".join(names[: names.index(DOT_GIT) + 1]) if DOT_GIT in names else None


def put_at(store: Objects, root: Entry, path: bytes, entry: Entry | None) -> Entry:
    """Return `root` with `entry`, and all that is below it, at a path; without anything for None.

    The directory above must be there, and keeps its time.  Objects go into the store's batch.
    Cost: the size of the directories on the way.
    """
    *above, name = path.split(b"/")
    way = [root]
    for each in above:
        found = find_entry(store, way[-1], each)
        assert found is not None
        way.append(found)
    new = entry._replace(name=name) if entry is not None else None
    for directory in reversed(way):
        children = {entry_name(raw): raw for raw in read_entries(store, TreeId(directory.oid))}
        children.pop(name, None)
        if new is not None:
            children[name] = encode_entry(new)
        raws = [raw for _, raw in sorted(children.items())]
        new, name = put_directory(store, directory, raws, directory.oid), directory.name
    assert new is not None
    return new


def without_links(store: Objects, entry: Entry) -> Entry:
    """Return an entry whose files are no hard links, to be put into another tree."""
    if not entry.is_dir:
        return entry._replace(group=0)
    edits = {path: each._replace(group=0) for path, each in linked_entries(store, entry)}
    return edit_tree(store, entry, edits, entry.mtime_ns)


class _Rewritten(NamedTuple):
    """Fields of a directory's entry that a tree without a `.git` changes."""

    oid: Oid
    size: int
    links_below: bool


class GitFree:
    """Trees without any `.git`; it remembers those that it has seen."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._known: dict[TreeId, _Rewritten | None] = {}
        """Tree -> what it becomes; None for one that stays as it is."""

    @property
    def count(self) -> int:
        """Number of trees that were looked at."""
        return len(self._known)

    def strip(self, root: Entry, limit: int | None = None) -> Entry:
        """Return the entry of a directory without a `.git` in it, or anywhere below.

        Objects go into the store's batch.  Stop after `limit` new trees, and return `root`.
        Cost: 20 us for each directory that was not seen before.
        """
        last = len(self._known) + limit if limit is not None else None
        top = TreeId(root.oid)
        below: dict[TreeId, list[TreeId]] = {}
        pending = [(top, False)]
        while pending:
            tree, is_ready = pending.pop()
            if tree in self._known:
                continue
            if is_ready:
                self._known[tree] = self._rewrite(tree, below.pop(tree))
            elif last is not None and len(self._known) + len(below) >= last:
                return root
            else:
                below[tree] = self._below(tree)
                pending.append((tree, True))
                pending += [(each, False) for each in below[tree]]
        found = self._known[top]
        return root if found is None else root._replace(**found._asdict())

    def forget(self) -> None:
        """Forget everything, because objects that were made may go from the store."""
        empty_later(self._known)
        self._known = {}

    def _below(self, tree: TreeId) -> list[TreeId]:
        return [
            TreeId(Oid(raw[OID_AT : OID_AT + OID_BYTES]))
            for raw in read_entries(self._store, tree)
            if is_dir_entry(raw) and entry_name(raw) != DOT_GIT
        ]

    def _rewrite(self, tree: TreeId, below: list[TreeId]) -> _Rewritten | None:
        """Return the new tree of a directory, once all below it are known."""
        raws = read_entries(self._store, tree)
        left = [raw for raw in raws if entry_name(raw) != DOT_GIT]
        if len(left) == len(raws) and not any(self._known[each] for each in below):
            return None
        whole = Entry(b"", 0, 0, 0, 0, 0, tree)
        made = put_directory(self._store, whole, [*map(self._entry, left)], tree)
        return _Rewritten(made.oid, made.size, made.links_below)

    def _entry(self, raw: bytes) -> bytes:
        """Return an encoded entry, with the tree that a directory becomes."""
        if not is_dir_entry(raw):
            return raw
        entry = decode_entry(raw)[0]
        found = self._known[TreeId(entry.oid)]
        return raw if found is None else encode_entry(entry._replace(**found._asdict()))
