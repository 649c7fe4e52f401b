"""Ids of git's objects and ours: the map between them, kept in state, published with the objects.

| key | value |
|---|---|
| `git/` id of git | kind, our id, size of a file or number of directories in a directory |
| `git-of/` our id | git's id of a tree or commit, in the last form that was seen |
| `git-origin/` number | a repository that was imported or exported to (`Origin.encode`) |
| `git-ref/` its number, `/`, full name of a ref | last values of the ref (`Remembered`) |
| `git-ref/` full name of a ref | git's id, from the time when repositories were not told apart |
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
from heliosfs.pace import Pace
from heliosfs.repo import keys
from heliosfs.store.base import Bulk, Collection, Store

_KNOWN = struct.Struct("<B32sQ")
_TAG_DEPTH_MAX = 100


class ConvertedObject(NamedTuple):
    """The object that an object of git became."""

    kind: int
    oid: Oid
    size: int


class Remembered(NamedTuple):
    """A ref of git as it was at its last import or export."""

    git_id: bytes
    name: str
    """Branch or tag here that follows it; empty for a tag of no commit, which has no tag here."""
    imported: bytes
    """Git's id at the last import, of which everything is here; empty if it was only exported."""


LEGACY_ORIGIN = 0
"""Origin that stands for all repositories imported before they were told apart."""


class IdMap:
    """Access to the state above.

    Notes wait here for `publish` or `hand_over`, and not in the store's batch: between two steps of
    an export, a publish of somebody else may fail, and then the batch loses its state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: dict[bytes, bytes | None] = {}
        self._taken: list[bytes] = []
        """Git's id and ours, concatenated, of imported commits that are not published yet."""
        self._taken_count: int | None = None

    @property
    def noted_count(self) -> int:
        """Number of keys that wait for `publish`."""
        return len(self._noted)

    def publish(self) -> None:
        """Publish the notes, and the objects that they name.  StoreError."""
        self.put_noted()
        self._store.publish()

    def put_noted(self) -> None:
        """Put the notes into the store's batch, for the open transaction."""
        for key, value in self._take_noted().items():
            self._store.put(key, value)

    def hand_over(self, bulk: Bulk) -> None:
        """Add the notes to a bulk, so that they are written with the objects that they name."""
        bulk.put_all(self._take_noted())

    def _take_noted(self) -> dict[bytes, bytes | None]:
        if self._taken:
            id_bytes = len(self._taken[0]) - OID_BYTES
            self._noted[self._next_taken()] = bytes((id_bytes,)) + b"".join(self._taken)
            self._taken = []
        noted, self._noted = self._noted, {}
        return noted

    def find(self, git_id: bytes) -> ConvertedObject | None:
        """Return the object that an object of git became: 2 us."""
        value = self._get(keys.GIT_ID + git_id)
        if value is None:
            return None
        # As ConvertedObject() does, without its call.
        return tuple.__new__(ConvertedObject, _KNOWN.unpack(value))

    def note(self, git_id: bytes, kind: Kind, oid: Oid, size: int) -> None:
        """Note an imported object; everything it refers to must have been noted before."""
        self._noted[keys.GIT_ID + git_id] = _KNOWN.pack(kind, oid, size)

    def note_files(self, files: Iterable[tuple[bytes, int, bytes, int]]) -> None:
        """Note many files: git's id, kind, our id and size of each."""
        pack, noted, prefix = _KNOWN.pack, self._noted, keys.GIT_ID
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
            self._get(keys.GIT_ID + git_id) is not None
            or self._get(keys.GIT_TAG + git_id) is not None
        )

    def git_of(self, oid: Oid) -> bytes | None:
        """Return git's id of a tree or commit of ours, if it was ever imported or exported."""
        return self._get(keys.GIT_OF + oid)

    def note_git_of(self, oid: Oid, git_id: bytes) -> None:
        """Note that a tree or commit of ours is this object of git."""
        self._noted[keys.GIT_OF + oid] = git_id

    def origins(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and value of every known repository."""
        for key, value in self._store.scan(keys.GIT_ORIGIN):
            yield int(key[len(keys.GIT_ORIGIN) :], 16), value

    def note_origin(self, number: int, value: bytes) -> None:
        self._noted[keys.GIT_ORIGIN + b"%08x" % number] = value

    def remembered(self, prefix: bytes = keys.GIT_REF) -> Iterator[tuple[int, str, Remembered]]:
        """Yield every ref imported or exported: its repository, full name, and last values."""
        held: dict[bytes, bytes | None] = dict(self._store.scan(prefix))
        held.update((key, value) for key, value in self._noted.items() if key.startswith(prefix))
        for key, value in held.items():
            if value is not None:
                yield _decode_ref(key[len(keys.GIT_REF) :], value)

    def refs_of(self, origin: int) -> Iterator[tuple[str, Remembered]]:
        """Yield the remembered refs of one repository."""
        below = b"%08x/" % origin if origin else b"refs/"
        for _, name, each in self.remembered(keys.GIT_REF + below):
            yield name, each

    def note_ref(self, origin: int, name: str, each: Remembered | None) -> None:
        """Remember a ref, or forget it."""
        key = keys.GIT_REF + (b"%08x/" % origin if origin else b"")
        value = None
        if each is not None:
            head = bytes((len(each.git_id), len(each.imported)))
            ours = each.name.encode("utf-8", "surrogateescape")
            value = head + each.git_id + each.imported + ours
        self._noted[key + name.encode("utf-8", "surrogateescape")] = value

    def tag(self, git_id: bytes) -> bytes | None:
        """Return the bytes of an annotated tag."""
        return self._get(keys.GIT_TAG + git_id)

    def note_tag(self, git_id: bytes, data: bytes) -> None:
        self._noted[keys.GIT_TAG + git_id] = data

    def note_commit(self, git_id: bytes, oid: CommitId) -> None:
        """Note a commit that was imported by an import that is under way."""
        self.note(git_id, Kind.COMMIT, oid, 0)
        self._taken.append(git_id + oid)

    def under_way(self) -> Iterator[tuple[bytes, CommitId]]:
        """Yield the published commits of unfinished imports, with git's ids."""
        for _, value in self._store.scan(keys.GIT_TAKEN):
            id_bytes = value[0]
            size = id_bytes + OID_BYTES
            for at in range(1, len(value), size):
                pair = value[at : at + size]
                yield pair[:id_bytes], CommitId(Oid(pair[id_bytes:]))

    def clear_under_way(self) -> None:
        """Note that the import is finished."""
        for key, _ in self._store.scan(keys.GIT_TAKEN):
            self._noted[key] = None

    def stale(self, collection: Collection) -> list[bytes]:
        """Return the keys of state about objects that a garbage collection did not mark."""
        pace = Pace()

        def goes(oid: Oid) -> bool:
            pace()
            return oid not in NEVER_STORED and not collection.is_marked(oid)

        ids = collection.scan(keys.GIT_ID)
        found = [key for key, value in ids if goes(Oid(_KNOWN.unpack(value)[1]))]
        return found + [
            key for key, _ in collection.scan(keys.GIT_OF) if goes(Oid(key[len(keys.GIT_OF) :]))
        ]

    def stale_tags(self, collection: Collection) -> list[bytes]:
        """Return the keys of annotated tags that lead to no known object any more.

        The memory of refs stays, so that a branch that was deleted here stays deleted.
        """
        known = {key[len(keys.GIT_ID) :] for key, _ in collection.scan(keys.GIT_ID)}
        tags = {
            key[len(keys.GIT_TAG) :]: parse_tag(data).target
            for key, data in collection.scan(keys.GIT_TAG)
        }
        while led := [tag for tag, target in tags.items() if target in known]:
            # Tags may name tags.
            known.update(led)
            for tag in led:
                del tags[tag]
        return [keys.GIT_TAG + tag for tag in tags]

    def _next_taken(self) -> bytes:
        if self._taken_count is None:
            taken = [key for key, _ in self._store.scan(keys.GIT_TAKEN)]
            self._taken_count = keys.number_in(keys.GIT_TAKEN, taken[-1]) + 1 if taken else 0
        key = keys.of_number(keys.GIT_TAKEN, self._taken_count)
        self._taken_count += 1
        return key

    def _get(self, key: bytes) -> bytes | None:
        return self._noted[key] if key in self._noted else self._store.get(key)


def _decode_ref(key: bytes, value: bytes) -> tuple[int, str, Remembered]:
    name = key.decode("utf-8", "surrogateescape")
    if key.startswith(b"refs/"):
        return LEGACY_ORIGIN, name, Remembered(value, name.split("/", 2)[2], value)
    number, _, name = name.partition("/")
    at = 2 + value[0]
    end = at + value[1]
    ours = value[end:].decode("utf-8", "surrogateescape")
    return int(number, 16), name, Remembered(value[2:at], ours, value[at:end])
