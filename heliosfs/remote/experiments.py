"""Push of an experiment: its record, its scores, and every commit that was made for it.

Machines that worked on one experiment do not refuse each other, as those of a branch do: what the
remote has is brought, both records are merged, and the result is pushed.
"""

from __future__ import annotations

from heliosfs.errors import AlreadyExists, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.damage import told_as_local
from heliosfs.remote.fetch import fetch
from heliosfs.remote.push import BesideRef, PushResult, push
from heliosfs.remote.refplace import NotFastForward
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, check_same
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
    repository: Repository,
    bucket: Bucket,
    remote: str,
    experiment: Experiment,
    there: str,
    branch: BesideRef | None = None,
    *,
    with_lease: bool = False,
) -> Steps[tuple[CommitId, PushResult]]:
    """Let a remote have an experiment under the name `there`; return the commit of its record.

    Its branch moves beside it, if nothing speaks against that, and the experiment moves at all; it
    may lose commits `with_lease`.
    AlreadyExists if the remote has another experiment of that name; NotFastForward if others are
    always quicker; Unreachable, and nothing here has changed.
    """
    beside = yield from _movable(repository, remote, branch, with_lease=with_lease)
    for _ in range(_TRIES - 1):
        try:
            return (yield from _push_once(repository, bucket, remote, experiment, there, beside))
        except NotFastForward as error:
            try:
                yield from fetch(repository, bucket, remote, [there], kind=EXPERIMENTS)
            except NotFound:
                # It was deleted there, which nobody takes back by the way.
                raise error from None
    return (yield from _push_once(repository, bucket, remote, experiment, there, beside))


def _movable(
    repository: Repository, remote: str, branch: BesideRef | None, *, with_lease: bool
) -> Steps[BesideRef | None]:
    """Return a branch that a push would move; None for another one."""
    if branch is None:
        return None
    seen = repository.remotes.tracked(remote, HEADS, branch.name)
    if seen is None:
        return branch
    is_known = seen.commit in repository.history and seen.commit != branch.head
    if not is_known or with_lease:
        return branch if is_known else None
    with told_as_local():
        is_forward = yield from reaches(repository.history, [branch.head], seen.commit)
    return branch if is_forward else None


def _push_once(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    experiment: Experiment,
    there: str,
    beside: BesideRef | None,
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
    if beside is not None:
        with told_as_local():
            is_reached = yield from reaches(repository.history, [head], beside.head)
        beside = beside if is_reached else None
    ref = EXPERIMENTS, there, head
    steps = push(repository, bucket, remote, *ref, with_lease=True, beside=beside)
    result = yield from steps
    # What it has lost is the record before, of which nothing is lost.
    return head, result._replace(is_forced=False)


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
