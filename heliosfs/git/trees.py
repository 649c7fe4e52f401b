"""Translation of git's trees into ours."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import ge, itemgetter, ne
from typing import Any, NamedTuple

from heliosfs.git.health import Unfit
from heliosfs.git.ids import ConvertedObject, IdMap
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
from heliosfs.store.remembered import TwoGenerationCache
from heliosfs.trees.files import read_file
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.trees.stored import EMPTY_TREE

_TARGET_MAX_BYTES = 4095
"""Longest target of a symbolic link (PATH_MAX without the NUL)."""
_TREES = (Kind.TREE,)
_FILES = (Kind.BLOB, Kind.PARTS)
_LAST_COUNT = 1000
"""Number of trees that are remembered: 10 MB for directories of 50 entries."""
_PLAIN_DIRECTORY = stat.S_IFDIR | 0o755
_PLAIN = {
    FILE_MODE: stat.S_IFREG | 0o644,
    EXECUTABLE_MODE: stat.S_IFREG | 0o755,
    TREE_MODE: _PLAIN_DIRECTORY,
}
"""Modes of nearly all entries."""


class _Encoded(NamedTuple):
    """An entry of a git tree, and its encoding here."""

    name: bytes
    sort_key: bytes
    """Key by which git sorts: that of a tree ends in a slash."""
    raw: bytes
    is_dir: bool
    starts_leaf: bool


@dataclass(slots=True)
class _Last:
    """The last tree at a path."""

    parts: list[bytes]
    """Entries as git has them, in git's order."""
    raws: Sequence[bytes]
    """Encodings of these entries here, in the same order."""
    arrange: Callable[[Sequence[Any]], Sequence[Any]] | None
    """Function that puts entries in the order of their names, if git has another order."""
    directories: int


class TreeReader:
    """A translator of git's trees whose files are already in the store."""

    def __init__(
        self, store: Store, bulk: Bulk, ids: IdMap, owner: Identity, id_bytes: int
    ) -> None:
        self._store = store
        self._bulk = bulk
        self._ids = ids
        self._owner = owner
        self._id_bytes = id_bytes
        self._pattern = entry_pattern(id_bytes)
        self.covered: set[bytes] = set()
        """Entries, as git has them, whose name no workspace shows."""
        self._entries: TwoGenerationCache[_Encoded] = TwoGenerationCache()
        """Entries by their bytes in git, because they repeat from commit to commit."""
        self._lasts: TwoGenerationCache[_Last] = TwoGenerationCache(_LAST_COUNT)
        """Last tree by path."""
        self._bases: TwoGenerationCache[Oid] = TwoGenerationCache()
        """Tree against which the store may encode the next one, by path."""
        self._leaves: TwoGenerationCache[Oid] = TwoGenerationCache()
        """Leaves of large directories that are in the store."""
        self._leaf_bases: TwoGenerationCache[Oid] = TwoGenerationCache()
        """Last leaf by the name that it begins with."""

    def translate(
        self, git_id: bytes, data: bytes, path: bytes, held: Mapping[bytes, object]
    ) -> ConvertedObject | list[bytes]:
        """Add the tree to the store; or return the ids in `held` that must be translated before it.

        Damaged if no directory can be like it; MissingObject if the target of a symbolic link in it
        is not written yet.  10 us for 40 entries of which one differs from the last tree at `path`,
        20 us for others that were seen before.
        """
        parts: list[bytes] = self._pattern.findall(data)
        # The pattern skips what it does not match, so bytes are missing if the tree is damaged.
        if sum(map(len, parts)) != len(data):
            raise _malformed(git_id, "it cannot be read")
        last = self._lasts.get(path)
        # From commit to commit few entries of a tree change, and the others are not looked at.
        raws = last and self._change(last, git_id, parts, held)
        if last and raws:
            last.parts, last.raws = parts, raws
            leaf = last.arrange(raws) if last.arrange else raws
            oid = self._put_tree(join_leaf(leaf), self._bases.get(path))
            return self._note(git_id, oid, last.directories, path)
        return self._translate_all(git_id, parts, path, held)

    def _change(
        self, last: _Last, git_id: bytes, parts: list[bytes], held: Mapping[bytes, object]
    ) -> Sequence[bytes] | None:
        """Return the encoded entries of a tree with the same names and modes as the last one.

        Return None if it has others, or leads to a tree that is held.
        """
        before = last.parts
        if len(parts) != len(before):
            return None
        raws = list(last.raws)
        end = -self._id_bytes
        for at in compress(range(len(parts)), map(ne, parts, before)):
            part = parts[at]
            # Another name or mode: order and kind of the entries have to be checked again.
            if part[:end] != before[at][:end]:
                return None
            entry = self._entries.get(part)
            if entry is None:
                if part[end:] in held:
                    return None
                entry = self._encode(part, git_id)
            raws[at] = entry.raw
        return raws

    def _translate_all(
        self, git_id: bytes, parts: list[bytes], path: bytes, held: Mapping[bytes, object]
    ) -> ConvertedObject | list[bytes]:
        entries = list(map(self._entries.young.get, parts))
        if not all(entries):
            needed = self._complete(git_id, parts, entries, held)
            if needed:
                return needed
        # Columns and C loops: entries are many.
        names, keys, raws, are_dirs, starts = _columns(entries)
        # git fsck calls it damaged, too; a copy in another order would have another id when it is
        # exported.
        if any(map(ge, keys, keys[1:])):
            raise _malformed(git_id, "its entries are not in order, or not distinct")
        directories = sum(are_dirs)
        arrange: Callable[[Sequence[Any]], Sequence[Any]] | None = None
        if directories and any(map(ge, names, names[1:])):
            if len(set(names)) < len(names):
                raise _malformed(git_id, "its entries are not distinct")
            arrange = itemgetter(*sorted(range(len(names)), key=names.__getitem__))
        if len(raws) >= INDEX_FROM:
            if arrange:
                names, raws, starts = (list(arrange(each)) for each in (names, raws, starts))
            oid = self._write_index(names, raws, starts, self._bases.get(path))
        elif raws:
            self._lasts.put(path, _Last(parts, raws, arrange, directories))
            leaf = arrange(raws) if arrange else raws
            oid = self._put_tree(join_leaf(leaf), self._bases.get(path))
        else:
            oid = EMPTY_TREE
        return self._note(git_id, oid, directories, path)

    def _note(self, git_id: bytes, oid: TreeId, directories: int, path: bytes) -> ConvertedObject:
        self._ids.note(git_id, Kind.TREE, oid, directories)
        self._ids.note_git_of(oid, git_id)
        self._bases.put(path, oid)
        return tuple.__new__(ConvertedObject, (Kind.TREE, oid, directories))

    def _write_index(
        self, names: list[bytes], raws: list[bytes], starts: list[bool], base: Oid | None
    ) -> TreeId:
        """Write leaves and index of a large directory; a leaf just written costs only a hash."""
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
        """Fill in the missing entries; or return the trees that must be translated before."""
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

    def root(self, tree: ConvertedObject) -> Entry:
        """Return the entry of a commit's root directory."""
        mode = stat.S_IFDIR | 0o755
        owner = self._owner
        return Entry(b"", mode, owner.uid, owner.gid, CONSTANT_MTIME_NS, tree.size, tree.oid)

    def _encode(self, part: bytes, git_id: bytes) -> _Encoded:
        end = -self._id_bytes
        target_id = part[end:]
        git_mode, _, name = part[: end - 1].partition(b" ")
        mode = _PLAIN.get(git_mode, 0)
        if mode and name[:1] != b"." and not (b"~" in name or b"/" in name or len(name) > NAME_MAX):
            is_dir = mode == _PLAIN_DIRECTORY
            found = self._ids.find(target_id)
            if found and (found.kind in _TREES) is is_dir and found.oid != EMPTY_TREE:
                return self._remember(part, name, mode, found, is_tree=is_dir)
        if name in (b".", b"..") or b"/" in name or len(name) > NAME_MAX or is_reserved(name):
            raise _malformed(git_id, f"no directory can hold an entry {name[:80]!r}")
        if name == DOT_HELIOS:
            self.covered.add(part)
        mode = mode_of(git_mode)
        if not mode:
            raise _malformed(git_id, f"mode {git_mode.decode()} of {name[:80]!r} is unknown")
        is_dir = stat.S_ISDIR(mode)
        is_tree = is_dir and int(git_mode, 8) & 0o170000 == stat.S_IFDIR
        # A submodule: the commit is in another repository, and an empty directory stands for it
        # here.
        if is_dir and not is_tree:
            known = ConvertedObject(Kind.TREE, EMPTY_TREE, 0)
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
        self, part: bytes, name: bytes, mode: int, known: ConvertedObject, *, is_tree: bool
    ) -> _Encoded:
        """Encode an entry that has only the common fields, and remember it."""
        time_ns = CONSTANT_MTIME_NS if is_tree else file_mtime_ns(known.oid)
        owner = self._owner
        raw = encode_file(mode, owner.uid, owner.gid, time_ns, known.size, known.oid, name)
        key = name + b"/" if is_tree else name
        # What _Encoded() does, without its call.
        encoded = tuple.__new__(_Encoded, (name, key, raw, is_tree, starts_leaf(name)))
        self._entries.put(part, encoded)
        return encoded

    def _find(
        self, target_id: bytes, name: bytes, git_id: bytes, *, is_tree: bool
    ) -> ConvertedObject:
        known = self._ids.find(target_id)
        if known is None or known.kind not in (_TREES if is_tree else _FILES):
            raise _malformed(git_id, f"{target_id.hex()} ({name[:80]!r}) is not there")
        return known

    def _entry(
        self,
        git_id: bytes,
        name: bytes,
        mode: int,
        known: ConvertedObject,
        marks: Mapping[bytes, bytes] | None,
    ) -> Entry:
        """Return an entry that has more than the common fields."""
        owner = self._owner
        is_file = stat.S_ISREG(mode)
        time_ns = file_mtime_ns(known.oid) if is_file else CONSTANT_MTIME_NS
        entry = Entry(
            name, mode, owner.uid, owner.gid, time_ns, known.size, known.oid, xattrs=marks
        )
        if not stat.S_ISLNK(mode):
            return entry
        target = read_file(self._store, entry) if entry.size <= _TARGET_MAX_BYTES else b"\0"
        # Linux can neither store such a target nor one longer than PATH_MAX.
        if b"\0" in target:
            raise _malformed(git_id, f"no symbolic link can be like {name[:80]!r}")
        return entry._replace(oid=NO_OID, target=target)


def _columns(
    entries: Iterable[Any],
) -> tuple[list[bytes], list[bytes], list[bytes], list[bool], list[bool]]:
    """Return the fields of `_Encoded`, each as a list."""
    columns: Any = list(map(list, zip(*entries, strict=True)))
    return tuple(columns) if columns else ([], [], [], [], [])


def _malformed(git_id: bytes, problem: str) -> Unfit:
    oid = git_id.hex()
    return Unfit(f"git tree {oid} cannot be imported: {problem}", oid)
