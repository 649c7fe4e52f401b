"""The store's directory, reached by descriptor, and every system call that changes it.

The daemon's directory lies beneath its own mount, where a path lookup would wait for the daemon
itself, so nothing here uses a path.  Crash tests replace this class by one that fails, or ends the
process, at the n-th change.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress

import lmdb

from heliosfs.errors import StoreError, StoreFull, StoreUnwritable

_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""Flags for a regular file: opening a FIFO or a device instead does not block."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BUFFERS_MAX = 512
"""Largest number of buffers for one `pwritev`; IOV_MAX is 1024 on Linux."""


class Directory:
    """A directory, by a duplicate of the given descriptor, which it owns until `close`."""

    def __init__(self, dir_fd: int) -> None:
        """Duplicate the descriptor.  Raise StoreError."""
        with store_errors("cannot open the store's directory"):
            self._owners = {os.fstat(dir_fd).st_uid, os.geteuid(), 0}
            self.fd = os.dup(dir_fd)
        self._syncing = threading.Lock()
        self.declaring = threading.Lock()
        """Lock of a change of `format` while the store is open, from its read to its rename."""
        self.failure: str | None = None
        """Reason why nothing can be relied on, once a sync has failed; kept until the next open.

        The kernel marks pages that it could not write as clean, so that a later fdatasync(2)
        returns 0 without writing them (PostgreSQL learnt this in 2018: "fsyncgate").  Only reading
        the files anew, from the disk, shows their content.
        """

    def close(self) -> None:
        """Close the descriptor.  Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def path_of(self, name: str) -> str:
        """Return a path, for a library that accepts nothing else; valid until `close`.

        Raise StoreError if it is not a regular file.
        """
        self.check_plain(name)
        # The link leads to the directory itself, past whatever is mounted above it.
        return f"/proc/self/fd/{self.fd}/{name}"

    def names(self) -> list[str]:
        return os.listdir(self.fd)

    def open(self, name: str, flags: int) -> int:
        """Open a file; return its descriptor, close-on-exec.

        StoreError for a link, a device, and a file of a user who does not own the directory.
        Created with mode 0600 under O_CREAT.  A link that somebody left here could lead to any
        file of the user's, which would be cut off or written over.
        """
        try:
            fd = os.open(name, flags | _PLAIN, 0o600, dir_fd=self.fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(f"{name} in the store is a symbolic link: remove it") from error
            raise
        try:
            _check(name, os.fstat(fd), self._owners)
        except StoreError:
            os.close(fd)
            raise
        return fd

    def check_plain(self, name: str) -> None:
        """Check that a file, if it is there, is a regular one: for a library that opens it itself.

        Raise StoreError or OSError.
        """
        with suppress(FileNotFoundError):
            _check(name, self.status(name), self._owners)

    def read(self, name: str) -> bytes:
        """Return the bytes of a whole file.  Raise FileNotFoundError."""
        with os.fdopen(self.open(name, os.O_RDONLY), "rb") as file:
            return file.read()

    def status(self, name: str) -> os.stat_result:
        """Return stat(2) of a file, and of a link itself.  Raise FileNotFoundError."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def disk(self) -> os.statvfs_result:
        """Return statvfs(3) of the file system on which the directory lies.  Raise StoreError."""
        with store_errors("cannot look at the disk of the store"):
            return os.fstatvfs(self.fd)

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        """Write all buffers at `offset`; return the number of bytes written."""
        if len(buffers) > _BUFFERS_MAX:
            buffers = (b"".join(buffers),)
        written = os.pwritev(fd, buffers, offset)
        if written < sum(map(len, buffers)):
            # pwritev(2) may write less than it is given, and then says why only at the next call.
            written += _write_rest(fd, memoryview(b"".join(buffers))[written:], offset + written)
        return written

    def check(self) -> None:
        """Raise StoreError if a sync has failed since the directory was opened."""
        if self.failure is not None:
            raise StoreError(self.failure)

    def sync(self, fd: int, *, forgets: bool = False) -> None:
        """Call fdatasync(2).  Raise StoreError when it, or another sync before it, failed.

        With `forgets`, the next reads of the file come from the disk: of what an earlier process
        failed to sync, the page cache still has the bytes, as clean pages.

        One at a time: the kernel reports a failure to one caller only, and a second sync of the
        same file would return 0 before the first one has noted what it was told.
        """
        with self._syncing:
            self.check()
            try:
                self._sync(fd)
            except OSError as error:
                # I42: the kernel may have dropped what it did not write.
                reason = os.strerror(error.errno or errno.EIO).lower()
                self.failure = _unknown(f"a sync of the store failed ({reason})")
                raise StoreError(self.failure) from error
        if forgets:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_names(self) -> None:
        """Make created, renamed and deleted names safe from a power cut.  StoreError, as `sync`."""
        self.sync(self.fd)

    def _sync(self, fd: int) -> None:
        if fd == self.fd:
            os.fsync(fd)
        else:
            os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def unlink(self, name: str) -> None:
        os.unlink(name, dir_fd=self.fd)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def commit(self, txn: lmdb.Transaction[bytes]) -> None:
        """Commit an LMDB transaction to the disk.  StoreError, as `sync`."""
        self.check()
        try:
            self._commit(txn)
        except (lmdb.DiskError, lmdb.MapFullError, lmdb.TxnFullError, lmdb.MemoryError):
            # There was no room for its pages: nothing of it counts, and it can be tried again.
            raise
        except lmdb.Error as error:
            # Over a quota, and on a disk that has turned read-only, it is the same.
            if kind_of_failure(getattr(error, "code", None)) is StoreError:
                self.failure = _unknown(f"a commit of L2 failed ({error})")
            raise

    def _commit(self, txn: lmdb.Transaction[bytes]) -> None:
        txn.commit()


def _unknown(event: str) -> str:
    """Return the reason why nothing can be relied on after an event, and what to do."""
    return (
        f"{event}: what reached the disk is not known; "
        "unmount, look after the disk, and mount again"
    )


def _check(name: str, status: os.stat_result, owners: Container[int]) -> None:
    """Check that a file is a regular one of a user who may have made it.  Raise StoreError."""
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{name} in the store is not a regular file: remove it")
    # In a directory that others may write to, what they left there is not the store's.
    if status.st_uid not in owners:
        raise StoreError(
            f"{name} in the store belongs to another user (uid {status.st_uid}): remove it"
        )


def _write_rest(fd: int, rest: memoryview, offset: int) -> int:
    at = offset
    while rest:
        written = os.pwrite(fd, rest, at)
        rest = rest[written:]
        at += written
    return at - offset


def disk_bytes(directory: Directory, name: str) -> int:
    """Return the bytes of disk that a file takes; 0 if there is no such file.  Raise StoreError."""
    with store_errors(f"cannot look at {name}"):
        try:
            return directory.status(name).st_blocks * 512
        except FileNotFoundError:
            return 0


def kind_of_failure(code: int | None) -> type[StoreError]:
    """Return the class for an errno: StoreFull, StoreUnwritable, or StoreError for any other."""
    if code in _FULL:
        return StoreFull
    return StoreUnwritable if code == errno.EROFS else StoreError


def store_error(what: str, error: OSError) -> StoreError:
    """Return the StoreError for a failed system call."""
    kind = kind_of_failure(error.errno)
    return kind(f"{what}: {os.strerror(error.errno or errno.EIO).lower()}")


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn errors of system calls inside the context into StoreErrors."""
    try:
        yield
    except OSError as error:
        raise store_error(what, error) from error
