"""Comparison of a branch with its upstream: the branch of the same name at a remote."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.history import History
from heliosfs.repo.walks import by_date, excluded_commits
from heliosfs.steps import Steps, Turn


class UpstreamComparison(NamedTuple):
    """The upstream of a branch, and the numbers of commits that one of the two has alone."""

    name: str
    """Name of the upstream, such as `origin/main`."""
    ahead: int
    behind: int

    def __str__(self) -> str:
        """Return the numbers in git's words; empty if both are 0."""
        parts = (("ahead", self.ahead), ("behind", self.behind))
        return ", ".join(f"{word} {count}" for word, count in parts if count)


def compare_upstream(
    core: Core, branch: str | None, head: CommitId | None
) -> Steps[UpstreamComparison | None]:
    """Compare a branch with its upstream; None if it has none, as every branch without a remote.

    Cost: the commits that one of the two has alone, and those as young.
    """
    found = core.remotes.upstream(branch) if branch is not None and head is not None else None
    if found is None or head is None:
        return None
    name, theirs = found
    ahead = yield from _count(core.history, head, theirs)
    behind = yield from _count(core.history, theirs, head)
    return UpstreamComparison(name, ahead, behind)


def _count(history: History, tip: CommitId, other: CommitId) -> Steps[int]:
    """Count the commits that `tip` reaches, and `other` does not."""
    if tip == other:
        return 0
    hidden = yield from excluded_commits(history, [tip], [other])
    count = 0
    for visit in by_date(history, [tip], hidden):
        if isinstance(visit, Turn):
            yield visit
        else:
            count += 1
    return count
