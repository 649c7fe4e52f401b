"""Paths of commits and working states whose contents are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import PromisedObject, StoreError
from heliosfs.objects.ids import Kind, Oid, TreeId
from heliosfs.objects.references import entry_references, references
from heliosfs.objects.tree import Entry, decode_entry, entry_name
from heliosfs.repo.repository import Repository
from heliosfs.trees.stored import read_entries


class LostPath(NamedTuple):
    """A path that cannot be read, in the newest commit that has it."""

    commit: str
    path: bytes


def lost_paths(repository: Repository) -> Iterator[LostPath]:
    """Yield each path that cannot be read, once for what is lost there; it reads all objects."""
    seen: set[Oid] = set()
    for branch in repository.refs:
        state = repository.saved_state(branch)
        yield from _below(repository, f"the working state of {branch.name}", state.root, b"", seen)
    for oid in repository.history.ids():
        try:
            root = repository.history.read(oid).root
        except StoreError:
            yield LostPath(oid.hex()[:12], b"")
            continue
        yield from _below(repository, oid.hex()[:12], root, b"", seen)


def _look_at(repository: Repository, oid: Oid, kind: Kind) -> None:
    """Read a part of a file, unless a remote has it.  Raise StoreError."""
    with suppress(PromisedObject):
        repository.store.read(oid, kind)


def _below(
    repository: Repository, commit: str, entry: Entry, path: bytes, seen: set[Oid]
) -> Iterator[LostPath]:
    for kind, oid in entry_references(entry):
        if oid in seen:
            continue
        seen.add(oid)
        try:
            if kind is Kind.TREE:
                raws = read_entries(repository.store, TreeId(oid))
            else:
                data = repository.store.read(oid, kind)
                for part_kind, part in references(kind, data):
                    _look_at(repository, part, part_kind)
                continue
        except PromisedObject:
            # It is not lost: a remote has it.
            continue
        except StoreError:
            yield LostPath(commit, path)
            continue
        for raw in raws:
            below = path + b"/" + entry_name(raw) if path else entry_name(raw)
            yield from _below(repository, commit, decode_entry(raw)[0], below, seen)
