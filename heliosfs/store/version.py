"""The file `format` of a store: its version, and what earlier programs must not take for damage."""

from __future__ import annotations

import os
import re

from heliosfs.errors import StoreFormat
from heliosfs.store.directory import Directory, store_error

VERSION = 3
PROMISING = 4
"""Version of a store of `VERSION` that has promises, which earlier programs must not open."""
IN_BLOCKS = 5
"""Version of a store of `VERSION` in which bodies may be in blocks, perhaps with promises."""
SHALLOW = 6
"""Version of a store of `VERSION` with commits whose parents are not there, and perhaps both."""
_NEWEST = SHALLOW

_FORMAT = "format"
_FORMAT_NEW = "format.new"
_TEXT = "heliosfs store\nversion {}\n"
_PATTERN = re.compile(rb"heliosfs store\nversion (\d+)\n")


def read_format(directory: Directory) -> int | None:
    """Return the version of the store in this directory, None without one.  Raise StoreFormat.

    A store that has promises, bodies in blocks, or a shallow history is of `VERSION` all the same.
    """
    version = _declared(directory)
    return VERSION if version in (PROMISING, IN_BLOCKS, SHALLOW) else version


def is_declared_shallow(directory: Directory) -> bool:
    """Return True if the store is one of a shallow history.  Raise StoreFormat."""
    return _declared(directory) == SHALLOW


def declare_shallow(directory: Directory, is_shallow: bool) -> None:
    """Let `format` say that the history is shallow, or that it is not any more.  StoreError."""
    with directory.declaring:
        # It may have got blocks meanwhile, which cannot be told any more.
        write_format(directory, SHALLOW if is_shallow else IN_BLOCKS)


def _declared(directory: Directory) -> int | None:
    try:
        text = directory.read(_FORMAT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error("cannot read the store's format", error) from error
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise StoreFormat("the file `format` in this directory is not that of a heliosfs store")
    version = int(match[1])
    if not 0 < version <= _NEWEST:
        raise StoreFormat(
            f"the store has format {version}, and this heliosfs knows formats 1 to {_NEWEST}: "
            "install a newer heliosfs"
        )
    return version


def declare_promises(directory: Directory, *, has_promises: bool) -> None:
    """Let `format` say that the store has promises, or that it has none any more.  StoreError."""
    version = PROMISING if has_promises else VERSION
    with directory.declaring:
        # What says that bodies may be in blocks says so of promises, too, and for good.
        if _declared(directory) not in (version, IN_BLOCKS, SHALLOW):
            write_format(directory, version)


class BlocksDeclaration:
    """The declaration that bodies may be in blocks, which is made before the first of them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._is_made = False

    def declare(self) -> None:
        """Let `format` say it from now on; once in a run this looks.  Raise StoreError.

        A store that is being made, or upgraded, gets its `format` last, with `version`.
        """
        # I78: an earlier program must not take blocks for damage.
        if self._is_made:
            return
        with self._directory.declaring:
            if _declared(self._directory) in (VERSION, PROMISING):
                write_format(self._directory, IN_BLOCKS)
        self._is_made = True

    @property
    def version(self) -> int:
        """Version of a store that is made, or upgraded, now."""
        return IN_BLOCKS if self._is_made else VERSION


def write_format(directory: Directory, version: int = VERSION) -> None:
    """Declare the directory a store of this format, as the last step of creating it."""
    try:
        fd = directory.open(_FORMAT_NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            directory.write(fd, (_TEXT.format(version).encode(),), 0)
            directory.sync(fd)
        finally:
            os.close(fd)
        # Last: a crash before this leaves a directory that `check_unmade` still takes for new.
        directory.rename(_FORMAT_NEW, _FORMAT)
        directory.sync_names()
    except OSError as error:
        raise store_error("cannot make a store", error) from error
