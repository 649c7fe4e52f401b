"""The totals of L2: one sealed value of the unnamed database, written with every transaction."""

from __future__ import annotations

import struct
from typing import NamedTuple

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.places import PackUse, decode_uses
from heliosfs.store.l2.environment import (
    FILE,
    PACKS_KEY,
    TOTALS_KEY,
    Transaction,
    check_file,
    lmdb_errors,
    open_unaltered,
)
from heliosfs.store.l2.sealed import seal, unseal

_TOTALS = struct.Struct("<QQQQQQ8sQQ")


class Totals(NamedTuple):
    """Totals of L2."""

    next_number: int = 1
    """Number of the next object."""
    indexed: int = 1
    """First number that is not in the index."""
    objects: int = 0
    stored_bytes: int = 0
    logical_bytes: int = 0
    batch: int = 0
    """Number of the last batch that is here completely."""
    salt: bytes = b""
    """Random bytes of this store, with which the checksums of its journal begin: 8 bytes."""
    seals: int = 0
    """Sum of the seals of all state."""
    generation: int = 0
    """Number of transactions so far; it goes on through compactions."""

    def encode(self) -> bytes:
        """Return the bytes under `totals`."""
        return seal(TOTALS_KEY, _TOTALS.pack(*self))


def decode_totals(data: bytes) -> Totals:
    """Read the bytes under `totals`.  Raise StoreError."""
    try:
        return Totals(*_TOTALS.unpack(unseal(TOTALS_KEY, data)))
    except (struct.error, CorruptObject) as error:
        raise StoreError(f"{FILE} is damaged: its totals cannot be read") from error


def read_totals(txn: Transaction) -> Totals | None:
    """Return the totals, or None in a new file.  Raise StoreError."""
    raw = txn.get(TOTALS_KEY)
    return None if raw is None else decode_totals(raw)


def read_uses(txn: Transaction) -> dict[int, PackUse]:
    """Return the uses of the packs.  Raise StoreError."""
    raw = txn.get(PACKS_KEY)
    if raw is None:
        return {}
    try:
        return decode_uses(unseal(PACKS_KEY, raw))
    except (struct.error, CorruptObject) as error:
        raise StoreError(f"{FILE} is damaged: its list of packs cannot be read") from error


def look_at_totals(directory: Directory, *, was_clean: bool) -> Totals:
    """Read what the L2 of a store holds that nobody has open, and alter nothing.

    Raise StoreError.
    """
    check_file(directory, FILE, is_thorough=not was_clean)
    path = directory.path_of(FILE)
    with lmdb_errors("cannot read"), open_unaltered(path) as env, env.begin() as txn:
        totals = read_totals(txn)
    if totals is None:
        raise emptied()
    return totals


def emptied() -> StoreError:
    """Return the error for a file without totals in a store that has some."""
    return StoreError(
        f"{FILE} is empty, although this store has been used: put it back from a copy"
    )
