"""Objects and state on their way into L2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, Kind, Oid
from heliosfs.store.base import LISTED, NUMBERED, SLOT_BYTES
from heliosfs.store.edited import Edited
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.packs import Packed, Packs

KEY_MAX = 400
SHAPED = LISTED + NUMBERED
"""The first bytes of keys that have one shape."""

Changes = Mapping[bytes, bytes | None]
"""New state by key; None removes a key."""


class Pending(NamedTuple):
    """An object that is not in L2 yet."""

    oid: Oid
    kind: Kind
    data: bytes | Packed | Edited
    base: Oid | None


class Cold(Pending):
    """A pending object that nobody will read soon, so that L1 need not take it."""

    __slots__ = ()


class Batches(NamedTuple):
    """The objects and state of some consecutive batches, in the order of addition."""

    objects: list[Pending]
    state: Changes
    last: int
    """Number of the last of these batches."""


def bytes_of(packs: Packs, pending: Pending, read: Callable[[Oid, Kind], bytes]) -> bytes:
    """Return the bytes of a pending object, from its pack if they are there; CorruptObject.

    `read` reads the base of an edited object.
    """
    oid, kind, data, _ = pending
    try:
        if isinstance(data, Packed):
            return packs.load(data, kind, oid)
        if isinstance(data, Edited):
            return data.apply(read(data.base, kind), kind, oid)
        return data
    except DecodeError as error:
        raise CorruptObject(f"object {oid.hex()} is damaged: {error}") from error


def check_key(key: bytes) -> None:
    """Raise ValueError unless a key has 1 to 400 bytes, and the shape of its first byte."""
    if not 0 < len(key) <= KEY_MAX:
        raise ValueError(f"a state key of {len(key)} bytes; 1 to {KEY_MAX} are allowed")
    if key[0] in SHAPED:
        mark = key[:1]
        rest = len(key) - key.find(b"/") - 1
        if rest != (OID_BYTES if mark == LISTED else 2 * SLOT_BYTES):
            raise ValueError(f"a state key beginning with {mark!r} and ending with {rest} bytes")


def overlay(
    below: list[tuple[bytes, bytes]], above: Changes, prefix: bytes
) -> list[tuple[bytes, bytes]]:
    """Return `below`, the sorted state under `prefix`, with the changes of `above` applied."""
    changed = {key: value for key, value in above.items() if key.startswith(prefix)}
    if not changed:
        return below
    merged: dict[bytes, bytes | None] = {**dict(below), **changed}
    return sorted((key, value) for key, value in merged.items() if value is not None)
