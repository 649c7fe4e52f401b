"""Push of an experiment: its record, its scores, and every commit that was made for it.

Machines that worked on one experiment do not refuse each other, as those of a branch do: what the
remote has is brought, both records are merged, and the result is pushed.
"""

from __future__ import annotations

from heliosfs.errors import AlreadyExists, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.fetch import fetch
from heliosfs.remote.push import NotFastForward, PushResult, push
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.remotes import EXPERIMENTS, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.shared_experiments import (
    SharedExperiment,
    carrier,
    find_far,
    merged,
    shared_of,
)
from heliosfs.steps import Steps

_TRIES = 8
"""Number of attempts of a push, in each of which others may be quicker."""


def push_experiment(
    repository: Repository, bucket: Bucket, remote: str, experiment: Experiment, there: str
) -> Steps[tuple[CommitId, PushResult]]:
    """Let a remote have an experiment under the name `there`; return the commit of its record.

    AlreadyExists if the remote has another experiment of that name; NotFastForward if others are
    always quicker; Unreachable, and nothing here has changed.
    """
    for _ in range(_TRIES - 1):
        try:
            return (yield from _push_once(repository, bucket, remote, experiment, there))
        except NotFastForward as error:
            try:
                yield from fetch(repository, bucket, remote, [there], kind=EXPERIMENTS)
            except NotFound:
                # It was deleted there, which nobody takes back by the way.
                raise error from None
    return (yield from _push_once(repository, bucket, remote, experiment, there))


def _push_once(
    repository: Repository, bucket: Bucket, remote: str, experiment: Experiment, there: str
) -> Steps[tuple[CommitId, PushResult]]:
    url = repository.remotes.url(remote)
    seen = repository.remotes.tracked(remote, EXPERIMENTS, there)
    record = _to_push(repository, remote, experiment, there)
    if record is None and seen is not None:
        return seen.commit, PushResult(seen.commit, is_forced=False)
    assert record is not None
    with repository.transaction:
        check_same(repository.remotes, remote, url)
        head = repository.history.write(carrier(repository, record))
    steps = push(repository, bucket, remote, EXPERIMENTS, there, head, with_lease=True)
    return head, (yield from steps)


def _to_push(
    repository: Repository, remote: str, experiment: Experiment, there: str
) -> SharedExperiment | None:
    """Return the record that the remote is to have; None if it has it.  AlreadyExists."""
    ours = shared_of(repository, experiment)
    far = find_far(repository, f"{remote}/{there}")
    if far is None:
        return ours
    if not ours.is_same(far.record):
        raise AlreadyExists(
            f"{far.name} is another experiment: push it as "
            f"'refs/experiments/{experiment.name}:NEW-NAME'"
        )
    both = merged(ours, far.record)
    return both if both != far.record else None
