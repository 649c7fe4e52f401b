"""Remotes, and what their refs named when they were last seen.

What is seen of a remote is kept beside the refs of the repository, under names such as
`origin/main`.  It is no operation of a branch, so `undo` leaves it alone: only a fetch or a push
changes it, and it says what the remote had then.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import AlreadyExists, CorruptObject, NotFound, UsageError
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.dropped import DroppedCommits
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.score_notes import ScoreNotes
from heliosfs.store.base import StateMap

DEFAULT_REMOTE = "origin"
HEADS = "heads"
"""Kind of the branches of a remote."""
TAGS = "tags"
EXPERIMENTS = "experiments"
"""Kind of the refs that name the records of experiments."""
SCORES = "scores"
"""Kind of the records with the scores of branches, which name no commit."""
KIND_WORDS = {HEADS: "branch", TAGS: "tag", EXPERIMENTS: "experiment", SCORES: "scores"}
URL_MAX_BYTES = 4_096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_WITHOUT_PLACES = b"left"
"""Value under `remote-lazy/` where the promises of contents are not here; it is empty elsewhere."""
_VALUE = struct.Struct(f"<{OID_BYTES}s{OID_BYTES}sQ")


class TrackedRef(NamedTuple):
    """A ref of a remote, as it was last seen."""

    commit: CommitId
    trees: CommitId
    """Commit by which the remote names the trees of the closure of `commit`."""
    generation: int
    """Number of times that the ref was written there."""
    version: str
    """Version of the object that is the ref, by which it is replaced."""

    def encode(self) -> bytes:
        return _VALUE.pack(self.commit, self.trees, self.generation) + self.version.encode()


class Remotes:
    """All remotes and their refs; read when they are first asked for.

    Changes go into the store's batch; a transaction publishes them.
    """

    def __init__(self, store: StateMap, inverses: Inverses) -> None:
        self._store = store
        self._inverses = inverses
        self.notes = RemoteNotes(store)
        self._known: dict[str, dict[tuple[str, str], TrackedRef]] | None = None
        """Refs by kind and name, by remote."""

    def _all(self) -> dict[str, dict[tuple[str, str], TrackedRef]]:
        known = self._known
        if known is None:
            known = self._known = {
                keys.name_in(keys.REMOTE, key): {} for key, _ in self._store.scan(keys.REMOTE)
            }
            for key, value in self._store.scan(keys.REMOTE_REF) if known else ():
                remote, kind, name = keys.name_in(keys.REMOTE_REF, key).split("/", 2)
                known.setdefault(remote, {})[kind, name] = _decoded(key, value)
        return known

    @property
    def names(self) -> list[str]:
        """Names of all remotes, in order."""
        return sorted(self._all())

    def url(self, name: str) -> str:
        """Return the URL of a remote.  NotFound."""
        value = self._store.get(keys.of_name(keys.REMOTE, name))
        if value is None:
            there = self.names
            has = f"the remotes are {', '.join(there)}" if there else "'helios remote add NAME URL'"
            if "://" in name:
                has = "'helios remote add NAME URL' gives a URL a name first"
            raise NotFound(f"no remote {name[:80]!r}: {has}")
        return value.decode("utf-8", "surrogateescape")

    def default(self, branch: str | None = None) -> str:
        """Return the remote that is meant if none is named: `origin`, or the only one.  NotFound.

        A branch that only one remote has makes it that one.
        """
        there = self.names
        if DEFAULT_REMOTE in there or not there:
            self.url(DEFAULT_REMOTE)
            return DEFAULT_REMOTE
        having = [each for each in there if (HEADS, branch) in self._all()[each]]
        if len(there) > 1 and len(having) != 1:
            raise NotFound(f"several remotes, and none is 'origin': name one of {', '.join(there)}")
        return having[0] if having else there[0]

    def check_new(self, name: str, url: str) -> None:
        """Check that a remote can be added.  UsageError, AlreadyExists."""
        if _NAME.fullmatch(name) is None or ".." in name or name.endswith((".", ".lock")):
            raise UsageError(f"usage: {name[:80]!r} is not a name that a remote can have")
        self.check_url(url)
        if name in self._all():
            raise AlreadyExists(f"a remote {name!r} exists already: {self.url(name)}")

    def check_url(self, url: str) -> None:
        """Check that a URL can be kept.  UsageError."""
        if len(url.encode("utf-8", "surrogateescape")) > URL_MAX_BYTES:
            raise UsageError(f"usage: a URL has at most {URL_MAX_BYTES} bytes")

    def add(self, name: str, url: str) -> None:
        """Add a remote.  UsageError, AlreadyExists."""
        self.check_new(name, url)
        known = self._all()
        self._inverses.append((known.pop, (name, None)))
        known[name] = {}
        self._store.put(keys.of_name(keys.REMOTE, name), url.encode("utf-8", "surrogateescape"))

    def remove(self, name: str, now_ns: int) -> None:
        """Remove a remote, and what is known of its refs.  NotFound."""
        self.url(name)
        for kind, ref in list(self.refs(name)):
            self.track(name, kind, ref, None, now_ns)
        known = self._all()
        self._inverses.append((known.__setitem__, (name, known.pop(name))))
        self._store.put(keys.of_name(keys.REMOTE, name), None)
        self.notes.forget(name)

    def refs(self, remote: str) -> dict[tuple[str, str], TrackedRef]:
        """Return the refs of a remote by kind and name; do not change what is returned."""
        return self._all().get(remote, {})

    def tracked(self, remote: str, kind: str, name: str) -> TrackedRef | None:
        """Return what is known of a ref of a remote."""
        return self.refs(remote).get((kind, name))

    def track(
        self, remote: str, kind: str, name: str, seen: TrackedRef | None, now_ns: int
    ) -> None:
        """Keep what a remote has in a ref from now on; None if it has no such ref.

        The commit that it had is kept for a while, as one that a branch had.
        """
        refs = self._all()[remote]
        before = refs.get((kind, name))
        if before is not None and (seen is None or seen.commit != before.commit):
            DroppedCommits(self._store).add(before.commit, now_ns)
        self._inverses.append((_set, (refs, (kind, name), before)))
        _set(refs, (kind, name), seen)
        key = keys.of_name(keys.REMOTE_REF, f"{remote}/{kind}/{name}")
        self._store.put(key, seen.encode() if seen is not None else None)

    def branches(self) -> Iterator[tuple[str, CommitId]]:
        """Yield the branches of all remotes by name, such as `origin/main`, and their commits."""
        for remote, refs in sorted(self._all().items()):
            for (kind, name), seen in sorted(refs.items()):
                if kind == HEADS:
                    yield f"{remote}/{name}", seen.commit

    def commits(self) -> Iterator[CommitId]:
        """Yield the commits that refs of remotes name."""
        for refs in self._all().values():
            for seen in refs.values():
                yield seen.commit

    def find(self, name: str) -> CommitId | None:
        """Return the commit of a branch such as `origin/main`; None if there is none."""
        remote, _, branch = name.removeprefix("remotes/").partition("/")
        seen = self.tracked(remote, HEADS, branch) if branch else None
        return seen.commit if seen is not None else None

    def offering(self, branch: str) -> str | None:
        """Return the branch of that name at `origin`, or at the only remote that has one."""
        found = [remote for remote, refs in self._all().items() if (HEADS, branch) in refs]
        if DEFAULT_REMOTE in found:
            return f"{DEFAULT_REMOTE}/{branch}"
        return f"{found[0]}/{branch}" if len(found) == 1 else None

    def upstream(self, branch: str) -> tuple[str, CommitId] | None:
        """Return name and commit of the branch of that name at `origin`, or at the only remote."""
        known = self._all()
        remote = DEFAULT_REMOTE if DEFAULT_REMOTE in known else next(iter(known), "")
        if remote != DEFAULT_REMOTE and len(known) > 1:
            return None
        seen = self.tracked(remote, HEADS, branch)
        return (f"{remote}/{branch}", seen.commit) if seen is not None else None


class RemoteNotes:
    """Notes on remotes, beside their refs.  Changes go into the store's batch."""

    def __init__(self, store: StateMap) -> None:
        self._store = store

    def is_lazy(self, remote: str) -> bool:
        """Return True if fetches from a remote leave contents there until they are asked for."""
        return self._has(keys.REMOTE_LAZY, remote)

    def leave_contents(self, remote: str, *, is_lazy: bool) -> None:
        """Choose whether fetches from a remote leave contents there."""
        self._note(keys.REMOTE_LAZY, remote, is_present=is_lazy)

    def without_places(self) -> list[str]:
        """Return the remotes that have contents of which nobody knows here where they lie there."""
        found = self._store.scan(keys.REMOTE_LAZY)
        return sorted(keys.name_in(keys.REMOTE_LAZY, key) for key, value in found if value)

    def note_places(self, remote: str) -> None:
        """Note that it is known where the contents lie that a remote has."""
        self._store.put(keys.of_name(keys.REMOTE_LAZY, remote), b"")

    def is_git(self, remote: str) -> bool:
        """Return True if a remote is a git server."""
        return self._has(keys.REMOTE_GIT, remote)

    def note_git(self, remote: str, *, is_git: bool) -> None:
        """Note whether a remote is a git server; what is there may change later."""
        self._note(keys.REMOTE_GIT, remote, is_present=is_git)

    def kept(self, remote: str) -> bytes:
        """Return the record of the last fetch that brought what the remote lost; b"" for none."""
        return self._store.get(keys.of_name(keys.REMOTE_KEPT, remote)) or b""

    def note_kept(self, remote: str, record: bytes) -> None:
        """Keep such a record in place of the last one; b"" for none."""
        if record != self.kept(remote):
            self._store.put(keys.of_name(keys.REMOTE_KEPT, remote), record or None)

    def is_pushing(self, remote: str) -> bool:
        """Return True if a push to a remote was cut short."""
        return self._has(keys.PUSHING, remote)

    def note_push(self, remote: str, *, is_under_way: bool) -> None:
        """Note that a push begins, or that it has ended."""
        self._note(keys.PUSHING, remote, is_present=is_under_way)

    def stage(self, remote: str) -> int:
        """Return the stage of the garbage collections of a remote, as last seen; 0 if never."""
        value = self._store.get(keys.of_name(keys.REMOTE_STAGE, remote))
        return int.from_bytes(value or b"", "little")

    def note_pushed(self, remote: str, stage: int) -> None:
        """Note that a push has ended, which has seen a stage of the collections last."""
        self.note_push(remote, is_under_way=False)
        if stage != self.stage(remote):
            key = keys.of_name(keys.REMOTE_STAGE, remote)
            self._store.put(key, stage.to_bytes(8, "little") if stage else None)

    def left_below(self, remote: str) -> dict[tuple[str, str], str]:
        """Return the versions of refs, by kind and name, of which the commits are not here.

        Tags and experiments of a history that is not here were left out.
        """
        prefix, found = keys.of_name(keys.REMOTE_BELOW, f"{remote}/"), {}
        for key, value in self._store.scan(prefix):
            kind, name = keys.name_in(prefix, key).split("/", 1)
            found[kind, name] = value.decode()
        return found

    def leave_below(self, remote: str, kind: str, name: str, version: str | None) -> None:
        """Note that a ref in this version was left out, or with None that none was."""
        key = keys.of_name(keys.REMOTE_BELOW, f"{remote}/{kind}/{name}")
        self._store.put(key, None if version is None else version.encode())

    def forget(self, remote: str) -> None:
        """Forget all notes on a remote."""
        for kind, name in self.left_below(remote):
            self.leave_below(remote, kind, name, None)
        self.note_pushed(remote, 0)
        self.leave_contents(remote, is_lazy=False)
        self.note_git(remote, is_git=False)
        self.note_kept(remote, b"")
        ScoreNotes(self._store, remote).forget()

    def _has(self, prefix: bytes, remote: str) -> bool:
        return self._store.get(keys.of_name(prefix, remote)) is not None

    def _note(self, prefix: bytes, remote: str, *, is_present: bool) -> None:
        if is_present != self._has(prefix, remote):
            self._store.put(keys.of_name(prefix, remote), b"" if is_present else None)


def lazy_without_places(remote: str) -> tuple[bytes, bytes]:
    """Return the state by which a backup says that contents are at a remote, and not in it."""
    return keys.of_name(keys.REMOTE_LAZY, remote), _WITHOUT_PLACES


def check_same(remotes: Remotes, name: str, url: str) -> None:
    """Check that a remote still is at a URL: what was seen there is true there alone.  NotFound."""
    if remotes.url(name) != url:
        raise NotFound(f"the remote {name!r} has another URL by now: {remotes.url(name)}")


def _set(
    refs: dict[tuple[str, str], TrackedRef], key: tuple[str, str], seen: TrackedRef | None
) -> None:
    if seen is None:
        refs.pop(key, None)
    else:
        refs[key] = seen


def _decoded(key: bytes, value: bytes) -> TrackedRef:
    try:
        commit, trees, generation = _VALUE.unpack_from(value)
        version = value[_VALUE.size :].decode()
    except (struct.error, ValueError) as error:
        raise CorruptObject(f"the record {key!r} cannot be read: {error}") from error
    return TrackedRef(CommitId(Oid(commit)), CommitId(Oid(trees)), generation, version)
