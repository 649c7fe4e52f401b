"""Descent of git's commits from those here, and the other way round."""

from __future__ import annotations

from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names
from heliosfs.git.refs import GitRef
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.history import History
from heliosfs.steps import Steps


class Descent:
    """Cache of which of two commits is an ancestor of the other, as far as an import has asked.

    To find out takes turns of others, in which a branch may move.  So it is found out before the
    refs are moved, and kept here for the moment in which they are.
    """

    def __init__(self, history: History, ids: IdMap, names: Names) -> None:
        self._history = history
        self._ids = ids
        self._names = names
        self._targets: dict[bytes, CommitId | None] = {}
        self._compared: set[tuple[CommitId, CommitId]] = set()
        self._reached: set[tuple[CommitId, CommitId]] = set()
        """Pairs of commits of which the first is an ancestor of the second."""

    def commit_of(self, git_id: bytes) -> CommitId | None:
        """Return the commit that a ref leads to; None for a tag of another kind of object."""
        if git_id not in self._targets:
            self._targets[git_id] = self._ids.commit_of(git_id)
        return self._targets[git_id]

    def compare(self, ref: GitRef, head: CommitId, oid: CommitId, limit: int) -> Steps[None]:
        """Find out if one of `head`, of a branch, and `oid`, of its ref in git, leads to the other.

        Read up to `limit` commits, and none if the branch has not moved since the last exchange.
        """
        if head == oid or self.is_behind(ref, head, oid) or (head, oid) in self._compared:
            return
        self._compared.add((head, oid))
        for one, other in ((head, oid), (oid, head)):
            if (yield from reaches(self._history, [other], one, limit)):
                self._reached.add((one, other))
                return

    def is_behind(self, ref: GitRef, head: CommitId, oid: CommitId) -> bool:
        """Return True if git has every commit of the branch.

        Either the branch has not moved since the last exchange, or git's commit descends from it.
        """
        before = self._names.known.get(ref.name)
        if before is not None and self.commit_of(before.git_id) == head:
            return True
        return (head, oid) in self._reached

    def is_ahead(self, head: CommitId, oid: CommitId) -> bool:
        """Return True if the branch has all commits of the ref in git, and newer ones."""
        return (oid, head) in self._reached

    def is_of_git(self, oid: CommitId) -> bool:
        """Return True if git has, or had, a commit."""
        return bool(self._history.read(oid).git) or self._ids.git_of(oid) is not None
