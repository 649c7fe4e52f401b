"""Which object of git is which of ours: kept in the store's state, published with the objects.

| key | value |
|---|---|
| `git/` id of git | kind, our id, size of a file or number of directories in a directory |
| `git-of/` our id | git's id of a tree or commit, in the last form that was seen |
| `git-ref/` full name of a ref | git's id as of the last import |
| `git-tag/` id of git | an annotated tag, as git has it |
| `git-import/` id of git | our id of a commit, while its import is under way |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.store.base import Store

_ID = b"git/"
_OF = b"git-of/"
_REF = b"git-ref/"
_TAG = b"git-tag/"
_IMPORT = b"git-import/"

_KNOWN = struct.Struct("<B32sQ")


class Known(NamedTuple):
    """What an object of git became."""

    kind: int
    oid: Oid
    size: int


class IdMap:
    """Reads and writes the state above.  Changes go into the store's batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, git_id: bytes) -> Known | None:
        """What became of an object of git: 2 us."""
        value = self._store.get(_ID + git_id)
        if value is None:
            return None
        kind, oid, size = _KNOWN.unpack(value)
        return Known(kind, Oid(oid), size)

    def note(self, git_id: bytes, kind: Kind, oid: Oid, size: int) -> None:
        """An object was taken in; what it refers to was noted before."""
        self._store.put(_ID + git_id, _KNOWN.pack(kind, oid, size))

    def commit(self, git_id: bytes) -> CommitId | None:
        """The commit of ours that a commit of git became, or came from."""
        known = self.find(git_id)
        return CommitId(known.oid) if known and known.kind == Kind.COMMIT else None

    def git_of(self, oid: Oid) -> bytes | None:
        """Git's id of a tree or commit of ours, if it was ever imported or exported."""
        return self._store.get(_OF + oid)

    def note_git_of(self, oid: Oid, git_id: bytes) -> None:
        """A tree or commit of ours is this object of git."""
        self._store.put(_OF + oid, git_id)

    def ref(self, name: bytes) -> bytes | None:
        """What a ref of git named at the last import."""
        return self._store.get(_REF + name)

    def refs(self) -> Iterator[tuple[bytes, bytes]]:
        """Full name and git's id of every imported ref."""
        for key, value in self._store.scan(_REF):
            yield key[len(_REF) :], value

    def note_ref(self, name: bytes, git_id: bytes) -> None:
        self._store.put(_REF + name, git_id)

    def tag(self, git_id: bytes) -> bytes | None:
        """The bytes of an annotated tag."""
        return self._store.get(_TAG + git_id)

    def note_tag(self, git_id: bytes, data: bytes) -> None:
        self._store.put(_TAG + git_id, data)

    def note_commit(self, git_id: bytes, oid: CommitId) -> None:
        """A commit was taken in by an import that is under way."""
        self.note(git_id, Kind.COMMIT, oid, 0)
        self._store.put(_IMPORT + git_id, oid)

    def under_way(self) -> Iterator[tuple[bytes, CommitId]]:
        """The commits of imports that did not finish, and git's ids of them."""
        for key, value in self._store.scan(_IMPORT):
            yield key[len(_IMPORT) :], CommitId(Oid(value))

    def clear_under_way(self) -> None:
        """The import is finished."""
        for key, _ in list(self._store.scan(_IMPORT)):
            self._store.put(key, None)
