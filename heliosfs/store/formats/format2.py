"""Upgrade from format 2 to format 3, by one transaction in the file of L2.

    1. every value of state gets a seal, and the totals get the sum of the seals
    2. a witness is made; then `format` is replaced, by a rename

The objects, their index and the journal are as before.  A crash before the end of 1 leaves a store
of format 2.  One before 2 leaves sealed state under a `format` that says 2, which the length of
the totals tells: the next open goes on with 2.
"""

from __future__ import annotations

import logging
import struct
from itertools import islice

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory
from heliosfs.store.l2.environment import (
    FILE,
    PACKS_KEY,
    TOTALS_KEY,
    Tables,
    Transaction,
    check_file,
    lmdb_errors,
    open_file,
    open_tables,
)
from heliosfs.store.l2.sealed import SUM_MODULUS, seal, seal_of
from heliosfs.store.l2.totals import Totals, decode_totals, emptied
from heliosfs.store.version import VERSION as PRESENT
from heliosfs.store.version import write_format
from heliosfs.store.witness import make_witness

VERSION = 2
_TOTALS = struct.Struct("<QQQQQQ8s")
_ITEMS_AT_ONCE = 4096

_log = logging.getLogger(__name__)


def upgrade(directory: Directory, *, was_clean: bool) -> None:
    """Upgrade a store of format 2, which this process has locked: 3 us for each value of state.

    After StoreError or StoreFull, the store is as it was.
    """
    _log.info("the store has format %d, and becomes format %d", VERSION, PRESENT)
    check_file(directory, FILE, is_thorough=not was_clean)
    with lmdb_errors("cannot upgrade"), open_file(directory, is_read_only=False) as environment:
        tables = open_tables(environment)
        txn = environment.begin(write=True)
        try:
            totals = _sealed(txn, tables)
            directory.commit(txn)
        except BaseException:
            txn.abort()
            raise
    make_witness(directory, totals.salt)
    write_format(directory)


def _sealed(txn: Transaction, tables: Tables) -> Totals:
    """Put seals behind all values unless they have them; return the totals.  Raise StoreError."""
    raw = txn.get(TOTALS_KEY)
    if raw is None:
        raise emptied()
    if len(raw) > _TOTALS.size:
        return decode_totals(raw)
    if len(raw) < _TOTALS.size:
        raise StoreError(f"{FILE} is damaged: its totals have {len(raw)} bytes")
    seals = 0
    cursor = txn.cursor(tables.state)
    more = cursor.first()
    while more:
        # Some at a time, and none while the cursor passes over them.
        some = [(key, seal(key, value)) for key, value in islice(cursor, _ITEMS_AT_ONCE)]
        seals += sum(seal_of(sealed) for _, sealed in some)
        cursor.putmulti(some)
        more = cursor.set_range(some[-1][0] + b"\0")
    totals = Totals(*_TOTALS.unpack(raw))._replace(seals=seals % SUM_MODULUS, generation=1)
    txn.put(TOTALS_KEY, totals.encode())
    txn.put(PACKS_KEY, seal(PACKS_KEY, txn.get(PACKS_KEY) or b""))
    return totals
