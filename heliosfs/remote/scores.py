"""Scores of commits beside the branches of a remote: `refs/scores/BRANCH`, a record of its own.

It is no commit, and needs no object: whoever has the commits takes the scores.  A push merges its
own into what is there; as both machines do so, nobody refuses the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, CorruptObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.damage import DamagedRemote, told_as_local
from heliosfs.remote.layout import REF_BYTES_MAX, scores_key
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.repo.remotes import check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.score_notes import ScoreNotes
from heliosfs.repo.shared_experiments import later_scores
from heliosfs.repo.shared_scores import (
    SharedScores,
    decode_scores,
    encode_scores,
    scores_to_share,
    take_scores,
)
from heliosfs.steps import Steps, on_thread, send_far

_TRIES = 8
"""Number of attempts of a push, in each of which others may be quicker."""


class ReadScores(NamedTuple):
    """The record of a branch as a remote has it."""

    version: str
    data: bytes


def push_scores(
    repository: Repository, bucket: Bucket, remote: str, name: str, head: CommitId
) -> Steps[int]:
    """Let a remote have the scores of the commits of a branch, which was pushed under this name.

    Return the number of commits whose scores were sent.  No request if the remote has them, as it
    was last seen; else one, and two more for each time that others were quicker.  Busy,
    DamagedRemote, Unreachable.
    """
    url, notes = repository.remotes.url(remote), ScoreNotes(repository.store, remote)
    seen = _decoded(name, notes.find(name))
    with told_as_local():
        ours = yield from scores_to_share(repository, head, seen[1])
    if not ours:
        return 0
    written = yield from send_far(partial(_write, bucket, name, ours, seen))
    with repository.transaction:
        check_same(repository.remotes, remote, url)
        notes.note(name, written)
        take_scores(repository, decode_scores(name, written.data))
    return len(ours)


def _decoded(name: str, found: tuple[str, bytes] | None) -> tuple[str | None, SharedScores]:
    """Return version and scores of a record that was seen; None for one that cannot be read."""
    if found is not None:
        with suppress(CorruptObject):
            return found[0], decode_scores(name, found[1])
    return None, {}


def _write(
    bucket: Bucket, name: str, ours: SharedScores, seen: tuple[str | None, SharedScores]
) -> ReadScores:
    """Merge scores into the record of a branch; on a thread."""
    key = scores_key(name)
    version, theirs = seen
    for _ in range(_TRIES):
        data = encode_scores(later_scores(ours, theirs))
        try:
            if version is None:
                return ReadScores(bucket.create(key, data), data)
            return ReadScores(bucket.swap(key, data, version), data)
        except Changed:
            found = read_scores(bucket, [name]).get(name)
        version, theirs = None, {}
        if found is not None:
            if found.data == data:
                # It is our own, of which the answer was lost, or as good.
                return found
            try:
                version, theirs = found.version, decode_scores(name, found.data)
            except CorruptObject as error:
                raise DamagedRemote(f"{error}: remove {key} there, and push again") from error
    raise Busy(f"others write {key} of the remote all the time: try again")


def read_scores(bucket: Bucket, names: Iterable[str]) -> dict[str, ReadScores]:
    """Return the records of branches, without those that are gone; on a thread."""

    def read(name: str) -> ReadScores | None:
        try:
            data, version = bucket.get(scores_key(name), 0, REF_BYTES_MAX + 1)
        except NoObject:
            return None
        return ReadScores(version, data if len(data) <= REF_BYTES_MAX else b"")

    wanted = list(names)
    found = mapped(read, wanted, READERS)
    return {name: each for name, each in zip(wanted, found, strict=True) if each is not None}


class FoundScores(NamedTuple):
    """The records that a fetch has found to be others than were seen."""

    read: Mapping[str, ReadScores] = {}
    gone: Sequence[str] = ()
    """Branches that have none any more."""
    damaged: Mapping[str, str] = {}
    """Damage of the records that cannot be read, by branch."""


def find_scores(
    bucket: Bucket, before: Mapping[str, str], listed: Mapping[str, str]
) -> FoundScores:
    """Read the records whose versions are others than before; on a thread."""
    changed = [name for name, version in listed.items() if before.get(name) != version]
    read, damaged = read_scores(bucket, changed), {}
    for name, each in list(read.items()):
        try:
            decode_scores(name, each.data)
        except CorruptObject as error:
            del read[name]
            damaged[name] = str(error)
    return FoundScores(read, [name for name in before if name not in listed], damaged)


def keep_scores(
    repository: Repository, remote: str, found: FoundScores, *, has_new_commits: bool
) -> None:
    """Keep the records that a fetch has read, and take the scores of commits that are here."""
    notes = ScoreNotes(repository.store, remote)
    for name in found.gone:
        notes.note(name, None)
    for name, each in found.read.items():
        notes.note(name, each)
    # What came before its commits counts by now, too.
    for name in notes.versions() if has_new_commits else found.read:
        take_scores(repository, _decoded(name, notes.find(name))[1])


def delete_scores(repository: Repository, bucket: Bucket, remote: str, name: str) -> Steps[None]:
    """Delete the record of a branch that was deleted, if it is what was last seen."""
    notes = ScoreNotes(repository.store, remote)
    seen = notes.find(name)
    if seen is None:
        return
    with suppress(Changed):
        yield from on_thread(partial(bucket.delete, scores_key(name), seen[0]))
    with repository.transaction:
        notes.note(name, None)
