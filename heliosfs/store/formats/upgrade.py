"""Upgrade from format 1 to the present one, by a new file beside the old one.

    1. the new file of an interrupted upgrade is deleted
    2. the new file is written, including the content of the journal, and a witness
    3. `format` is replaced, by a rename
    4. the old file is deleted (`layout.remove_leftovers`, also at a later open)

A crash before 3 leaves a store of format 1, after it one of the present format.
"""

from __future__ import annotations

import logging
from itertools import chain

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.formats import format1
from heliosfs.store.journal.replay import replay
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.encoder import write_batches
from heliosfs.store.l2.environment import FILE, LOCK_FILE
from heliosfs.store.version import VERSION, write_format
from heliosfs.store.witness import make_witness

_log = logging.getLogger(__name__)


def upgrade(directory: Directory) -> None:
    """Upgrade a store of format 1, which this process has locked.

    It needs disk for both files, and 70 us for each object.  After StoreError or StoreFull the
    store is as it was.
    """
    _log.info("the store has format %d, and becomes format %d", format1.VERSION, VERSION)
    _remove_new(directory)
    old = format1.OldDatabase(directory)
    try:
        new = ObjectDatabase(directory, old.salt, create=True)
        try:
            batches = replay(directory, new.packs, old.salt, old.batch)
            objects = chain(old.objects(), batches.objects)
            state = format1.upgraded(chain(old.state(), batches.state.items()))
            for _ in write_batches(new, objects, state, batches.last):
                pass
            make_witness(directory, old.salt)
        finally:
            new.close()
    except StoreError:
        _remove_new(directory)
        raise
    finally:
        old.close()
    # Only now does the new file count: before this, the next open starts over from the old one.
    write_format(directory, new.packs.declaration.version)


def _remove_new(directory: Directory) -> None:
    try:
        there = set(directory.names())
        for name in (FILE, LOCK_FILE):
            if name in there:
                directory.unlink(name)
    except OSError as error:
        raise store_error("cannot delete an unfinished upgrade", error) from error
