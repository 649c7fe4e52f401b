"""Tags that a verb makes and drops, each as one transaction."""

from __future__ import annotations

from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import Annotation


def create_tag(
    repository: Repository,
    name: str,
    oid: CommitId,
    *,
    force: bool = False,
    note: Annotation | None = None,
) -> None:
    """Name a commit, and say something of it.

    UsageError, AlreadyExists unless `force` moves the tag.
    """
    before = repository.refs.tags.get(name)
    with repository.transaction:
        repository.refs.create_tag(name, oid, force=force, note=note)
        if before is not None:
            repository.refs.drop(before, repository.clock.now_ns())


def delete_tag(repository: Repository, name: str) -> CommitId:
    """Drop a tag, and return what it named.  NotFound."""
    with repository.transaction:
        oid = repository.refs.delete_tag(name)
        repository.refs.drop(oid, repository.clock.now_ns())
    return oid
