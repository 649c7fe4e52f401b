"""Order of contents in merged packs: those of the newest commit as its directories have them.

So a range of a pack has files of one directory, as after a single push.  Behind them come earlier
versions, those of a file beside each other, which are compressed in groups.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from heliosfs.objects.blob import decode_parts
from heliosfs.objects.commit import commit_links
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import entry_references
from heliosfs.objects.tree import decode_entry, decode_index, is_index, split_leaf
from heliosfs.remote.packfile import PackWriter, RemoteObject
from heliosfs.remote.packgroup import GROUP_BYTES, GROUPED_MAX_BYTES

_BAD = (ValueError, IndexError, struct.error)
"""Errors for an object that cannot be read: who fetches it is told."""


class Places:
    """The paths of contents in the trees of some commits, as far as these trees are at hand."""

    def __init__(self, others: Mapping[Oid, RemoteObject], commits: Iterable[RemoteObject]) -> None:
        """Look through trees and lists of parts, from the newest commit on."""
        self.newest: dict[Oid, None] = {}
        """Contents of the first commit, in the order of its directories."""
        self.paths: dict[Oid, bytes] = {}
        """A path of each content."""
        self._others = others
        self._seen: set[Oid] = set()
        for number, commit in enumerate(commits):
            self._look(commit, is_newest=not number)

    def _look(self, commit: RemoteObject, *, is_newest: bool) -> None:
        try:
            root = commit_links(commit.data).tree
        except _BAD:
            return
        pending = [(b"", Kind.TREE, Oid(root))]
        while pending:
            path, kind, oid = pending.pop()
            if kind is Kind.BLOB:
                self.paths.setdefault(oid, path)
                if is_newest:
                    self.newest.setdefault(oid)
            elif oid in self._others and oid not in self._seen:
                self._seen.add(oid)
                try:
                    pending += reversed(list(_below(path, self._others[oid])))
                except _BAD:
                    continue


def _below(path: bytes, found: RemoteObject) -> Iterator[tuple[bytes, Kind, Oid]]:
    if found.kind is Kind.PARTS:
        yield from ((path, Kind.BLOB, Oid(part)) for part in decode_parts(found.data).ids.values())
    elif is_index(found.data):
        yield from ((path, Kind.TREE, Oid(leaf.oid)) for leaf in decode_index(found.data))
    else:
        for raw in split_leaf(found.data):
            entry = decode_entry(raw)[0]
            below = path + b"/" + entry.name
            yield from ((below, kind, oid) for kind, oid in entry_references(entry))


def in_packs(
    contents: dict[Oid, RemoteObject], places: Places, pack: PackWriter
) -> Iterator[PackWriter]:
    """Add contents to a pack, and yield it whenever it is full, and at the end, to be finished.

    `contents` are in the order in which they were pushed.
    """
    for oid in [oid for oid in places.newest if oid in contents]:
        pack.add(contents.pop(oid))
        if pack.is_full:
            yield pack
    earlier = sorted(contents, key=lambda oid: places.paths.get(oid, b""))
    group: list[RemoteObject] = []
    group_bytes = 0
    for oid in earlier:
        found = contents[oid]
        if group and group_bytes + len(found.data) > GROUP_BYTES:
            _add_group(pack, group)
            group, group_bytes = [], 0
        if len(found.data) > GROUPED_MAX_BYTES:
            pack.add(found)
        else:
            group.append(found)
            group_bytes += len(found.data)
        if pack.is_full:
            yield pack
    _add_group(pack, group)
    if not pack.is_empty:
        yield pack


def _add_group(pack: PackWriter, group: list[RemoteObject]) -> None:
    if len(group) == 1:
        pack.add(group[0])
    elif group:
        pack.add_group(group)
