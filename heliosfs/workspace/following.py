"""Follow a selection: the tree of the next commit, made from what flushes have edited since.

A commit of a working tree with ignored files, or with a `.git`, is not the working tree itself: it
is selected (`trees.select`), by a comparison with HEAD.  Mostly the next commit changes some files
that the last one has, and then the comparison finds what the flush has just written.  So the edits
of a flush are remembered, and made to the last selected tree instead: a commit takes half the time.

It is followed only where the result is certain.  No file with rules changed, so what is ignored
stays so, and the rules are asked about new names alone.  Every other edit is of an entry that the
selected tree has as it was, or has not at all, because it is ignored.  A new directory that is not
ignored may hold anything.  In all other cases the trees are compared.  The time of a directory in
which only ignored files changed is that of an earlier commit, as it may be after a comparison.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.splice import splice
from heliosfs.objects.tree import (
    FIXED_BYTES,
    FLAGS_AT,
    INDEX,
    INDEX_FROM,
    LINKS_BELOW,
    NAME_LENGTH_AT,
    OID_AT,
    Entry,
    decode_entry,
    encode_entry,
    end_of_extras,
    entry_name,
    is_dir_entry,
    join_leaf,
    split_leaf,
)
from heliosfs.store.base import Store
from heliosfs.trees.ignore import GIT_IGNORE_NAME, IGNORE_NAME, IgnoreRules, rules_in
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.same import same_but_times
from heliosfs.trees.stored import put_tree, read_tree
from heliosfs.workspace.flushed import Edited, Flush
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
    try:
        for each in flushes:
            follower.apply(each)
        entry = follower.close()
    except _Uncertain:
        return None
    # What two flushes altered may be as it was before the first.
    return Followed(entry, follower.is_altered and len(flushes) == 1)


def _may_change_rules(flush: Flush) -> bool:
    return any(
        name in (IGNORE_NAME, GIT_IGNORE_NAME) or (directory.name == DOT_GIT and name == _INFO)
        for directory, edits in flush.directories.items()
        for name, _, _ in edits
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

    def replace(self, old: bytes, new: bytes) -> None:
        """Replace an encoded entry; nothing removes it.  Raise _Uncertain."""
        data = splice(self.data, [(old, new)])
        _check(data is not None)
        assert data is not None
        self.data, self.has_changed = data, True

    def insert(self, name: bytes, raw: bytes) -> None:
        """Insert an encoded entry; an entry of that name must not be there.  Raise _Uncertain."""
        raws = split_leaf(self.data)
        at = bisect_left(raws, name, key=entry_name)
        _check(at == len(raws) or entry_name(raws[at]) != name)
        raws.insert(at, raw)
        self.data, self.has_changed = join_leaf(raws), True


class _RulesHere(NamedTuple):
    """The rules that apply in a directory."""

    rules: IgnoreRules | None
    place: bytes
    """Path of the directory with a slash at its end; empty for the root."""
    is_inside: bool
    """True if the directory is ignored, so that everything in it that HEAD has not is, too."""


_OUTSIDE = _RulesHere(None, b"", is_inside=False)


class _Uncertain(Exception):
    """The selected tree can be found by a comparison only."""


class _Follower:
    """Edits of flushes that are made to the directories of a selected tree."""

    def __init__(self, store: Store, root: DirNode, selected: Entry) -> None:
        self._store = store
        self._root = root
        self._selected = selected
        tree = TreeId(selected.oid)
        self._shadows = {root: _Shadow(read_tree(store, tree), tree, b"", None)}
        """Shadows, each before those below it."""
        self._rules: dict[DirNode, _RulesHere] = {}
        self.is_altered = False

    def apply(self, flush: Flush) -> None:
        """Make the edits of a flush.  Raise _Uncertain."""
        shadows = [self._root]
        for directory in shadows:
            shadow = self._shadows[directory]
            _check(shadow.data[:1] != INDEX and len(directory.children or ()) < INDEX_FROM)
            for name, old, new in _edits(flush, directory):
                if old is None or new is None:
                    self._add_or_remove(directory, shadow, name, new)
                    continue
                _check(_is_same_kind(old, new))
                below = _child(directory, name) if is_dir_entry(new) else None
                raw = old if _has(shadow.data, old) else _find(shadow.data, name)
                if raw is None:
                    # It is ignored, and stays so.
                    if below is not None and not self._is_out(directory, name):
                        self._pass(flush, below, is_in=False)
                elif below is None:
                    _check(raw == old)
                    shadow.replace(old, new)
                    self.is_altered |= not same_but_times(old, new)
                elif raw == old and self._pass(flush, below, is_in=True):
                    shadow.replace(old, new)
                else:
                    self._open(below, raw, directory)
                    shadows.append(below)

    def _add_or_remove(
        self, directory: DirNode, shadow: _Shadow, name: bytes, new: bytes | None
    ) -> None:
        """Let a name come or go in a directory whose selected tree is another one."""
        if new is not None:
            if name != DOT_GIT and not self._is_ignored(directory, name, is_dir=is_dir_entry(new)):
                _check(not is_dir_entry(new))
                shadow.insert(name, new)
                self.is_altered = True
            return
        raw = _find(shadow.data, name)
        if raw is not None:
            _check(not is_dir_entry(raw))
            shadow.replace(raw, b"")
            self.is_altered = True

    def _pass(self, flush: Flush, top: DirNode, *, is_in: bool) -> bool:
        """Look through the edits in a directory that is selected as a whole, or not at all.

        Return False if a part of it is selected from now on.  Raise _Uncertain.
        """
        is_altered = False
        pending = [top]
        for directory in pending:
            for name, old, new in _edits(flush, directory):
                if new is None:
                    is_altered = True
                    continue
                is_dir = is_dir_entry(new)
                if old is None:
                    is_out = name == DOT_GIT or self._is_ignored(directory, name, is_dir=is_dir)
                    if is_out and is_in:
                        return False
                    # What is not ignored in a directory that is not selected makes it one that is.
                    _check(is_out or (is_in and not is_dir))
                    is_altered = True
                    continue
                _check(_is_same_kind(old, new))
                if not is_dir:
                    is_altered |= not same_but_times(old, new)
                elif is_in or not self._is_out(directory, name):
                    below = _child(directory, name)
                    _check(below is not None)
                    assert below is not None
                    pending.append(below)
        self.is_altered |= is_altered and is_in
        return True

    def _is_out(self, directory: DirNode, name: bytes) -> bool:
        """Return True if a directory is never selected, whatever comes or goes in it."""
        return name == DOT_GIT or self._is_ignored(directory, name, is_dir=True)

    def _is_ignored(self, directory: DirNode, name: bytes, *, is_dir: bool) -> bool:
        """Return True if a name that the last commit has not is ignored."""
        rules, place, is_inside = self._rules_in(directory)
        return is_inside or (rules is not None and rules.ignores(place + name, is_dir=is_dir))

    def _rules_in(self, directory: DirNode) -> _RulesHere:
        way = []
        while directory not in self._rules:
            way.append(directory)
            if directory is self._root:
                break
            _check(directory.parent is not None)
            assert directory.parent is not None
            directory = directory.parent
        rules, place, is_inside = self._rules.get(directory, _OUTSIDE)
        for each in reversed(way):
            if each is not self._root:
                path = place + each.name
                is_inside = is_inside or (rules is not None and rules.ignores(path, is_dir=True))
                place = path + b"/"
            if not is_inside:
                assert each.raw is not None
                rules = rules_in(self._store, decode_entry(each.raw)[0], place, rules)
            directory = each
            self._rules[each] = _RulesHere(rules, place, is_inside)
        return self._rules[directory]

    def _open(self, directory: DirNode, raw: bytes, parent: DirNode) -> None:
        if directory not in self._shadows:
            _check(is_dir_entry(raw))
            tree = TreeId(Oid(raw[OID_AT:FLAGS_AT]))
            self._shadows[directory] = _Shadow(read_tree(self._store, tree), tree, raw, parent)

    def close(self) -> Entry:
        """Store the trees that changed; return the root.  Raise _Uncertain."""
        for directory, shadow in reversed(self._shadows.items()):
            if not shadow.has_changed:
                continue
            tree = put_tree(self._store, shadow.data, shadow.tree)
            assert directory.raw is not None
            now, _ = decode_entry(directory.raw)
            if shadow.parent is None:
                _check(tree != shadow.tree)
                return now._replace(oid=tree, size=self._selected.size)
            was, _ = decode_entry(shadow.raw)
            raw = encode_entry(now._replace(oid=tree, size=was.size))
            self._shadows[shadow.parent].replace(shadow.raw, raw)
        # Nothing changed but ignored files, of which a comparison keeps the tree of HEAD.
        raise _Uncertain


def _check(is_certain: bool) -> None:
    if not is_certain:
        raise _Uncertain


def _edits(flush: Flush, directory: DirNode) -> Iterator[Edited]:
    """Yield the edits of a directory that are any.  Raise _Uncertain if it has no record."""
    edits = flush.directories.get(directory)
    _check(edits is not None)
    assert edits is not None
    yield from (each for each in edits if each[1] != each[2])


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
