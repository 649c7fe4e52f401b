"""Opening, or creation, of the store in a directory: the order in which its files are trusted.

    1. `format` says whether a store is here, and of which kind; then `lock` is taken
    2. L2 is opened, or created if `format` is missing and no other file is here
    3. the journal of the last run is read, and the batches that L2 lacks are written there
    4. packs are cut back to the bodies that L2 names, and the journal is deleted: everything that
       refers to them has been read by now
    5. `format` is written, and a new journal begins

A crash between two steps repeats them: nothing is deleted before its content is in L2.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.errors import NotFound, StoreError
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.formats import format1
from heliosfs.store.formats.upgrade import upgrade
from heliosfs.store.journal.journal import Journal
from heliosfs.store.journal.replay import replay, segment_names
from heliosfs.store.l2.compact import COMPACT_FILE
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.encoder import write_batches
from heliosfs.store.l2.environment import FILE
from heliosfs.store.layout import (
    check_unmade,
    read_format,
    release_lock,
    remove_leftovers,
    take_lock,
    write_format,
)


class StoreParts(NamedTuple):
    """The parts of an open store."""

    lock_fd: int
    database: ObjectDatabase
    journal: Journal


def open_parts(directory: Directory, *, create: bool) -> StoreParts:
    """Open the store in a directory, or create one there.

    NotFound, StoreFormat, StoreBusy, StoreError; nothing stays open then.
    """
    if read_format(directory) is None and not create:
        raise NotFound("there is no heliosfs store in this directory")
    lock_fd, was_clean = take_lock(directory)
    database = None
    try:
        version = read_format(directory)
        if version is None:
            check_unmade(directory, FILE)
        if version == format1.VERSION:
            upgrade(directory)
        remove_leftovers(directory, (*format1.FILES, COMPACT_FILE))
        database = ObjectDatabase(directory, create=version is None, was_clean=was_clean)
        return StoreParts(lock_fd, database, _recover(directory, database, is_new=version is None))
    except BaseException:
        if database is not None:
            database.close()
        release_lock(lock_fd)
        raise


def _recover(directory: Directory, database: ObjectDatabase, *, is_new: bool) -> Journal:
    """Move what the last run published into L2, and begin a journal."""
    totals = database.totals
    if is_new and totals.objects:
        raise StoreError(
            f"the file `format` is missing beside {FILE}, which holds objects: this was a "
            "store, and is left as it is; put `format` back from a copy"
        )
    batches = replay(directory, database.packs, totals.salt, totals.batch)
    if batches.last > totals.batch:
        for _ in write_batches(database, *batches):
            pass
    # I39: nothing of the last run is deleted before L2 has it.
    database.packs.tidy(database.uses)
    _remove_journal(directory)
    if is_new:
        write_format(directory)
    journal = Journal(directory, totals.salt, batches.last)
    journal.prepare()
    return journal


def _remove_journal(directory: Directory) -> None:
    """Delete the journal of the last run, which L2 has, before a new one begins."""
    try:
        names = segment_names(directory)
        for name in names:
            directory.unlink(name)
        if names:
            directory.sync_names()
    except OSError as error:
        raise store_error("cannot delete the old journal", error) from error
