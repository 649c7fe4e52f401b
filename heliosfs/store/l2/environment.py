"""The LMDB file of L2: opening it, its tables, and the meaning of its errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import lmdb

from heliosfs.errors import StoreError, StoreFull
from heliosfs.pace import paced
from heliosfs.store.directory import Directory, kind_of_failure, store_error
from heliosfs.store.l2 import btree
from heliosfs.store.l2.pages import Damage

FILE = "store.lmdb"
LOCK_FILE = f"{FILE}-lock"
NEW_FILE = f"{FILE}.new"
"""Name of a file that is being written, until it is whole and takes the other's place."""
_LOCK_BYTES = 8192
"""Size of LMDB's lock file for its 126 readers."""
MAP_BYTES = 64 * 1024**3
"""Address space that is mapped, not disk; it grows by doubling."""
LMDB_0_9 = 0
"""Version of the file format.  0.9 and 1.0 refuse each other's files; all tools read those of
0.9."""

_PUT_COUNT = 256
Cursor: TypeAlias = "lmdb.Cursor[bytes]"
Transaction: TypeAlias = "lmdb.Transaction[bytes]"
Table: TypeAlias = "lmdb._Database"  # noqa: SLF001 - the library has no other name for it


TOTALS_KEY = b"totals"
PACKS_KEY = b"packs"
ALONE_KEYS = (TOTALS_KEY, PACKS_KEY)
"""Keys in the unnamed database."""


TABLE_FLAGS = {b"objects": 0, b"ids": 0x14, b"state": 0}
"""LMDB's flags of each table: that of ids is DUPSORT and DUPFIXED."""


def put_in_pieces(cursor: Cursor, items: Sequence[tuple[bytes, bytes]]) -> None:
    """Put keys and values; equal keys stand beside each other where the table allows that.

    One call for all of them would keep the interpreter for 10 ms and more.
    """
    for at in paced(range(0, len(items), _PUT_COUNT)):
        cursor.putmulti(items[at : at + _PUT_COUNT], dupdata=True)


class Tables(NamedTuple):
    """The named databases of an environment."""

    objects: Table
    ids: Table
    """The index, from ids to numbers."""
    state: Table


def open_environment(
    path: str, map_bytes: int, *, sync: bool = True, create: bool = True
) -> lmdb.Environment:
    """Open or create a file.  Without `sync`, nobody else may read it, and the caller syncs."""
    return lmdb.open(
        path,
        map_size=map_bytes,
        subdir=False,
        mode=0o600,
        max_dbs=len(Tables._fields),
        max_spare_txns=1,
        sync=sync,
        lock=sync,
        create=create,
        lib_version=LMDB_0_9,
    )


def open_unaltered(path: str) -> lmdb.Environment:
    """Open a file to read, without a lock file: nobody writes to it meanwhile."""
    return lmdb.open(
        path,
        subdir=False,
        readonly=True,
        lock=False,
        max_dbs=len(Tables._fields),
        lib_version=LMDB_0_9,
    )


def open_beside(path: str, map_bytes: int) -> lmdb.Environment:
    """Open a file to read, in another process than the one that owns it.  lmdb.Error."""
    return lmdb.open(
        path,
        map_size=map_bytes,
        subdir=False,
        readonly=True,
        max_dbs=len(Tables._fields),
        lib_version=LMDB_0_9,
    )


def open_tables(
    env: lmdb.Environment, txn: Transaction | None = None, *, create: bool = True
) -> Tables:
    """Open the tables, or create them."""
    return Tables(
        env.open_db(b"objects", txn=txn, create=create),
        env.open_db(b"ids", txn=txn, create=create, dupsort=True, dupfixed=True),
        env.open_db(b"state", txn=txn, create=create),
    )


def open_file(directory: Directory, *, is_read_only: bool) -> lmdb.Environment:
    """Open the file of a store.  StoreError, StoreFull, lmdb.Error.

    LMDB writes to its lock file through a mapping, and a write to a page for which a full disk has
    no room ends the process (SIGBUS).  So the disk must hold all of it first.
    """
    if is_read_only:
        return open_unaltered(directory.path_of(FILE))
    try:
        fd = directory.open(LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            os.posix_fallocate(fd, 0, _LOCK_BYTES)
        finally:
            os.close(fd)
    except OSError as error:
        raise store_error(f"cannot make {LOCK_FILE}", error) from error
    return open_environment(directory.path_of(FILE), MAP_BYTES, create=False)


def make_file(directory: Directory, values: Mapping[bytes, bytes]) -> None:
    """Make a file with empty tables, and these values in the unnamed database.

    It takes its name when it is on the disk, because LMDB begins a file without a sync: after a
    power cut one half of its first pages could be there.  StoreError, lmdb.Error.
    """
    path = directory.path_of(NEW_FILE)
    try:
        if NEW_FILE in directory.names():
            # One that was begun before may be no file of LMDB.
            directory.unlink(NEW_FILE)
    except OSError as error:
        raise store_error(f"cannot delete {NEW_FILE}", error) from error
    with open_environment(path, MAP_BYTES, sync=False) as env, env.begin(write=True) as txn:
        open_tables(env, txn)
        for key, value in values.items():
            txn.put(key, value)
    try:
        put_in_place(directory)
    except OSError as error:
        raise store_error(f"cannot make {FILE}", error) from error


def put_in_place(directory: Directory) -> None:
    """Let a new file, which nobody has open, take the name.  Raise StoreError or OSError."""
    fd = directory.open(NEW_FILE, os.O_RDWR)
    try:
        directory.sync(fd)
    finally:
        os.close(fd)
    directory.rename(NEW_FILE, FILE)
    directory.sync_names()


def used_pages(txn: Transaction, tables: Tables) -> int:
    """Return the number of pages that the tables take."""
    stats = [txn.stat(), *map(txn.stat, tables)]
    return sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)


def check_file(
    directory: Directory, name: str, *, is_thorough: bool, is_read_only: bool = False
) -> None:
    """Check that LMDB can map a file without a crash.  Raise StoreError.

    Reading behind the end of a mapped file ends the process (SIGBUS), and so may a damaged page.  A
    file that is shorter than its meta page says is walked, and with `is_thorough` every file: use
    that after an unclean end.  For the cost see `btree.walk`.
    """
    try:
        fd = directory.open(name, os.O_RDONLY)
        try:
            if is_thorough and not is_read_only:
                # When the sync of a meta page failed, LMDB put the old one back, unsynced: it must
                # be on the disk before a page that the new one names is written over.
                directory.sync(fd)
            if is_thorough or btree.is_short(fd):
                btree.walk(fd, TABLE_FLAGS if name == FILE else None)
        finally:
            os.close(fd)
    except Damage as error:
        raise StoreError(f"{name} is damaged: {error}") from error
    except OSError as error:
        raise store_error(f"cannot read {name}", error) from error


class MapFull(StoreError):
    """The map must grow; this error never leaves L2."""


def mapped(what: str, error: lmdb.Error) -> StoreError:
    """Return the StoreError for an error of LMDB."""
    text = f"{what} {FILE}: {error}"
    if isinstance(error, lmdb.MapFullError):
        return MapFull(text)
    if isinstance(error, lmdb.DiskError):
        return StoreFull(text)
    # Only errors that LMDB itself reports have a code.
    return kind_of_failure(getattr(error, "code", None))(text)


@contextmanager
def lmdb_errors(what: str) -> Iterator[None]:
    """Turn errors of LMDB inside the context into ours."""
    try:
        yield
    except lmdb.Error as error:
        raise mapped(what, error) from error
