"""Offloading of written parts of large files: they are stored before a commit, and leave memory.

A writer of a large file would else fill the working set, and the next commit would have to hash all
that was written while everybody waits.  The hashing runs on a thread; what was written again in the
meantime stays, because its part is another object in memory by then.
"""

from __future__ import annotations

from heliosfs.objects.ids import BlobId, Kind
from heliosfs.steps import Work
from heliosfs.store.base import NewObject, Store
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.parts import DirtyPart
from heliosfs.workspace.working_set import WorkingSet


def plan_offload(
    working_set: WorkingSet, limit_bytes: int, *, is_urgent: bool = False
) -> Work | None:
    """Return work that stores about `limit_bytes` of dirty parts and drops them from memory.

    With `is_urgent`, it leaves their compression for later.  None if there are no dirty parts
    except those being written now.  Raises StoreError.
    """
    for node in list(working_set.unstored):
        content = node.content
        if isinstance(content, LargeFile):
            parts = content.dirty_parts(working_set.store, limit_bytes)
            if parts:
                return _Offload(working_set.store, content, parts, is_urgent=is_urgent)
            if content.loaded.dirty:
                continue
        del working_set.unstored[node]
    return None


class _Offload:
    """Work that stores dirty parts of one file."""

    def __init__(
        self, store: Store, content: LargeFile, parts: list[DirtyPart], *, is_urgent: bool
    ) -> None:
        self._content = content
        self._parts = parts
        self._addition = store.plan_add(
            [NewObject(Kind.BLOB, part.data, part.base, part.edits) for part in parts],
            is_urgent=is_urgent,
        )

    def execute(self) -> None:
        self._addition.execute()

    def apply(self) -> None:
        self._addition.apply()
        for part, oid in zip(self._parts, self._addition.oids, strict=False):
            self._content.mark_stored(part, BlobId(oid))
