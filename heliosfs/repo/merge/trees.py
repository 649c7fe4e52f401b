"""Three-way merge of trees: the changes of theirs, applied to ours.

Only entries that changed on either side are read.  A renamed file is followed: its versions are
merged under the new path.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.merge.entries import EntryMerger, MergeRules, same_file
from heliosfs.repo.merge.renames import find_renames
from heliosfs.repo.merge.sides import Side, SideEntry
from heliosfs.repo.merge.text import Favor
from heliosfs.store.base import Store
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.gitlinks import is_directory
from heliosfs.trees.links import split_uneven_links
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, find_entry, walk_changes


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that the two sides changed in incompatible ways."""

    path: bytes
    kind: str
    """One of content, binary, mode, type, submodule, add/add, modify/delete, rename/delete,
    rename/rename, rename/add, file/directory."""
    base: Entry | None = None
    ours: Entry | None = None
    theirs: Entry | None = None


class MergeResult(NamedTuple):
    """The merged tree; undecided parts are in it as the rules say."""

    root: Entry
    conflicts: list[Conflict]


def merge_trees(
    store: Store,
    base: Entry | None,
    ours: Entry,
    theirs: Entry,
    rules: MergeRules,
    now_ns: int,
) -> MergeResult:
    """Merge two roots over their common `base`, or over nothing (None).

    Objects go into the store's batch.  Cost: O(changed on both sides).
    """
    # The id covers what is in the root; its own permissions are in its entry alone.
    if base is not None and theirs.oid == base.oid and not differs(base, theirs):
        return MergeResult(ours, [])
    merge = TreeMerge(store, base, ours, theirs, rules, now_ns)
    merge.decide()
    root = edit_tree(store, ours, merge.edits, now_ns)
    return MergeResult(split_uneven_links(store, root, merge.edits, now_ns), merge.conflicts)


def find_conflicts(
    store: Store, base: Entry | None, ours: Entry, theirs: Entry, rules: MergeRules, now_ns: int
) -> list[Conflict]:
    """Return the conflicts of `merge_trees`, without making the tree."""
    merge = TreeMerge(store, base, ours, theirs, rules, now_ns)
    merge.decide()
    return merge.conflicts


class _Placed(NamedTuple):
    """A file of the merged tree."""

    entry: Entry
    is_ours: bool
    """True if ours has a file at that path, too."""


class TreeMerge:
    """A merge in progress: `edits` turn ours into the merged tree."""

    def __init__(
        self,
        store: Store,
        base: Entry | None,
        ours: Entry,
        theirs: Entry,
        rules: MergeRules,
        now_ns: int,
    ) -> None:
        self._store = store
        self._root = ours
        self._their_root = theirs
        self._base_root = base
        self._now_ns = now_ns
        if rules.attributes is None:
            rules = rules._replace(attributes=Attributes(store, ours, (b"merge",)))
        self._rules = rules
        self._merger = EntryMerger(store, rules, now_ns)
        self._ours = Side(store, base, ours)
        self._theirs = Side(store, base, theirs)
        for side, other in ((self._ours, self._theirs), (self._theirs, self._ours)):
            # A rename matters only for a file that the other side changed; for any other one,
            # removing and adding it gives the same tree.
            found = find_renames(store, side.files, other.files.keys())
            side.renames = {path: rename.path for path, rename in found.items()}
        self._placed: dict[bytes, _Placed] = {}
        self._taken: set[tuple[bytes, bool]] = set()
        """Files added by a side (True for ours) that were merged already."""
        self.edits: dict[bytes, Entry | None] = {}
        self.conflicts: list[Conflict] = []

    def decide(self) -> None:
        """Fill `edits`, and `conflicts` in order of the paths."""
        # Files come first, because they decide which directories are needed; collisions can be seen
        # only when all edits are known.
        self._files()
        self._directories()
        self._clear_collisions()
        self.conflicts.sort(key=lambda each: (each.path, each.kind))

    def _files(self) -> None:
        """Decide on every file that either side changed, then on the edits that follow."""
        mine, other = self._ours, self._theirs
        paths = sorted({*mine.files, *other.files})
        for path in paths:
            # A side knows the base of the files that it changed, and only one may have changed this
            # one.
            base = mine.base(path) or other.base(path)
            if base is not None:
                self._known(path, base, mine.find(path, base), other.find(path, base))
        # After the renamed files, with which an added one may share a path.
        for side in (mine, other):
            targets = set(side.renames.values())
            is_ours = side is mine
            for path in paths:
                entry = side.added(path)
                if entry is not None and path not in targets and (path, is_ours) not in self._taken:
                    self._put(path, entry, is_ours=is_ours)
        for path in {*paths, *self._placed}:
            # The file that ours has at the path now: an edit is needed only where the result
            # differs.
            here = mine.files[path][1] if path in mine.files else other.base(path)
            placed = self._placed.get(path)
            if placed is None:
                if here is not None:
                    self.edits[path] = None
            elif placed.entry != here:
                self.edits[path] = placed.entry

    def _directories(self) -> None:
        """Apply the directories that theirs created, removed or changed in themselves."""
        for path, (old, new) in self._theirs.directories.items():
            # A directory that ours did not change is as in the base.
            here = self._ours.directories.get(path, (old, old))[1]
            if new is None:
                if here is not None:
                    # It goes only if the edits empty it; a file that is put in its place is an edit
                    # already.
                    self.edits.setdefault(path, None)
            elif old is None:
                # If both made the directory, ours stays; a file at its path is for
                # `_clear_collisions`.
                if here is None and path not in self._placed:
                    self.edits[path] = new
            elif here is not None:
                merged = self._merger.merge_directories(old, here, new)
                self._note(path, merged.conflict, old, here, new)
                self.edits[path] = merged.entry
        for path in [path for path, entry in self.edits.items() if entry is not None]:
            self._make_parents(path)

    def _clear_collisions(self) -> None:
        """Decide where one side has a file and the other a directory with entries."""
        for path in sorted(path for path, entry in self.edits.items() if entry is not None):
            entry = self.edits.get(path)
            # An earlier collision may have dropped this edit.
            if entry is None:
                continue
            above = next((each for each in _parents(path) if self._file_at(each)), None)
            if above is not None:
                self._collide(above)
            elif not is_directory(entry) and self._keeps_something(path):
                self._collide(path)

    def _known(
        self, path: bytes, base: Entry, ours: SideEntry | None, theirs: SideEntry | None
    ) -> None:
        """Merge a file that the base has."""
        if ours is None or theirs is None:
            self._deleted(path, base, ours, theirs)
            return
        is_moved = ours.path != path or theirs.path != path
        # At one path a file and a link exclude each other; after a move, both have a place.
        if is_moved and stat.S_IFMT(ours.entry.mode) != stat.S_IFMT(theirs.entry.mode):
            if stat.S_ISREG(ours.entry.mode) or stat.S_ISREG(theirs.entry.mode):
                self._retyped(path, base, ours, theirs)
            else:
                self._exchanged(path, base, ours, theirs)
            return
        target = theirs.path if ours.path == path else ours.path
        merged = self._merger.merge(base, ours.entry, theirs.entry, target)
        # Both sides moved the file, to different places.
        if path not in (ours.path, theirs.path) and ours.path != theirs.path:
            if self._rules.favor is Favor.THEIRS:
                target = theirs.path
            elif self._rules.favor is Favor.NONE:
                # As in git, both places stay, for the user to choose.
                self._note(ours.path, "rename/rename", base, ours.entry, None)
                self._note(theirs.path, "rename/rename", base, None, theirs.entry)
                # Contents that could not be merged: each place then gets its own side's.
                is_whole = merged.conflict and merged.entry == ours.entry
                twin = theirs.entry if is_whole else merged.entry
                self._put(theirs.path, twin, is_ours=False)
        self._note(target, merged.conflict, base, ours.entry, theirs.entry)
        self._put(target, merged.entry, is_ours=target == ours.path)

    def _deleted(
        self, path: bytes, base: Entry, ours: SideEntry | None, theirs: SideEntry | None
    ) -> None:
        """Merge a file that one side deleted: no conflict if the other left it unchanged."""
        place = ours or theirs
        # Both deleted it, or the other side left it unchanged: it is gone from ours, or will be, by
        # the edits that `_files` derives from what was placed.
        if place is None or (place.path == path and same_file(base, place.entry)):
            return
        if self._rules.favor is Favor.NONE:
            kind = "modify/delete" if place.path == path else "rename/delete"
            mine, other = (place.entry, None) if ours else (None, place.entry)
            self.conflicts.append(Conflict(place.path, kind, base, mine, other))
        # The favoured side is the one that deleted the file.
        elif (self._rules.favor is Favor.OURS) != (ours is not None):
            return
        # A virtual base favours neither side.  Where the other side has added a file at the new
        # path, both count as added, and are merged with nothing as their base.
        is_met = (self._theirs if ours else self._ours).added(place.path) is not None
        keep = base if self._rules.is_virtual and not is_met else place.entry
        self._put(place.path, keep, is_ours=ours is not None)

    def _retyped(self, path: bytes, base: Entry, ours: SideEntry, theirs: SideEntry) -> None:
        """Merge a file that one side moved and the other turned into a link, say, as two files.

        If the other side has a file at the new path, too, it has moved the file as well, and the
        two are merged.
        """
        is_ours = ours.path != path
        moved, stayed = (ours, theirs) if is_ours else (theirs, ours)
        side = self._theirs if is_ours else self._ours
        twin = side.added(moved.path)
        if twin is not None and moved.path not in side.renames.values():
            # `_files` must not place the twin once more as an added file.
            self._taken.add((moved.path, not is_ours))
            pair = (moved.entry, twin) if is_ours else (twin, moved.entry)
            if stat.S_IFMT(twin.mode) == stat.S_IFMT(moved.entry.mode):
                merged = self._merger.merge(base, *pair, moved.path)
            else:
                # The other side has the file nowhere: unchanged or not, it is not given up.
                merged = self._merger.choose(base, *pair)
            self._note(moved.path, merged.conflict, base, *pair)
            self._put(moved.path, merged.entry, is_ours=True)
            self._put(path, stayed.entry, is_ours=not is_ours)
            return
        favor = self._rules.favor
        if favor is Favor.NONE:
            self._note(moved.path, "type", base, ours.entry, theirs.entry)
        if favor is Favor.NONE or (favor is Favor.OURS) == is_ours:
            keep = base if self._rules.is_virtual else moved.entry
            self._put(moved.path, keep, is_ours=is_ours)
        if favor is Favor.NONE or (favor is Favor.OURS) != is_ours:
            self._put(path, stayed.entry, is_ours=not is_ours)

    def _exchanged(self, path: bytes, base: Entry, ours: SideEntry, theirs: SideEntry) -> None:
        """Merge a link, say, that one side moved and the other turned into a submodule."""
        target = theirs.path if ours.path == path else ours.path
        keep = theirs.entry if self._rules.favor is Favor.THEIRS else ours.entry
        if self._rules.favor is Favor.NONE:
            self._note(target, "type", base, ours.entry, theirs.entry)
            keep = base if self._rules.is_virtual else keep
        self._put(target, keep, is_ours=target == ours.path)

    def _put(self, path: bytes, entry: Entry | None, *, is_ours: bool) -> None:
        """Place a file at a path, merged with another that is already there."""
        there = self._placed.get(path)
        if there is not None and entry is not None:
            pair = (entry, there.entry) if is_ours else (there.entry, entry)
            merged = self._merger.merge(None, *pair, path)
            moved = {*self._ours.renames.values(), *self._theirs.renames.values()}
            kind = "rename/add" if path in moved and merged.conflict else merged.conflict
            self._note(path, kind, None, *pair)
            entry, is_ours = merged.entry, True
        if entry is None:
            self._placed.pop(path, None)
        else:
            name = path.rpartition(b"/")[2]
            self._placed[path] = _Placed(entry._replace(name=name), is_ours)

    def _note(
        self, path: bytes, kind: str, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> None:
        if kind:
            self.conflicts.append(Conflict(path, kind, base, ours, theirs))

    def _make_parents(self, path: bytes) -> None:
        """Create the directories that are missing above a path, as theirs have them."""
        for above in _parents(path):
            if (
                self.edits.get(above) is None
                and _directory_at(self._store, self._root, above) is None
            ):
                entry = _directory_at(self._store, self._their_root, above)
                if entry is not None and above not in self._placed:
                    self.edits[above] = entry

    def _file_at(self, path: bytes) -> Entry | None:
        """Return the file that the merged tree has at a path, as far as decided."""
        entry = self.edits.get(path)
        if path not in self.edits:
            entry = find_entry(self._store, self._root, path)
        return entry if entry is not None and not is_directory(entry) else None

    def _keeps_something(self, path: bytes) -> bool:
        """Return True if a directory of ours is not empty after the edits."""
        return any(each not in self.edits for each in self._below(path))

    def _below(self, path: bytes) -> Iterator[bytes]:
        directory = _directory_at(self._store, self._root, path)
        tree = TreeId(directory.oid) if directory is not None else EMPTY_TREE
        for change in walk_changes(self._store, EMPTY_TREE, tree, path + b"/"):
            yield change.path

    def _collide(self, path: bytes) -> None:
        """Resolve a file at `path` with files below it: keep both, or the favoured side's."""
        entry = self._file_at(path)
        assert entry is not None
        placed = self._placed.get(path)
        is_ours = placed is None or placed.is_ours
        favor = self._rules.favor
        # The file gives way: the files below are the favoured side's, or both are kept.
        if favor is Favor.NONE or (favor is Favor.THEIRS) == is_ours:
            self._make_directory(path)
            if favor is Favor.NONE:
                mine, other = (entry, None) if is_ours else (None, entry)
                self.conflicts.append(Conflict(path, "file/directory", None, mine, other))
                self.edits[self._aside(path, is_ours=is_ours)] = entry
            return
        # The file stays, and everything below its path goes.
        for each in [each for each in self.edits if each.startswith(path + b"/")]:
            del self.edits[each]
        self.edits.update(dict.fromkeys(self._below(path)))

    def _aside(self, path: bytes, *, is_ours: bool) -> bytes:
        """Return a path, free on both sides, for the file that has to be moved from `path`."""
        labels = self._rules.labels
        label = (labels.ours if is_ours else labels.theirs).replace("/", "_")
        wanted = path + b"~" + label.encode("utf-8", "surrogateescape")
        candidates = chain([wanted], (wanted + b"_%d" % number for number in count()))
        return next(each for each in candidates if self._is_free(each))

    def _is_free(self, path: bytes) -> bool:
        roots = (self._root, self._their_root)
        return path not in self.edits and all(
            find_entry(self._store, root, path) is None for root in roots
        )

    def _make_directory(self, path: bytes) -> None:
        """Place a directory where a file was to be.

        Theirs need not have one: the files below may come from a rename, or from a virtual base.
        """
        self.edits.pop(path, None)
        if _directory_at(self._store, self._root, path) is not None:
            return
        for root in (self._their_root, self._base_root):
            entry = _directory_at(self._store, root, path) if root is not None else None
            if entry is not None:
                self.edits[path] = entry
                return
        name = path.rpartition(b"/")[2]
        self.edits[path] = self._root._replace(name=name, mtime_ns=self._now_ns, xattrs=None)


def _parents(path: bytes) -> Iterator[bytes]:
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


def _directory_at(store: Store, root: Entry, path: bytes) -> Entry | None:
    entry = find_entry(store, root, path)
    return entry if entry is not None and is_directory(entry) else None
