"""Stores as earlier versions of the program left them: format 2 in place of format 3."""

from __future__ import annotations

import os
import struct
from contextlib import closing
from pathlib import Path

from heliosfs.store.directory import Directory
from heliosfs.store.l2.environment import (
    FILE,
    PACKS_KEY,
    TOTALS_KEY,
    open_environment,
    open_tables,
)
from heliosfs.store.l2.sealed import unseal
from heliosfs.store.l2.totals import decode_totals
from heliosfs.store.version import VERSION, read_format
from heliosfs.store.witness import WITNESS_FILE
from tests.simulation.disk import Disk

_TOTALS = struct.Struct("<QQQQQQ8s")
_MAP_BYTES = 1 << 30


def downgrade(disk: Disk) -> bool:
    """Make a store of format 2 of one that nobody has open; return False if there is none yet.

    The reverse of `heliosfs.store.formats.format2`: values have no seals, totals no sum and no
    generation, and there is no witness.
    """
    path = disk.path
    if not _is_present(path):
        return False
    with open_environment(str(path / FILE), _MAP_BYTES, create=False) as environment:
        tables = open_tables(environment)
        with environment.begin(write=True) as txn:
            sealed = list(txn.cursor(tables.state))
            txn.cursor(tables.state).putmulti([(key, unseal(key, value)) for key, value in sealed])
            totals = decode_totals(txn.get(TOTALS_KEY) or b"")
            txn.put(TOTALS_KEY, _TOTALS.pack(*totals[:7]))
            packs = txn.get(PACKS_KEY)
            if packs is not None:
                txn.put(PACKS_KEY, unseal(PACKS_KEY, packs))
    (path / WITNESS_FILE).unlink(missing_ok=True)
    (path / "format").write_bytes(b"heliosfs store\nversion 2\n")
    disk.settle()
    return True


def _is_present(path: Path) -> bool:
    """Return True if a store of the present format lies in a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with closing(Directory(fd)) as directory:
            return read_format(directory) == VERSION
    finally:
        os.close(fd)
