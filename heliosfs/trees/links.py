"""Hard links in a tree that was put together: the names of a file must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import FLAGS_AT, LINK, LINKS_BELOW, Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.trees.edit import Edits, edit_tree
from heliosfs.trees.same import is_same_but_link
from heliosfs.trees.stored import find_entry, read_entries, walk_changes

_Members = list[tuple[bytes, Entry]]
"""The names of a link group: paths and entries."""


def split_uneven_links(store: Store, root: Entry, edits: Edits, now_ns: int) -> Entry:
    """Undo the links between names that, after `edits`, no longer have the same content.

    Cost: the directories that have links, and those above them.
    """
    if not root.links_below or not edits:
        return root
    repairs: dict[bytes, Entry | None] = {}
    for members in _groups(store, root).values():
        first = members[0][1]
        for path, entry in members[1:]:
            if entry._replace(name=b"") != first._replace(name=b""):
                repairs[path] = entry._replace(group=0)
    return edit_tree(store, root, repairs, now_ns)


def settle_links(store: Store, before: Entry, root: Entry, like: Entry, now_ns: int) -> Entry:
    """After `before` became `root` path by path, let the names of each file agree again.

    Names that are linked in `like`, and have in `root` what they have there, are linked as there.
    Names of a group that differ are parted; most of them stay together.
    Cost: O(changed) where any of the trees has links, and their directories where one changed.
    """
    if not (before.links_below or root.links_below or like.links_below):
        return root
    touched: set[int] = set()
    for path, old, new in walk_changes(store, TreeId(before.oid), TreeId(root.oid)):
        there = find_entry(store, like, path) if new is not None and like.links_below else None
        touched.update(entry.group for entry in (old, new, there) if entry is not None)
    touched.discard(0)
    if not touched:
        return root
    joined: dict[bytes, Entry | None] = {}
    for path, entry in linked_entries(store, like):
        held = find_entry(store, root, path) if entry.group in touched else None
        if held is not None and held != entry and is_same_but_link(held, entry):
            joined[path] = entry
    root = edit_tree(store, root, joined, now_ns)
    parted: dict[bytes, Entry | None] = {}
    for group, members in _groups(store, root).items():
        if group in touched:
            parted.update(_part(store, members, like))
    return edit_tree(store, root, parted, now_ns)


def part_lonely_links(store: Store, base: Entry, root: Entry, paths: Iterable[bytes]) -> Entry:
    """Remove link groups of which a tree that was cut down has but one name.

    `paths` are those that may be such names.  One that is in `base` what it is here gets the
    entry of there, so that a link whose other names were cut away is no difference.
    Cost: the directories that have links, and those above them.
    """
    here, there = (
        Counter(entry.group for _, entry in linked_entries(store, tree)) for tree in (root, base)
    )
    repairs: dict[bytes, Entry | None] = {}
    for path in paths:
        old, new = find_entry(store, base, path), find_entry(store, root, path)
        if new is None or here[new.group] > 1:
            continue
        if old is not None and there[old.group] <= 1 and is_same_but_link(old, new):
            repairs[path] = old._replace(mtime_ns=new.mtime_ns)
        elif new.group:
            repairs[path] = new._replace(group=0)
    return edit_tree(store, root, repairs, root.mtime_ns)


def _part(store: Store, members: _Members, like: Entry) -> Iterator[tuple[bytes, Entry]]:
    """Yield new entries for the names of a group that must leave it."""
    if len(members) == 1:
        path, entry = members[0]
        # A commit may have a group of one name: then it stays, as it is no difference.
        if find_entry(store, like, path) != entry:
            yield path, entry._replace(group=0)
        return
    # Mappings cannot be counted.
    values = [repr(entry._replace(name=b"")) for _, entry in members]
    counts = Counter(values)
    most = max(values, key=counts.__getitem__)
    for (path, entry), value in zip(members, values, strict=True):
        if value != most:
            yield path, entry._replace(group=0)


def _groups(store: Store, root: Entry) -> dict[int, _Members]:
    groups: dict[int, _Members] = {}
    for path, entry in linked_entries(store, root):
        groups.setdefault(entry.group, []).append((path, entry))
    return groups


def linked_entries(store: Store, root: Entry) -> Iterator[tuple[bytes, Entry]]:
    """Walk over every name that has a link group: its path and its entry."""
    if not root.links_below:
        return
    pending = [(b"", root)]
    while pending:
        prefix, directory = pending.pop()
        for raw in read_entries(store, TreeId(directory.oid)):
            if raw[FLAGS_AT] & (LINK | LINKS_BELOW):
                entry, _ = decode_entry(raw)
                if entry.is_dir:
                    pending.append((prefix + entry.name + b"/", entry))
                else:
                    yield prefix + entry.name, entry
