"""Select: a working tree without what its ignore files keep out of commits.

As in git, what the base has (HEAD, or the stage) is never ignored.  So the walk looks only at
what differs from the base, and only what is new can be kept out.
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
from heliosfs.store.base import Store
from heliosfs.trees.edit import put_directory, with_attributes
from heliosfs.trees.ignore import IgnoreRules, rules_in
from heliosfs.trees.links import part_lonely_links
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, changed_entries, find_entry, read_entries

_QUIET_MAX = 100_000

_Pair = tuple[bytes, TreeId, TreeId, object]
"""Path, tree of the base, tree at work, and what holds there from above."""


class Selection(NamedTuple):
    """The result of a selection."""

    root: Entry
    """The working tree without what is ignored; itself when nothing is."""
    ignored: list[Change]
    """Ignored files, and ignored directories as a whole; not complete with a memo."""
    has_rules: bool
    """True if an ignore file applies to anything that differs from the base."""


class Quiet:
    """A memo of the directories that differ from their base in what is ignored alone.

    With it a selection costs O(changed), whatever lies in directories that are ignored.
    """

    def __init__(self) -> None:
        self._pairs: dict[_Pair, bool] = {}
        """True if anything is ignored there."""

    def get(self, pair: _Pair) -> bool | None:
        return self._pairs.get(pair)

    def note(self, pair: _Pair, *, has_ignored: bool) -> None:
        if len(self._pairs) >= _QUIET_MAX:
            self._pairs.clear()
        self._pairs[pair] = has_ignored


def select(
    store: Store,
    base: Entry,
    work: Entry,
    quiet: Quiet | None = None,
    others: Iterable[Entry] = (),
) -> Selection:
    """Take out of a working tree what is ignored in it.

    With `others`, the ignore files of these roots have a say too: a path is ignored when those of
    any of the trees say so.  `has_rules` tells of the working tree's own.
    The objects go into the store's batch.  Cost: O(changed), and O(ignored) without a memo;
    memory for the changes of one directory on each level, and for what is ignored.
    """
    if base.oid == work.oid:
        return Selection(work, [], has_rules=False)
    walk = _Walk(store, quiet or Quiet())
    known = {root.oid: root for root in others if root.oid != work.oid}
    root = walk.run(base, work, tuple(_Other(each, None) for each in known.values()))
    return Selection(root, sorted(walk.ignored), walk.has_rules)


def has_additions(store: Store, base: Entry, work: Entry) -> bool:
    """Return True if a working tree has something that its base has not, so that it may be ignored.

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
    """The directory of another tree at the path of a place, whose ignore files count too."""

    directory: Entry | None
    """None where that tree has no directory."""
    rules: IgnoreRules | None

    def at(self, store: Store, path: bytes) -> _Other:
        """Return the same for the directory at a path, which is in this one, or is the root."""
        found = self.directory
        if found is not None and path:
            found = find_entry(store, found, path.rpartition(b"/")[2])
        if found is None or not found.is_dir:
            return self._replace(directory=None)
        return _Other(found, rules_in(store, found, path + b"/" if path else b"", self.rules))


class _Place(NamedTuple):
    """A directory of the working tree to look at."""

    path: bytes
    old: Entry | None
    """The entry that the base has there."""
    new: Entry
    rules: IgnoreRules | None
    """Rules of the directories above."""
    is_inside: bool
    """True if it is ignored, so that only what the base has of it counts."""
    others: tuple[_Other, ...] = ()
    """The directories of other trees around it, or their roots.  Empty when it is ignored, because
    then rules do not matter any more."""

    @property
    def is_altered(self) -> bool:
        """True if the attributes of the directory itself differ from the base."""
        return self.old is None or not self.old.is_dir or differs(self.old, self.new)


class _Directory:
    """A directory that is being looked at, and what was found in it and below so far."""

    __slots__ = (
        "below",
        "edits",
        "first_ignored",
        "has_ignored",
        "is_known",
        "is_loud",
        "is_noted",
        "pair",
        "place",
    )

    def __init__(self, place: _Place, pair: _Pair, first_ignored: int) -> None:
        self.place = place
        self.pair = pair
        self.first_ignored = first_ignored
        """How much was ignored before it."""
        self.below: list[_Place] = []
        """Directories in it that were not looked at yet."""
        self.edits: dict[bytes, Entry | None] = {}
        """Name -> what the selected tree has there, where that is not what is there."""
        self.is_loud = False
        """True if something differs from the base that is not ignored."""
        self.has_ignored = False
        self.is_known = False
        """True if the memo has the answer."""
        self.is_noted = bool(place.path)
        """True if the memo may keep the answer: everything ignored is so by the working tree's own
        rules, the only ones in its key."""


class _Walk:
    """From the root to what differs and back, without recursion, as trees are deep."""

    def __init__(self, store: Store, quiet: Quiet) -> None:
        self._store = store
        self._quiet = quiet
        self.ignored: list[Change] = []
        self.has_rules = False
        self._linked: list[bytes] = []
        """Paths that stay, and have or had a link group."""

    def run(self, base: Entry, work: Entry, others: tuple[_Other, ...]) -> Entry:
        """Walk through both trees; return the selected root."""
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
                if self._linked and directory.has_ignored:
                    return part_lonely_links(self._store, base, root, self._linked)
                return root
            _take(way[-1], directory, entry)

    def _open(self, place: _Place) -> _Directory:
        """Look at what differs in a directory."""
        path, old, new, rules, is_inside, others = place
        # The rules of its own follow from the tree.
        above = (rules.key if rules is not None else None, is_inside)
        pair = (path, _tree(old), TreeId(new.oid), above)
        directory = _Directory(place, pair, len(self.ignored))
        # With others as well: where all is ignored by some rules, all is by more of them.
        known = self._quiet.get(pair)
        if known is not None:
            directory.is_known = True
            directory.has_ignored = known
            self.has_rules |= known
            return directory
        prefix = path + b"/" if path else b""
        # Inside of what is ignored no rule can let anything in again (gitignore(5)).
        if not is_inside:
            rules = rules_in(self._store, new, prefix, rules)
            self.has_rules |= rules is not None
            others = tuple(each.at(self._store, path) for each in others)
        self._sort_out(directory, prefix, rules, others)
        return directory

    def _sort_out(
        self,
        directory: _Directory,
        prefix: bytes,
        rules: IgnoreRules | None,
        others: tuple[_Other, ...],
    ) -> None:
        """Decide for each name that differs whether it stays, is ignored, or must be opened."""
        is_inside = directory.place.is_inside
        further = _more_rules(rules, others)
        may_ignore = is_inside or rules is not None or bool(further)
        for name, (old_raw, new_raw) in changed_entries(self._store, *directory.pair[1:3]).items():
            if new_raw is None:
                # It is gone from the working tree: a deletion is never ignored.
                directory.is_loud = True
                continue
            is_dir = is_dir_entry(new_raw)
            here = prefix + name
            if not is_dir and (old_raw is not None or not may_ignore):
                # What the base has is tracked, and no rule is asked about it.
                directory.is_loud = True
                if _has_link(new_raw) or (old_raw is not None and _has_link(old_raw)):
                    self._linked.append(here)
                continue
            is_out = is_inside or (rules is not None and rules.ignores(here, is_dir=is_dir))
            # Rules of other trees are not in the key of the memo, which so must not learn of it.
            if not is_out and any(each.ignores(here, is_dir=is_dir) for each in further):
                is_out, directory.is_noted = True, False
            now = decode_entry(new_raw)[0]
            if old_raw is None and is_out:
                # As a whole: what lies in an ignored directory is not looked at.
                self.ignored.append(Change(here, None, now))
                directory.edits[name] = None
                directory.has_ignored = True
            elif is_dir:
                # Ignored or not: the base may have some of it, and that is tracked.
                was = decode_entry(old_raw)[0] if old_raw is not None else None
                below = _Place(here, was, now, rules, is_out, () if is_out else others)
                # The same tree has nothing to take out; the directory itself may have changed.
                if _tree(was) != now.oid:
                    directory.below.append(below)
                else:
                    directory.is_loud |= below.is_altered
            else:
                directory.is_loud = True
                if _has_link(new_raw):
                    self._linked.append(here)

    def _close(self, directory: _Directory) -> Entry | None:
        """Return the entry that the selected tree has there, once all below was looked at."""
        place = directory.place
        old, new = place.old, place.new
        # Only quiet directories are worth remembering: the others are written by the next commit.
        if directory.is_noted and not (directory.is_loud or directory.is_known):
            self._quiet.note(directory.pair, has_ignored=directory.has_ignored)
        if not directory.has_ignored:
            return new
        if directory.is_loud:
            # A mixture: neither the tree of the base nor that of the working tree will do.
            return self._without(directory)
        if old is None:
            # A directory in which everything is ignored is ignored itself.
            self.ignored[directory.first_ignored :] = [Change(place.path, None, new)]
            return None
        if not old.is_dir:
            # The base has a file of that name, so the change from it to a directory is no secret.
            return new._replace(oid=EMPTY_TREE, size=0, links_below=False)
        # Nothing but ignored files differs: the tree of the base, so that its id is the same.
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


def _take(above: _Directory, directory: _Directory, entry: Entry | None) -> None:
    """Let a directory know what became of one in it."""
    place = directory.place
    above.has_ignored |= directory.has_ignored
    above.is_noted &= directory.is_noted
    # As in the base, or nowhere: no difference.
    if entry is not None and entry is not place.old:
        above.is_loud |= directory.is_loud or place.is_altered
    if entry is not place.new:
        above.edits[place.new.name] = entry


def _more_rules(rules: IgnoreRules | None, others: tuple[_Other, ...]) -> list[IgnoreRules]:
    """Return the rules of other trees that are not those of the working tree, each once."""
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
