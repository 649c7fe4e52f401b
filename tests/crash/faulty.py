"""A store's directory whose process dies, or whose disk fails, at the n-th change."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import lmdb

from heliosfs.store.directory import Directory


class Died(BaseException):
    """The process ends here."""


class FaultyDirectory(Directory):
    """Counts the calls that change anything; the one numbered `fail_at` fails.

    As a death it, and all after it, raise `Died`, a write after half of its bytes.  As an
    error it alone raises OSError.  `sizes` holds what power loss leaves of each file.
    """

    def __init__(self, path: Path, fail_at: int, error: int | None = None) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        super().__init__(fd)
        os.close(fd)
        self.count = 0
        self.fail_at = fail_at
        self.error = error
        self.sizes: dict[str, int] = {}

    def _fails(self) -> bool:
        self.count += 1
        if self.error is None:
            return self.count >= self.fail_at
        return self.count == self.fail_at

    def _fail(self) -> None:
        if self.error is None:
            raise Died
        raise OSError(self.error, os.strerror(self.error))

    def _step(self) -> None:
        if self._fails():
            self._fail()

    def open(self, name: str, flags: int) -> int:
        if flags & os.O_CREAT:
            self._step()
        return super().open(name, flags)

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self._fails():
            data = b"".join(buffers)
            if self.error is not None or self.count == self.fail_at:
                super().write(fd, (data[: len(data) // 2],), offset)
            self._fail()
        return super().write(fd, buffers, offset)

    def _sync(self, fd: int) -> None:
        self._step()
        super()._sync(fd)
        if fd != self.fd:
            name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
            self.sizes[name] = os.fstat(fd).st_size

    def truncate(self, fd: int, size: int) -> None:
        self._step()
        super().truncate(fd, size)

    def unlink(self, name: str) -> None:
        self._step()
        super().unlink(name)

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def _commit(self, txn: lmdb.Transaction[bytes]) -> None:
        if self._fails():
            if self.error is None:
                raise Died
            if self.error == errno.ENOSPC:
                raise lmdb.DiskError("mdb_txn_commit")
            error = lmdb.Error("mdb_txn_commit")
            # As LMDB's own errors have it; those made here have none.
            vars(error)["code"] = self.error
            raise error
        super()._commit(txn)


class UnwritableDirectory(FaultyDirectory):
    """From the call numbered `fail_at` on, every change fails with the error, as on a full disk."""

    def _fails(self) -> bool:
        self.count += 1
        return self.count >= self.fail_at

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self._step()
        return Directory.write(self, fd, buffers, offset)
