"""Parts of a large file that a change needs, where a remote may have them."""

from __future__ import annotations

from typing import Protocol

from heliosfs.objects.blob import PART_BYTES, part_count
from heliosfs.store.base import Store
from heliosfs.workspace.parts import LoadedParts, StoredParts


class _Parted(Protocol):
    """Content in parts; `LargeFile` implements this."""

    size: int
    stored: StoredParts
    loaded: LoadedParts

    def part_bytes(self, index: int) -> int:
        """Return the length of a part in bytes."""


def check_here(
    content: _Parted, store: Store, offset: int, end: int, *, is_whole: bool = False
) -> None:
    """Check that parts are here which a change leaves in part; with `is_whole`, all below `offset`.

    The change is of the range, or makes an end at `offset` if the range is empty.  Raise
    PromisedObject before anything is changed.  Otherwise a save would meet it, for which nobody
    waits who could be told.
    """
    # I71: what is written over a stored part lies on one that is here.
    needed = set()
    if offset < end:
        edges = (offset // PART_BYTES, (end - 1) // PART_BYTES)
        needed = {each for each in edges if not _is_replaced(content, each, offset, end)}
    elif offset % PART_BYTES:
        needed.add(offset // PART_BYTES)
    if end > content.size and content.size % PART_BYTES:
        # It becomes longer, and is read for that.
        needed.add(content.size // PART_BYTES)
    if is_whole:
        needed.update(range(part_count(min(offset, content.size))))
    for index in sorted(needed):
        oid = content.stored.ids.get(index)
        if oid is None or index in content.loaded.parts:
            continue
        if oid in store.promises and not store.contains(oid):
            raise store.promises.error(oid)


def _is_replaced(content: _Parted, index: int, offset: int, end: int) -> bool:
    """Return True if a change of a range leaves nothing of a part."""
    start = index * PART_BYTES
    return offset <= start and start + content.part_bytes(index) <= end
