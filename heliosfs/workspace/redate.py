"""Redate: the tree that a verb brings, with times that say when its bytes came to a path.

make, ninja and cargo compare a source with what was made of it by their times.  A source that
came back with the time at which it was once committed would be older than an output made of
other bytes, and would not be built again.  So a file whose bytes the verb replaces, or that was
not there, gets the time of the verb.  What has the same bytes as before keeps the time that it
has, and so does a directory in which no name came, went or was replaced.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.splice import SPLICED_MAX, Replacement, splice
from heliosfs.objects.tree import (
    DEVICE,
    FIXED_BYTES,
    FLAGS_AT,
    INDEX,
    LINK,
    OID_AT,
    TARGET,
    TIME_MAX_NS,
    Entry,
    LeafRef,
    decode_entry,
    encode_entry,
    encode_index,
    join_leaf,
    split_leaf,
)
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.links import linked_entries
from heliosfs.trees.stored import (
    EMPTY_TREE,
    changed_entries,
    compare_leaves,
    index_of,
    put_tree,
    read_tree,
)
from heliosfs.workspace.nodes import DirNode
from heliosfs.workspace.workspace import Workspace

_MTIME_AT, _SIZE_AT = 10, 18
_MTIME = struct.Struct("<q")
_KIND, _DIRECTORY = 0xF0, 0x40
"""In the second byte of an entry."""

Known = dict[tuple[TreeId, TreeId], tuple[Changes, bytes]]
"""Tree before, tree after -> what differs between them, and the bytes of the one after."""


class Moment(NamedTuple):
    """When a verb replaces files."""

    now_ns: int
    """Later than every time that was given before."""
    read_ns: int
    """The latest mtime of a file that anybody opened to read."""

    def after(self, mtime_ns: int, *, is_same_size: bool) -> int:
        """The mtime of a file that replaces one of `mtime_ns`: later, whatever that is.

        Python's caches and rsync compare whole seconds and the size.  Where they may have read
        the file before, one of the same size gets a time in another second, at most one ahead.
        """
        time_ns = max(self.now_ns, mtime_ns + 1)
        read_second = min(self.read_ns, mtime_ns) // SECOND_NS
        if is_same_size and time_ns // SECOND_NS <= read_second:
            time_ns = (read_second + 1) * SECOND_NS
        return min(time_ns, TIME_MAX_NS)


class Redated(NamedTuple):
    """A root to show, with the times that its files shall have."""

    root: Entry
    raw: bytes
    """The root, encoded."""
    known: Known
    """What was compared on the way; need not be compared again."""
    twin: tuple[Oid, Oid] | None
    """The tree that was wanted, and the one with other times that takes its place."""


def redate(workspace: Workspace, target: Entry) -> Redated:
    """Give `target`, which takes the place of a clean tree, the times that its files shall have.

    The objects go into the store's batch; nothing else is altered.  Cost: O(changed), and the
    size of the leaves in which something changed.  StoreError.
    """
    if not workspace.gives_new_times:
        return as_it_is(target)
    if target.oid == workspace.root.tree and encode_entry(target) == workspace.root.raw:
        return Redated(target, workspace.root.raw, {}, None)
    walk = _Walk(workspace, Moment(workspace.clock.later_ns(), workspace.read_ns))
    return walk.run(target)


def as_it_is(target: Entry) -> Redated:
    """Show a root with the times that it has."""
    return Redated(target, encode_entry(target), {}, None)


def as_shown(workspace: Workspace, root: Entry, *, is_head: bool = False) -> Entry:
    """Give a root that is compared with what is shown the times that files have there, if known.

    So the comparison stops at a directory in which only times differ.  Of HEAD they are looked
    for once after a switch: O(changed) then, and from there on what was edited.  StoreError.
    """
    twin = workspace.twin
    is_due = is_head and workspace.is_twin_due and not workspace.is_dirty
    if is_due and (twin is None or twin[0] != root.oid) and root.oid != workspace.root.tree:
        workspace.is_twin_due = False
        twin = workspace.twin = root.oid, _Walk(workspace, None).run(root).root.oid
    return root._replace(oid=twin[1]) if twin is not None and twin[0] == root.oid else root


class _Directory:
    """A directory that is being looked at: the trees before and after, and what is decided."""

    __slots__ = ("after", "before", "below", "changes", "data", "edits", "is_renamed", "new",
                 "node", "old", "wanted")  # fmt: skip

    def __init__(self, node: DirNode | None, old: bytes | None, new: bytes) -> None:
        self.node = node
        """What shows it, if it is loaded."""
        self.old = old
        """The encoded entry that was there; None unless a directory was."""
        self.new = new
        before = old[OID_AT:FLAGS_AT] if old is not None else EMPTY_TREE
        self.before = TreeId(Oid(before))
        self.after = TreeId(Oid(new[OID_AT:FLAGS_AT]))
        self.changes: Changes = {}
        """Name -> the encoded entry that was there, and the one that shall be."""
        self.edits: dict[bytes, Replacement] = {}
        """Name -> the encoded entry of the target, and the one that shall be instead."""
        self.data = b""
        """The bytes of `after`."""
        self.wanted = new
        """The encoded entry that it shall have, once its tree is written."""
        self.is_renamed = old is None
        """Whether a name came, went, or means another file."""
        self.below: list[_Directory] = []


class _Walk:
    def __init__(self, workspace: Workspace, moment: Moment | None) -> None:
        """Without a moment, what is not there, or has other bytes there, keeps its time."""
        self._workspace = workspace
        self._store = workspace.store
        self._moment = moment
        self._now = _MTIME.pack(moment.now_ns) if moment is not None else None
        self._second_ns = moment.now_ns // SECOND_NS * SECOND_NS if moment is not None else 0
        """No file that was changed before this second needs a time of its own."""
        self._known: Known = {}
        self._groups: set[int] = set()
        """Link groups of which a name changed."""

    def run(self, target: Entry) -> Redated:
        """Compare from the top down, write from the bottom up; no recursion, as trees are deep."""
        node, twin = self._workspace.root, self._workspace.twin
        assert node.raw is not None
        wanted = encode_entry(target)
        if twin is not None and twin[0] == target.oid:
            # From what became of the target here before, only what was changed since differs.
            wanted = wanted[:OID_AT] + twin[1] + wanted[FLAGS_AT:]
        root = _Directory(node, node.raw, wanted)
        order = [root]
        for directory in order:
            if directory.before != directory.after:
                self._compare(directory)
                order += directory.below
        for directory in reversed(order):
            for below in directory.below:
                self._conclude(directory, below)
            self._write(directory)
        raw = root.wanted
        entry, _ = decode_entry(raw)
        if self._groups and self._moment is not None:
            entry = self._unite_links(entry, self._moment.now_ns)
            raw = encode_entry(entry)
        twin = (target.oid, entry.oid) if target.oid != entry.oid else None
        return Redated(entry, raw, self._known, twin)

    def _compare(self, directory: _Directory) -> None:
        store, node = self._store, directory.node
        before, after = directory.before, directory.after
        old_data = node.data if node is not None else None
        if old_data is None:
            old_data = read_tree(store, before)
        directory.data = new_data = read_tree(store, after)
        if old_data[:1] != INDEX and new_data[:1] != INDEX:
            changes = compare_leaves([old_data], [new_data], after)
        else:
            changes = changed_entries(store, before, after)
        self._decide(directory, changes)

    def _decide(self, directory: _Directory, changes: Changes) -> None:
        """Find what shall be in a directory, but for the entries of directories in it."""
        decided, edits, now = directory.changes, directory.edits, self._now
        is_renamed = directory.is_renamed
        for name, (old, new) in changes.items():
            if new is None:
                is_renamed = True
                decided[name] = old, None
                continue
            if new[1] & _KIND == _DIRECTORY:
                self._go_below(directory, name, old, new)
                continue
            if new[FLAGS_AT] & LINK:
                self._groups.add(decode_entry(new)[0].group)
            is_alike = old is not None and old[_SIZE_AT:FLAGS_AT] == new[_SIZE_AT:FLAGS_AT]
            if old is not None and is_alike and _same_bytes(old, new):
                wanted = new[:_MTIME_AT] + old[_MTIME_AT:_SIZE_AT] + new[_SIZE_AT:]
            elif now is None:
                is_renamed, wanted = True, new
            else:
                is_renamed, mtime = True, now
                if old is not None and _MTIME.unpack_from(old, _MTIME_AT)[0] >= self._second_ns:
                    mtime = self._time_after(old, new, now)
                wanted = new[:_MTIME_AT] + mtime + new[_SIZE_AT:]
            if wanted != old:
                decided[name] = old, wanted
            if wanted != new:
                edits[name] = new, wanted
        directory.is_renamed |= is_renamed

    def _go_below(self, directory: _Directory, name: bytes, old: bytes | None, new: bytes) -> None:
        was = old if old is not None and old[1] & _KIND == _DIRECTORY else None
        directory.is_renamed |= was is None
        directory.changes[name] = old, new
        node = directory.node
        child = (node.children or {}).get(name) if node is not None else None
        shown = child if isinstance(child, DirNode) else None
        directory.below.append(_Directory(shown, was, new))

    def _time_after(self, old: bytes, new: bytes, now: bytes) -> bytes:
        """The time of a file that replaces one which was changed in this second, or later."""
        if self._moment is None:
            return now
        (mtime_ns,) = _MTIME.unpack_from(old, _MTIME_AT)
        is_same_size = old[_SIZE_AT:OID_AT] == new[_SIZE_AT:OID_AT]
        time_ns = self._moment.after(mtime_ns, is_same_size=is_same_size)
        self._workspace.clock.note(time_ns)
        return _MTIME.pack(time_ns)

    def _conclude(self, directory: _Directory, below: _Directory) -> None:
        """Take over what became of a directory into the one that it is in."""
        wanted = below.wanted
        name = wanted[FIXED_BYTES : FIXED_BYTES + wanted[FIXED_BYTES - 1]]
        old, new = directory.changes[name]
        if wanted == old:
            del directory.changes[name]
        else:
            directory.changes[name] = old, wanted
        if wanted != new:
            directory.edits[name] = below.new, wanted

    def _write(self, directory: _Directory) -> None:
        """Write the tree of what was decided, unless it is the one before, and make its entry."""
        before, edits = directory.before, directory.edits
        if before == directory.after or not directory.changes:
            directory.after = before
        else:
            if edits:
                data = None
                if len(edits) <= SPLICED_MAX and directory.data[:1] != INDEX:
                    data = splice(directory.data, edits.values())
                directory.data = data if data is not None else self._edited(directory)
                directory.after = put_tree(self._store, directory.data, directory.after)
            if directory.node is not None:
                self._known[before, directory.after] = directory.changes, directory.data
        old, new = directory.old, directory.new
        mtime = self._now or new[_MTIME_AT:_SIZE_AT]
        if old is not None and not directory.is_renamed:
            mtime = old[_MTIME_AT:_SIZE_AT]
        head = new[:_MTIME_AT] + mtime + new[_SIZE_AT:OID_AT]
        directory.wanted = head + directory.after + new[FLAGS_AT:]

    def _edited(self, directory: _Directory) -> bytes:
        data, edits = directory.data, directory.edits
        if data[:1] != INDEX:
            return _replace(data, edits.values())
        store = self._store
        refs = index_of(data, directory.after)
        firsts = [ref.first for ref in refs]
        leaves: dict[int, list[Replacement]] = {}
        for name, edit in edits.items():
            leaves.setdefault(bisect_right(firsts, name) - 1, []).append(edit)
        for at, replaced in leaves.items():
            ref = refs[at]
            leaf = _replace(read_tree(store, ref.oid), replaced)
            refs[at] = LeafRef(ref.first, put_tree(store, leaf, ref.oid))
        return encode_index(refs)

    def _unite_links(self, root: Entry, now_ns: int) -> Entry:
        """Give the names of one file one time, the latest, where the walk saw some of them only."""
        members: dict[int, list[tuple[bytes, Entry]]] = {}
        for path, entry in linked_entries(self._store, root):
            if entry.group in self._groups:
                members.setdefault(entry.group, []).append((path, entry))
        edits: dict[bytes, Entry | None] = {}
        for names in members.values():
            latest_ns = max(entry.mtime_ns for _, entry in names)
            for path, entry in names:
                if entry.mtime_ns != latest_ns:
                    edits[path] = entry._replace(mtime_ns=latest_ns)
        return edit_tree(self._store, root, edits, now_ns)


def _same_bytes(old: bytes, new: bytes) -> bool:
    """Compare the kinds, and targets or devices, of entries of one size and id."""
    if old[1] & _KIND != new[1] & _KIND:
        return False
    if not (old[FLAGS_AT] | new[FLAGS_AT]) & (TARGET | DEVICE):
        return True
    one, other = decode_entry(old)[0], decode_entry(new)[0]
    return one.target == other.target and one.rdev == other.rdev


def _replace(data: bytes, edits: Collection[Replacement]) -> bytes:
    """A leaf with other entries for names that it has."""
    wanted = dict(edits)
    return join_leaf([wanted.get(raw, raw) for raw in split_leaf(data)])
