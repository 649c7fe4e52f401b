"""Select the part of a working tree that its ignore files do not keep out of commits.

As in git, a path that the base has (HEAD, or the stage) is never ignored.  So the walk visits only
paths that differ from the base, and leaves out only new ones.  A `.git` is left out wherever it is:
no base has one, and no rule is asked about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.objects.ids import OID_BYTES, Oid, TreeId
from heliosfs.objects.tree import (
    FLAGS_AT,
    LINK,
    OID_AT,
    Entry,
    decode_entry,
    encode_entry,
    entry_name,
    is_dir_entry,
)
from heliosfs.store.base import Objects
from heliosfs.trees.edit import put_directory, with_attributes
from heliosfs.trees.ignore import IgnoreRules, rules_in
from heliosfs.trees.links import part_lonely_links
from heliosfs.trees.reserved import DOT_GIT
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, changed_entries, find_entry, read_entries

_QUIET_MAX = 100_000

_Pair = tuple[bytes, TreeId, TreeId, object]
"""Key of the memo: path, tree of the base, tree at work, and the key of the rules from above."""


class Selection(NamedTuple):
    """Result of a selection."""

    root: Entry
    """Root of the working tree without ignored files; the tree itself if none is ignored."""
    ignored: list[Change]
    """Ignored files, and directories that are ignored as a whole; incomplete with a memo."""
    has_rules: bool
    """True if an ignore file applies to a directory that differs from the base, or has a `.git`."""
    git_dirs: list[bytes]
    """Every `.git` that was left out, but for those in directories that a rule ignores."""


class _Quiet(NamedTuple):
    """Findings in a directory in which nothing differs that a commit would record."""

    has_ignored: bool
    """True if any file is ignored there."""
    git_dirs: tuple[bytes, ...]


class SelectionMemo:
    """Memo of the directories that differ from their base only in ignored files.

    With it a selection costs O(changed), however much lies in ignored directories.
    """

    def __init__(self) -> None:
        self._pairs: dict[_Pair, _Quiet] = {}

    def get(self, pair: _Pair) -> _Quiet | None:
        return self._pairs.get(pair)

    def note(self, pair: _Pair, found: _Quiet) -> None:
        if len(self._pairs) >= _QUIET_MAX:
            self._pairs.clear()
        self._pairs[pair] = found


def select(
    store: Objects,
    base: Entry,
    work: Entry,
    quiet: SelectionMemo | None = None,
    others: Iterable[Entry] = (),
) -> Selection:
    """Leave ignored files out of a working tree.

    With `others`, the ignore files of these roots apply too: a path is ignored if the rules of
    any of the trees ignore it.  `has_rules` refers to the working tree's own rules.
    Objects go into the store's batch.  Cost: O(changed), and O(ignored) without a memo;
    memory for the changes of one directory on each level, and for the ignored paths.
    """
    if base.oid == work.oid:
        return Selection(work, [], has_rules=False, git_dirs=[])
    walk = _Walk(store, quiet or SelectionMemo())
    known = {root.oid: root for root in others if root.oid != work.oid}
    root = walk.run(base, work, tuple(_Other(each, None) for each in known.values()))
    return Selection(root, sorted(walk.ignored), walk.has_rules, walk.git_dirs)


def has_additions(store: Objects, base: Entry, work: Entry) -> bool:
    """Return True if a working tree has a path that its base lacks, and that may be ignored.

    Cost: O(changed), up to the first addition.
    """
    pending = [(_tree(base), _tree(work))]
    while pending:
        for old, new in changed_entries(store, *pending.pop()).values():
            if new is None:
                continue
            is_dir = is_dir_entry(new)
            if old is None or (is_dir and not is_dir_entry(old)):
                return True
            if is_dir and _tree_id(old) != _tree_id(new):
                pending.append((_tree_id(old), _tree_id(new)))
    return False


class _Other(NamedTuple):
    """Directory of another tree at the same path, whose ignore files apply too."""

    directory: Entry | None
    """None where that tree has no directory."""
    rules: IgnoreRules | None

    def at(self, store: Objects, path: bytes) -> _Other:
        """Return the same for `path`, a directory in this one (or the root itself)."""
        found = self.directory
        if found is not None and path:
            found = find_entry(store, found, path.rpartition(b"/")[2])
        if found is None or not found.is_dir:
            return self._replace(directory=None)
        return _Other(found, rules_in(store, found, path + b"/" if path else b"", self.rules))


class _Place(NamedTuple):
    """Directory of the working tree that is still to be visited."""

    path: bytes
    old: Entry | None
    """Entry of the base at the same path."""
    new: Entry
    rules: IgnoreRules | None
    """Rules of the directories above."""
    is_inside: bool
    """True if the directory is ignored, so that only paths that the base has are selected."""
    others: tuple[_Other, ...] = ()
    """Directories of other trees at the parent's path, or their roots.  Empty if the directory is
    ignored, because then rules do not matter any more."""

    @property
    def is_altered(self) -> bool:
        """Return True if the directory's own entry is a change that a commit would record."""
        return self.old is None or not self.old.is_dir or differs(self.old, self.new)


class _Directory:
    """Directory that is being visited, and the findings in it and below it so far."""

    __slots__ = (
        "below",
        "edits",
        "first_git_dir",
        "first_ignored",
        "has_git_dir",
        "has_ignored",
        "is_known",
        "has_changes",
        "is_memoizable",
        "pair",
        "place",
    )

    def __init__(self, place: _Place, pair: _Pair, first_ignored: int, first_git_dir: int) -> None:
        self.place = place
        self.pair = pair
        self.first_ignored = first_ignored
        """Length of the list of ignored paths when the visit began."""
        self.first_git_dir = first_git_dir
        self.below: list[_Place] = []
        """Subdirectories that are still to be visited."""
        self.edits: dict[bytes, Entry | None] = {}
        """Name -> entry in the selected tree, where it is not that of the working tree."""
        self.has_changes = False
        """True if a path that is not ignored differs from the base."""
        self.has_ignored = False
        self.has_git_dir = False
        """True if a `.git` is here, or below in a directory that is not ignored."""
        self.is_known = False
        """True if the memo already has the result."""
        self.is_memoizable = bool(place.path)
        """True if the result may enter the memo: every ignored path is ignored by the working
        tree's own rules, the only ones in the memo's key."""


class _Walk:
    """Walk from the root to the differences and back; no recursion, because trees are deep."""

    def __init__(self, store: Objects, quiet: SelectionMemo) -> None:
        self._store = store
        self._memo = quiet
        self.ignored: list[Change] = []
        self.git_dirs: list[bytes] = []
        self.has_rules = False
        self._linked: list[bytes] = []
        """Selected paths that have or had a link group."""

    def run(self, base: Entry, work: Entry, others: tuple[_Other, ...]) -> Entry:
        """Walk the trees and return the selected root."""
        way = [self._open(_Place(b"", base, work, None, is_inside=False, others=others))]
        while True:
            directory = way[-1]
            if directory.below:
                way.append(self._open(directory.below.pop()))
                continue
            way.pop()
            entry = self._close(directory)
            if not way:
                # Not None: the base has the root.
                root = entry or work
                if self._linked and (directory.has_ignored or directory.has_git_dir):
                    return part_lonely_links(self._store, base, root, self._linked)
                return root
            _merge_into(way[-1], directory, entry)

    def _open(self, place: _Place) -> _Directory:
        """Begin the visit of a directory: consult the memo, or sort the names that differ."""
        path, old, new, rules, is_inside, others = place
        # The directory's own rules follow from its tree, which is in the key.
        above = (rules.key if rules is not None else None, is_inside)
        pair = (path, _tree(old), TreeId(new.oid), above)
        directory = _Directory(place, pair, len(self.ignored), len(self.git_dirs))
        # Valid with other trees too: what some rules ignore, more rules ignore as well.
        known = self._memo.get(pair)
        if known is not None:
            directory.is_known = True
            directory.has_ignored, git_dirs = known
            directory.has_git_dir = bool(git_dirs)
            self.git_dirs += git_dirs
            self.has_rules |= known.has_ignored or directory.has_git_dir
            return directory
        prefix = path + b"/" if path else b""
        # Inside an ignored directory no rule can include a file again (gitignore(5)).
        if not is_inside:
            rules = rules_in(self._store, new, prefix, rules)
            self.has_rules |= rules is not None
            others = tuple(each.at(self._store, path) for each in others)
        self._classify(directory, prefix, rules, others)
        return directory

    def _classify(
        self,
        directory: _Directory,
        prefix: bytes,
        rules: IgnoreRules | None,
        others: tuple[_Other, ...],
    ) -> None:
        """Decide for each name that differs: keep it, ignore it, or visit the directory."""
        is_inside = directory.place.is_inside
        further = _more_rules(rules, others)
        may_ignore = is_inside or rules is not None or bool(further)
        for name, (old_raw, new_raw) in changed_entries(self._store, *directory.pair[1:3]).items():
            if new_raw is None:
                # The name is gone from the working tree, and a deletion is never ignored.
                directory.has_changes = True
                continue
            is_dir = is_dir_entry(new_raw)
            here = prefix + name
            if name == DOT_GIT:
                self._leave_out(directory, here)
                continue
            if not is_dir and (old_raw is not None or not may_ignore):
                # What the base has is tracked, and no rule is asked about it.
                directory.has_changes = True
                if _has_link(new_raw) or (old_raw is not None and _has_link(old_raw)):
                    self._linked.append(here)
                continue
            is_out = is_inside or (rules is not None and rules.ignores(here, is_dir=is_dir))
            # Rules of other trees are not in the memo's key, so this must not enter the memo.
            if not is_out and any(each.ignores(here, is_dir=is_dir) for each in further):
                is_out, directory.is_memoizable = True, False
            now = decode_entry(new_raw)[0]
            if old_raw is None and is_out:
                # Ignored as a whole: nothing below an ignored directory is visited.
                self.ignored.append(Change(here, None, now))
                directory.edits[name] = None
                directory.has_ignored = True
            elif is_dir:
                # Ignored or not, the base may have paths below it, and those are tracked.
                was = decode_entry(old_raw)[0] if old_raw is not None else None
                below = _Place(here, was, now, rules, is_out, () if is_out else others)
                # An equal tree needs no visit; but the directory's own entry may have changed.
                if _tree(was) != now.oid:
                    directory.below.append(below)
                else:
                    directory.has_changes |= below.is_altered
            else:
                directory.has_changes = True
                if _has_link(new_raw):
                    self._linked.append(here)

    def _leave_out(self, directory: _Directory, git_dir: bytes) -> None:
        # I63: whatever the base has of that name, no commit gets one.
        self.git_dirs.append(git_dir)
        directory.edits[DOT_GIT] = None
        directory.has_git_dir = self.has_rules = True

    def _close(self, directory: _Directory) -> Entry | None:
        """Return the directory's entry in the selected tree, once all below was visited."""
        place = directory.place
        old, new = place.old, place.new
        # Only quiet directories are worth remembering: the others are written by the next commit.
        if directory.is_memoizable and not (directory.has_changes or directory.is_known):
            git_dirs = tuple(self.git_dirs[directory.first_git_dir :])
            self._memo.note(directory.pair, _Quiet(directory.has_ignored, git_dirs))
        if not (directory.has_ignored or directory.has_git_dir):
            return new
        if directory.has_changes:
            # Both kinds of changes: neither the base's tree nor the working tree's is right.
            return self._without(directory)
        if old is None:
            # A directory in which everything is ignored is ignored itself, and so is one that has
            # nothing but a `.git`: a step that took away what was tracked in it leaves no change.
            if directory.has_ignored:
                self.ignored[directory.first_ignored :] = [Change(place.path, None, new)]
            return None
        if not old.is_dir:
            # The base has a file of that name, so its change to a directory is recorded.
            return new._replace(oid=EMPTY_TREE, size=0, links_below=False)
        # Only ignored files differ: return the tree of the base, so that the id is the same.
        return with_attributes(old, new) if place.is_altered else old

    def _without(self, directory: _Directory) -> Entry:
        old, new = directory.place.old, directory.place.new
        tree = TreeId(new.oid)
        children = {entry_name(raw): raw for raw in read_entries(self._store, tree)}
        for name, entry in directory.edits.items():
            if entry is None:
                del children[name]
            else:
                children[name] = encode_entry(entry)
        base = _tree(old)
        return put_directory(
            self._store, new, list(children.values()), base if base != EMPTY_TREE else tree
        )


def _merge_into(above: _Directory, directory: _Directory, entry: Entry | None) -> None:
    """Merge the result of a subdirectory into the directory above it."""
    place = directory.place
    above.has_ignored |= directory.has_ignored
    above.has_git_dir |= directory.has_git_dir
    above.is_memoizable &= directory.is_memoizable
    # An entry equal to the base's, or none at all, is no difference.
    if entry is not None and entry is not place.old:
        above.has_changes |= directory.has_changes or place.is_altered
    if entry is not place.new:
        above.edits[place.new.name] = entry


def _more_rules(rules: IgnoreRules | None, others: tuple[_Other, ...]) -> list[IgnoreRules]:
    """Return the rules of other trees that differ from the working tree's, each once."""
    known = {rules.key if rules is not None else None}
    found = []
    for other in others:
        if other.rules is not None and other.rules.key not in known:
            known.add(other.rules.key)
            found.append(other.rules)
    return found


def _tree_id(raw: bytes) -> TreeId:
    return TreeId(Oid(raw[OID_AT : OID_AT + OID_BYTES]))


def _has_link(raw: bytes) -> bool:
    return bool(raw[FLAGS_AT] & LINK)


def _tree(entry: Entry | None) -> TreeId:
    return TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE
