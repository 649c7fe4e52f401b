"""Names of objects: a commit, a tree, or a file in one (gitrevisions(7))."""

from __future__ import annotations

import posixpath
import re
import stat
from typing import NamedTuple

from heliosfs.errors import NotFound, PromisedObject, StoreError, UsageError
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.tree import Entry
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.view import View
from heliosfs.trees.stored import find_entry

_PEELED = re.compile(r"(?P<base>.+)\^\{(?P<kind>tree|blob)\}")


class Named(NamedTuple):
    """The object that a name stands for."""

    kind: str
    """`commit`, `tree` or `blob`."""
    oid: Oid
    """Id; for a symbolic link, the id that its target would have as a file."""
    entry: Entry | None = None
    """Entry of a tree or file in its directory; for a commit, its root."""
    path: bytes = b""
    """Path below the root."""


def find_object(repository: Repository, view: View, text: str, cwd: str = "") -> Named:
    """Return the object for `REV`, `REV^{tree}`, `REV:PATH`, `:PATH` (of the stage) or an id.

    A path begins at the root, or in `cwd` after `./`.  Raise UsageError, NotFound or Ambiguous.
    """
    peeled = _PEELED.fullmatch(text)
    if peeled is not None:
        found = find_object(repository, view, peeled["base"], cwd)
        if found.entry is None or found.entry.is_dir != (peeled["kind"] == "tree"):
            raise NotFound(f"{text[:80]!r}: that is no {peeled['kind']}")
        return _of_entry(found.entry, found.path)
    revision, colon, path = text.partition(":")
    if colon:
        root = view.base_root() if not revision else _root(repository, view, revision, cwd)
        return _at(repository, root, path.removeprefix("0:") if not revision else path, cwd, text)
    try:
        oid = resolve(repository, text, view.head, view)
    except NotFound:
        found_object = _by_id(repository, text)
        if found_object is None:
            raise
        return found_object
    return Named("commit", oid, repository.history.read(oid).root)


def _root(repository: Repository, view: View, revision: str, cwd: str) -> Entry:
    found = find_object(repository, view, revision, cwd)
    if found.entry is None or not found.entry.is_dir:
        raise NotFound(f"{revision[:80]!r} is not a tree")
    return found.entry


def _at(repository: Repository, root: Entry, path: str, cwd: str, text: str) -> Named:
    start = cwd if path.startswith(("./", "../")) or path in (".", "..") else ""
    place = posixpath.normpath(posixpath.join(start, path or "."))
    if place.startswith(("../", "/")) or place == "..":
        raise UsageError(f"usage: {text[:80]!r} is outside of the workspace")
    name = b"" if place == "." else place.encode("utf-8", "surrogateescape")
    entry = find_entry(repository.store, root, name)
    if entry is None:
        raise NotFound(f"no path {path[:80]!r} in {text.partition(':')[0][:80] or 'the stage'}")
    return _of_entry(entry, name)


def _of_entry(entry: Entry, path: bytes) -> Named:
    if entry.is_dir:
        return Named("tree", entry.oid, entry, path)
    oid = object_id(Kind.BLOB, entry.target) if stat.S_ISLNK(entry.mode) else entry.oid
    return Named("blob", oid, entry, path)


def _by_id(repository: Repository, text: str) -> Named | None:
    """Return a tree or file by its full id, as `ls-tree` and `ls-files -s` print it."""
    if len(text) != 64:
        return None
    try:
        oid = Oid(bytes.fromhex(text))
    except ValueError:
        return None
    store = repository.store
    if not store.contains(oid) and oid not in store.promises:
        return None
    for kind, name, mode in ((Kind.TREE, "tree", 0o040755), (Kind.BLOB, "blob", 0o100644)):
        try:
            data = store.read(oid, kind)
        except PromisedObject:
            raise
        except StoreError:
            continue
        size = 0 if kind is Kind.TREE else len(data)
        return Named(name, oid, Entry(b"", mode, 0, 0, 0, size, oid))
    return None
