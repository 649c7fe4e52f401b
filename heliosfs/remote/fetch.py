"""Fetch: the refs of a remote that changed are read, what they need is stored, and they are kept.

Nothing that a bucket says is believed.  Each object is stored under the id of its bytes.  Then the
new commits are walked, each after its parents, and everything that they need beyond these must be
in the store; only then are they listed as commits, and only when all of them are, the refs of the
remote move, in one publish.  So a bucket that is damaged, or lies, or ends in the middle leaves
nothing behind but objects that nothing names, which a garbage collection removes.

The bulk of the store stays open to the end, which keeps a collection from beginning meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, CorruptObject, HeliosError, MissingObject, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.download import Download
from heliosfs.remote.layout import REF_BYTES_MAX, REFS, decode_ref, ref_key, ref_of
from heliosfs.remote.reading import READERS
from heliosfs.repo import keys
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.git_dirs import SOME
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, KIND_WORDS, TAGS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.shared_experiments import decode_shared
from heliosfs.repo.tag_notes import Annotation
from heliosfs.steps import Steps, on_thread


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
    repository: Repository,
    bucket: Bucket,
    remote: str,
    branches: Sequence[str] = (),
    *,
    kind: str = HEADS,
    prunes: bool = False,
) -> Steps[FetchResult]:
    """Bring what is known of the refs of a remote up to date, with all that they need.

    With `branches`, only these, or those refs of another `kind`; NotFound if one is not there.
    With `prunes`, refs that the remote has no more are forgotten.  DamagedRemote, and nothing has
    changed; Unreachable; Busy while a garbage collection or an import runs.
    """
    remotes, history = repository.remotes, repository.history
    url = remotes.url(remote)
    before = dict(remotes.refs(remote))
    run = Download(repository, bucket, remote, is_lazy=remotes.notes.is_lazy(remote))
    try:
        if branches:
            records = yield from _named(bucket, remote, kind, branches)
            gone: list[MovedRef] = []
        else:
            records, gone = yield from _all_changed(bucket, before)
        lacking = {seen.commit: seen.trees for seen, _ in records.values()}
        lacking = {oid: trees for oid, trees in lacking.items() if oid not in history}
        bulk = repository.store.bulk() if lacking else None
        try:
            if bulk is not None:
                yield from run.take(bulk, lacking)
            for (each_kind, name), (seen, _) in records.items():
                if each_kind == EXPERIMENTS:
                    # Before it is kept: whoever lists experiments can read all of them.
                    decode_shared(name, history.read(seen.commit))
            moved = yield from _compared(repository, before, records)
            # It may be another one of that name by now.
            check_same(remotes, remote, url)
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


def _named(
    bucket: Bucket, remote: str, kind: str, refs: Sequence[str]
) -> Steps[dict[_RefName, _ReadRef]]:
    """Read some refs: a request for each, however many others there are.  NotFound."""
    names = [(kind, name) for name in dict.fromkeys(refs)]
    records = yield from on_thread(partial(_read_refs, bucket, names))
    for each in names:
        if each not in records:
            raise NotFound(f"{remote} has no {KIND_WORDS[kind]} {each[1][:80]!r}")
    return records


def _all_changed(
    bucket: Bucket, before: dict[_RefName, TrackedRef]
) -> Steps[tuple[dict[_RefName, _ReadRef], list[MovedRef]]]:
    """Read all refs that are not as they were; return also those that are gone."""
    listed = yield from on_thread(partial(_versions, bucket))
    changed = [each for each in listed if not _is_same(before, each, listed[each])]
    records = yield from on_thread(partial(_read_refs, bucket, changed))
    missing = [each for each in before if each not in listed]
    return records, [MovedRef(*each, before[each].commit, None) for each in missing]


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
        with ThreadPoolExecutor(READERS) as pool:
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
        elif known.commit != seen.commit and kind == EXPERIMENTS:
            # Each record is a commit of its own.
            moved.append(MovedRef(kind, name, known.commit, seen.commit))
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
    run: Download,
) -> None:
    """Keep what was seen of all refs, in one publish."""
    remotes, now_ns = repository.remotes, repository.clock.now_ns()
    with repository.transaction:
        # A garbage collection may have begun while we waited.
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
