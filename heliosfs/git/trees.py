"""Trees of git become trees of ours."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from itertools import compress
from operator import ge, itemgetter
from typing import Any, NamedTuple

from heliosfs.errors import HeliosError
from heliosfs.git.ids import IdMap, Known
from heliosfs.git.modes import (
    CONSTANT_MTIME_NS,
    EXECUTABLE_MODE,
    FILE_MODE,
    TREE_MODE,
    file_mtime_ns,
    marks_of,
    mode_of,
)
from heliosfs.git.names import is_reserved
from heliosfs.git.raw import entry_pattern
from heliosfs.objects.ids import Kind, Oid, TreeId, object_id
from heliosfs.objects.tree import (
    INDEX_FROM,
    NAME_MAX,
    NO_OID,
    Entry,
    LeafRef,
    encode_entry,
    encode_file,
    encode_index,
    join_leaf,
    starts_leaf,
)
from heliosfs.repo.identity import Identity
from heliosfs.store.base import Bulk, Store
from heliosfs.store.remembered import Recent
from heliosfs.workspace.trees import EMPTY_TREE, read_file

_TARGET_MAX_BYTES = 4095
"""Of a symbolic link (PATH_MAX without the NUL)."""
_TREES = (Kind.TREE,)
_FILES = (Kind.BLOB, Kind.PARTS)
_PLAIN_DIRECTORY = stat.S_IFDIR | 0o755
_PLAIN = {
    FILE_MODE: stat.S_IFREG | 0o644,
    EXECUTABLE_MODE: stat.S_IFREG | 0o755,
    TREE_MODE: _PLAIN_DIRECTORY,
}
"""What nearly every entry is."""


class _Encoded(NamedTuple):
    """An entry of a git tree, and what it is here."""

    name: bytes
    sort_key: bytes
    """Git sorts a tree as if its name ended in a slash."""
    raw: bytes
    is_dir: bool
    starts_leaf: bool


class TreeReader:
    """Turns trees of git, whose contents are in the store, into trees of the store."""

    def __init__(
        self, store: Store, bulk: Bulk, ids: IdMap, owner: Identity, id_bytes: int
    ) -> None:
        self._store = store
        self._bulk = bulk
        self._ids = ids
        self._owner = owner
        self._id_bytes = id_bytes
        self._pattern = entry_pattern(id_bytes)
        self._entries: Recent[_Encoded] = Recent()
        """By the bytes of the entry in git: what repeats from commit to commit."""
        self._leaves: Recent[Oid] = Recent()
        """Leaves of large directories that are in the store."""
        self._leaf_bases: Recent[Oid] = Recent()
        """The leaf that began with a name last."""

    def turn(
        self, git_id: bytes, data: bytes, base: Oid | None, held: Mapping[bytes, object]
    ) -> Known | list[bytes]:
        """Add the tree to the store; or give those of `held` that must be turned before.

        HeliosError when no directory can be like it; MissingObject when what a symbolic link in
        it names is not written yet.  30 us for 40 entries that were seen before.
        """
        parts: list[bytes] = self._pattern.findall(data)
        if len(b"".join(parts)) != len(data):
            raise _malformed(git_id, "it cannot be read")
        entries = list(map(self._entries.young.get, parts))
        if not all(entries):
            needed = self._complete(git_id, parts, entries, held)
            if needed:
                return needed
        # Columns and C loops: this runs for every entry of every tree of the history.
        names, keys, raws, are_dirs, starts = _columns(entries)
        if any(map(ge, keys, keys[1:])):
            raise _malformed(git_id, "its entries are not in order, or not distinct")
        directories = sum(are_dirs)
        if directories and any(map(ge, names, names[1:])):
            if len(set(names)) < len(names):
                raise _malformed(git_id, "its entries are not distinct")
            names, _, raws, _, starts = _columns(sorted(entries, key=itemgetter(0)))
        if not raws:
            oid = EMPTY_TREE
        elif len(raws) < INDEX_FROM:
            oid = self._put_tree(join_leaf(raws), base)
        else:
            oid = self._write_index(names, raws, starts, base)
        known = Known(Kind.TREE, oid, directories)
        self._ids.note(git_id, Kind.TREE, oid, known.size)
        self._ids.note_git_of(oid, git_id)
        return known

    def _write_index(
        self, names: list[bytes], raws: list[bytes], starts: list[bool], base: Oid | None
    ) -> TreeId:
        """`write_entries` of a large directory: leaves that were just written cost a hash only."""
        cuts = [at for at in compress(range(len(raws)), starts) if at]
        leaves = []
        for at, end in zip([0, *cuts], [*cuts, len(raws)], strict=True):
            data = join_leaf(raws[at:end])
            oid = TreeId(object_id(Kind.TREE, data))
            if self._leaves.get(oid) is None:
                base_leaf = self._leaf_bases.get(names[at])
                self._bulk.add(oid, Kind.TREE, data, base_leaf)
                self._leaves.put(oid, oid)
                self._leaf_bases.put(names[at], oid)
            leaves.append(LeafRef(names[at], oid))
        return self._put_tree(encode_index(leaves), base)

    def _put_tree(self, data: bytes, base: Oid | None) -> TreeId:
        oid = TreeId(object_id(Kind.TREE, data))
        self._bulk.add(oid, Kind.TREE, data, base)
        return oid

    def _complete(
        self,
        git_id: bytes,
        parts: list[bytes],
        entries: list[_Encoded | None],
        held: Mapping[bytes, object],
    ) -> list[bytes]:
        """Fill in the entries that were not at hand; or give the trees that are needed for it."""
        absent = [at for at, entry in enumerate(entries) if entry is None]
        targets = [parts[at][-self._id_bytes :] for at in absent]
        needed = [
            target
            for at, target in zip(absent, targets, strict=True)
            if target in held and parts[at][:1] in b"40"
        ]
        if not needed:
            for at in absent:
                entries[at] = self._entries.get(parts[at]) or self._encode(parts[at], git_id)
        return needed

    def root(self, tree: Known) -> Entry:
        """The root directory of a commit."""
        mode = stat.S_IFDIR | 0o755
        owner = self._owner
        return Entry(b"", mode, owner.uid, owner.gid, CONSTANT_MTIME_NS, tree.size, tree.oid)

    def _encode(self, part: bytes, git_id: bytes) -> _Encoded:
        git_mode, _, rest = part.partition(b" ")
        name, target_id = rest[: -self._id_bytes - 1], rest[-self._id_bytes :]
        mode = _PLAIN.get(git_mode, 0)
        if mode and name[:1] != b"." and not (b"~" in name or b"/" in name or len(name) > NAME_MAX):
            is_dir = mode == _PLAIN_DIRECTORY
            known = self._find(target_id, name, git_id, is_tree=is_dir)
            if known.oid != EMPTY_TREE:
                return self._remember(part, name, mode, known, is_tree=is_dir)
        if name in (b".", b"..") or b"/" in name or len(name) > NAME_MAX or is_reserved(name):
            raise _malformed(git_id, f"no directory can hold an entry {name[:80]!r}")
        mode = mode_of(git_mode)
        if not mode:
            raise _malformed(git_id, f"mode {git_mode.decode()} of {name[:80]!r} is unknown")
        is_dir = stat.S_ISDIR(mode)
        is_tree = is_dir and int(git_mode, 8) & 0o170000 == stat.S_IFDIR
        if is_dir and not is_tree:
            known = Known(Kind.TREE, EMPTY_TREE, 0)
        else:
            known = self._find(target_id, name, git_id, is_tree=is_tree)
        empty_tree = is_tree and known.oid == EMPTY_TREE
        marks = marks_of(git_mode, target_id.hex().encode(), empty_tree=empty_tree)
        if marks is None and not stat.S_ISLNK(mode):
            return self._remember(part, name, mode, known, is_tree=is_tree)
        raw = encode_entry(self._entry(git_id, name, mode, known, marks))
        key = name + b"/" if is_tree else name
        encoded = _Encoded(name, key, raw, is_dir, starts_leaf(name))
        self._entries.put(part, encoded)
        return encoded

    def _remember(
        self, part: bytes, name: bytes, mode: int, known: Known, *, is_tree: bool
    ) -> _Encoded:
        """An entry that has nothing but the common fields."""
        time_ns = CONSTANT_MTIME_NS if is_tree else file_mtime_ns(known.oid)
        owner = self._owner
        raw = encode_file(mode, owner.uid, owner.gid, time_ns, known.size, known.oid, name)
        key = name + b"/" if is_tree else name
        encoded = _Encoded(name, key, raw, is_tree, starts_leaf(name))
        self._entries.put(part, encoded)
        return encoded

    def _find(self, target_id: bytes, name: bytes, git_id: bytes, *, is_tree: bool) -> Known:
        known = self._ids.find(target_id)
        if known is None or known.kind not in (_TREES if is_tree else _FILES):
            raise _malformed(git_id, f"{target_id.hex()} ({name[:80]!r}) is not there")
        return known

    def _entry(
        self,
        git_id: bytes,
        name: bytes,
        mode: int,
        known: Known,
        marks: Mapping[bytes, bytes] | None,
    ) -> Entry:
        """An entry that has more than the common fields."""
        owner = self._owner
        is_file = stat.S_ISREG(mode)
        time_ns = file_mtime_ns(known.oid) if is_file else CONSTANT_MTIME_NS
        entry = Entry(
            name, mode, owner.uid, owner.gid, time_ns, known.size, known.oid, xattrs=marks
        )
        if not stat.S_ISLNK(mode):
            return entry
        target = read_file(self._store, entry) if entry.size <= _TARGET_MAX_BYTES else b"\0"
        if b"\0" in target:
            raise _malformed(git_id, f"no symbolic link can be like {name[:80]!r}")
        return entry._replace(oid=NO_OID, target=target)


def _columns(
    entries: Iterable[Any],
) -> tuple[list[bytes], list[bytes], list[bytes], list[bool], list[bool]]:
    """The fields of `_Encoded`, each as a list."""
    columns: Any = list(map(list, zip(*entries, strict=True)))
    return tuple(columns) if columns else ([], [], [], [], [])


def _malformed(git_id: bytes, problem: str) -> HeliosError:
    return HeliosError(f"git tree {git_id.hex()} cannot be taken in: {problem}")
