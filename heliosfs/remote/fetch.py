"""Fetch: the refs of a remote that changed are read, what they need is stored, and they are kept.

Nothing that a bucket says is believed.  Each object is stored under the id of its bytes.  Then the
new commits are walked, each after its parents, and everything that they need beyond these must be
in the store; only then are they listed as commits, and only when all of them are, the refs of the
remote move, in one publish.  So a bucket that is damaged, or lies, or ends in the middle leaves
nothing behind but objects that nothing names, which a garbage collection removes.

The bulk of the store stays open to the end, which keeps a collection from beginning meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, CorruptObject, HeliosError, MissingObject
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.closure import Beyond, NewCommits
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    REFS,
    decode_ref,
    pack_key,
    ref_key,
    ref_of,
    trees_key,
)
from heliosfs.remote.packfile import PackName, RemoteObject, read_pack
from heliosfs.remote.treechecks import check_tree, has_git_dir
from heliosfs.remote.treesfile import TREES_MAX, PushedTrees, read_frame, read_trees
from heliosfs.repo import keys
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.git_dirs import SOME
from heliosfs.repo.history import decoded
from heliosfs.repo.remotes import TAGS, TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import Annotation
from heliosfs.steps import TURN, Progress, Steps, Turn, on_thread
from heliosfs.store.base import Bulk

_READERS = 8
"""Requests that are under way at once where many small objects are read."""
_DECODED_BYTES = 4 * 1024 * 1024
"""Bytes of objects that are decoded in one go."""
_DECODED_COUNT = 2_000
_WRITTEN_BYTES = 8 * 1024 * 1024
_ANNOUNCED_COUNT = 500


class DamagedRemote(HeliosError):
    """A bucket has objects that are damaged or missing, or are not what their names say."""


class MovedRef(NamedTuple):
    """A ref of a remote that is another one than when it was last seen."""

    kind: str
    name: str
    before: CommitId | None
    """Commit that it had; None for a new ref."""
    after: CommitId | None
    """Commit that it has; None if it is gone."""
    is_forced: bool = False
    """True if it has lost commits."""


class FetchResult(NamedTuple):
    """The results of a fetch."""

    moved: list[MovedRef]
    gone: list[MovedRef]
    """Refs that the remote has no more; they are forgotten if that was asked for."""
    commit_count: int
    object_count: int
    got_bytes: int


def fetch(
    repository: Repository, bucket: Bucket, remote: str, *, prunes: bool = False
) -> Steps[FetchResult]:
    """Bring what is known of the refs of a remote up to date, with all that they need.

    With `prunes`, refs that the remote has no more are forgotten.  DamagedRemote, and nothing has
    changed; Unreachable; Busy while a garbage collection or an import runs.
    """
    remotes, history = repository.remotes, repository.history
    before = dict(remotes.refs(remote))
    run = _Download(repository, bucket)
    try:
        listed = yield from on_thread(partial(_versions, bucket))
        changed = [each for each, version in listed.items() if not _is_same(before, each, version)]
        records = yield from on_thread(partial(_read_refs, bucket, changed))
        lacking = {seen.commit: seen.trees for seen, _ in records.values()}
        lacking = {oid: trees for oid, trees in lacking.items() if oid not in history}
        bulk = repository.store.bulk() if lacking else None
        try:
            if bulk is not None:
                yield from run.take(bulk, lacking)
            moved = yield from _compared(repository, before, records)
            gone = [
                MovedRef(*each, before[each].commit, None) for each in before if each not in listed
            ]
            _keep(repository, remote, records, gone if prunes else [], run)
        finally:
            if bulk is not None:
                bulk.close()
    except (CorruptObject, MissingObject) as error:
        raise DamagedRemote(f"{remote} is damaged, and nothing was changed: {error}") from error
    return FetchResult(moved, gone, run.commit_count, run.object_count, run.got_bytes)


_RefName = tuple[str, str]


def _is_same(before: dict[_RefName, TrackedRef], name: _RefName, version: str) -> bool:
    seen = before.get(name)
    return seen is not None and seen.version == version


def _versions(bucket: Bucket) -> dict[_RefName, str]:
    """Return the versions of all refs; on a thread."""
    found = ((ref_of(each.key), each.version) for each in bucket.list(REFS))
    return {name: version for name, version in found if name is not None}


class _ReadRef(NamedTuple):
    """A ref of a bucket, as it was read."""

    seen: TrackedRef
    note: Annotation | None


def _read_refs(bucket: Bucket, names: list[_RefName]) -> dict[_RefName, _ReadRef]:
    """Read refs, without those that are gone meanwhile; on a thread."""

    def read(name: _RefName) -> _ReadRef | None:
        try:
            data, version = bucket.get(ref_key(*name), 0, REF_BYTES_MAX)
        except NoObject:
            return None
        record = decode_ref(name[1], data)
        seen = TrackedRef(record.commit, record.trees, record.generation, version)
        return _ReadRef(seen, record.note)

    if len(names) == 1:
        found = [read(names[0])]
    else:
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(read, names))
    return {name: each for name, each in zip(names, found, strict=True) if each is not None}


def _compared(
    repository: Repository,
    before: dict[_RefName, TrackedRef],
    records: dict[_RefName, _ReadRef],
) -> Steps[list[MovedRef]]:
    moved = []
    for (kind, name), (seen, _) in records.items():
        known = before.get((kind, name))
        if known is None:
            moved.append(MovedRef(kind, name, None, seen.commit))
        elif known.commit != seen.commit:
            history = repository.history
            is_forced = known.commit not in history or not (
                yield from reaches(history, [seen.commit], known.commit)
            )
            moved.append(MovedRef(kind, name, known.commit, seen.commit, is_forced))
    return moved


def _keep(
    repository: Repository,
    remote: str,
    records: dict[_RefName, _ReadRef],
    gone: list[MovedRef],
    run: _Download,
) -> None:
    """Keep what was seen of all refs, in one publish."""
    remotes, now_ns = repository.remotes, repository.clock.now_ns()
    with repository.transaction:
        # The remote may have been removed, and a garbage collection begun, while we waited.
        remotes.url(remote)
        for (kind, name), (seen, note) in records.items():
            if seen.commit not in repository.history:
                raise Busy(f"{remote}/{name}: a garbage collection is removing it here: try again")
            remotes.track(remote, kind, name, seen, now_ns)
            # As in git, a tag that is here stays as it is.
            if kind == TAGS and name not in repository.refs.tags:
                repository.refs.create_tag(name, seen.commit, note=note)
        for each in gone:
            remotes.track(remote, each.kind, each.name, None, now_ns)
        if run.has_git_dirs and not repository.history.has_git_dirs:
            repository.store.put(keys.GIT_DIRS, SOME)
            repository.inverses.append((setattr, (repository.history, "has_git_dirs", False)))
            repository.history.has_git_dirs = True


class _Download:
    """The objects of some commits on their way out of a bucket."""

    def __init__(self, repository: Repository, bucket: Bucket) -> None:
        self.commit_count = self.object_count = self.got_bytes = 0
        self.has_git_dirs = False
        """True if a commit has a `.git`, as those of an early version may."""
        self._repository = repository
        self._store = repository.store
        self._bucket = bucket

    def take(self, bulk: Bulk, lacking: dict[CommitId, CommitId]) -> Steps[None]:
        """Store these commits with all that they need, and list them.

        The values are those by which `trees/` names them.  MissingObject, CorruptObject.
        """
        packs: set[PackName] = set()
        pending, seen = list(lacking.values()), set(lacking.values())
        while pending:
            oid = pending.pop()
            # The commits below one that is here are here, too.
            if oid in self._repository.history:
                continue
            trees = yield from on_thread(partial(self._read_trees, oid))
            yield from self._add(bulk, _of_frames(_shown(oid), trees))
            for name in trees.packs:
                if name not in packs:
                    packs.add(name)
                    data = yield from on_thread(partial(self._read_pack, name))
                    yield from self._add(bulk, read_pack(name, data))
            pending += [each for each in trees.bases if each not in seen]
            seen.update(trees.bases)
        yield from _write(bulk)
        new = NewCommits(self._store)
        for oid in lacking:
            yield from new.walk(oid, self._repository.history)
        yield from self._check(new)
        yield from self._announce(new)

    def _read_trees(self, oid: CommitId) -> PushedTrees:
        return read_trees(_shown(oid), self._get(trees_key(oid), TREES_MAX))

    def _read_pack(self, name: PackName) -> bytes:
        return self._get(pack_key(name.digest), name.size)

    def _get(self, key: str, most: int) -> bytes:
        try:
            data = self._bucket.get(key, 0, most + 1).data
        except NoObject:
            raise MissingObject(f"it has no {key}") from None
        if len(data) > most:
            raise CorruptObject(f"{key} has more than {most} bytes")
        self.got_bytes += len(data)
        return data

    def _add(self, bulk: Bulk, objects: Iterator[RemoteObject]) -> Steps[None]:
        """Hand objects over to the bulk, and write now and then."""
        while taken := (yield from on_thread(partial(_slice, objects))):
            for found in taken:
                bulk.add(found.oid, found.kind, found.data)
                self.object_count += 1
                yield TURN
            if bulk.waiting_bytes >= _WRITTEN_BYTES:
                yield from _write(bulk)
            yield Progress(self.object_count, 0, "objects")

    def _check(self, new: NewCommits) -> Steps[None]:
        """Check that each commit can be read, and that all which it needs is there."""
        store = self._store
        beyond = Beyond(store, reads_blobs=False)
        for oid, links in new.links.items():
            root = decoded(oid, store.read(oid, Kind.COMMIT)).root
            if not root.is_dir:
                raise CorruptObject(f"commit {oid.hex()} has no directory")
            parents = [new.links.get(each) or new.read(each) for each in links.parents]
            for found in beyond.of(links, parents):
                if isinstance(found, Turn):
                    yield found
                elif found.kind is Kind.TREE:
                    check_tree(found)
                    self.has_git_dirs = self.has_git_dirs or has_git_dir(found)
            yield TURN

    def _announce(self, new: NewCommits) -> Steps[None]:
        """List the commits, each of which is complete, a moment before the refs are moved."""
        history = self._repository.history
        # I67: `_check` has found them complete, and no collection runs beside a bulk.
        for count, (oid, links) in enumerate(new.links.items(), 1):
            history.announce(oid)
            history.first_parents.note(oid, links.parents)
            if not count % _ANNOUNCED_COUNT:
                self._repository.publish()
                yield TURN
        self._repository.publish()
        self.commit_count = len(new.links)


def _shown(oid: CommitId) -> str:
    return f"trees/{oid.hex()[:12]}"


def _of_frames(shown: str, trees: PushedTrees) -> Iterator[RemoteObject]:
    at = trees.frames_at
    while at < len(trees.data):
        found, at = read_frame(shown, trees, at)
        yield from found


def _slice(objects: Iterator[RemoteObject]) -> list[RemoteObject]:
    """Return the next objects, until they are some MB; on a thread."""
    taken: list[RemoteObject] = []
    size = 0
    for found in objects:
        taken.append(found)
        size += len(found.data)
        if size >= _DECODED_BYTES or len(taken) >= _DECODED_COUNT:
            break
    return taken


def _write(bulk: Bulk) -> Steps[None]:
    work = bulk.plan_write()
    if work is not None:
        yield work
