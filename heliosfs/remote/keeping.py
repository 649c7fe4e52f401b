"""Contents that a remote will not keep any more, and that somebody here needs.

A branch that is deleted at a remote, or loses commits there, takes their contents with it: a
collection deletes them a day later.  A workspace that has left contents there may have commits of
its own that need them, an operation to undo, or files that were taken from that branch.  So what
only a workspace needs is brought before its push takes it from the remote, and when a fetch sees
that a ref has lost commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import StoreError
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, Kind, Oid, TreeId
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.closure import Beyond, NewCommits
from heliosfs.remote.contents import Contents
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.packfile import RemoteObject
from heliosfs.repo.gc.roots import log_of, saved_states, slots
from heliosfs.repo.operation import Operation
from heliosfs.repo.repository import Repository
from heliosfs.repo.stash import stashed
from heliosfs.repo.walks import excluded_commits
from heliosfs.repo.working_state import State
from heliosfs.steps import TURN, Steps, Turn
from heliosfs.workspace.flush import file_slices

_FLUSHED_BYTES = 4 * 1024 * 1024


def bring_own(
    repository: Repository, bucket: Bucket, remote: str, kept: Collection[CommitId]
) -> Steps[str]:
    """Bring what commits and files here need of a remote, beyond what `kept` commits reach.

    Return the reason if some of it cannot be had any more, and all else has come; empty if not.
    Cost: the commits that `kept` does not reach, and the operations that can be undone.
    Unreachable; Busy while a garbage collection or an import runs.
    """
    if remote not in repository.store.promises.remotes:
        return ""
    contents = Contents(repository, lambda url: bucket)
    found = yield from _own(repository, [each for each in kept if each in repository.history])
    yield from contents.want((Kind.BLOB, oid) for oid in found)
    try:
        yield from contents.bring()
    except DamagedRemote as error:
        return str(error)
    return ""


def bring_before_loss(
    repository: Repository, bucket: Bucket, remote: str, name: tuple[str, str], *after: CommitId
) -> Steps[None]:
    """Bring what the remote will not keep once a ref names a commit `after`, or none.

    What it has lost before is no reason not to go on.  Unreachable, Busy.
    """
    refs = repository.remotes.refs(remote)
    kept = [seen.commit for other, seen in refs.items() if other != name]
    yield from bring_own(repository, bucket, remote, [*kept, *after])


class _Named(NamedTuple):
    """Tree that a working state names, and the commits that it belongs to."""

    tree: TreeId
    commits: tuple[CommitId, ...]


def _own(repository: Repository, kept: list[CommitId]) -> Steps[set[Oid]]:
    """Return the promised contents that something here needs beyond what `kept` reaches."""
    named = yield from _named(repository)
    tips = {each: None for each in _tips(repository, named) if each in repository.history}
    hidden = yield from excluded_commits(repository.history, list(tips), kept)
    new = NewCommits(repository.store)
    for tip in tips:
        yield from new.walk(tip, hidden)
    # A working state is its tree beyond that of its commit.
    needed = [*new.links.values(), *(CommitLinks(*each, 0) for each in named)]
    beyond, found = Beyond(repository.store, reads_blobs=False), set()
    for links in needed:
        for each in _beyond(beyond, new, links):
            if isinstance(each, Turn):
                yield each
            elif each.kind is Kind.BLOB and each.oid in repository.store.promises:
                found.add(each.oid)
        yield TURN
    return found


def _beyond(beyond: Beyond, new: NewCommits, links: CommitLinks) -> Iterator[RemoteObject | Turn]:
    """Yield the objects beyond the parents; what is damaged here keeps nothing else from coming."""
    with suppress(StoreError):
        parents = [new.links_at(each) for each in links.parents]
        yield from beyond.of(links, parents)


def _tips(repository: Repository, named: Iterable[_Named]) -> Iterator[CommitId]:
    """Yield the commits that something here names, other than the refs of remotes."""
    yield from (branch.head for branch in repository.refs if branch.head is not None)
    yield from repository.refs.tags.values()
    yield from (entry.oid for entry in stashed(repository.store))
    for each in named:
        yield from each.commits


def _named(repository: Repository) -> Steps[list[_Named]]:
    """Return what working states name, with those to which undo and redo lead."""
    for view in repository.views():
        for _ in file_slices(view.workspace, _FLUSHED_BYTES):
            yield TURN
    repository.checkpoint()
    states = [*saved_states(repository), *(view.state() for view in repository.views())]
    found = dict.fromkeys(map(_of_state, states))
    for slot in slots(repository):
        for _, operation in log_of(repository, slot).listed():
            if isinstance(operation, Operation):
                found |= {_of_state(operation.before): None, _of_state(operation.after): None}
            yield TURN
    return list(found)


def _of_state(state: State) -> _Named:
    commits = tuple(each for each in (state.head, state.merging) if each is not None)
    return _Named(TreeId(state.root.oid), commits)
