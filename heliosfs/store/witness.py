"""The witness: a small file that says how far the other files of a store had come.

Each of the others can be lost, cut short or put back from an earlier day and still be sound in
itself.  The witness says which batch was on the disk, and how many transactions L2 had, so that an
open refuses what has less.  It never says more than is so: it is written *after* a sync or a commit
has returned, and not synced itself.  After a power cut it may say less, which only asks for less.

That the store was closed is another matter: while the disk says so, any other byte of L2 is damage,
even in a page that LMDB does not use.  So it is written once all pages of L2 are on the disk, and
taken back, on the disk, before the first of them is written again.

    slot      magic 4 | count 8 | salt 8 | batch 8 | generation 8 | closed 1 | file bytes 8
              | file check 4 | CRC-32 of all before 4

Two slots of 512 bytes, a sector each, are written in turn: a write that was torn leaves the other.
The slot with the higher count is the later one.

When a store is closed, the witness gets the length and the CRC-32 of `store.lmdb`.  An open that
finds the same need not look at what is in it: 26 ms for 64 MiB, where a walk takes 0.25 s.
"""

from __future__ import annotations

import os
import struct
import threading
from contextlib import suppress
from typing import NamedTuple
from zlib import crc32

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory, store_error

WITNESS_FILE = "witness"
CHECKED_MAX_BYTES = 64 * 1024 * 1024
"""Largest `store.lmdb` whose checksum is computed, at close and at open."""
_MAGIC = b"HeW\x01"
_SECTOR_BYTES = 512
_SLOT = struct.Struct("<4sQ8sQQBQI")
_U32 = struct.Struct("<I")
_ADVICE = (
    "put the newest copy back, or let 'helios fsck --repair NEW' make a new store of what is here"
)
_READ_BYTES = 1024 * 1024


class Reached(NamedTuple):
    """Lower bound of the progress of a store."""

    salt: bytes
    batch: int = 0
    """Number of the last batch that is on the disk."""
    generation: int = 0
    """Number of transactions of L2."""
    is_closed: bool = False
    file_bytes: int = 0
    """Length of the closed `store.lmdb`; 0 if it was not summed up."""
    file_check: int = 0
    """CRC-32 of the closed `store.lmdb`."""


class Witness:
    """The witness of an open store.  Its methods may be called from any thread."""

    def __init__(self, directory: Directory, reached: Reached) -> None:
        """Open the witness of a store, and record that the store is open and has reached `reached`.

        If the file cannot be opened or written, the witness keeps its old numbers.  Raise
        StoreError if a sync of it fails, or if it goes on saying that the store is closed.
        """
        self._directory = directory
        self._reached = reached._replace(is_closed=False, file_bytes=0, file_check=0)
        self._noting = threading.Lock()
        """Lock of the file, held while one slot is written."""
        self._count = 0
        self._fd = -1
        try:
            with self._noting:
                self._begin()
        except OSError as error:
            if reached.is_closed:
                self.close(None)
                raise store_error("cannot write the store's file 'witness'", error) from error
        except BaseException:
            self.close(None)
            raise

    def _begin(self) -> None:
        """Open the file, and take back that the store is closed.  Raise StoreError or OSError."""
        directory = self._directory
        self._fd = directory.open(WITNESS_FILE, os.O_RDWR | os.O_CREAT)
        found = _slots(self._fd)
        self._count = max((count for count, _ in found), default=0)
        self._write()
        # I62: on the disk before L2 is written; what a power cut leaves of that is no damage.  Also
        # if the file says that the store is open: that may be a write of an earlier open whose
        # sync failed, so that the disk still has a closed mark.
        directory.sync(self._fd)

    def note(self, *, batch: int = 0, generation: int = 0) -> None:
        """Record that a batch, or a transaction of L2, is on the disk: 5 us.

        Ignore an OSError: the witness then only has lower numbers than the store.
        """
        with self._noting, suppress(OSError):
            reached = self._reached
            if batch > reached.batch or generation > reached.generation:
                self._reached = reached._replace(
                    batch=max(batch, reached.batch),
                    generation=max(generation, reached.generation),
                )
                self._write()

    def settle(self, *, batch: int, generation: int) -> None:
        """Record it as `note` does, and let it be on the disk on return.

        Raise StoreError if the sync fails.
        """
        self.note(batch=batch, generation=generation)
        with self._noting:
            if self._fd >= 0:
                self._directory.sync(self._fd)

    def close(self, file: str | None) -> None:
        """Record that the store is closed, with the checksum of `file`, which nobody has open.

        After a failure of the store, `file` is None: only close the witness.  Raise StoreError if
        the sync of `file` fails.
        """
        with self._noting:
            if self._fd < 0:
                return
            try:
                if file is not None:
                    # I62: what is summed up is on the disk.
                    _sync(self._directory, file)
                    length, check = sum_up(self._directory, file)
                    self._reached = self._reached._replace(
                        is_closed=True, file_bytes=length, file_check=check
                    )
                    self._write()
            except OSError:
                pass
            finally:
                os.close(self._fd)
                self._fd = -1

    def _write(self) -> None:
        if self._fd < 0:
            return
        self._count += 1
        data = _encode(self._count, self._reached)
        self._directory.write(self._fd, (data,), self._count % 2 * _SECTOR_BYTES)


def _encode(count: int, reached: Reached) -> bytes:
    data = _SLOT.pack(_MAGIC, count, *reached)
    return (data + _U32.pack(crc32(data))).ljust(_SECTOR_BYTES, b"\0")


def make_witness(directory: Directory, salt: bytes) -> None:
    """Make the witness of a store that is made or upgraded; on the disk on return.

    Raise StoreError.

    It comes before `format`, so that a store without one has lost it.
    """
    data = _encode(1, Reached(salt))
    try:
        fd = directory.open(WITNESS_FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            directory.write(fd, (data,), _SECTOR_BYTES)
            directory.sync(fd)
        finally:
            os.close(fd)
        # Its name, too: that of `format` could be on the disk without it.
        directory.sync_names()
    except OSError as error:
        raise store_error("cannot make the store's file 'witness'", error) from error


def read_witness(directory: Directory) -> Reached | None:
    """Return the last that a store's witness says; None if it is missing or damaged.

    Raise StoreError.
    """
    try:
        fd = directory.open(WITNESS_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error("cannot read the store's file 'witness'", error) from error
    try:
        return max(_slots(fd), default=(0, None))[1]
    except OSError as error:
        raise store_error("cannot read the store's file 'witness'", error) from error
    finally:
        os.close(fd)


def _slots(fd: int) -> list[tuple[int, Reached]]:
    """Return the sound slots, each with its count.  Raise OSError."""
    found = []
    for at in (0, _SECTOR_BYTES):
        data = os.pread(fd, _SLOT.size + _U32.size, at)
        if len(data) < _SLOT.size + _U32.size:
            continue
        magic, count, salt, batch, generation, closed, length, check = _SLOT.unpack_from(data)
        if magic == _MAGIC and _U32.unpack_from(data, _SLOT.size)[0] == crc32(data[: _SLOT.size]):
            reached = Reached(salt, batch, generation, bool(closed), length, check)
            found.append((count, reached))
    return found


def _sync(directory: Directory, name: str) -> None:
    """Sync a file: a transaction for which there was no room leaves pages that nobody has synced.

    Raise StoreError or OSError.
    """
    fd = directory.open(name, os.O_RDONLY)
    try:
        directory.sync(fd)
    finally:
        os.close(fd)


def sum_up(directory: Directory, name: str) -> tuple[int, int]:
    """Return the length and the CRC-32 of a file, or zeros above `CHECKED_MAX_BYTES`.

    Raise OSError.
    """
    fd = directory.open(name, os.O_RDONLY)
    try:
        length = os.fstat(fd).st_size
        if length > CHECKED_MAX_BYTES:
            return 0, 0
        check = at = 0
        while data := os.pread(fd, _READ_BYTES, at):
            check = crc32(data, check)
            at += len(data)
        return length, check
    finally:
        os.close(fd)


def is_as_closed(directory: Directory, name: str, reached: Reached) -> bool:
    """Return True if the store was closed, and the file has not changed since.

    A file above `CHECKED_MAX_BYTES` has no checksum, and counts as unchanged.  Raise StoreError.
    """
    if not reached.is_closed:
        return False
    try:
        return sum_up(directory, name) == (reached.file_bytes, reached.file_check)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise store_error(f"cannot read {name}", error) from error


def check_generation(reached: Reached, generation: int, file: str) -> None:
    """Check that L2 has come as far as the witness says.  Raise StoreError."""
    if generation < reached.generation:
        raise StoreError(
            f"{file} is older than the rest of the store: it is the result of {generation} "
            f"transactions, and there were {reached.generation}; {_ADVICE}"
        )


def check_batch(reached: Reached, batch: int) -> None:
    """Check that L2 and the journal together have come as far as the witness says.

    Raise StoreError.
    """
    if batch < reached.batch:
        raise StoreError(
            f"the journal is cut short, lost or older than the rest of the store: it ends with "
            f"batch {batch}, and batch {reached.batch} was on the disk; {_ADVICE}"
        )
