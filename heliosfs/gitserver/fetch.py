"""Fetch from a git server: its refs into the mirror, their commits here, and then all names move.

The rules are those of a fetch from a bucket.  What is known of the server moves in one publish,
when all commits that it leads to are here and listed; a ref that is damaged, or that cannot be had
here, stays as it was seen, and the others move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from heliosfs.git.ids import IdMap
from heliosfs.git.pushed import keep_tag, tag_note
from heliosfs.gitserver.bringing import BroughtRefs, bring, make_mirror
from heliosfs.gitserver.listing import check_has
from heliosfs.gitserver.mirror import BrokenMirror, Mirror
from heliosfs.gitserver.taking import TakenRef, Taking
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.fetch import FetchResult
from heliosfs.remote.foundrefs import DamagedRef, MovedRef, RefName, moved_refs, track_seen
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread

T = TypeVar("T")


def fetch(
    repository: Repository, remote: str, branches: Sequence[str] = (), *, prunes: bool = False
) -> Steps[FetchResult]:
    """Bring what is known of the refs of a git server up to date, with all that they need.

    With `branches`, only these; NotFound if one is not there.  With `prunes`, refs that the server
    has no more are forgotten.  DamagedRemote, and nothing has changed; Unreachable; Busy while a
    garbage collection or an import runs, or git still ends an earlier command.
    """
    url = repository.remotes.url(remote)
    with closing(Mirror(repository.store, url)) as mirror:
        yield from on_thread(mirror.open)
        work = partial(_fetch_once, repository, mirror, url, remote, branches, prunes=prunes)
        return (yield from with_whole_mirror(mirror, url, remote, work))


def with_whole_mirror(
    mirror: Mirror, url: str, remote: str, work: Callable[[], Steps[T]]
) -> Steps[T]:
    """Do work in a mirror; once more if that has to be made anew.  DamagedRemote, Unreachable."""
    if not mirror.is_empty:
        try:
            return (yield from work())
        except BrokenMirror:
            # It is a cache: all that it had is at the server.
            pass
    yield from make_mirror(mirror, url, remote)
    try:
        return (yield from work())
    except BrokenMirror as error:
        raise DamagedRemote(f"{remote}: git fails, and nothing was changed: {error}") from error


def _fetch_once(
    repository: Repository,
    mirror: Mirror,
    url: str,
    remote: str,
    branches: Sequence[str],
    *,
    prunes: bool,
) -> Steps[FetchResult]:
    """See `fetch`; raise BrokenMirror, and nothing has changed."""
    names = [(HEADS, name) for name in dict.fromkeys(branches)]
    before = dict(repository.remotes.refs(remote))
    size = yield from on_thread(mirror.pack_bytes)
    brought = yield from bring(mirror, url, remote, names)
    check_has(remote, [*brought.refs, *brought.left], names)
    got = (yield from on_thread(mirror.pack_bytes)) - size
    taking = Taking(repository, mirror, before)
    yield from taking.run(brought.refs)
    now = {name: each.commit for name, each in taking.taken.items()}
    moved = yield from moved_refs(repository, before, now)
    gone = [] if names else _gone(before, brought)
    # It may be another one of that name by now.
    check_same(repository.remotes, remote, url)
    _keep(repository, remote, taking.taken, gone if prunes else [])
    yield from on_thread(mirror.settle)
    damaged = [DamagedRef(*name, why) for name, why in (brought.left | taking.damaged).items()]
    counts = taking.commit_count, taking.object_count, max(got, 0)
    return FetchResult(moved, gone, *counts, damaged, 0)


def _gone(before: Mapping[RefName, TrackedRef], brought: BroughtRefs) -> list[MovedRef]:
    there = brought.refs.keys() | brought.left.keys()
    return [MovedRef(*name, before[name].commit, None) for name in before if name not in there]


def _keep(
    repository: Repository, remote: str, taken: Mapping[RefName, TakenRef], gone: list[MovedRef]
) -> None:
    """Keep what was seen of all refs, in one publish."""
    remotes, now_ns = repository.remotes, repository.clock.now_ns()
    ids = IdMap(repository.store)
    with repository.transaction:
        # I76: what a name leads to is listed, and nothing removes it any more.
        for (kind, name), each in taken.items():
            seen = TrackedRef(each.commit, each.commit, 0, each.git_id.hex())
            if track_seen(repository, remote, (kind, name), seen):
                note = tag_note(ids, name, each.git_id)
                repository.refs.create_tag(name, each.commit, note=note)
                keep_tag(ids, name, each.git_id, note)
        for each_gone in gone:
            if each_gone.kind != EXPERIMENTS:
                remotes.track(remote, each_gone.kind, each_gone.name, None, now_ns)
        ids.unfinished.clear()
        ids.put_noted()
