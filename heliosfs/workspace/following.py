"""Follow a selection: the tree of the next commit, made from what flushes have edited since.

A commit of a working tree with ignored files, or with a `.git`, is not the working tree itself: it
is selected (`trees.select`), by a comparison with HEAD.  Mostly the next commit changes some files
that the last one has, and then the comparison finds what the flush has just written.  So the edits
of a flush are remembered, and made to the last selected tree instead: a commit takes half the time.

It is followed only where the result is certain: no name came or went outside of a `.git`, no file
with rules changed, and every edit is of an entry that the selected tree has as it was, or has not
at all, because it is ignored.  Else the trees are compared.  The time of a directory in which only
ignored files changed is that of an earlier commit, as it may be after a comparison.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.splice import splice
from heliosfs.objects.tree import (
    FIXED_BYTES,
    FLAGS_AT,
    INDEX,
    LINKS_BELOW,
    NAME_LENGTH_AT,
    OID_AT,
    Entry,
    decode_entry,
    encode_entry,
    end_of_extras,
    entry_name,
    is_dir_entry,
    split_leaf,
)
from heliosfs.store.base import Store
from heliosfs.trees.ignore import GIT_IGNORE_NAME, IGNORE_NAME
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.same import same_but_times
from heliosfs.trees.stored import put_tree, read_tree
from heliosfs.workspace.flushed import Flush
from heliosfs.workspace.nodes import DirNode
from heliosfs.workspace.workspace import Workspace

_OWNER_ENDS = 10
"""Offset in an encoded entry at which mode and owner end, and the time begins."""
_INFO = b"info"
"""Directory in a `.git` whose file `exclude` may have rules."""


class Selected(NamedTuple):
    """The tree of a commit, and the working tree that it was selected from."""

    head: CommitId
    work: TreeId
    root: Entry


class Followed(NamedTuple):
    """A selected tree after some flushes."""

    root: Entry
    is_altered: bool
    """True if it is known to differ in more than times."""


def follow(workspace: Workspace, selected: Selected) -> Followed | None:
    """Return the selected tree after the flushes since; None if that is not certain.

    Trees go into the store's batch.  Cost: O(edits), and the size of the directories with ignored
    files on the way.  Raise StoreError.
    """
    flushes, root = workspace.record.flushes, workspace.root
    if not flushes or workspace.links.exist:
        return None
    tree = selected.work
    for each in flushes:
        if each.before != tree:
            return None
        tree = each.after
    if tree != root.tree or any(_may_change_rules(each) for each in flushes):
        return None
    follower = _Follower(workspace.store, root, selected.root)
    if not all(follower.apply(each) for each in flushes):
        return None
    entry = follower.close()
    # What two flushes altered may be as it was before the first.
    return entry and Followed(entry, follower.is_altered and len(flushes) == 1)


def _may_change_rules(flush: Flush) -> bool:
    return any(
        IGNORE_NAME in names
        or GIT_IGNORE_NAME in names
        or (directory.name == DOT_GIT and _INFO in names)
        for directory, (_, names) in flush.directories.items()
    )


class _Shadow:
    """Directory whose tree in the selection is not that of the working tree."""

    __slots__ = ("data", "has_changed", "parent", "raw", "tree")

    def __init__(self, data: bytes, tree: TreeId, raw: bytes, parent: DirNode | None) -> None:
        self.data = data
        """Bytes of the selected tree, with the edits so far."""
        self.tree = tree
        self.raw = raw
        """Encoded entry in the selected tree of the directory above; empty for the root."""
        self.parent = parent
        self.has_changed = False


class _Follower:
    """Edits of flushes that are made to the directories of a selected tree."""

    def __init__(self, store: Store, root: DirNode, selected: Entry) -> None:
        self._store = store
        self._root = root
        self._selected = selected
        tree = TreeId(selected.oid)
        self._shadows = {root: _Shadow(read_tree(store, tree), tree, b"", None)}
        """Shadows, each before those below it."""
        self.is_altered = False

    def apply(self, flush: Flush) -> bool:
        """Make the edits of a flush; return False if the result would not be certain."""
        shadows = [self._root]
        for directory in shadows:
            edits, _ = flush.directories.get(directory, (None, None))
            if edits is None:
                return False
            shadow = self._shadows[directory]
            if shadow.data[:1] == INDEX:
                return False
            for old, new in edits:
                is_dir = is_dir_entry(new)
                if not _is_same_kind(old, new):
                    return False
                name = entry_name(new)
                if _has(shadow.data, old):
                    data = splice(shadow.data, [(old, new)])
                    if data is None:
                        return False
                    shadow.data, shadow.has_changed = data, True
                    if is_dir and not self._check(flush, _child(directory, name), is_in=True):
                        return False
                    self.is_altered |= not is_dir and not same_but_times(old, new)
                    continue
                raw = _find(shadow.data, name)
                below = _child(directory, name) if is_dir else None
                if raw is None:
                    # It is ignored, and stays so.
                    if is_dir and name != DOT_GIT and not self._check(flush, below, is_in=False):
                        return False
                elif below is None or not is_dir_entry(raw):
                    return False
                else:
                    self._open(below, raw, directory)
                    shadows.append(below)
        return True

    def _check(self, flush: Flush, top: DirNode | None, *, is_in: bool) -> bool:
        """Check the edits in a directory that is selected as a whole, or not at all."""
        pending = [top]
        for directory in pending:
            if directory is None:
                return False
            edits, _ = flush.directories.get(directory, (None, None))
            if edits is None:
                return False
            for old, new in edits:
                if not _is_same_kind(old, new):
                    return False
                if is_dir_entry(new):
                    pending.append(_child(directory, entry_name(new)))
                elif is_in:
                    self.is_altered |= not same_but_times(old, new)
        return True

    def _open(self, directory: DirNode, raw: bytes, parent: DirNode) -> None:
        if directory not in self._shadows:
            tree = TreeId(Oid(raw[OID_AT:FLAGS_AT]))
            self._shadows[directory] = _Shadow(read_tree(self._store, tree), tree, raw, parent)

    def close(self) -> Entry | None:
        """Store the trees that changed; return the root, or None if that is not certain."""
        for directory, shadow in reversed(self._shadows.items()):
            if not shadow.has_changed:
                continue
            tree = put_tree(self._store, shadow.data, shadow.tree)
            assert directory.raw is not None
            now, _ = decode_entry(directory.raw)
            if shadow.parent is None:
                if tree == shadow.tree:
                    return None
                return now._replace(oid=tree, size=self._selected.size)
            was, _ = decode_entry(shadow.raw)
            raw = encode_entry(now._replace(oid=tree, size=was.size))
            above = self._shadows[shadow.parent]
            data = splice(above.data, [(shadow.raw, raw)])
            if data is None:
                return None
            above.data, above.has_changed = data, True
        # Nothing changed but ignored files.
        return None


def _is_same_kind(old: bytes, new: bytes) -> bool:
    """Return True if both are files, or both directories that differ at most in tree and time."""
    if not is_dir_entry(new):
        return not is_dir_entry(old)
    return old[:_OWNER_ENDS] == new[:_OWNER_ENDS] and old[FLAGS_AT:] == new[FLAGS_AT:]


def _child(directory: DirNode, name: bytes) -> DirNode | None:
    child = (directory.children or {}).get(name)
    return child if isinstance(child, DirNode) else None


def _has(data: bytes, raw: bytes) -> bool:
    """Return True if a leaf has an encoded entry: 0.2 us for each entry before it.

    The bytes alone say little: a symlink's target, or an extended attribute, may contain them.
    """
    wanted, at = data.find(raw), 1
    while at < wanted:
        flags, length = data[at + FLAGS_AT], data[at + NAME_LENGTH_AT]
        at += FIXED_BYTES + length
        if flags & ~LINKS_BELOW:
            at = end_of_extras(data, flags, at)
    return at == wanted


def _find(data: bytes, name: bytes) -> bytes | None:
    """Return the encoded entry of a name in a leaf, or None."""
    if name not in data:
        return None
    return next((raw for raw in split_leaf(data) if entry_name(raw) == name), None)
