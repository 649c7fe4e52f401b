"""Encoding of trees and files as objects of git."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator

from heliosfs.git import raw
from heliosfs.git.ids import IdMap
from heliosfs.git.modes import LEGACY_MODE, git_mode_of
from heliosfs.git.names import is_reserved
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX, part_count
from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Store
from heliosfs.store.remembered import TwoGenerationCache
from heliosfs.trees.files import check_size, read_parts, read_whole
from heliosfs.trees.gitlinks import gitlink_of, plain_xattrs
from heliosfs.trees.stored import EMPTY_TREE, read_entries

Sink = Callable[[bytes, int, Iterable[bytes]], Iterator[None]]
"""A consumer of git objects: takes kind, size and the bytes in pieces, and yields after each
piece."""


class GitEncoder:
    """Encoder that computes the git ids of objects, and passes objects that git lacks to a sink.

    `has` returns True for an id of an object that git has already; a tree that git has is not read.
    A submodule's directory that has files remains a submodule if its commit is in the result of
    `checked_out`; otherwise it becomes a directory.  Memory: 150 bytes for each distinct object.
    """

    def __init__(
        self,
        store: Store,
        hash_name: str,
        has: Callable[[bytes], bool],
        sink: Sink | None,
        checked_out: Callable[[], Steps[set[bytes]]] | None = None,
    ) -> None:
        self._store = store
        self._ids = IdMap(store)
        self._hash_name = hash_name
        self._id_bytes = hashlib.new(hash_name).digest_size
        self._has = has
        self._sink = sink
        self._known: dict[Oid, bytes] = {}
        """Git's id by ours; empty bytes for a tree of which git would keep nothing."""
        self._rows: TwoGenerationCache[tuple[bytes, bytes]] = TwoGenerationCache()
        """Sort key and bytes in git by encoded entry, for entries that repeat from tree to tree."""
        self._written_ids: set[bytes] = set()
        self._checked_out = checked_out
        self._submodules: set[bytes] | None = set() if checked_out is None else None
        """Result of `checked_out`; None until it is needed."""
        self.fresh: list[tuple[Oid, bytes]] = []
        """Trees that were encoded, with their ids in git."""
        self.empty_count = 0
        """Number of empty directories, which git cannot store."""
        self.special_count = 0
        """Number of FIFOs, sockets and devices, which git cannot store."""
        self.dotgit_count = 0
        """Number of entries with a name that git reserves."""
        self.submodules: set[str] = set()
        """Names of submodules with files, which git keeps in repositories of their own."""
        self.vendored: set[str] = set()
        """Names of directories that stood for submodules, and contain files instead now."""

    def write_object(self, kind: bytes, data: bytes) -> bytes:
        """Pass a whole object to the sink, and return its id."""
        git_id = raw.git_id(self._hash_name, kind, data)
        if self._sink is not None and self._is_wanted(git_id):
            for _ in self._sink(kind, len(data), (data,)):
                pass
        return git_id

    def file(self, oid: Oid, size: int) -> Steps[bytes]:
        """Pass the content of a regular file to the sink in pieces, and return its id."""
        digest = hashlib.new(self._hash_name, b"blob %d\0" % size)
        piece = b""
        for piece in self._pieces(oid, size):
            digest.update(piece)
            yield TURN
        # Hashed before it is passed on: only the id tells whether git lacks it.
        git_id = digest.digest()
        if self._sink is not None and self._is_wanted(git_id):
            # A large file is read again, rather than kept in memory.
            pieces = (piece,) if size <= WHOLE_MAX else self._pieces(oid, size)
            for _ in self._sink(b"blob", size, pieces):
                yield TURN
        self._known[oid] = git_id
        return git_id

    def root(self, tree: TreeId) -> Steps[bytes]:
        """Encode a commit's tree, and return its id: git's empty tree if nothing is left of it.

        Children come before their parents, without recursion: a tree may be deeper than the stack.
        """
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
            fresh = [decode_entry(each)[0] for each in raws if self._rows.get(each) is None]
            # Asking git which submodules it has checked out takes a process, so it is done once,
            # when one matters.
            if self._submodules is None and self._checked_out and any(map(_is_filled, fresh)):
                self._submodules = yield from self._checked_out()
            fresh = [self._without_stale_mark(each) for each in fresh]
            below = [each.oid for each in fresh if _is_walked(each) and each.oid not in known]
            # Children come first: the id of a tree follows from theirs.
            if below:
                stack += [(each, []) for each in below]
                continue
            for each in fresh:
                if stat.S_ISREG(each.mode) and each.oid not in known:
                    yield from self.file(each.oid, each.size)
            known[oid] = self._encode(raws)
            if known[oid]:
                self.fresh.append((oid, known[oid]))
            yield TURN
        return known[tree] or self.write_object(b"tree", b"")

    def _is_there(self, oid: Oid) -> bool:
        """Return True if git has the tree that this one was imported from, or exported as."""
        git_id = self._ids.git_of(oid) if oid != EMPTY_TREE else None
        # An id of the other hash, or of an object that git has pruned since, is of no use.
        if git_id is None or len(git_id) != self._id_bytes or not self._has(git_id):
            return False
        self._known[oid] = git_id
        return True

    def _encode(self, raws: list[bytes]) -> bytes:
        rows = [row for each in raws if (row := self._rows.get(each) or self._row(each))]
        rows.sort()
        return self.write_object(b"tree", b"".join(row for _, row in rows)) if rows else b""

    def _row(self, encoded: bytes) -> tuple[bytes, bytes] | None:
        """Return how git sorts an encoded entry, and its bytes in git; None if it is left out."""
        entry = self._without_stale_mark(decode_entry(encoded)[0])
        git_mode = git_mode_of(entry)
        if not git_mode:
            self.special_count += 1
            return None
        # git refuses to check out such a name, because it would be its own directory.
        if is_reserved(entry.name):
            self.dotgit_count += 1
            return None
        git_id = self._content(entry)
        if not git_id:
            self.empty_count += 1
            return None
        key = entry.name + b"/" if _is_tree(entry) else entry.name
        row = (key, b"%s %s\0%s" % (git_mode, entry.name, git_id))
        self._rows.put(encoded, row)
        return row

    def _without_stale_mark(self, entry: Entry) -> Entry:
        """Return an entry without the mark of a submodule, unless it still is one."""
        link = gitlink_of(entry)
        if not link:
            return entry
        is_filled = entry.oid != EMPTY_TREE
        if len(link) == self._id_bytes and not (is_filled and link not in (self._submodules or ())):
            if is_filled:
                self.submodules.add(entry.name.decode("utf-8", "surrogateescape"))
            return entry
        if is_filled:
            self.vendored.add(entry.name.decode("utf-8", "surrogateescape"))
        return entry._replace(xattrs=plain_xattrs(entry) or None)

    def _content(self, entry: Entry) -> bytes:
        """Return the id that an entry gets; empty bytes for an empty directory."""
        if entry.is_dir:
            # An empty tree in git, which only old or odd programs write, was marked at the import
            # so that it can go back.
            if entry.oid == EMPTY_TREE and entry.xattrs and LEGACY_MODE in entry.xattrs:
                return gitlink_of(entry) or self.write_object(b"tree", b"")
            return gitlink_of(entry) or self._known[entry.oid]
        if stat.S_ISLNK(entry.mode):
            return self.write_object(b"blob", entry.target)
        return self._known[entry.oid]

    def _pieces(self, oid: Oid, size: int) -> Iterator[bytes]:
        """Yield the bytes of a regular file in pieces."""
        if size <= WHOLE_MAX:
            yield read_whole(self._store, oid, size)
            return
        _, found, ids = read_parts(self._store, oid)
        check_size(oid, found, size)
        left = size
        for index in range(part_count(left)):
            part = ids.get(index)
            length = min(left, PART_BYTES)
            yield bytes(length) if part is None else read_whole(self._store, part, length)
            left -= length

    def _is_wanted(self, git_id: bytes) -> bool:
        """Return True if git lacks an object, and the sink did not get it before."""
        if git_id in self._written_ids:
            return False
        self._written_ids.add(git_id)
        return not self._has(git_id)


def _is_tree(entry: Entry) -> bool:
    return entry.is_dir and not gitlink_of(entry)


def _is_filled(entry: Entry) -> bool:
    """Return True if an entry stands for a submodule and is not empty."""
    return bool(gitlink_of(entry)) and entry.oid != EMPTY_TREE


def _is_walked(entry: Entry) -> bool:
    return _is_tree(entry) and not is_reserved(entry.name)
