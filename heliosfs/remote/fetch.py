"""Fetch: the refs of a remote that changed are read, what they need is stored, and they are kept.

Nothing that a bucket says is believed.  Each object is stored under the id of its bytes.  Then the
new commits are walked, each after its parents, and everything that they need beyond these must be
in the store; only then are they listed as commits, and only when all of them are, the refs of the
remote move, in one publish.  So a bucket that is damaged, or lies, or ends in the middle leaves
nothing behind but objects that nothing names, which a garbage collection removes.

The bulk of the store stays open to the end, which keeps a collection from beginning meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject, PromisedObject
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.damage import DamagedRemote, told_as_local, told_as_of
from heliosfs.remote.depthdownload import DepthDownload
from heliosfs.remote.download import Download
from heliosfs.remote.foundrefs import (
    DamagedRef,
    FoundRefs,
    MovedRef,
    RefName,
    moved_refs,
    read_changed,
    read_named,
    track_seen,
)
from heliosfs.remote.keeping import bring_own
from heliosfs.remote.layout import check_written_format
from heliosfs.remote.scores import keep_scores
from heliosfs.remote.shallow import DOWN_TO_KNOWN, Extent, ShallowFetch
from heliosfs.remote.within import Wanted
from heliosfs.repo import keys
from heliosfs.repo.git_dirs import SOME
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.shared_experiments import decode_shared
from heliosfs.steps import Steps, read_far
from heliosfs.store.base import Bulk


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
    below: Sequence[tuple[str, str]] = ()
    """Tags and experiments that were left out, since their commits are below the edge."""
    shallow_count: int = 0
    """Number of commits at which the history ends."""


class FetchCounts:
    """The numbers of what a fetch has brought."""

    def __init__(self) -> None:
        self.commit_count = self.object_count = self.got_bytes = self.promised_count = 0
        self.has_git_dirs = False
        self.lost = ""
        self.kept: bytes | None = None
        """Record of what was brought before the remote loses it; None if nothing was looked at."""
        self.below: Sequence[tuple[str, str]] = ()
        self.shallow_count = 0

    def take(self, run: Download, bulk: Bulk, wanted: Wanted) -> Steps[None]:
        """Download what some commits need, and count it."""
        try:
            yield from run.take(bulk, wanted)
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
        left = self.below, self.shallow_count
        return FetchResult(moved, gone, *counts, damaged, self.promised_count, self.lost, *left)


def fetch(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    branches: Sequence[str] = (),
    *,
    kind: str = HEADS,
    prunes: bool = False,
    extent: Extent = DOWN_TO_KNOWN,
) -> Steps[FetchResult]:
    """Bring what is known of the refs of a remote up to date, with all that they need.

    With `branches`, only these, or those refs of another `kind`; NotFound if one is not there.
    With `prunes`, refs that the remote has no more are forgotten.  DamagedRemote, and nothing has
    changed; Unreachable; Busy while a garbage collection or an import runs.
    """
    url, before = repository.remotes.url(remote), dict(repository.remotes.refs(remote))
    download = partial(_download, repository, bucket, remote, extent)
    shallow = ShallowFetch(repository, remote, extent, is_named=bool(branches))
    bulk: Bulk | None = None
    try:
        with told_as_of(remote):
            named = read_named(bucket, remote, kind, branches)
            changed = read_changed(repository, bucket, remote, shallow.is_left_out)
            found, gone = yield from named if branches else changed
            shallow.note_there(before, gone)
            if shallow.wanted(found.seen()) is not None:
                bulk = repository.store.bulk()
            run = yield from _taken(repository, shallow, download, bulk, found)
        with told_as_local():
            now = {name: each.seen.commit for name, each in found.records.items()}
            moved = yield from moved_refs(repository, before, now)
        # Before anything is kept, so that who interrupts it finds the same again.
        is_known = not any(each.is_forced for each in moved)
        if gone or not is_known:
            own = partial(bring_own, repository, bucket, remote, found.kept(before, gone))
            run.lost, run.kept = yield from own(_names(gone), is_known=is_known, bulk=bulk)
        # It may be another one of that name by now.
        check_same(repository.remotes, remote, url)
        if _keep(repository, remote, found, gone if prunes else [], run, shallow):
            yield from repository.index_first_parents()
    except DamagedRemote:
        # It may be none that this version knows.
        yield from read_far(partial(check_written_format, bucket))
        raise
    finally:
        _close(bulk)
    if damaged := found.all_damaged():
        yield from read_far(partial(check_written_format, bucket))
    return run.result(moved, gone, damaged)


def _names(refs: Iterable[MovedRef]) -> list[RefName]:
    return [(each.kind, each.name) for each in refs]


def _close(bulk: Bulk | None) -> None:
    if bulk is not None:
        bulk.close()


def _download(repository: Repository, bucket: Bucket, remote: str, extent: Extent) -> Download:
    is_lazy = repository.remotes.notes.is_lazy(remote)
    if extent.depth:
        return DepthDownload(repository, bucket, remote, is_lazy=is_lazy, depth=extent.depth)
    return Download(repository, bucket, remote, is_lazy=is_lazy)


def _taken(
    repository: Repository,
    shallow: ShallowFetch,
    download: Callable[[], Download],
    bulk: Bulk | None,
    found: FoundRefs,
) -> Steps[FetchCounts]:
    """Take what all refs need, and leave out those of which the bucket does not have it.

    CorruptObject, MissingObject if only one ref is asked for, or no ref can be taken.
    """
    counts = FetchCounts()
    if bulk is not None:
        yield from _take(shallow, download, bulk, found, counts)
    counts.below = shallow.leave_out(found)
    _check_experiments(repository, found)
    found.check_any()
    return counts


def _take(
    shallow: ShallowFetch,
    download: Callable[[], Download],
    bulk: Bulk,
    found: FoundRefs,
    counts: FetchCounts,
) -> Steps[None]:
    """Take what all refs need at once, or what each of them needs.  See `_taken`."""
    wanted = shallow.wanted(found.seen())
    if wanted is None:
        return
    try:
        yield from counts.take(download(), bulk, wanted)
        return
    except PromisedObject:
        raise
    except (CorruptObject, MissingObject):
        if found.asked_count == 1 or not found.records:
            raise
    # One of them is to blame: what the others need comes with them, one after another.
    for name, each in list(found.records.items()):
        wanted = shallow.wanted({name: each.seen}, is_alone=True)
        try:
            if wanted is not None:
                yield from counts.take(download(), bulk, wanted)
        except PromisedObject:
            raise
        except (CorruptObject, MissingObject) as error:
            found.spoil(name, error)


def _check_experiments(repository: Repository, found: FoundRefs) -> None:
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


def _keep(
    repository: Repository,
    remote: str,
    found: FoundRefs,
    gone: list[MovedRef],
    run: FetchCounts,
    shallow: ShallowFetch,
) -> bool:
    """Keep what was seen of all refs, in one publish; return True if the history goes deeper."""
    remotes, now_ns = repository.remotes, repository.clock.now_ns()
    with repository.transaction:
        for name, (seen, note) in found.records.items():
            if track_seen(repository, remote, name, seen):
                repository.refs.create_tag(name[1], seen.commit, note=note)
        for each in gone:
            remotes.track(remote, each.kind, each.name, None, now_ns)
        keep_scores(repository, remote, found.scores, has_new_commits=run.commit_count > 0)
        if run.kept is not None:
            remotes.notes.note_kept(remote, run.kept)
        if run.has_git_dirs and not repository.history.has_git_dirs:
            repository.store.put(keys.GIT_DIRS, SOME)
            repository.inverses.append((setattr, (repository.history, "has_git_dirs", False)))
            repository.history.has_git_dirs = True
        is_deeper = shallow.keep() if repository.history.edge else False
    run.shallow_count = len(repository.history.edge)
    return is_deeper
