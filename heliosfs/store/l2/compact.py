"""Compaction: return of free pages to the disk when a store is closed.

LMDB writes changed pages to new places and reuses the old ones two transactions later.  So a file
has about as many free pages as two drains wrote, and after a gc all pages that it freed.  The file
never shrinks by itself; a copy without free pages replaces it.
"""

from __future__ import annotations

import logging
from itertools import islice

import lmdb

from heliosfs.store.directory import Directory
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.environment import (
    ALONE_KEYS,
    FILE,
    LOCK_FILE,
    NEW_FILE,
    open_environment,
    open_tables,
    put_in_place,
    used_pages,
)

_FREE_SHARE_MIN = 10
"""A file is copied if at least one page in this many is free."""
_USED_PAGES_MAX = 64 * 1024
"""Largest number of used pages that is copied, in about a second; a larger file keeps its free
pages."""
_ITEMS_AT_ONCE = 4096

_log = logging.getLogger(__name__)


def compact(directory: Directory, database: ObjectDatabase) -> None:
    """Close the database, and replace its file by a copy without free pages if that pays.

    The copy is on the disk before it takes the name, so a crash leaves one of the two.  A failure
    leaves the file as it was, only larger than necessary.
    """
    try:
        if _pays(database):
            _copy(database, directory.path_of(NEW_FILE))
            database.close()
            put_in_place(directory)
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
    """Write the content of the database to a new file with full pages; not synced.

    LMDB's own compaction is not used: it crashes on values of a fixed size (0.9 and 1.0).
    """
    with (
        open_environment(path, database.map_bytes, sync=False) as copy,
        database.env.begin() as source,
    ):
        txn = copy.begin(write=True)
        for key in ALONE_KEYS:
            value = source.get(key)
            if value is not None:
                txn.put(key, value)
        for old, new in zip(database.tables, open_tables(copy, txn), strict=True):
            items = iter(source.cursor(old))
            while some := list(islice(items, _ITEMS_AT_ONCE)):
                # In key order, so `append` fills each page and leaves no half-empty ones.
                txn.cursor(new).putmulti(some, append=True)
                if len(some) == _ITEMS_AT_ONCE:
                    txn.commit()
                    txn = copy.begin(write=True)
        txn.commit()
