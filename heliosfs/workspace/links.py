"""Hard links in a tree that was put together: the names of a file must agree."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import FIXED_BYTES, LINK, LINKS_BELOW, Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.workspace.edit import Edits, edit_tree
from heliosfs.workspace.trees import read_entries

_FLAGS_AT = FIXED_BYTES - 2


def split_uneven_links(store: Store, root: Entry, edits: Edits, now_ns: int) -> Entry:
    """After `edits`, give up the links between names that no longer have the same content.

    Cost: the directories that have links, and those above them.
    """
    if not root.links_below or not edits:
        return root
    groups: dict[int, list[tuple[bytes, Entry]]] = {}
    for path, entry in _linked(store, root):
        groups.setdefault(entry.group, []).append((path, entry))
    repairs: dict[bytes, Entry | None] = {}
    for members in groups.values():
        first = members[0][1]
        for path, entry in members[1:]:
            if entry._replace(name=b"") != first._replace(name=b""):
                repairs[path] = entry._replace(group=0)
    return edit_tree(store, root, repairs, now_ns)


def _linked(store: Store, root: Entry) -> Iterator[tuple[bytes, Entry]]:
    pending = [(b"", root)]
    while pending:
        prefix, directory = pending.pop()
        for raw in read_entries(store, TreeId(directory.oid)):
            if raw[_FLAGS_AT] & (LINK | LINKS_BELOW):
                entry, _ = decode_entry(raw)
                if entry.is_dir:
                    pending.append((prefix + entry.name + b"/", entry))
                else:
                    yield prefix + entry.name, entry
