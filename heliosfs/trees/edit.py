"""Edit paths of a stored tree, without a live tree."""

from __future__ import annotations

from collections.abc import Mapping

from heliosfs.errors import AlreadyExists
from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.tree import (
    FIXED_BYTES,
    FLAGS_AT,
    LINK,
    LINKS_BELOW,
    Entry,
    decode_entry,
    encode_entry,
    is_dir_entry,
)
from heliosfs.store.base import Objects
from heliosfs.trees.stored import EMPTY_TREE, read_entries, write_entries

Edits = Mapping[bytes, Entry | None]
"""Path -> the new entry of that path.

The entry of a file replaces a file, nothing, or a directory that the edits empty.  The entry of a
directory sets the attributes of the directory, which is created if it is missing; its contents
come from the tree and from the edits below it.  None removes a file, or a directory that has
become empty.
"""

_ATTRIBUTES = ("mode", "uid", "gid", "mtime_ns", "xattrs")


def put_directory(store: Objects, entry: Entry, raws: list[bytes], base: Oid | None) -> Entry:
    """Store a directory of `raws`, encoded entries in byte order, and return its entry.

    Attributes come from `entry`; `base` is a similar object, a hint for the store.
    """
    return entry._replace(
        oid=write_entries(store, raws, base),
        size=sum(map(is_dir_entry, raws)),
        links_below=any(raw[FLAGS_AT] & (LINK | LINKS_BELOW) for raw in raws),
    )


def edit_tree(store: Objects, root: Entry, edits: Edits, now_ns: int) -> Entry:
    """Apply the edits and return the new root entry; objects go into the store's batch.

    A directory in which a name appears or vanishes gets `now_ns` as its mtime, unless the
    edits set one.  Raises AlreadyExists if a file lies where a directory is needed, or a
    non-empty directory lies where a file is to go.
    Cost: O(edits), and the size of the directories on the way.
    """
    if not edits:
        return root
    return _Editor(store, root, edits, now_ns).run()


class _Directory:
    """Directory on the path to an edit."""

    __slots__ = ("children", "entry", "is_new", "names_changed", "path")

    def __init__(self, path: bytes, entry: Entry, children: dict[bytes, bytes], is_new: bool):
        self.path = path
        self.entry = entry
        self.children = children
        """Name -> encoded entry."""
        self.is_new = is_new
        self.names_changed = False

    def put(self, entry: Entry) -> None:
        self.names_changed |= entry.name not in self.children
        self.children[entry.name] = encode_entry(entry)

    def drop(self, name: bytes) -> None:
        self.names_changed |= self.children.pop(name, None) is not None


class _Editor:
    def __init__(self, store: Objects, root: Entry, edits: Edits, now_ns: int) -> None:
        self._store = store
        self._root = root
        self._edits = edits
        self._now_ns = now_ns
        self._directories: dict[bytes, _Directory] = {}

    def run(self) -> Entry:
        """Load from the top down and write from the bottom up, without recursion.

        Trees may be deeper than Python's stack.
        """
        order = sorted(_ancestors(self._edits), key=lambda path: (path.count(b"/"), path))
        order.remove(b"")
        tree = TreeId(self._root.oid)
        self._directories[b""] = _Directory(b"", self._root, self._read(tree), is_new=False)
        for path in order:
            self._load(path)
        for path, entry in self._edits.items():
            # A directory with edits below it is decided in `_close`, when these are applied.
            if path and path not in self._directories:
                self._apply(path, entry)
        for path in reversed(order):
            self._close(path)
        return self._encode(self._directories[b""], self._edits.get(b""))

    def _read(self, tree: TreeId) -> dict[bytes, bytes]:
        at = FIXED_BYTES
        return {raw[at : at + raw[at - 1]]: raw for raw in read_entries(self._store, tree)}

    def _load(self, path: bytes) -> None:
        above, _, name = path.rpartition(b"/")
        parent = self._directories[above]
        raw = parent.children.get(name)
        entry = decode_entry(raw)[0] if raw is not None else None
        if entry is not None and entry.is_dir:
            children = self._read(TreeId(entry.oid))
            self._directories[path] = _Directory(path, entry, children, is_new=False)
            return
        # Owner and permissions of the directory above are the best guess; an edit may set others.
        made = parent.entry._replace(name=name, mtime_ns=self._now_ns, xattrs=None, oid=EMPTY_TREE)
        self._directories[path] = _Directory(path, made, {}, is_new=True)

    def _apply(self, path: bytes, entry: Entry | None) -> None:
        above, _, name = path.rpartition(b"/")
        parent = self._directories[above]
        raw = parent.children.get(name)
        there = decode_entry(raw)[0] if raw is not None else None
        holds = there is not None and there.is_dir and there.oid != EMPTY_TREE
        if entry is None:
            # Without edits below it, a directory that is not empty stays.
            if not holds:
                parent.drop(name)
        elif entry.is_dir:
            if there is not None and there.is_dir:
                parent.put(with_attributes(there, entry))
            else:
                parent.put(with_attributes(_empty(name), entry))
        elif holds:
            raise AlreadyExists(f"{_show(path)} is a directory with something in it")
        else:
            parent.put(entry._replace(name=name))

    def _close(self, path: bytes) -> None:
        """Put a loaded directory, or the entry that replaces it, into its parent."""
        above, _, name = path.rpartition(b"/")
        directory, parent = self._directories[path], self._directories[above]
        edit = self._edits.get(path)
        is_directory = edit is not None and edit.is_dir
        # The edits emptied it, or put nothing into it.
        if not directory.children and not is_directory:
            if edit is not None:
                parent.put(edit._replace(name=name))
                return
            if path in self._edits:
                parent.drop(name)
                return
            if directory.is_new:
                return
        if edit is not None and not edit.is_dir:
            raise AlreadyExists(f"{_show(path)} is a directory with something in it")
        if directory.is_new and name in parent.children and path not in self._edits:
            raise AlreadyExists(f"{_show(path)} is a file, not a directory")
        parent.put(self._encode(directory, edit)._replace(name=name))

    def _encode(self, directory: _Directory, edit: Entry | None) -> Entry:
        raws = [raw for _, raw in sorted(directory.children.items())]
        old = directory.entry
        base = None if old.oid == EMPTY_TREE else old.oid
        entry = put_directory(self._store, old, raws, base)
        if edit is not None:
            return with_attributes(entry, edit)
        return entry._replace(mtime_ns=self._now_ns) if directory.names_changed else entry


def _ancestors(edits: Edits) -> set[bytes]:
    found = {b""}
    for path in edits:
        above = path.rpartition(b"/")[0]
        while above not in found:
            found.add(above)
            above = above.rpartition(b"/")[0]
    return found


def _empty(name: bytes) -> Entry:
    return Entry(name, 0, 0, 0, 0, 0, EMPTY_TREE)


def with_attributes(entry: Entry, edit: Entry) -> Entry:
    """Return the directory `entry`, contents unchanged, with the attributes of `edit`."""
    return entry._replace(**{name: getattr(edit, name) for name in _ATTRIBUTES})


def _show(path: bytes) -> str:
    return repr(path.decode("utf-8", "surrogateescape"))
