"""Select: a working tree without what its ignore files keep out of commits.

As in git, what the base has (HEAD, or the stage) is never ignored.  So the walk looks only at
what differs from the base, and only what is new can be kept out.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.workspace.edit import edit_tree
from heliosfs.workspace.ignore import Rules, rules_in
from heliosfs.workspace.trees import (
    EMPTY_TREE,
    Change,
    changed_entries,
    differs,
    find_entry,
    walk_changes,
)

_QUIET_MAX = 100_000

_Pair = tuple[bytes, TreeId, TreeId, object]


class Selection(NamedTuple):
    """What a walk came to."""

    root: Entry
    """The working tree without what is ignored; itself when nothing is."""
    ignored: list[Change]
    """What is ignored: files, and directories as a whole.  Not complete with a memo."""
    has_rules: bool
    """Whether an ignore file has a say in anything that differs from the base."""


class Quiet:
    """A memo of the directories that differ from their base in what is ignored alone.

    With it a selection costs O(changed), whatever lies in directories that are ignored.
    """

    def __init__(self) -> None:
        self._pairs: dict[_Pair, bool] = {}
        """Whether anything is ignored there."""

    def get(self, pair: _Pair) -> bool | None:
        return self._pairs.get(pair)

    def note(self, pair: _Pair, *, has_ignored: bool) -> None:
        if len(self._pairs) >= _QUIET_MAX:
            self._pairs.clear()
        self._pairs[pair] = has_ignored


def select(
    store: Store, base: Entry, work: Entry, now_ns: int, quiet: Quiet | None = None
) -> Selection:
    """Take out of a working tree what is ignored in it.

    The objects go into the store's batch.  Cost: O(changed), and O(ignored) without a memo.
    """
    if base.oid == work.oid:
        return Selection(work, [], has_rules=False)
    walk = _Walk(store, quiet or Quiet())
    walk.run(base, work)
    if not walk.has_ignored:
        return Selection(work, [], walk.has_rules)
    return Selection(
        edit_tree(store, base, walk.edits, now_ns), sorted(walk.ignored), walk.has_rules
    )


def carry(
    store: Store,
    work: Entry,
    selected: Entry,
    target: Entry,
    now_ns: int,
    whole: Entry | None = None,
) -> Entry:
    """A working tree that was `selected` without what is ignored, and is to be `target`.

    What is ignored stays where nothing of the target is in its place.  With `whole`, a tree
    that the target was selected from, what goes otherwise becomes what was ignored there.
    AlreadyExists when a file of the target lies where there is an ignored directory.
    Cost: O(changed).
    """
    if work == selected:
        return target
    edits: dict[bytes, Entry | None] = {}
    for path, _, new in walk_changes(store, TreeId(selected.oid), TreeId(target.oid)):
        edits[path] = find_entry(store, whole, path) if new is None and whole else new
    if differs(work, target):
        edits[b""] = target
    return edit_tree(store, work, edits, now_ns)


class _Place(NamedTuple):
    """A directory to look at."""

    path: bytes
    old: Entry | None
    new: Entry | None
    rules: Rules | None
    """Those of the directories above."""
    is_inside: bool
    """Whether it is ignored, so that only what the base has of it counts."""


class _Walk:
    def __init__(self, store: Store, quiet: Quiet) -> None:
        self._store = store
        self._quiet = quiet
        self.edits: dict[bytes, Entry | None] = {}
        """What makes the base the selected tree."""
        self.ignored: list[Change] = []
        self._hiding: set[bytes] = set()
        """Directories with something in them that is ignored."""
        self.has_rules = False
        self._directories: dict[bytes, Entry] = {}
        """Those of the working tree that were visited."""
        self._pairs: dict[bytes, _Pair] = {}
        self._only_new: list[bytes] = []
        """Directories that the base does not have, with something in them."""

    @property
    def has_ignored(self) -> bool:
        return bool(self._hiding)

    def run(self, base: Entry, work: Entry) -> None:
        self._directories[b""] = work
        pending = [_Place(b"", base, work, None, is_inside=False)]
        while pending:
            pending += self._directory(pending.pop())
        self._drop_empty()
        for path in list(self.edits):
            above = path.rpartition(b"/")[0]
            while above in self._directories and above not in self.edits:
                self.edits[above] = self._directories[above]
        self._note_quiet()

    def _directory(self, place: _Place) -> list[_Place]:
        """Look at what differs in a directory; gives the directories below that differ."""
        path, old, new, rules, is_inside = place
        prefix = path + b"/" if path else b""
        before, after = _tree(old), _tree(new)
        # The rules of its own follow from the tree.
        pair = (path, before, after, (rules.key if rules is not None else None, is_inside))
        known = self._quiet.get(pair)
        if known is not None:
            if known:
                self._hiding.add(path)
                self.has_rules = True
            return []
        self._pairs[path] = pair
        if new is not None and new.is_dir and not is_inside:
            rules = rules_in(self._store, new, prefix, rules)
            self.has_rules |= rules is not None
        below = []
        for name, (old_raw, new_raw) in changed_entries(self._store, before, after).items():
            was = decode_entry(old_raw)[0] if old_raw else None
            now = decode_entry(new_raw)[0] if new_raw else None
            here = prefix + name
            is_out = is_inside or (now is not None and _ignores(rules, here, now))
            if was is None and now is not None and is_out:
                self._hiding.add(path)
                self.ignored.append(Change(here, None, now))
                continue
            self._note(here, was, now)
            if _tree(was) != _tree(now):
                below.append(_Place(here, was, now, rules, is_out))
        return below

    def _note(self, path: bytes, was: Entry | None, now: Entry | None) -> None:
        if now is not None and now.is_dir:
            self._directories[path] = now
            if was is None and now.oid != EMPTY_TREE:
                self._only_new.append(path)
            if was is not None and was.is_dir and not differs(was, now):
                return
        self.edits[path] = now

    def _drop_empty(self) -> None:
        """A directory in which everything is ignored is ignored itself."""
        if not self.has_ignored:
            return
        only_new = set(self._only_new)
        kept: set[bytes] = set()
        for path in self.edits:
            if path not in only_new:
                _add_above(kept, path)
        dropped = [path for path in self._only_new if path not in kept]
        for path in dropped:
            del self.edits[path]
        gone = set(dropped)
        tops = [path for path in dropped if path.rpartition(b"/")[0] not in gone]
        places = tuple(path + b"/" for path in tops)
        self.ignored = [each for each in self.ignored if not each.path.startswith(places)]
        self.ignored += [Change(path, None, self._directories[path]) for path in tops]

    def _note_quiet(self) -> None:
        loud: set[bytes] = set()
        for path in self.edits:
            _add_above(loud, path)
        hiding = set(self._hiding)
        for path in self._hiding:
            _add_above(hiding, path)
        for path, pair in self._pairs.items():
            if path and path not in loud:
                self._quiet.note(pair, has_ignored=path in hiding)


def _ignores(rules: Rules | None, path: bytes, entry: Entry) -> bool:
    return rules is not None and rules.ignores(path, is_dir=entry.is_dir)


def _add_above(found: set[bytes], path: bytes) -> None:
    above = path.rpartition(b"/")[0]
    while above and above not in found:
        found.add(above)
        above = above.rpartition(b"/")[0]


def _tree(entry: Entry | None) -> TreeId:
    return TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE
