"""Values of L2 behind seals, so that what damage did to a value is found when it is read.

    sealed value    value | seal 4
    seal            CRC-32 over the key, then the value

A seal is of its key: a value that lies under another key does not open.  A value that is *gone*, or
of an earlier time, has no wrong seal; the sum of all seals, which the totals have, tells of it.

CRC-32, not BLAKE3: a value of 100 bytes takes 0.5 us and 4 bytes instead of 1.5 us and 8.  Seals
are against damage, of which one in 2**32 is missed, not against people.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from heliosfs.errors import CorruptObject
from heliosfs.store.l2.environment import Table, Transaction, put_in_pieces

SEAL_BYTES = 4
SUM_MODULUS = 1 << 64
"""The sum of the seals is kept in eight bytes."""


def seal(key: bytes, value: bytes) -> bytes:
    """Return a value with its seal behind it."""
    return value + crc32(value, crc32(key)).to_bytes(SEAL_BYTES, "little")


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Return the value in front of a seal: 0.5 us.

    Raise CorruptObject if the seal is not its own.
    """
    # I52: what was damaged, or lies under another key, is no value.
    value = sealed[:-SEAL_BYTES]
    found = sealed[-SEAL_BYTES:]
    # Without the call of `seal_of`: state is read in every verb.
    if crc32(value, crc32(key)) != int.from_bytes(found, "little") or len(found) < SEAL_BYTES:
        raise CorruptObject(f"the state under {shown_key(key)} is damaged")
    return value


def seal_of(sealed: bytes) -> int:
    """Return the seal at the end of a value as a number, whether it is right or not."""
    return int.from_bytes(sealed[-SEAL_BYTES:], "little")


def shown_key(key: bytes) -> str:
    """Return a key as people can read it.

    >>> shown_key(b"tag/v1"), shown_key(b"~op/" + bytes(8))
    ('tag/v1', '~op/0000000000000000')
    """
    name, slash, rest = key.partition(b"/")
    if rest.isascii() and rest.decode("ascii", "replace").isprintable():
        return (name + slash + rest).decode("ascii", "backslashreplace")
    return name.decode("ascii", "backslashreplace") + "/" + rest.hex()


class SealedTable:
    """The table of state in a transaction: keys, and values behind seals.

    What a cursor over the table finds is sealed; `unseal` opens it.
    """

    __slots__ = ("change", "table", "txn")

    def __init__(self, txn: Transaction, table: Table) -> None:
        self.txn = txn
        self.table = table
        self.change = 0
        """Change of the sum of all seals by what was put and deleted."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        sealed = seal(key, value)
        cursor = self.txn.cursor(self.table)
        is_last = not cursor.set_range(key)
        if not is_last and cursor.key() == key:
            self.change -= seal_of(cursor.value())
        self.change += seal_of(sealed)
        # Appended, LMDB fills the last page; else it splits it in halves.
        self.txn.put(key, sealed, append=is_last, db=self.table)

    def put_all(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Set values, in order of the keys: neighbours go to the same page."""
        sealed = [(key, seal(key, value)) for key, value in items]
        self.change += sum([seal_of(each) for _, each in sealed])
        cursor = self.txn.cursor(self.table)
        for key, _ in sealed:
            if cursor.set_key(key):
                self.change -= seal_of(cursor.value())
        put_in_pieces(cursor, sealed)

    def delete(self, key: bytes) -> None:
        """Remove a value if there is one."""
        sealed = self.txn.pop(key, db=self.table)
        if sealed is not None:
            self.change -= seal_of(sealed)
