"""The two kinds of place to which a branch or tag is pushed: a bucket, and a git server."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from heliosfs.errors import HeliosError
from heliosfs.gitserver.push import RefPush
from heliosfs.gitserver.push import push as push_to_git
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.push import PushResult, delete, push
from heliosfs.repo.remotes import HEADS
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, read_far


class BranchPlace(Protocol):
    """A remote, as a place of branches."""

    def push(self, name: str, head: CommitId) -> Steps[PushResult]:
        """Let a branch name a commit, if it still is what was last seen of it."""

    def delete(self, name: str) -> Steps[PushResult]:
        """Delete a branch, if it still is what was last seen of it."""


class BucketBranches:
    """A bucket, as a place of branches."""

    def __init__(self, repository: Repository, remote: str, bucket: Bucket) -> None:
        self._repository = repository
        self._remote = remote
        self._bucket = bucket

    def push(self, name: str, head: CommitId) -> Steps[PushResult]:
        place = self._repository, self._bucket, self._remote
        return (yield from push(*place, HEADS, name, head, with_lease=True))

    def delete(self, name: str) -> Steps[PushResult]:
        return (yield from delete(self._repository, self._bucket, self._remote, name))


class GitBranches:
    """A git server, as a place of branches."""

    def __init__(self, repository: Repository, remote: str) -> None:
        self._repository = repository
        self._remote = remote

    def push(self, name: str, head: CommitId) -> Steps[PushResult]:
        return (yield from self._one(RefPush(HEADS, name, head)))

    def delete(self, name: str) -> Steps[PushResult]:
        return (yield from self._one(RefPush(HEADS, name, None)))

    def _one(self, ref: RefPush) -> Steps[PushResult]:
        pushed = yield from push_to_git(self._repository, self._remote, [ref], with_lease=True)
        [result] = pushed.results
        if isinstance(result, HeliosError):
            raise result
        return result


def open_place(repository: Repository, remote: str) -> Steps[BranchPlace]:
    """Return the place that a remote is.  UsageError."""
    if repository.remotes.notes.is_git(remote):
        return GitBranches(repository, remote)
    bucket = yield from read_far(partial(open_bucket, repository.remotes.url(remote)))
    return BucketBranches(repository, remote, bucket)
