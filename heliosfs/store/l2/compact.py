"""Giving the disk that free pages take back, when a store is closed.

LMDB writes pages anew and reuses the old ones two transactions later, so a file has as many
free pages as two drains wrote, and after a gc all that it freed.  A file never shrinks; a
copy of what is used replaces it.
"""

from __future__ import annotations

import logging
import os
from itertools import islice

import lmdb

from heliosfs.store.directory import Directory
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.environment import (
    ALONE_KEYS,
    FILE,
    LOCK_FILE,
    open_environment,
    open_tables,
    used_pages,
)

COMPACT_FILE = f"{FILE}.new"
_FREE_SHARE_MIN = 10
"""Copied when at least one page in so many is free."""
_USED_PAGES_MAX = 64 * 1024
"""What is copied in about a second; a larger file keeps its free pages for later."""
_ITEMS_AT_ONCE = 4096

_log = logging.getLogger(__name__)


def compact(directory: Directory, database: ObjectDatabase) -> None:
    """Close the database, and replace its file by a copy without free pages if that pays.

    The copy is on the disk before it takes the name, so a crash leaves one of the two.  A
    failure leaves the file as it was: it is only larger than it need be.
    """
    try:
        if _pays(database):
            _copy(database, directory.path_of(COMPACT_FILE))
            fd = directory.open(COMPACT_FILE, os.O_RDWR)
            try:
                directory.sync(fd)
            finally:
                os.close(fd)
            database.close()
            directory.rename(COMPACT_FILE, FILE)
            directory.sync_names()
        database.close()
        directory.unlink(LOCK_FILE)
    except (OSError, lmdb.Error) as error:
        _log.warning("free pages of %s stay: %s", FILE, error)


def _pays(database: ObjectDatabase) -> bool:
    with database.env.begin() as txn:
        used = used_pages(txn, database.tables)
    pages = database.env.info()["last_pgno"] + 1
    is_loose = database.is_loose or (pages - used) * _FREE_SHARE_MIN >= pages
    return used <= _USED_PAGES_MAX and is_loose


def _copy(database: ObjectDatabase, path: str) -> None:
    """Write what is in use to a file of its own, its pages full; not synced.

    Not by LMDB's own compaction, which crashes on values of a fixed size (0.9 and 1.0).
    """
    with (
        open_environment(path, database.map_bytes, sync=False) as copy,
        database.env.begin() as source,
    ):
        txn = copy.begin(write=True)
        for key in ALONE_KEYS:
            txn.put(key, source.get(key) or b"")
        for old, new in zip(database.tables, open_tables(copy, txn), strict=True):
            items = iter(source.cursor(old))
            while some := list(islice(items, _ITEMS_AT_ONCE)):
                txn.cursor(new).putmulti(some, append=True)
                if len(some) == _ITEMS_AT_ONCE:
                    txn.commit()
                    txn = copy.begin(write=True)
        txn.commit()
