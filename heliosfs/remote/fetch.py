"""Fetch: the refs of a remote that changed are read, what they need is stored, and they are kept.

Nothing that a bucket says is believed.  Each object is stored under the id of its bytes.  Then the
new commits are walked, each after its parents, and everything that they need beyond these must be
in the store; only then are they listed as commits, and only when all of them are, the refs of the
remote move, in one publish.  So a bucket that is damaged, or lies, or ends in the middle leaves
nothing behind but objects that nothing names, which a garbage collection removes.

The bulk of the store stays open to the end, which keeps a collection from beginning meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.errors import (
    Busy,
    CorruptObject,
    HeliosError,
    MissingObject,
    NotFound,
    PromisedObject,
)
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.damage import DamagedRemote, told_as_local, told_as_of
from heliosfs.remote.download import Download
from heliosfs.remote.keeping import bring_own
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    REFS,
    check_written_format,
    decode_ref,
    ref_key,
    ref_of,
)
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.repo import keys
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.git_dirs import SOME
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, KIND_WORDS, TAGS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.shared_experiments import decode_shared
from heliosfs.repo.tag_notes import Annotation
from heliosfs.steps import Steps, read_far
from heliosfs.store.base import Bulk


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


class DamagedRef(NamedTuple):
    """A ref of a remote that was not fetched, because it or what it needs is damaged there."""

    kind: str
    name: str
    text: str
    """Damage, in words."""


class FetchResult(NamedTuple):
    """The results of a fetch."""

    moved: list[MovedRef]
    gone: list[MovedRef]
    """Refs that the remote has no more; they are forgotten if that was asked for."""
    commit_count: int
    object_count: int
    got_bytes: int
    damaged: list[DamagedRef]
    """Refs that stay as they were."""
    promised_count: int
    """Number of contents that stay at the remote until they are read."""
    lost: str = ""
    """Reason for which contents that refs had before, and somebody here needs, cannot be had."""


class FetchCounts:
    """The numbers of what a fetch has brought."""

    def __init__(self) -> None:
        self.commit_count = self.object_count = self.got_bytes = self.promised_count = 0
        self.has_git_dirs = False
        self.lost = ""
        self.kept: bytes | None = None
        """Record of what was brought before the remote loses it; None if nothing was looked at."""

    def take(self, run: Download, bulk: Bulk, lacking: dict[CommitId, CommitId]) -> Steps[None]:
        """Download what some commits need, and count it."""
        try:
            yield from run.take(bulk, lacking)
        finally:
            self.commit_count += run.commit_count
            self.object_count += run.object_count
            self.got_bytes += run.got_bytes
            self.promised_count += run.promised_count
            self.has_git_dirs = self.has_git_dirs or run.has_git_dirs

    def result(
        self, moved: list[MovedRef], gone: list[MovedRef], damaged: list[DamagedRef]
    ) -> FetchResult:
        """Return the results of the fetch."""
        counts = self.commit_count, self.object_count, self.got_bytes
        return FetchResult(moved, gone, *counts, damaged, self.promised_count, self.lost)


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
    remotes = repository.remotes
    url, before = remotes.url(remote), dict(remotes.refs(remote))
    bulk: Bulk | None = None
    try:
        with told_as_of(remote):
            if branches:
                found = yield from _named(bucket, remote, kind, branches)
                gone: list[MovedRef] = []
            else:
                found, gone = yield from _all_changed(bucket, before)
            if any(each.commit not in repository.history for each in found.wanted()):
                bulk = repository.store.bulk()
            run = yield from _taken(repository, bucket, remote, bulk, found)
            _check_experiments(repository, found)
            found.check_any()
        with told_as_local():
            moved = yield from _compared(repository, before, found.records)
        # Before anything is kept, so that who interrupts it finds the same again.
        is_known = not any(each.is_forced for each in moved)
        if gone or not is_known:
            kept, names = found.kept(before, gone), [each[:2] for each in gone]
            brought = bring_own(repository, bucket, remote, kept, names, is_known=is_known)
            run.lost, run.kept = yield from brought
        # It may be another one of that name by now.
        check_same(remotes, remote, url)
        _keep(repository, remote, found.records, gone if prunes else [], run)
    except DamagedRemote:
        # It may be none that this version knows.
        yield from read_far(partial(check_written_format, bucket))
        raise
    finally:
        _close(bulk)
    if found.damaged:
        yield from read_far(partial(check_written_format, bucket))
    return run.result(moved, gone, found.damaged)


def _close(bulk: Bulk | None) -> None:
    if bulk is not None:
        bulk.close()


def _taken(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    bulk: Bulk | None,
    found: _FoundRefs,
) -> Steps[FetchCounts]:
    """Take what all refs need, and leave out those of which the bucket does not have it.

    CorruptObject, MissingObject if only one ref is asked for.
    """
    counts = FetchCounts()
    is_lazy = repository.remotes.notes.is_lazy(remote)
    download = partial(Download, repository, bucket, remote, is_lazy=is_lazy)
    lacking = _lacking(repository, found.records.values())
    if bulk is None or not lacking:
        return counts
    try:
        yield from counts.take(download(), bulk, lacking)
        return counts
    except PromisedObject:
        raise
    except (CorruptObject, MissingObject):
        if found.asked_count == 1:
            raise
    # One of them is to blame: what the others need comes with them, one after another.
    for name, each in list(found.records.items()):
        lacking = _lacking(repository, [each])
        try:
            if lacking:
                yield from counts.take(download(), bulk, lacking)
        except PromisedObject:
            raise
        except (CorruptObject, MissingObject) as error:
            found.spoil(name, error)
    return counts


def _lacking(repository: Repository, refs: Iterable[_ReadRef]) -> dict[CommitId, CommitId]:
    """Return the commits that are not here, and those that name their trees."""
    return {seen.commit: seen.trees for seen, _ in refs if seen.commit not in repository.history}


def _check_experiments(repository: Repository, found: _FoundRefs) -> None:
    """Leave out experiments whose records cannot be read: whoever lists them can read all."""
    for (kind, name), each in list(found.records.items()):
        if kind == EXPERIMENTS:
            try:
                decode_shared(name, repository.history.read(each.seen.commit))
            except CorruptObject as error:
                found.spoil((kind, name), error)


def check_undamaged(result: FetchResult, remote: str, branch: str) -> None:
    """Check that a fetch has not left a branch out.  DamagedRemote."""
    for each in result.damaged:
        if (each.kind, each.name) == (HEADS, branch):
            raise DamagedRemote(f"{remote}/{branch} is damaged there: {each.text}")


_RefName = tuple[str, str]


def _is_same(before: dict[_RefName, TrackedRef], name: _RefName, version: str) -> bool:
    seen = before.get(name)
    return seen is not None and seen.version == version


def _named(bucket: Bucket, remote: str, kind: str, refs: Sequence[str]) -> Steps[_FoundRefs]:
    """Read some refs: a request for each, however many others there are.  NotFound."""
    names = [(kind, name) for name in dict.fromkeys(refs)]
    found = yield from read_far(partial(_read_refs, bucket, names))
    damaged = {(each.kind, each.name) for each in found.damaged}
    for each in names:
        if each not in found.records and each not in damaged:
            raise NotFound(f"{remote} has no {KIND_WORDS[kind]} {each[1][:80]!r}")
    return found


def _all_changed(
    bucket: Bucket, before: dict[_RefName, TrackedRef]
) -> Steps[tuple[_FoundRefs, list[MovedRef]]]:
    """Read all refs that are not as they were; return also those that are gone."""
    listed = yield from read_far(partial(_versions, bucket))
    changed = [each for each in listed if not _is_same(before, each, listed[each])]
    found = yield from read_far(partial(_read_refs, bucket, changed))
    found.asked_count = len(listed)
    missing = [each for each in before if each not in listed]
    return found, [MovedRef(*each, before[each].commit, None) for each in missing]


def _versions(bucket: Bucket) -> dict[_RefName, str]:
    """Return the versions of all refs; on a thread."""
    found = ((ref_of(each.key), each.version) for each in bucket.list(REFS))
    return {name: version for name, version in found if name is not None}


class _ReadRef(NamedTuple):
    """A ref of a bucket, as it was read."""

    seen: TrackedRef
    note: Annotation | None


class _FoundRefs:
    """Refs of a bucket that were read, and those that could not be."""

    def __init__(self) -> None:
        self.records: dict[_RefName, _ReadRef] = {}
        self.damaged: list[DamagedRef] = []
        self.asked_count = 0
        """Number of refs, with those that have not changed."""

    def wanted(self) -> list[TrackedRef]:
        """Return the refs that are to be kept."""
        return [each.seen for each in self.records.values()]

    def kept(self, before: dict[_RefName, TrackedRef], gone: Iterable[MovedRef]) -> list[CommitId]:
        """Return the commits that all refs of the remote name by now."""
        refs = before | {name: each.seen for name, each in self.records.items()}
        for each in gone:
            del refs[each.kind, each.name]
        return [each.commit for each in refs.values()]

    def check_any(self) -> None:
        """Check that not everything is damaged.  CorruptObject."""
        if self.damaged and len(self.damaged) == self.asked_count:
            raise CorruptObject(self.damaged[0].text)

    def spoil(self, name: _RefName, error: HeliosError) -> None:
        """Note that a ref, or what it needs, is damaged."""
        self.records.pop(name, None)
        self.damaged.append(DamagedRef(*name, str(error)))


def _read_refs(bucket: Bucket, names: list[_RefName]) -> _FoundRefs:
    """Read refs, without those that are gone meanwhile; on a thread."""

    def read(name: _RefName) -> _ReadRef | CorruptObject | None:
        try:
            data, version = bucket.get(ref_key(*name), 0, REF_BYTES_MAX)
            record = decode_ref(name[1], data)
        except NoObject:
            return None
        except CorruptObject as error:
            return error
        seen = TrackedRef(record.commit, record.trees, record.generation, version)
        return _ReadRef(seen, record.note)

    if len(names) == 1:
        results = [read(names[0])]
    else:
        results = mapped(read, names, READERS)
    found = _FoundRefs()
    found.asked_count = len(names)
    for name, each in zip(names, results, strict=True):
        if isinstance(each, CorruptObject):
            found.spoil(name, each)
        elif each is not None:
            found.records[name] = each
    return found


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
    run: FetchCounts,
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
        if run.kept is not None:
            remotes.notes.note_kept(remote, run.kept)
        if run.has_git_dirs and not repository.history.has_git_dirs:
            repository.store.put(keys.GIT_DIRS, SOME)
            repository.inverses.append((setattr, (repository.history, "has_git_dirs", False)))
            repository.history.has_git_dirs = True
