"""Hard links in a tree that was assembled from others: repairs that make link groups consistent.

All names of a link group must have the same content and attributes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import FLAGS_AT, LINK, LINKS_BELOW, Entry, decode_entry
from heliosfs.store.base import Objects
from heliosfs.trees.edit import Edits, edit_tree
from heliosfs.trees.same import is_same_but_link
from heliosfs.trees.stored import find_entry, read_entries, walk_changes

_Members = list[tuple[bytes, Entry]]
"""Names of a link group: paths and entries."""


def split_uneven_links(store: Objects, root: Entry, edits: Edits, now_ns: int) -> Entry:
    """Unlink names of a group that no longer have the same content, after `edits` were made.

    Cost: O(size of the directories that have links, and of those above them).
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


def settle_links(store: Objects, before: Entry, root: Entry, like: Entry, now_ns: int) -> Entry:
    """Make link groups consistent after `before` became `root` path by path.

    Names that are linked in `like`, and whose entries in `root` equal those in `like` but for the
    link, are linked as they are there.  Names of a group that differ leave it; the largest set of
    equal ones stays.
    Cost: O(changed) if any of the trees has links, and their directories if one changed.
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
            parted.update(_part(store, members, like, before))
    return edit_tree(store, root, parted, now_ns)


def part_lonely_links(store: Objects, base: Entry, root: Entry, paths: Iterable[bytes]) -> Entry:
    """Dissolve the link groups of which only one name is left in a tree that was cut down.

    `paths` are the names to look at.  One that equals its entry in `base` but for the link gets
    the entry of `base`, so that a link whose other names were cut away is no difference.
    Cost: O(size of the directories that have links, and of those above them).
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


def _part(
    store: Objects, members: _Members, like: Entry, before: Entry
) -> Iterator[tuple[bytes, Entry]]:
    """Yield entries without a link for the names that must leave a link group.

    These are a single member, unless it is so in `like`, and members that differ from most others.
    Of as many on either side, those that are as in `before` stay.
    """
    if len(members) == 1:
        path, entry = members[0]
        # A commit may hold a group of one name; keep it then, so that it is no difference.
        if find_entry(store, like, path) != entry:
            yield path, entry._replace(group=0)
        return
    # Entries hold a dict of xattrs, which cannot be hashed and counted; their text can.
    values = [repr(entry._replace(name=b"")) for _, entry in members]
    counts = Counter(values)
    stay = {
        value: find_entry(store, before, path) == entry
        for (path, entry), value in zip(members, values, strict=True)
    }
    most = max(values, key=lambda value: (counts[value], stay[value]))
    for (path, entry), value in zip(members, values, strict=True):
        if value != most:
            yield path, entry._replace(group=0)


def _groups(store: Objects, root: Entry) -> dict[int, _Members]:
    groups: dict[int, _Members] = {}
    for path, entry in linked_entries(store, root):
        groups.setdefault(entry.group, []).append((path, entry))
    return groups


def linked_entries(store: Objects, root: Entry) -> Iterator[tuple[bytes, Entry]]:
    """Yield the path and the entry of every name that has a link group."""
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
