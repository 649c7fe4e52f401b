"""Creation and deletion of tags, each as one transaction."""

from __future__ import annotations

from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.tag_notes import Annotation


def create_tag(
    core: Core,
    name: str,
    oid: CommitId,
    *,
    force: bool = False,
    note: Annotation | None = None,
) -> None:
    """Create a tag with an optional annotation.

    Raise UsageError, and AlreadyExists unless `force` moves the tag.
    """
    before = core.refs.tags.get(name)
    with core.transaction:
        core.refs.create_tag(name, oid, force=force, note=note)
        if before is not None:
            core.dropped.add(before, core.clock.now_ns())


def delete_tag(core: Core, name: str) -> CommitId:
    """Delete a tag, and return its commit.  Raise NotFound."""
    with core.transaction:
        oid = core.refs.delete_tag(name)
        core.dropped.add(oid, core.clock.now_ns())
    return oid
