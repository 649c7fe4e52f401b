"""The state that a collection leaves for the next one, which so need not look at all again.

    digest 16 | lost 4 | heads 4 | id 32, seconds 8 each | trees 4 | id 32 each | marks of the store

The next collection relies on it only while everything that was kept then is still wanted: each
commit that had no child then must be reached, or be young.  Trees that no commit has, those of
working states and saves, may be lost: they stay, are counted, and when there are many of them for
the size of the store, the next collection looks at all.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import NamedTuple

from blake3 import blake3

from heliosfs.objects.ids import OID_BYTES, CommitId, Oid

_CHECKED_FROM = 16
_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<32sq")
_COUNT_MAX = 100_000
"""Commits and trees from which nothing is handed over: reading it would cost more than it saves."""
OBJECTS_FOR_A_LOST_TREE = 1_000
"""Objects of the store for which one tree may be lost before all of them are looked at."""


class Handover(NamedTuple):
    """The ends of what stayed, and the marks of it."""

    heads: Mapping[CommitId, int]
    """Commits that no other one has as a parent, and their times in seconds."""
    trees: Collection[Oid]
    """Objects that were roots, and that no commit has as its tree."""
    lost_count: int
    """Number of such objects that went since all was looked at."""
    marks: bytes
    """Bytes of `Collection.remember`."""

    def encode(self) -> bytes | None:
        """Return the bytes; None if they are too many."""
        if len(self.heads) + len(self.trees) > _COUNT_MAX:
            return None
        heads = [_HEAD.pack(oid, seconds) for oid, seconds in self.heads.items()]
        counts = _COUNT.pack(self.lost_count), _COUNT.pack(len(heads)), _COUNT.pack(len(self.trees))
        body = b"".join((counts[0], counts[1], *heads, counts[2], *self.trees, self.marks))
        return blake3(body).digest(length=_CHECKED_FROM) + body


def decode_handover(data: bytes) -> Handover | None:
    """Read what `encode` returned; None if it is damaged."""
    body = data[_CHECKED_FROM:]
    if blake3(body).digest(length=_CHECKED_FROM) != data[:_CHECKED_FROM]:
        return None
    try:
        (lost_count,) = _COUNT.unpack_from(body)
        (head_count,) = _COUNT.unpack_from(body, _COUNT.size)
        begin = 2 * _COUNT.size
        at = begin + _HEAD.size * head_count
        heads = {CommitId(Oid(oid)): when for oid, when in _HEAD.iter_unpack(body[begin:at])}
        (tree_count,) = _COUNT.unpack_from(body, at)
        at += _COUNT.size
        end = at + OID_BYTES * tree_count
        trees = {Oid(body[each : each + OID_BYTES]) for each in range(at, end, OID_BYTES)}
        return Handover(heads, trees, lost_count, body[end:])
    except struct.error:
        return None
