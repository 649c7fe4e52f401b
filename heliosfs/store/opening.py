"""Opening, or creation, of the store in a directory: the order in which its files are trusted.

    1. `format` says whether a store is here, and of which kind; then `lock` is taken, and names
       that the last process left unsynced are synced
    2. `witness` says how far the store had come, and what L2 was when it was closed; where L2 is
       not that, or was not closed, its pages and its state are looked at first
    3. L2 is opened, or created if `format` is missing and no other file is here; one that is older
       than the witness is refused
    4. the journal of the last run is read; one that ends before the witness says is refused.  Then
       the witness no longer says that the store is closed, and the batches that L2 lacks are
       written there
    5. packs are cut back to the bodies that L2 names, and the journal is deleted: everything that
       refers to them has been read by now
    6. `format` is written, and a new journal begins

A crash between two steps repeats them: nothing is deleted before its content is in L2.

On a full disk, or a read-only one, step 3 or another cannot be done.  What has been done by then is
what a crash there would have left, so the store is opened again, to read only: the batches of the
journal stay where they are, and are held in memory beside L2.  Not chosen: to refuse the mount, as
the work can be read and copied; and to settle a part of it, as L2 may not name what is not there.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import NamedTuple

from heliosfs.errors import NotFound, StoreError, StoreFull, StoreUnwritable
from heliosfs.store.directory import Directory, kind_of_failure, store_error, store_errors
from heliosfs.store.encoding.packs import settle_packs
from heliosfs.store.formats import format1, format2
from heliosfs.store.formats.upgrade import upgrade
from heliosfs.store.journal.journal import Journal
from heliosfs.store.journal.replay import replay, segment_names
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.encoder import write_batches
from heliosfs.store.l2.environment import FILE, NEW_FILE
from heliosfs.store.l2.statecheck import state_problems
from heliosfs.store.layout import (
    Lock,
    check_unmade,
    release_lock,
    remove_leftovers,
    take_lock,
)
from heliosfs.store.pending import Batches
from heliosfs.store.promisefile import StoredPromises
from heliosfs.store.promises import Promises
from heliosfs.store.version import (
    VERSION,
    declare_promises,
    is_declared_shallow,
    read_format,
    write_format,
)
from heliosfs.store.witness import (
    WITNESS_FILE,
    Reached,
    Witness,
    check_batch,
    check_generation,
    is_as_closed,
    make_witness,
    read_witness,
)

_log = logging.getLogger(__name__)


class StoreParts(NamedTuple):
    """The parts of an open store."""

    lock: Lock
    database: ObjectDatabase
    journal: Journal
    witness: Witness | None
    """None if nothing can be written."""
    promises: Promises
    findings: list[str]
    """Lines for people about what is not as it was left, although the store opens."""
    batches: Batches = Batches([], {}, 0)
    """Batches of the last run that only the journal has; none if it can be written."""
    refusal: StoreError | None = None
    """Reason why nothing can be written; None if it can."""
    is_shallow: bool = False
    """True if `format` says that commits may be without their parents."""


def open_parts(directory: Directory, *, create: bool, is_brief: bool = False) -> StoreParts:
    """Open the store in a directory, or create one there; with `is_brief`, prepare no journal.

    NotFound, StoreFormat, StoreBusy, StoreError; nothing stays open then.
    """
    with store_errors("cannot open the store"):
        return _open_parts(directory, create=create, is_brief=is_brief)


def _open_parts(directory: Directory, *, create: bool, is_brief: bool) -> StoreParts:
    """Carry out `open_parts`.  OSError besides."""
    if read_format(directory) is None and not create:
        raise NotFound("there is no heliosfs store in this directory")
    lock = take_lock(directory)
    try:
        version = read_format(directory)
        is_shallow = is_declared_shallow(directory)
        try:
            if lock.refusal is not None:
                raise lock.refusal
            parts = _open_to_write(directory, lock, version, is_brief=is_brief)
        except StoreError as error:
            # A new store, or one of another format, needs room for what it lacks.
            refusal = _no_room(error)
            if version != VERSION or refusal is None:
                raise
            _log.warning("the store is opened to read only: %s", error)
            parts = _open_to_read(directory, lock, refusal)
        return parts._replace(is_shallow=is_shallow)
    except BaseException:
        is_clean = lock.was_clean and directory.failure is None
        release_lock(directory, lock.fd, is_clean=is_clean)
        raise


def _open_to_write(
    directory: Directory, lock: Lock, version: int | None, *, is_brief: bool
) -> StoreParts:
    """Carry out the steps.  StoreError, StoreFull, StoreUnwritable; L2 is closed then."""
    opening = _Opening(directory)
    try:
        if version is None:
            check_unmade(directory, FILE)
        if version == format1.VERSION:
            upgrade(directory)
        if version == format2.VERSION:
            format2.upgrade(directory, was_clean=lock.was_clean)
        remove_leftovers(directory, (*format1.FILES, NEW_FILE))
        if version is not None and not lock.was_clean:
            # I55: names that the last process did not sync may be in the page cache alone.
            directory.sync_names()
        opening.begin(version, was_clean=lock.was_clean)
        journal, witness = opening.recover(is_brief=is_brief)
        promises = opening.promises()
        return StoreParts(lock, opening.database, journal, witness, promises, opening.findings)
    except BaseException:
        opening.close_opened()
        raise


def _open_to_read(directory: Directory, lock: Lock, refusal: StoreError) -> StoreParts:
    """Open the store without altering anything, with what the journal has.  StoreError."""
    todo = "make the disk writable" if isinstance(refusal, StoreUnwritable) else "make room"
    refusal = type(refusal)(
        f"read-only since the mount: {refusal}; {todo}, unmount, and mount again; "
        "'helios fsck --repair NEW' makes a store of all that is here on another disk"
    )
    opening = _Opening(directory)
    try:
        opening.begin(VERSION, was_clean=lock.was_clean, is_read_only=True)
        database, batches = opening.database, opening.replay()
        journal = Journal(directory, database.totals.salt, batches.last, None, refusal)
        promises = opening.promises()
        found = opening.findings
        return StoreParts(lock, database, journal, None, promises, found, batches, refusal)
    except BaseException:
        opening.close_opened()
        raise


def _no_room(error: StoreError) -> StoreError | None:
    """Return the error if it keeps a store from being written to, but not from being read."""
    cause = error.__cause__
    if not isinstance(error, (StoreFull, StoreUnwritable)) and isinstance(cause, OSError):
        # A sync that failed for want of room has another class, since nothing can be relied on
        # after it; but here nothing will be written any more.
        kind = kind_of_failure(cause.errno)
        error = kind(f"a sync of the store failed: {os.strerror(cause.errno or 0).lower()}")
    return error if isinstance(error, (StoreFull, StoreUnwritable)) else None


class _Opening:
    """The steps from the files of a store to its parts."""

    database: ObjectDatabase

    def __init__(self, directory: Directory) -> None:
        self.findings: list[str] = []
        self._directory = directory
        self._is_new = self._was_clean = False
        self._reached: Reached | None = None
        self._witness: Witness | None = None

    def begin(self, version: int | None, *, was_clean: bool, is_read_only: bool = False) -> None:
        """Open L2, after a look at every page of it where it is not known to be as it was left."""
        directory = self._directory
        self._is_new, self._was_clean = version is None, was_clean
        reached = None
        if version == VERSION:
            reached = read_witness(directory)
            if reached is None:
                self._find(
                    f"the file {WITNESS_FILE} is missing or damaged: whether the other files are "
                    "the newest is not known"
                )
        is_known = reached is not None and is_as_closed(directory, FILE, reached)
        is_trusted = version != VERSION or (was_clean and is_known)
        self.database = ObjectDatabase(
            directory, create=self._is_new, was_clean=is_trusted, is_read_only=is_read_only
        )
        # After a power cut neither the lock nor the witness need to tell of a later process, whose
        # changes are no damage: L2 tells, by its generation.
        is_unchanged = reached is not None and self.database.totals.generation == reached.generation
        if (
            was_clean
            and reached is not None
            and reached.is_closed
            and not is_known
            and is_unchanged
        ):
            self._find(f"{FILE} is not as it was when the store was closed")
        if not is_trusted:
            with self.database.reading() as snapshot:
                for problem in state_problems(snapshot, self.database.totals):
                    self._find(f"{FILE}: {problem}")
        if reached is not None and reached.salt != self.database.totals.salt:
            self._find(f"the file {WITNESS_FILE} is that of another store")
            reached = None
        self._reached = reached

    def recover(self, *, is_brief: bool) -> tuple[Journal, Witness]:
        """Move what the last run published into L2, and begin a journal."""
        directory, database = self._directory, self.database
        totals = database.totals
        if self._is_new and totals.objects:
            raise StoreError(
                f"the file `format` is missing beside {FILE}, which holds objects: this was a "
                "store, and is left as it is; put `format` back from a copy"
            )
        if not self._was_clean:
            # I55: so may be bodies that its journal names; L2 names them only after a sync.
            settle_packs(directory, database.uses)
        batches = self.replay()
        if self._is_new:
            make_witness(directory, totals.salt)
        # I62: before the first write to L2.  A power cut amid that write leaves other bytes in its
        # free pages, which are damage only in a store that is still closed.
        witness = self._witness = Witness(directory, self._reached or Reached(totals.salt))
        database.witness = witness
        # I39, also when there is nothing to move: what L2 seems to have may be in the page cache
        # only, if the last sync of its meta page failed.  A transaction more is on the disk, or
        # fails.
        if batches.last > totals.batch or not self._was_clean:
            for _ in write_batches(database, *batches):
                pass
            # Before the journal is deleted, without which an L2 of before looks like the newest.
            witness.settle(batch=batches.last, generation=database.totals.generation)
        self._look_at_packs()
        # I39: nothing of the last run is deleted before L2 has it.
        database.packs.tidy(database.uses)
        _remove_journal(directory)
        if self._is_new:
            write_format(directory, database.packs.declaration.version)
        witness.note(batch=batches.last, generation=database.totals.generation)
        journal = Journal(directory, totals.salt, batches.last, witness)
        if not is_brief:
            journal.prepare()
        return journal, witness

    def replay(self) -> Batches:
        """Read the batches of the last run that L2 does not have.  StoreError if some are lost."""
        totals = self.database.totals
        reached = self._reached or Reached(totals.salt)
        check_generation(reached, totals.generation, FILE)
        batches = replay(self._directory, self.database.packs, totals.salt, totals.batch)
        check_batch(reached, batches.last)
        return batches

    def promises(self) -> Promises:
        """Read what remotes have of the store's contents; a file that is damaged is a finding."""
        promises = Promises(
            StoredPromises(self._directory), partial(declare_promises, self._directory)
        )
        for problem in promises.damage:
            self._find(problem)
        return promises

    def close_opened(self) -> None:
        """Close what was opened."""
        if self._witness is not None:
            self._witness.close(None)
        if hasattr(self, "database"):
            self.database.close()

    def _look_at_packs(self) -> None:
        for problem in self.database.packs.problems(self.database.uses):
            self._find(problem)

    def _find(self, text: str) -> None:
        self.findings.append(text)
        _log.warning("%s: 'helios fsck' lists what is damaged", text)


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
