"""A side of a three-way merge: the files and directories it changed, moved, added or removed."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.merge.renames import Pair
from heliosfs.store.base import Store
from heliosfs.trees.gitlinks import is_directory
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, walk_changes


class SideEntry(NamedTuple):
    """A file on one side: its path and its entry."""

    path: bytes
    entry: Entry


class Side:
    """The changes of one side since the base, separately for files and directories."""

    def __init__(self, store: Store, base: Entry | None, root: Entry) -> None:
        tree = TreeId(base.oid) if base is not None else EMPTY_TREE
        changes = list(walk_changes(store, tree, TreeId(root.oid)))
        if base is not None and differs(base, root):
            changes.append(Change(b"", base, root))
        self.files: dict[bytes, Pair] = {}
        self.directories: dict[bytes, Pair] = {}
        self.renames: dict[bytes, bytes] = {}
        for path, old, new in changes:
            is_dir = [entry is not None and is_directory(entry) for entry in (old, new)]
            files = None if is_dir[0] else old, None if is_dir[1] else new
            directories = old if is_dir[0] else None, new if is_dir[1] else None
            if files != (None, None):
                self.files[path] = files
            if directories != (None, None):
                self.directories[path] = directories

    def find(self, path: bytes, base: Entry) -> SideEntry | None:
        """Return path and entry now of the file that the base has at `path`, or None."""
        if path not in self.files:
            return SideEntry(path, base)
        new = self.files[path][1]
        if new is not None:
            return SideEntry(path, new)
        target = self.renames.get(path)
        entry = self.files[target][1] if target is not None else None
        return SideEntry(target, entry) if target is not None and entry is not None else None

    def base(self, path: bytes) -> Entry | None:
        """Return the file that the base had at `path`, if this side changed it."""
        return self.files.get(path, (None, None))[0]

    def added(self, path: bytes) -> Entry | None:
        """Return the file at `path` that this side has and the base lacks."""
        old, new = self.files.get(path, (None, None))
        return new if old is None else None
