"""A small file beside a store that is read whole and replaced whole."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import Protocol

from heliosfs.store.directory import Directory, store_error

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SideFile(Protocol):
    """A file whose name the store leaves alone."""

    def read(self) -> bytes | None:
        """Return all of its bytes; None if there is no file.  Raise StoreError."""

    def replace(self, data: bytes) -> None:
        """Replace its bytes, or, after a failure or a crash, keep the old ones.

        Raise StoreError.
        """


class BesideFile:
    """A file in the directory of an open store, which may lie beneath the mount.

    A sync of it that fails is one of the store's: the kernel reports a failure to one caller only,
    and here it may be about names of the store.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        """Keep the directory, which the caller still owns."""
        self._directory = directory
        self._name = name

    def read(self) -> bytes | None:
        try:
            return self._directory.read(self._name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise store_error(f"cannot read {self._name}", error) from error

    def replace(self, data: bytes) -> None:
        """Replace the file; the bytes are on the disk on return, after some milliseconds."""
        directory = self._directory
        # Written beside the file and renamed: rename(2) is atomic, writing in place is not.
        new = f"{self._name}.new"
        try:
            fd = directory.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                directory.write(fd, (data,), 0)
                directory.sync(fd)
            finally:
                os.close(fd)
            directory.rename(new, self._name)
            directory.sync_names()
        except OSError as error:
            raise store_error(f"cannot write {self._name}", error) from error


def directory_beside(directory: Directory, name: str) -> int:
    """Return a descriptor of a directory in that of a store, made if there is none.  StoreError.

    The caller closes it.  Its name is one that the store leaves alone, and nothing relies on what
    is in it.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=directory.fd)
        return os.open(name, _FLAGS, dir_fd=directory.fd)
    except OSError as error:
        raise store_error(f"cannot open {name}", error) from error


class StoredFile:
    """A file in the directory of a store that this process does not have open."""

    def __init__(self, dir_fd: int, name: str) -> None:
        """Keep the descriptor, which the caller still owns."""
        self._dir_fd = dir_fd
        self._name = name

    def read(self) -> bytes | None:
        with closing(Directory(self._dir_fd)) as directory:
            return BesideFile(directory, self._name).read()

    def replace(self, data: bytes) -> None:
        """Replace the file, as `BesideFile.replace` does."""
        with closing(Directory(self._dir_fd)) as directory:
            BesideFile(directory, self._name).replace(data)


class MemoryFile:
    """A side file that lasts as long as the process."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data

    def read(self) -> bytes | None:
        return self.data

    def replace(self, data: bytes) -> None:
        self.data = data
