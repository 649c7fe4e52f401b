"""Contents that a remote will not keep any more, and that somebody here needs.

A branch that is deleted at a remote, or loses commits there, takes their contents with it: a
collection deletes them a day later.  A workspace that has left contents there may have commits of
its own that need them, an operation to undo, or files that were taken from that branch.  So what
only a workspace needs is brought before its push takes it from the remote, and when a fetch sees
that a ref has lost commits.

As long as a ref that is gone is not pruned, every fetch sees that.  So the first one notes which
refs were gone and what it has looked at, and the next one looks at what came since: the other refs
reach what they reached, or they have lost commits, and then nothing is taken as known.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import StoreError
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, Kind, Oid, TreeId
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.closure import Beyond, NewCommits
from heliosfs.remote.contents import Contents
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.packfile import RemoteObject
from heliosfs.repo.foreign_fields import commit_in, digits_in, number_in
from heliosfs.repo.gc.roots import log_of, saved_states, slots
from heliosfs.repo.operation import Operation
from heliosfs.repo.repository import Repository
from heliosfs.repo.stash import stashed
from heliosfs.repo.walks import excluded_commits
from heliosfs.repo.working_state import State
from heliosfs.steps import TURN, Steps, Turn
from heliosfs.store.base import Bulk
from heliosfs.workspace.flush import file_slices

_FLUSHED_BYTES = 4 * 1024 * 1024
_TIPS_MAX = 2_000
"""Most commits in a record; with more of them, all are walked again."""


class _Looked(NamedTuple):
    """Record of what was looked at when all was brought that a remote has lost."""

    gone: str = ""
    """Digest of the refs that were gone there; empty if nothing is known."""
    seen: Mapping[int, int] = {}
    """Number of the last operation that was looked at, by slot."""
    tips: Sequence[CommitId] = ()
    """Commits that were looked at, with all that they reach."""

    def encode(self) -> bytes:
        """Return the bytes under `remote-kept/`."""
        tips = [each.hex() for each in self.tips]
        seen = {str(slot): number for slot, number in self.seen.items()}
        return json.dumps({"gone": self.gone, "seen": seen, "tips": tips}).encode()


def _decoded(record: bytes) -> _Looked:
    """Return what a record says; nothing is known after one that cannot be read."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        document = json.loads(record)
        seen = {int(slot): number_in(number) for slot, number in document["seen"].items()}
        return _Looked(digits_in(document["gone"]), seen, list(map(commit_in, document["tips"])))
    return _Looked()


def bring_own(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    kept: Collection[CommitId],
    gone: Sequence[tuple[str, str]] = (),
    *,
    is_known: bool = False,
    bulk: Bulk | None = None,
) -> Steps[tuple[str, bytes]]:
    """Bring what commits and files here need of a remote, beyond what `kept` commits reach.

    It goes through the caller's `bulk`, if one is open.  Return two values: the reason if some of
    it cannot be had any more, though all else has come, or an empty text; and the record for
    `RemoteNotes.note_kept` when the refs of the remote are kept.  With `is_known`, what the last
    record says was looked at is left out, if the same refs were `gone`.
    Cost: the commits that `kept` does not reach, and the operations that can be undone, or those
    of both that came since that record.
    Unreachable; Busy while a garbage collection or an import runs.
    """
    if remote not in repository.store.promises.remotes:
        return "", b""
    refs = repository.remotes.refs(remote)
    digest = blake3(repr(sorted((*each, refs[each].commit) for each in gone)).encode()).hexdigest()
    looked = _decoded(repository.remotes.notes.kept(remote)) if is_known else _Looked()
    if looked.gone != digest:
        looked = _Looked()
    contents = Contents(repository, lambda url: bucket)
    found, now = yield from _own(repository, kept, looked)
    yield from contents.want((Kind.BLOB, oid) for oid in found)
    try:
        yield from contents.bring(bulk)
    except DamagedRemote as error:
        return str(error), b""
    return "", now._replace(gone=digest).encode() if gone else b""


def bring_before_loss(
    repository: Repository, bucket: Bucket, remote: str, name: tuple[str, str], *after: CommitId
) -> Steps[None]:
    """Bring what the remote will not keep once a ref names a commit `after`, or none.

    What it has lost before is no reason not to go on.  Unreachable, Busy.
    """
    with repository.transaction:
        # Refs that are gone there count as kept here: the next fetch looks at all again.
        repository.remotes.notes.note_kept(remote, b"")
    refs = repository.remotes.refs(remote)
    kept = [seen.commit for other, seen in refs.items() if other != name]
    yield from bring_own(repository, bucket, remote, [*kept, *after])


class _Named(NamedTuple):
    """Tree that a working state names, and the commits that it belongs to."""

    tree: TreeId
    commits: tuple[CommitId, ...]


def _own(
    repository: Repository, kept: Iterable[CommitId], looked: _Looked
) -> Steps[tuple[set[Oid], _Looked]]:
    """Return the promised contents that something here needs beyond what `kept` reaches.

    What `looked` says was looked at is left out.  Return also the record that says it next time.
    """
    history = repository.history
    seen, named = yield from _named(repository, looked.seen)
    own = dict.fromkeys(each for each in _tips(repository) if each in history)
    tips = own | dict.fromkeys(oid for each in named for oid in each.commits if oid in history)
    known = [each for each in (*kept, *looked.tips) if each in history]
    hidden = yield from excluded_commits(history, list(tips), known)
    new = NewCommits(repository.store, history.edge)
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
    return found, _Looked("", seen, list(own) if len(own) <= _TIPS_MAX else [])


def _beyond(beyond: Beyond, new: NewCommits, links: CommitLinks) -> Iterator[RemoteObject | Turn]:
    """Yield the objects beyond the parents; what is damaged here keeps nothing else from coming."""
    with suppress(StoreError):
        parents = [new.links_at(each) for each in links.parents]
        yield from beyond.of(links, parents)


def _tips(repository: Repository) -> Iterator[CommitId]:
    """Yield the commits that something here names, other than working states and remotes."""
    yield from (branch.head for branch in repository.refs if branch.head is not None)
    yield from repository.refs.tags.values()
    yield from (entry.oid for entry in stashed(repository.store))


def _named(
    repository: Repository, seen: Mapping[int, int]
) -> Steps[tuple[dict[int, int], list[_Named]]]:
    """Return what working states name, with those to which undo and redo lead.

    Of each slot, operations up to the number in `seen` are left out.  Return also the last numbers.
    """
    for view in repository.views():
        for _ in file_slices(view.workspace, _FLUSHED_BYTES):
            yield TURN
    repository.checkpoint()
    states = [*saved_states(repository), *(view.state() for view in repository.views())]
    found = dict.fromkeys(map(_of_state, states))
    last_numbers = {}
    for slot in slots(repository):
        log = log_of(repository, slot)
        if log.last is not None:
            last_numbers[slot] = log.last.sequence
        for _, operation in log.listed(seen.get(slot, 0)):
            if isinstance(operation, Operation):
                found |= {_of_state(operation.before): None, _of_state(operation.after): None}
            yield TURN
    return last_numbers, list(found)


def _of_state(state: State) -> _Named:
    commits = tuple(each for each in (state.head, state.merging) if each is not None)
    return _Named(TreeId(state.root.oid), commits)
