"""Branches and tags: names for commits, held in memory and kept in the store."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from heliosfs.errors import AlreadyExists, HeliosError, NotFound
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.tag_notes import Annotation, annotate
from heliosfs.repo.working_state import DETACHED
from heliosfs.store.base import StateMap

_SLOT = struct.Struct("<Q")


@dataclass(slots=True)
class Branch:
    """A name for the tip of a line of commits."""

    name: str
    slot: int
    head: CommitId | None
    """Commit; None before the first one."""


class Refs:
    """All branches and tags.  Changes go into the store's batch; a transaction publishes them."""

    def __init__(self, store: StateMap, inverses: Inverses | None = None) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._branches: dict[str, Branch] = {}
        self._by_slot: dict[int, Branch] = {}
        self.of_slot: Callable[[int], Branch | None] = self._by_slot.get
        """Return the branch that owns a working state; None if it was deleted, or is detached.

        Every verb asks several times, so it is the method of the dictionary itself.
        """
        self._prefixes: dict[str, int] = {}
        self.tags: dict[str, CommitId] = {}
        self._read(store)

    def _read(self, store: StateMap) -> None:
        for key, value in store.scan(keys.BRANCH):
            (slot,) = _SLOT.unpack_from(value)
            head = CommitId(Oid(value[8:])) if len(value) == 8 + OID_BYTES else None
            self._keep_in_memory(Branch(keys.name_in(keys.BRANCH, key), slot, head))
        for key, value in store.scan(keys.TAG):
            self.tags[keys.name_in(keys.TAG, key)] = CommitId(Oid(value))

    def __iter__(self) -> Iterator[Branch]:
        return iter(self._branches.values())

    def __contains__(self, name: str) -> bool:
        return name in self._branches

    def find(self, name: str) -> Branch | None:
        """Return the branch of that name, or None."""
        return self._branches.get(name)

    def branch(self, name: str) -> Branch:
        """Return the branch of that name.  Raise NotFound."""
        branch = self._branches.get(name)
        if branch is None:
            raise NotFound(f"no branch {name!r}")
        return branch

    def is_prefix(self, path: str) -> bool:
        """Return True if the name of a branch begins with `path` and a slash."""
        return path in self._prefixes

    def create(self, name: str, head: CommitId | None) -> Branch:
        """Create a branch.  Raise UsageError or AlreadyExists."""
        self._check_free(name)
        known = self._store.get(keys.NEXT_SLOT)
        slot = _SLOT.unpack(known)[0] if known else DETACHED + 1
        # I24: a slot is never given again: operations and saves of the old one may be left.
        self._store.put(keys.NEXT_SLOT, _SLOT.pack(slot + 1))
        branch = Branch(name, slot, head)
        self._keep_in_memory(branch)
        self._inverses.append((self._release, (branch,)))
        self._write(branch)
        return branch

    def move(self, branch: Branch, head: CommitId | None) -> None:
        """Let the branch name another commit."""
        self._inverses.append((_set_head, (branch, branch.head)))
        branch.head = head
        # What `_write` does, without its call.
        key = keys.of_name(keys.BRANCH, branch.name)
        self._store.put(key, _SLOT.pack(branch.slot) + (head or b""))

    def rename(self, branch: Branch, name: str) -> None:
        """Rename a branch.  Raise UsageError or AlreadyExists."""
        # Released first: `a` may become `a/b`, which its own name would block.
        self._release(branch)
        try:
            self._check_free(name)
        except HeliosError:
            self._keep_in_memory(branch)
            raise
        old, branch.name = branch.name, name
        self._keep_in_memory(branch)
        self._inverses.append((self._rename_back, (branch, old)))
        self._store.put(keys.of_name(keys.BRANCH, old), None)
        self._write(branch)

    def _rename_back(self, branch: Branch, name: str) -> None:
        self._release(branch)
        branch.name = name
        self._keep_in_memory(branch)

    def delete(self, branch: Branch) -> None:
        """Delete the branch; its commits stay."""
        self._release(branch)
        self._inverses.append((self._keep_in_memory, (branch,)))
        self._store.put(keys.of_name(keys.BRANCH, branch.name), None)

    def create_tag(
        self, name: str, oid: CommitId, *, force: bool = False, note: Annotation | None = None
    ) -> None:
        """Create a tag with an optional annotation.

        Raise UsageError, and AlreadyExists unless `force` moves the tag.
        """
        check_name(name, "tag")
        if name in self.tags and not force:
            raise AlreadyExists(f"a tag {name!r} exists already")
        self._inverses.append((self._set_tag, (name, self.tags.get(name))))
        self.tags[name] = oid
        self._store.put(keys.of_name(keys.TAG, name), oid)
        annotate(self._store, name, note)

    def delete_tag(self, name: str) -> CommitId:
        """Delete a tag, and return its commit.  Raise NotFound."""
        oid = self.tags.pop(name, None)
        if oid is None:
            raise NotFound(f"no tag {name!r}")
        self._inverses.append((self._set_tag, (name, oid)))
        self._store.put(keys.of_name(keys.TAG, name), None)
        annotate(self._store, name, None)
        return oid

    def _set_tag(self, name: str, oid: CommitId | None) -> None:
        if oid is None:
            self.tags.pop(name, None)
        else:
            self.tags[name] = oid

    def _check_free(self, name: str) -> None:
        check_name(name)
        if name in self._branches:
            raise AlreadyExists(f"a branch {name!r} exists already")
        if name in self._prefixes:
            raise AlreadyExists(f"there are branches below {name + '/'!r}")
        for parent in _parents(name):
            if parent in self._branches:
                raise AlreadyExists(f"a branch {parent!r} exists already")

    def _keep_in_memory(self, branch: Branch) -> None:
        # I24: two branches of one slot would share a working state.
        assert branch.slot not in self._by_slot
        self._branches[branch.name] = branch
        self._by_slot[branch.slot] = branch
        for parent in _parents(branch.name):
            self._prefixes[parent] = self._prefixes.get(parent, 0) + 1

    def _release(self, branch: Branch) -> None:
        del self._branches[branch.name]
        del self._by_slot[branch.slot]
        for parent in _parents(branch.name):
            self._prefixes[parent] -= 1
            if not self._prefixes[parent]:
                del self._prefixes[parent]

    def _write(self, branch: Branch) -> None:
        self._store.put(
            keys.of_name(keys.BRANCH, branch.name), _SLOT.pack(branch.slot) + (branch.head or b"")
        )


def _set_head(branch: Branch, head: CommitId | None) -> None:
    branch.head = head


def _parents(name: str) -> Iterator[str]:
    at = name.find("/")
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)
