"""The result of a collection, as bytes for the next one: which objects need not be looked at again.

    salt 8 | first 8 | commits 4 | number 8 each | pending 4 | kind 1, id 32 each | marks, deflated

An object that a collection reached, and that stays, has all that it needs; the next collection
stops there.  It does so only while nothing that was kept is let go: whoever recalls this must make
sure of that.  The salt binds it to the numbers of one store.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from heliosfs.objects.ids import OID_BYTES, Kind, Oid
from heliosfs.objects.references import Reference

_HEAD = struct.Struct("<8sQII")
_NUMBER = struct.Struct("<Q")
_PENDING_BYTES = 1 + OID_BYTES
_COUNT_MAX = 10_000
"""Commits, and pending objects, from which no recollection is kept: the next one looks at all."""


class Recollection(NamedTuple):
    """The objects that an earlier collection has reached."""

    first: int
    """First number that was given after it began."""
    reached: bytes
    """A byte for each number: 1 if the object was reached."""
    commits: list[int]
    """Commits that stayed only because others are deltas to them: they may be listed again."""
    pending: list[Reference]
    """Objects that were reached before L2 had them: their numbers were not known then."""

    def encode(self, salt: bytes) -> bytes | None:
        """Return the bytes; None if they are too many."""
        if max(len(self.commits), len(self.pending)) > _COUNT_MAX:
            return None
        head = _HEAD.pack(salt, self.first, len(self.commits), len(self.pending))
        numbers = [_NUMBER.pack(number) for number in self.commits]
        pending = [bytes((kind,)) + oid for kind, oid in self.pending]
        return b"".join((head, *numbers, *pending, zlib.compress(self.reached, 1)))


def decode_recollection(data: bytes, salt: bytes, end: int) -> Recollection | None:
    """Read the bytes of `encode`; return None if they are damaged or of another store."""
    try:
        found, first, commit_count, pending_count = _HEAD.unpack_from(data)
        at = _HEAD.size
        numbers = data[at : at + _NUMBER.size * commit_count]
        at += len(numbers)
        pending = data[at : at + _PENDING_BYTES * pending_count]
        at += len(pending)
        # Later numbers were not given yet: such marks are those of another store.
        unpack = zlib.decompressobj()
        reached = unpack.decompress(data[at:], end + 1)
        if found != salt or not first <= end or not unpack.eof or len(reached) > end:
            return None
        return Recollection(
            first,
            reached,
            [number for (number,) in _NUMBER.iter_unpack(numbers)],
            [
                (Kind(pending[each]), Oid(pending[each + 1 : each + _PENDING_BYTES]))
                for each in range(0, len(pending), _PENDING_BYTES)
            ],
        )
    except (struct.error, ValueError, zlib.error):
        return None
