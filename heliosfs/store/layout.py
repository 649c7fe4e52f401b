"""The files of a store's directory: their names, the lock, and the format.

    format         text: the name of the format, and its version
    lock           flock(2) while a process has the store open; its pid as text
    store.lmdb     L2, and LMDB's own lock file beside it
    journal-<n>    batches that L2 does not have yet
    pack-<n>       bodies of large objects, whose places L2 and the journal name
    promises-<n>   places of contents that a remote has, and this store has not
    witness        how far the others had come

For a moment there are `format.new`, `promises-<n>.new`, `store.lmdb.new` (a compaction, or a new
store) and the files of an older format (an upgrade).  Other files may lie beside these, such as
`inodes` and `helios.yaml` of the layers above; they are left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import StoreBusy, StoreError, StoreFull, StoreUnwritable
from heliosfs.store.directory import Directory, store_error

_LOCK = "lock"
_PART = re.compile(r"(journal|pack|promises)-\d+")


def check_unmade(directory: Directory, database: str) -> None:
    """Raise StoreError if a directory without `format` holds files of a store that lost it.

    Making a store ends with `format`, and before it there are neither packs nor a journal.
    """
    names = directory.names()
    parts = [name for name in names if _PART.fullmatch(name) or name == database]
    if not parts:
        return
    if parts == [database] and not directory.status(database).st_size:
        # What a power cut left of a store that was being made: nothing was in it.
        directory.unlink(database)
        return
    if parts != [database]:
        raise StoreError(
            f"the file `format` is missing beside {', '.join(sorted(parts)[:3])}: this was a "
            "store, and is left as it is; put `format` back from a copy"
        )


def remove_leftovers(directory: Directory, names: Iterable[str]) -> None:
    """Delete the named files, which an interrupted upgrade or compaction has left."""
    try:
        there = set(directory.names())
        for name in names:
            if name in there:
                directory.unlink(name)
    except OSError as error:
        raise store_error("cannot delete files of an earlier format", error) from error


def release_lock(directory: Directory, fd: int, *, is_clean: bool, holder: int = 0) -> None:
    """Release the store for other processes; an empty lock file says that it was closed properly.

    If `is_clean` is False, the file keeps the pid: the next open still has to find out what the
    process before has left.  `holder` is the pid that it keeps, if it is not that of this process.
    """
    try:
        with suppress(OSError):
            if is_clean:
                directory.truncate(fd, 0)
            elif holder:
                _write_holder(directory, fd, holder)
    finally:
        os.close(fd)


def is_closed_cleanly(directory: Directory) -> bool:
    """Return True if the last process that had the store open has closed it.

    Raise StoreBusy when a process has it open, or StoreError.
    """
    fd = share_lock(directory)
    if fd is None:
        return True
    try:
        return not os.fstat(fd).st_size
    finally:
        os.close(fd)


def share_lock(directory: Directory) -> int | None:
    """Keep others from opening the store while the descriptor is open; None if it has no lock.

    Raise StoreBusy when a process has it open, or StoreError.
    """
    try:
        fd = directory.open(_LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error("cannot look at the store's lock", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise StoreBusy("a process has the store open: unmount it first") from error
        raise store_error("cannot lock the store", error) from error
    return fd


class Lock(NamedTuple):
    """The lock of this process on a store."""

    fd: int
    was_clean: bool
    """True if the process that had the store open before closed it properly."""
    holder: int = 0
    """Id of the process that did not; 0 if it is not known."""
    refusal: StoreError | None = None
    """Reason why nothing can be written beside it; None if that is not known."""


def take_lock(directory: Directory) -> Lock:
    """Lock the store for this process while the descriptor is open.  Raise StoreBusy."""
    refusal = None
    try:
        fd = directory.open(_LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        refusal = store_error("cannot lock the store", error)
        if not isinstance(refusal, (StoreFull, StoreUnwritable)):
            raise refusal from error
        try:
            # flock(2) takes any descriptor.
            fd = directory.open(_LOCK, os.O_RDONLY)
        except OSError:
            raise refusal from error
    try:
        # I41: one process owns a store.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A process that ended without `release_lock` has left its pid here.
        left = os.pread(fd, 32, 0).strip()
        was_clean = not os.fstat(fd).st_size
        if refusal is None:
            refusal = _write_pid(directory, fd)
    except BlockingIOError as error:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        pid = int(holder) if holder.isdigit() else 0
        raise StoreBusy(f"process {holder} has the store open", pid) from error
    except OSError as error:
        os.close(fd)
        raise store_error("cannot lock the store", error) from error
    return Lock(fd, was_clean, int(left) if left.isdigit() else 0, refusal)


def _write_pid(directory: Directory, fd: int) -> StoreError | None:
    """Write the pid of this process into the lock; return the error if there is no room for it."""
    try:
        _write_holder(directory, fd, os.getpid())
    except OSError as error:
        refusal = store_error("cannot write the store's lock", error)
        if isinstance(refusal, (StoreFull, StoreUnwritable)):
            return refusal
        raise
    return None


def _write_holder(directory: Directory, fd: int, pid: int) -> None:
    """Write the pid of the process that has the store open into the lock.  Raise OSError."""
    text = b"%d\n" % pid
    # First the bytes, which may have their room on a full disk already; never empty between.
    directory.write(fd, (text,), 0)
    directory.truncate(fd, len(text))
