"""Ids of git's objects and ours: the map between them, kept in state, published with the objects.

| key | value |
|---|---|
| `git/` id of git | kind, our id, size of a file or number of directories in a directory |
| `git-of/` our id | git's id of a tree or commit, in the last form that was seen |
| `git-origin/` number | a repository that was imported or exported to (`Origin.encode`) |
| `git-ref/` its number, `/`, full name of a ref | last values of the ref (`RememberedRef`) |
| `git-ref/` full name of a ref | git's id, from the time when repositories were not told apart |
| `git-served/` our id | git's id of a commit made here, for clones: that of its whole history |
| `git-tag/` id of git | an annotated tag, as git has it |
| `git-taken/` number | commits of an import under way: length of git's ids, then git's and ours |
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.git.notes import Notes
from heliosfs.git.raw import parse_tag
from heliosfs.git.remembered import OriginNotes
from heliosfs.git.unfinished import Unfinished
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.repo import keys
from heliosfs.store.base import Bulk, Store

_KNOWN = struct.Struct("<B32sQ")
_TAG_DEPTH_MAX = 100


def known_oid(value: bytes) -> Oid:
    """Return the id of the object here from a value under `git/`."""
    return Oid(_KNOWN.unpack(value)[1])


class ConvertedObject(NamedTuple):
    """The object that an object of git became."""

    kind: int
    oid: Oid
    size: int


class IdMap:
    """Access to the state above; what is noted waits for `publish` or `hand_over`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._notes = Notes(store)
        self.origins = OriginNotes(self._notes)
        self.unfinished = Unfinished(self._notes)

    @property
    def noted_count(self) -> int:
        """Number of keys that wait for `publish`."""
        return len(self._notes.noted)

    def publish(self) -> None:
        """Publish the notes, and the objects that they name.  Raise StoreError."""
        self.put_noted()
        self._store.publish()

    def put_noted(self) -> None:
        """Put the notes into the store's batch, for the open transaction."""
        self.unfinished.note()
        for key, value in self._notes.take().items():
            self._store.put(key, value)

    def hand_over(self, bulk: Bulk) -> None:
        """Add the notes to a bulk, so that they are written with the objects that they name."""
        self.unfinished.note()
        bulk.put_all(self._notes.take())

    def find(self, git_id: bytes) -> ConvertedObject | None:
        """Return the object that an object of git became: 2 us."""
        value = self._notes.get(keys.GIT_ID + git_id)
        if value is None:
            return None
        # As ConvertedObject() does, without its call.
        return tuple.__new__(ConvertedObject, _KNOWN.unpack(value))

    def note(self, git_id: bytes, kind: Kind, oid: Oid, size: int) -> None:
        """Note an imported object; everything it refers to must have been noted before."""
        self._notes.noted[keys.GIT_ID + git_id] = _KNOWN.pack(kind, oid, size)

    def note_files(self, files: Iterable[tuple[bytes, int, bytes, int]]) -> None:
        """Note many files: git's id, kind, our id and size of each."""
        pack, noted, prefix = _KNOWN.pack, self._notes.noted, keys.GIT_ID
        for git_id, kind, oid, size in files:
            noted[prefix + git_id] = pack(kind, oid, size)

    def commit(self, git_id: bytes) -> CommitId | None:
        """Return the commit here that a commit of git became, or came from."""
        known = self.find(git_id)
        return CommitId(known.oid) if known and known.kind == Kind.COMMIT else None

    def commit_of(self, git_id: bytes) -> CommitId | None:
        """Return the commit that an object of git leads to; None for a tag of another kind."""
        for _ in range(_TAG_DEPTH_MAX):
            oid = self.commit(git_id)
            data = None if oid is not None else self.tag(git_id)
            if data is None:
                return oid
            git_id = parse_tag(data).target
        return None

    def is_complete(self, git_id: bytes) -> bool:
        """Return True if an object that a ref named is here, with all that it leads to."""
        return (
            self._notes.get(keys.GIT_ID + git_id) is not None
            or self._notes.get(keys.GIT_TAG + git_id) is not None
        )

    def git_of(self, oid: Oid) -> bytes | None:
        """Return git's id of a tree or commit of ours, if it was ever imported or exported."""
        return self._notes.get(keys.GIT_OF + oid)

    def note_git_of(self, oid: Oid, git_id: bytes) -> None:
        """Note that a tree or commit of ours is this object of git."""
        self._notes.noted[keys.GIT_OF + oid] = git_id

    def served(self, oid: CommitId) -> bytes | None:
        """Return the id that clones get for a commit made here; None if it is not known yet."""
        return self._notes.get(keys.GIT_SERVED + oid)

    def note_served(self, oid: CommitId, git_id: bytes) -> None:
        """Note the id that clones get for a commit."""
        self._notes.noted[keys.GIT_SERVED + oid] = git_id
        self.note(git_id, Kind.COMMIT, oid, 0)

    def tag(self, git_id: bytes) -> bytes | None:
        """Return the bytes of an annotated tag."""
        return self._notes.get(keys.GIT_TAG + git_id)

    def note_tag(self, git_id: bytes, data: bytes) -> None:
        self._notes.noted[keys.GIT_TAG + git_id] = data

    def note_commit(self, git_id: bytes, oid: CommitId) -> None:
        """Note a commit that was imported by an import that is under way."""
        self.note(git_id, Kind.COMMIT, oid, 0)
        self.unfinished.add(git_id, oid)
