"""Redate a tree that a verb is about to show: set mtimes to when bytes arrived at a path.

make, ninja and cargo compare the mtime of a source with that of the output built from it.  A
source that came back with the time of its commit would be older than an output built from other
bytes, and would not be built again.  So a file that is new, or whose bytes the verb replaces, gets
the time of the verb.  A file with the same bytes as before keeps its time, and so does a directory
in which no name came, went or was replaced.
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
"""Mask and value of the file type in the second byte of an encoded entry."""

Known = dict[tuple[TreeId, TreeId], tuple[Changes, bytes]]
"""Pair of trees, before and after -> their differences, and the bytes of the tree after."""


class Moment(NamedTuple):
    """Time at which a verb replaces files."""

    now_ns: int
    """Current time, later than every time that was assigned before."""
    read_ns: int
    """Latest mtime of a file that was opened for reading."""

    def after(self, mtime_ns: int, *, is_same_size: bool) -> int:
        """Return the mtime for a file that replaces one of `mtime_ns`: always a later one.

        Python's caches and rsync compare whole seconds and the size.  If they may have read the
        old file, a new one of the same size gets a time in a later second, at most one ahead.
        """
        time_ns = max(self.now_ns, mtime_ns + 1)
        read_second = min(self.read_ns, mtime_ns) // SECOND_NS
        if is_same_size and time_ns // SECOND_NS <= read_second:
            time_ns = (read_second + 1) * SECOND_NS
        return min(time_ns, TIME_MAX_NS)


class RedateResult(NamedTuple):
    """Result of `redate`: a root to show, with its files' new times."""

    root: Entry
    raw: bytes
    """Encoded entry of the root."""
    known: Known
    """Pairs of trees that were compared on the way, and need not be compared again."""
    twin: tuple[Oid, Oid] | None
    """Id of the target's tree, and of the one with other times that takes its place."""


def redate(workspace: Workspace, target: Entry) -> RedateResult:
    """Return `target`, which is to replace the clean live tree, with new times for its files.

    Objects go into the store's batch; nothing else is altered.  Cost: O(changed), and the size
    of the leaves in which something changed.  Raises StoreError.
    """
    if not workspace.gives_new_times:
        return with_times_unchanged(target)
    if target.oid == workspace.root.tree and encode_entry(target) == workspace.root.raw:
        return RedateResult(target, workspace.root.raw, {}, None)
    walk = _Walk(workspace, Moment(workspace.clock.later_ns(), workspace.read_ns))
    return walk.run(target)


def with_times_unchanged(target: Entry) -> RedateResult:
    """Return `target` with its times unchanged."""
    return RedateResult(target, encode_entry(target), {}, None)


def with_shown_times(workspace: Workspace, root: Entry, *, is_head: bool = False) -> Entry:
    """Return a root, to be compared with the live tree, with the times that its files have there.

    So the comparison stops at a directory in which only times differ.  The times are used if they
    are known; for HEAD they are looked up once after a switch, in O(changed), and later
    comparisons cost O(edited).  Raises StoreError.
    """
    twin = workspace.twin
    is_due = is_head and workspace.is_twin_due and not workspace.is_dirty
    if is_due and (twin is None or twin[0] != root.oid) and root.oid != workspace.root.tree:
        workspace.is_twin_due = False
        twin = workspace.twin = root.oid, _Walk(workspace, None).run(root).root.oid
    return root._replace(oid=twin[1]) if twin is not None and twin[0] == root.oid else root


class _Directory:
    """Directory that is being compared: its trees before and after, and the decisions so far."""

    __slots__ = ("after", "before", "below", "changes", "data", "edits", "is_compared",
                 "is_renamed", "new", "node", "old", "wanted")  # fmt: skip

    def __init__(self, node: DirNode | None, old: bytes | None, new: bytes) -> None:
        self.node = node
        """Live node of the directory, if it is loaded."""
        self.old = old
        """Encoded entry of the directory before; None if there was no directory."""
        self.new = new
        before = old[OID_AT:FLAGS_AT] if old is not None else EMPTY_TREE
        self.before = TreeId(Oid(before))
        self.after = TreeId(Oid(new[OID_AT:FLAGS_AT]))
        self.changes: Changes = {}
        """Name -> encoded entry before, and the one to show."""
        self.edits: dict[bytes, Replacement] = {}
        """Name -> encoded entry of the target, and the one to show instead."""
        self.data = b""
        """Bytes of the tree `after`."""
        self.wanted = new
        """Encoded entry to show, once the directory's tree is written."""
        self.is_renamed = False
        """True if a name in it came, went, or refers to another file."""
        self.is_compared = False
        self.below: list[_Directory] = []


class _Walk:
    def __init__(self, workspace: Workspace, moment: Moment | None) -> None:
        """Prepare a walk; without a moment, new files and replaced files keep their time."""
        self._workspace = workspace
        self._store = workspace.store
        self._moment = moment
        self._now = _MTIME.pack(moment.now_ns) if moment is not None else None
        self._second_ns = moment.now_ns // SECOND_NS * SECOND_NS if moment is not None else 0
        """Start of the current second; a file changed before it needs no special time."""
        self._known: Known = {}
        self._groups: set[int] = set()
        """Link groups that have a name whose entry changed."""

    def run(self, target: Entry) -> RedateResult:
        """Compare on the way down, write on the way up; no recursion, as trees are deep.

        Return the result for the root.
        """
        node, twin = self._workspace.root, self._workspace.twin
        assert node.raw is not None
        wanted = encode_entry(target)
        if twin is not None and twin[0] == target.oid:
            # The twin is this target as shown here before, so only later changes differ from it.
            wanted = wanted[:OID_AT] + twin[1] + wanted[FLAGS_AT:]
        root = _Directory(node, node.raw, wanted)
        # The same pair of trees has the same result at every path.  A history of a few KB can have
        # more paths than can be visited, as its directories share their trees.
        done: dict[tuple[TreeId, TreeId], tuple[TreeId, bool]] = {}
        way = [root]
        while way:
            directory = way[-1]
            pair = directory.before, directory.after
            if directory.is_compared:
                for below in directory.below:
                    self._conclude(directory, below)
                self._write(directory)
                done[pair] = directory.after, directory.is_renamed
            elif pair[0] == pair[1]:
                pass
            elif pair in done:
                directory.after, directory.is_renamed = done[pair]
            else:
                directory.is_compared = True
                self._compare(directory)
                way += directory.below
                continue
            way.pop()
            # Here and not in a function, as each directory of each checkout comes this way.
            old, new = directory.old, directory.new
            mtime = self._now or new[_MTIME_AT:_SIZE_AT]
            if old is not None and not directory.is_renamed:
                mtime = old[_MTIME_AT:_SIZE_AT]
            head = new[:_MTIME_AT] + mtime + new[_SIZE_AT:OID_AT]
            directory.wanted = head + directory.after + new[FLAGS_AT:]
        raw = root.wanted
        entry, _ = decode_entry(raw)
        if self._groups and self._moment is not None:
            entry = self._unite_links(entry, self._moment.now_ns)
            raw = encode_entry(entry)
        twin = (target.oid, entry.oid) if target.oid != entry.oid else None
        return RedateResult(entry, raw, self._known, twin)

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
        """Decide the entries of a directory, except those of its subdirectories."""
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
                # The same bytes keep their time, so that nothing is built again for them.
                wanted = new[:_MTIME_AT] + old[_MTIME_AT:_SIZE_AT] + new[_SIZE_AT:]
            elif now is None:
                is_renamed, wanted = True, new
            else:
                is_renamed, mtime = True, now
                if old is not None and _MTIME.unpack_from(old, _MTIME_AT)[0] >= self._second_ns:
                    # Only a file that changed within this second can have a time that the new one
                    # must exceed.
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
        """Return the packed mtime of a file that replaces one changed in this second or later."""
        if self._moment is None:
            return now
        (mtime_ns,) = _MTIME.unpack_from(old, _MTIME_AT)
        is_same_size = old[_SIZE_AT:OID_AT] == new[_SIZE_AT:OID_AT]
        time_ns = self._moment.after(mtime_ns, is_same_size=is_same_size)
        self._workspace.clock.note(time_ns)
        return _MTIME.pack(time_ns)

    def _conclude(self, directory: _Directory, below: _Directory) -> None:
        """Record the decided entry of the subdirectory `below` in its parent `directory`."""
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
        """Write a directory's tree, unless it is the same as before."""
        before, edits = directory.before, directory.edits
        if not directory.changes:
            # Only times differed, and those of here are kept: it is the tree that was there.
            directory.after = before
            return
        if edits:
            data = None
            if len(edits) <= SPLICED_MAX and directory.data[:1] != INDEX:
                data = splice(directory.data, edits.values())
            directory.data = data if data is not None else self._edited(directory)
            directory.after = put_tree(self._store, directory.data, directory.after)
        # `plan` asks for pairs of loaded directories only.
        if directory.node is not None:
            self._known[before, directory.after] = directory.changes, directory.data

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
        """Set the latest mtime on all names of a file, since the walk may have missed some."""
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
    """Return True if two entries of equal size and id also have equal kind, target and device."""
    if old[1] & _KIND != new[1] & _KIND:
        return False
    if not (old[FLAGS_AT] | new[FLAGS_AT]) & (TARGET | DEVICE):
        return True
    one, other = decode_entry(old)[0], decode_entry(new)[0]
    return one.target == other.target and one.rdev == other.rdev


def _replace(data: bytes, edits: Collection[Replacement]) -> bytes:
    """Return a leaf in which some encoded entries are replaced; the names stay."""
    wanted = dict(edits)
    return join_leaf([wanted.get(raw, raw) for raw in split_leaf(data)])
