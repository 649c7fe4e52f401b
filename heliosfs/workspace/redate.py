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

from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import (
    DEVICE,
    FIXED_BYTES,
    LINK,
    OID_AT,
    TARGET,
    TIME_MAX_NS,
    Entry,
    LeafRef,
    decode_entry,
    encode_entry,
    encode_index,
    entry_name,
    is_dir_entry,
    is_index,
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
from heliosfs.workspace.leafbytes import SPLICED_MAX, Edit, splice
from heliosfs.workspace.nodes import DirNode
from heliosfs.workspace.workspace import Workspace

_FLAGS_AT = FIXED_BYTES - 2
_MTIME_AT, _SIZE_AT = 10, 18
_MTIME = struct.Struct("<q")
_KIND, _DIRECTORY = 0xF0, 0x40
"""In the second byte of an entry."""
_SECOND_NS = 10**9

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
        read_second = min(self.read_ns, mtime_ns) // _SECOND_NS
        if is_same_size and time_ns // _SECOND_NS <= read_second:
            time_ns = (read_second + 1) * _SECOND_NS
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
    return _Walk(workspace, Moment(workspace.clock.later_ns(), workspace.read_ns)).run(target)


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
                 "node", "old")  # fmt: skip

    def __init__(self, node: DirNode | None, old: bytes | None, new: bytes) -> None:
        self.node = node
        """What shows it, if it is loaded."""
        self.old = old
        """The encoded entry that was there; None unless a directory was."""
        self.new = new
        self.before = _tree_of(old) if old is not None else EMPTY_TREE
        self.after = _tree_of(new)
        self.changes: Changes = {}
        """Name -> the encoded entry that was there, and the one that shall be."""
        self.edits: dict[bytes, Edit] = {}
        """Name -> the encoded entry of the target, and the one that shall be instead."""
        self.data = b""
        """The bytes of `after`."""
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
        self._second_ns = moment.now_ns // _SECOND_NS * _SECOND_NS if moment is not None else 0
        """No file that was changed before this second needs a time of its own."""
        self._known: Known = {}
        self._groups: set[int] = set()
        """Link groups of which a name changed."""

    def run(self, target: Entry) -> Redated:
        """Compare from the top down, write from the bottom up; no recursion, as trees are deep."""
        node = self._workspace.root
        assert node.raw is not None
        root = _Directory(node, node.raw, encode_entry(target))
        order = [root]
        for directory in order:
            if directory.before != directory.after:
                self._compare(directory)
                order += directory.below
        for directory in reversed(order):
            for below in directory.below:
                self._conclude(directory, below)
            self._write(directory)
        raw = self._entry(root)
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
        if is_index(old_data) or is_index(new_data):
            changes = changed_entries(store, before, after)
        else:
            changes = compare_leaves([old_data], [new_data], after)
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
            if new[_FLAGS_AT] & LINK:
                self._groups.add(decode_entry(new)[0].group)
            if old is not None and _same_bytes(old, new):
                wanted = new[:_MTIME_AT] + old[_MTIME_AT:_SIZE_AT] + new[_SIZE_AT:]
            elif now is None:
                is_renamed, wanted = True, new
            else:
                is_renamed = True
                mtime = now if old is None else self._time_after(old, new, now)
                wanted = new[:_MTIME_AT] + mtime + new[_SIZE_AT:]
            if wanted != old:
                decided[name] = old, wanted
            if wanted != new:
                edits[name] = new, wanted
        directory.is_renamed |= is_renamed

    def _go_below(self, directory: _Directory, name: bytes, old: bytes | None, new: bytes) -> None:
        was = old if old is not None and is_dir_entry(old) else None
        directory.is_renamed |= was is None
        directory.changes[name] = old, new
        node = directory.node
        child = (node.children or {}).get(name) if node is not None else None
        shown = child if isinstance(child, DirNode) else None
        directory.below.append(_Directory(shown, was, new))

    def _time_after(self, old: bytes, new: bytes, now: bytes) -> bytes:
        moment = self._moment
        (mtime_ns,) = _MTIME.unpack_from(old, _MTIME_AT)
        if moment is None or mtime_ns < self._second_ns:
            return now
        is_same_size = old[_SIZE_AT:OID_AT] == new[_SIZE_AT:OID_AT]
        time_ns = moment.after(mtime_ns, is_same_size=is_same_size)
        self._workspace.clock.note(time_ns)
        return _MTIME.pack(time_ns)

    def _conclude(self, directory: _Directory, below: _Directory) -> None:
        """Take over what became of a directory into the one that it is in."""
        wanted = self._entry(below)
        name = entry_name(wanted)
        old, new = directory.changes[name]
        if wanted == old:
            del directory.changes[name]
        else:
            directory.changes[name] = old, wanted
        if wanted != new:
            directory.edits[name] = below.new, wanted

    def _entry(self, directory: _Directory) -> bytes:
        """The entry that a directory shall have, once its tree is written."""
        old, new = directory.old, directory.new
        kept = old is not None and not directory.is_renamed
        mtime = self._now or new[_MTIME_AT:_SIZE_AT]
        if old is not None and kept:
            mtime = old[_MTIME_AT:_SIZE_AT]
        return new[:_MTIME_AT] + mtime + new[_SIZE_AT:OID_AT] + directory.after + new[_FLAGS_AT:]

    def _write(self, directory: _Directory) -> None:
        """Give a directory the tree of what was decided, if that is not the one before."""
        before = directory.before
        if before == directory.after:
            return
        if not directory.changes:
            directory.after = before
            return
        if directory.edits:
            directory.data = self._edited(directory)
            directory.after = put_tree(self._store, directory.data, directory.after)
        if directory.node is not None:
            self._known[before, directory.after] = directory.changes, directory.data

    def _edited(self, directory: _Directory) -> bytes:
        data, edits = directory.data, directory.edits
        if not is_index(data):
            return _replace(data, edits.values())
        store = self._store
        refs = index_of(data, directory.after)
        firsts = [ref.first for ref in refs]
        leaves: dict[int, list[Edit]] = {}
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


def _tree_of(raw: bytes) -> TreeId:
    return TreeId(Oid(raw[OID_AT:_FLAGS_AT]))


def _same_bytes(old: bytes, new: bytes) -> bool:
    """Whether two entries name the same content: bytes, target of a link, or device."""
    if old[1] & 0xF0 != new[1] & 0xF0 or old[_SIZE_AT:_FLAGS_AT] != new[_SIZE_AT:_FLAGS_AT]:
        return False
    if not (old[_FLAGS_AT] | new[_FLAGS_AT]) & (TARGET | DEVICE):
        return True
    one, other = decode_entry(old)[0], decode_entry(new)[0]
    return one.target == other.target and one.rdev == other.rdev


def _replace(data: bytes, edits: Collection[Edit]) -> bytes:
    """A leaf with other entries for names that it has."""
    if len(edits) <= SPLICED_MAX:
        spliced = splice(data, edits)
        if spliced is not None:
            return spliced
    wanted = dict(edits)
    return join_leaf([wanted.get(raw, raw) for raw in split_leaf(data)])
