"""Bases of objects that come from a bucket: which of the objects before is an earlier version.

A bucket has no names of files beside its objects.  But a push sends the versions of a file in their
order, so one of the last few objects of the same kind shares most of its bytes with the next
version.  What two files share by chance is less than half.
"""

from __future__ import annotations

import struct
from collections import deque

from heliosfs.objects.commit import commit_links
from heliosfs.objects.ids import Kind, Oid
from heliosfs.remote.packfile import RemoteObject
from heliosfs.store.encoding.codecs import common_prefix, common_suffix

_LATEST_COUNT = 8
_SIZE_MIN = 64
"""Smallest object for which a base is looked for."""
_SIZE_MAX = 1024 * 1024
_COMPARED_BYTES = 64


class LikelyBases:
    """The last objects of each kind that are nobody's base yet: only commits may share one."""

    def __init__(self) -> None:
        self._latest: dict[Kind, deque[tuple[Oid, bytes]]] = {}

    def take(self, found: RemoteObject) -> Oid | None:
        """Return the base of an object, if there is a likely one.

        It takes up to 5 us for each that is compared.  CorruptObject is left to whoever reads the
        object.
        """
        kind, oid, data = found
        if kind is Kind.COMMIT:
            return _parent(data)
        if not _SIZE_MIN <= len(data) <= _SIZE_MAX:
            return None
        latest = self._latest.setdefault(kind, deque(maxlen=_LATEST_COUNT))
        base = next((each for each in latest if _is_version(each[1], data)), None)
        if base is not None:
            latest.remove(base)
        latest.appendleft((oid, data))
        return base[0] if base is not None else None


def _is_version(old: bytes, new: bytes) -> bool:
    """Return True if two objects share half of the larger one at their ends."""
    wanted, least = max(len(old), len(new)) // 2, min(len(old), len(new))
    if least < wanted or old == new:
        return False
    # Of half of it, half is at one of the ends; most objects differ at both, which is told at once.
    end = min(_COMPARED_BYTES, wanted // 2)
    if old[:end] != new[:end] and old[-end:] != new[-end:]:
        return False
    head = common_prefix(old, new)
    return head >= wanted or head + common_suffix(old, new, least - head) >= wanted


def _parent(data: bytes) -> Oid | None:
    try:
        parents = commit_links(data).parents
    except (ValueError, IndexError, struct.error):
        # It is told when the commit is checked.
        return None
    return parents[0] if parents else None
