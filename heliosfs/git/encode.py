"""Trees and files of ours become objects of git."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator

from heliosfs.git.ids import IdMap
from heliosfs.git.modes import LEGACY_MODE, git_mode_of, gitlink_of
from heliosfs.git.names import is_reserved
from heliosfs.git.recent import Recent
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX, decode_parts, part_count
from heliosfs.objects.ids import Kind, Oid, TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.workspace.trees import EMPTY_TREE, read_entries

Sink = Callable[[bytes, int, Iterable[bytes]], None]
"""Takes an object of git: kind, size, and its bytes in pieces."""


class GitEncoder:
    """Gives objects of ours their ids in git, and those that git lacks to a sink.

    `has` tells what git has already; a tree that it has is not looked into.  Memory: 150 bytes
    for each distinct object.
    """

    def __init__(
        self, store: Store, hash_name: str, has: Callable[[bytes], bool], sink: Sink | None
    ) -> None:
        self._store = store
        self._ids = IdMap(store)
        self._hash_name = hash_name
        self._id_bytes = hashlib.new(hash_name).digest_size
        self._has = has
        self._sink = sink
        self._known: dict[Oid, bytes] = {}
        """Ours -> git's; of a tree that nothing of is left in git, empty bytes."""
        self._rows: Recent[tuple[bytes, bytes]] = Recent()
        """By encoded entry: what repeats from tree to tree."""
        self._given: set[bytes] = set()
        self.fresh: list[tuple[Oid, bytes]] = []
        """Trees that were encoded, with the ids that they got."""
        self.empty_count = 0
        """Empty directories, which git cannot hold."""
        self.special_count = 0
        """FIFOs, sockets and devices, which git cannot hold."""
        self.dotgit_count = 0
        """Entries with a name that git keeps for itself."""

    def give(self, kind: bytes, data: bytes) -> bytes:
        """An object of git, all at once; gives its id."""
        return self._give(kind, len(data), lambda: (data,))

    def file(self, oid: Oid, size: int) -> bytes:
        """The id of a regular file's content."""
        return self._content(Entry(b"", stat.S_IFREG | 0o644, 0, 0, 0, size, oid))

    def root(self, tree: TreeId) -> bytes:
        """The id of a commit's tree: git's empty tree if there is nothing in it."""
        return self._tree(tree) or self.give(b"tree", b"")

    def _tree(self, tree: TreeId) -> bytes:
        """Children before their parents, without recursion: a tree may be deeper than the stack."""
        known = self._known
        stack: list[tuple[Oid, list[bytes]]] = [(tree, [])]
        while stack:
            oid, raws = stack[-1]
            if oid in known:
                stack.pop()
                continue
            if not raws:
                if self._is_there(oid):
                    continue
                raws = read_entries(self._store, TreeId(oid))
                stack[-1] = (oid, raws)
            fresh = [decode_entry(raw)[0] for raw in raws if self._rows.get(raw) is None]
            below = [each.oid for each in fresh if _is_walked(each) and each.oid not in known]
            if below:
                stack += [(each, []) for each in below]
                continue
            known[oid] = self._encode(raws)
            if known[oid]:
                self.fresh.append((oid, known[oid]))
        return known[tree]

    def _is_there(self, oid: Oid) -> bool:
        """Whether git has what a tree was imported from, or exported as, before."""
        git_id = self._ids.git_of(oid) if oid != EMPTY_TREE else None
        if git_id is None or len(git_id) != self._id_bytes or not self._has(git_id):
            return False
        self._known[oid] = git_id
        return True

    def _encode(self, raws: list[bytes]) -> bytes:
        rows = [row for raw in raws if (row := self._rows.get(raw) or self._row(raw))]
        rows.sort()
        return self.give(b"tree", b"".join(row for _, row in rows)) if rows else b""

    def _row(self, raw: bytes) -> tuple[bytes, bytes] | None:
        """Of one encoded entry: how git sorts it, and its bytes in git; None: it is left out."""
        entry, _ = decode_entry(raw)
        git_mode = git_mode_of(entry)
        if not git_mode:
            self.special_count += 1
            return None
        if is_reserved(entry.name):
            self.dotgit_count += 1
            return None
        git_id = self._content(entry)
        if not git_id:
            self.empty_count += 1
            return None
        key = entry.name + b"/" if _is_tree(entry) else entry.name
        row = (key, b"%s %s\0%s" % (git_mode, entry.name, git_id))
        self._rows.put(raw, row)
        return row

    def _content(self, entry: Entry) -> bytes:
        """The id that an entry gets; empty for an empty directory."""
        if entry.is_dir:
            if entry.oid == EMPTY_TREE and entry.xattrs and LEGACY_MODE in entry.xattrs:
                return gitlink_of(entry) or self.give(b"tree", b"")
            return gitlink_of(entry) or self._known[entry.oid]
        if stat.S_ISLNK(entry.mode):
            return self.give(b"blob", entry.target)
        git_id = self._known.get(entry.oid)
        if git_id is None:
            git_id = self._give(b"blob", entry.size, lambda: self._pieces(entry))
            self._known[entry.oid] = git_id
        return git_id

    def _pieces(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a regular file."""
        if entry.size <= WHOLE_MAX:
            yield self._store.read(entry.oid, Kind.BLOB) if entry.size else b""
            return
        left = entry.size
        ids = decode_parts(self._store.read(entry.oid, Kind.PARTS)).ids
        for index in range(part_count(left)):
            oid = ids.get(index)
            length = min(left, PART_BYTES)
            yield bytes(length) if oid is None else self._store.read(oid, Kind.BLOB)
            left -= length

    def _give(self, kind: bytes, size: int, pieces: Callable[[], Iterable[bytes]]) -> bytes:
        """`pieces` is called twice when git lacks the object: once for the id, once to write."""
        digest = hashlib.new(self._hash_name, b"%s %d\0" % (kind, size))
        for piece in pieces():
            digest.update(piece)
        git_id = digest.digest()
        if self._sink is not None and git_id not in self._given:
            self._given.add(git_id)
            if not self._has(git_id):
                self._sink(kind, size, pieces())
        return git_id


def _is_tree(entry: Entry) -> bool:
    return entry.is_dir and not gitlink_of(entry)


def _is_walked(entry: Entry) -> bool:
    return _is_tree(entry) and not is_reserved(entry.name)
