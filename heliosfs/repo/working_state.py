"""The state of a workspace at a moment, and its bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.objects.tree import Entry, decode_entry, encode_entry

DETACHED = 0
"""Slot of the state that belongs to no branch."""

_SLOT = struct.Struct("<QB")


class State(NamedTuple):
    """The working state of a branch: the slot, the commit, and the tree."""

    slot: int
    """Number that a branch keeps when it is renamed, or `DETACHED`."""
    head: CommitId | None
    """Commit; None before the first one."""
    root: Entry
    merging: CommitId | None = None
    """Commit whose merge is open; it becomes the second parent of the next commit."""

    def encode(self) -> bytes:
        return self.encode_with(encode_entry(self.root))

    def encode_with(self, root: bytes) -> bytes:
        """Return what `encode` returns, for a caller that has the encoded root entry already."""
        head = (self.head or b"") + (self.merging or b"")
        return _SLOT.pack(self.slot, len(head)) + head + root


def decode_heads(data: bytes, at: int) -> tuple[int, CommitId | None, CommitId | None, int]:
    """Return slot, HEAD, the commit whose merge is open, and where the root entry begins."""
    slot, length = _SLOT.unpack_from(data, at)
    at += _SLOT.size
    end = at + length
    head, merging = data[at : min(at + OID_BYTES, end)], data[at + OID_BYTES : end]
    return (
        slot,
        CommitId(Oid(head)) if head else None,
        CommitId(Oid(merging)) if merging else None,
        end,
    )


def decode_state(data: bytes, at: int = 0) -> tuple[State, int]:
    """Return the state at `at` and where it ends.  Raise CorruptObject if the bytes do not fit."""
    try:
        slot, head, merging, at = decode_heads(data, at)
        root, at = decode_entry(data, at)
    except (struct.error, IndexError) as error:
        raise CorruptObject(f"a working state cannot be read: {error}") from error
    return State(slot, head, root, merging), at
