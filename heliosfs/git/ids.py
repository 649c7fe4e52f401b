"""Which object of git is which of ours: kept in the store's state, published with the objects.

| key | value |
|---|---|
| `git/` id of git | kind, our id, size of a file or number of directories in a directory |
| `git-of/` our id | git's id of a tree or commit, in the last form that was seen |
| `git-ref/` full name of a ref | git's id as of the last import |
| `git-tag/` id of git | an annotated tag, as git has it |
| `git-taken/` number | commits of an import under way: length of git's ids, then git's and ours |
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from heliosfs.git.raw import parse_tag
from heliosfs.objects.ids import OID_BYTES, CommitId, Kind, Oid
from heliosfs.objects.references import NEVER_STORED
from heliosfs.store.base import Bulk, Collection, Store
from heliosfs.store.pace import Pace

_ID = b"git/"
_OF = b"git-of/"
_REF = b"git-ref/"
_TAG = b"git-tag/"
_TAKEN = b"git-taken/"

_KNOWN = struct.Struct("<B32sQ")
_NUMBER = struct.Struct(">Q")


class Known(NamedTuple):
    """What an object of git became."""

    kind: int
    oid: Oid
    size: int


class IdMap:
    """Reads and writes the state above.

    What is noted waits here for `publish` or `hand_over`: between two steps of an export others
    may fail to publish, and the store's batch loses its state then.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: dict[bytes, bytes | None] = {}
        self._taken: list[bytes] = []
        """Git's and our id, concatenated, of commits that are taken in and not published yet."""
        self._taken_count: int | None = None

    @property
    def noted_count(self) -> int:
        """How many keys wait for `publish`."""
        return len(self._noted)

    def publish(self) -> None:
        """Publish what was noted, and the objects that it is about.  StoreError."""
        self.put_noted()
        self._store.publish()

    def put_noted(self) -> None:
        """Put what was noted into the store's batch, for the transaction that is open."""
        for key, value in self._take_noted().items():
            self._store.put(key, value)

    def hand_over(self, bulk: Bulk) -> None:
        """Have what was noted written with the objects that it is about, before more is asked."""
        bulk.put_all(self._take_noted())

    def _take_noted(self) -> dict[bytes, bytes | None]:
        if self._taken:
            id_bytes = len(self._taken[0]) - OID_BYTES
            self._noted[self._next_taken()] = bytes((id_bytes,)) + b"".join(self._taken)
            self._taken = []
        noted, self._noted = self._noted, {}
        return noted

    def find(self, git_id: bytes) -> Known | None:
        """What became of an object of git: 2 us."""
        value = self._get(_ID + git_id)
        if value is None:
            return None
        # What Known() does, without its call.
        return tuple.__new__(Known, _KNOWN.unpack(value))

    def note(self, git_id: bytes, kind: Kind, oid: Oid, size: int) -> None:
        """An object was taken in; what it refers to was noted before."""
        self._noted[_ID + git_id] = _KNOWN.pack(kind, oid, size)

    def note_files(self, files: Iterable[tuple[bytes, int, bytes, int]]) -> None:
        """`note` of many: git's id, kind, our id and size of each."""
        pack, noted = _KNOWN.pack, self._noted
        for git_id, kind, oid, size in files:
            noted[_ID + git_id] = pack(kind, oid, size)

    def commit(self, git_id: bytes) -> CommitId | None:
        """The commit of ours that a commit of git became, or came from."""
        known = self.find(git_id)
        return CommitId(known.oid) if known and known.kind == Kind.COMMIT else None

    def git_of(self, oid: Oid) -> bytes | None:
        """Git's id of a tree or commit of ours, if it was ever imported or exported."""
        return self._get(_OF + oid)

    def note_git_of(self, oid: Oid, git_id: bytes) -> None:
        """A tree or commit of ours is this object of git."""
        self._noted[_OF + oid] = git_id

    def ref(self, name: bytes) -> bytes | None:
        """What a ref of git named at the last import."""
        return self._get(_REF + name)

    def refs(self) -> Iterator[tuple[bytes, bytes]]:
        """Full name and git's id of every imported ref."""
        for key, value in self._store.scan(_REF):
            yield key[len(_REF) :], value

    def note_ref(self, name: bytes, git_id: bytes) -> None:
        self._noted[_REF + name] = git_id

    def tag(self, git_id: bytes) -> bytes | None:
        """The bytes of an annotated tag."""
        return self._get(_TAG + git_id)

    def note_tag(self, git_id: bytes, data: bytes) -> None:
        self._noted[_TAG + git_id] = data

    def note_commit(self, git_id: bytes, oid: CommitId) -> None:
        """A commit was taken in by an import that is under way."""
        self.note(git_id, Kind.COMMIT, oid, 0)
        self._taken.append(git_id + oid)

    def under_way(self) -> Iterator[tuple[bytes, CommitId]]:
        """The published commits of imports that did not finish, and git's ids of them."""
        for _, value in self._store.scan(_TAKEN):
            id_bytes = value[0]
            size = id_bytes + OID_BYTES
            for at in range(1, len(value), size):
                pair = value[at : at + size]
                yield pair[:id_bytes], CommitId(Oid(pair[id_bytes:]))

    def clear_under_way(self) -> None:
        """The import is finished."""
        for key, _ in self._store.scan(_TAKEN):
            self._noted[key] = None

    def stale(self, collection: Collection) -> list[bytes]:
        """The keys of state about objects that a garbage collection did not mark."""
        pace = Pace()

        def goes(oid: Oid) -> bool:
            pace()
            return oid not in NEVER_STORED and not collection.is_marked(oid)

        ids = collection.scan(_ID)
        keys = [key for key, value in ids if goes(Oid(_KNOWN.unpack(value)[1]))]
        return keys + [key for key, _ in collection.scan(_OF) if goes(Oid(key[len(_OF) :]))]

    def stale_refs(self, collection: Collection) -> list[bytes]:
        """The keys of refs and annotated tags that lead to nothing that is known any more."""
        known = {key[len(_ID) :] for key, _ in collection.scan(_ID)}
        tags = {key[len(_TAG) :]: parse_tag(data).target for key, data in collection.scan(_TAG)}
        while led := [tag for tag, target in tags.items() if target in known]:
            # Tags may name tags.
            known.update(led)
            for tag in led:
                del tags[tag]
        keys = [key for key, git_id in collection.scan(_REF) if git_id not in known]
        return keys + [_TAG + tag for tag in tags]

    def _next_taken(self) -> bytes:
        if self._taken_count is None:
            keys = [key for key, _ in self._store.scan(_TAKEN)]
            self._taken_count = _NUMBER.unpack(keys[-1][len(_TAKEN) :])[0] + 1 if keys else 0
        key = _TAKEN + _NUMBER.pack(self._taken_count)
        self._taken_count += 1
        return key

    def _get(self, key: bytes) -> bytes | None:
        return self._noted[key] if key in self._noted else self._store.get(key)
