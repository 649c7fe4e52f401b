"""The store's directory: what it holds, who has it open, and in which format it is.

    format         text: what this is, and its version
    lock           flock(2) while a process has the store open; its pid as text
    objects.lmdb   L2, and LMDB's own lock file beside it
    journal-<n>    what is not in L2 yet

Other files may lie beside these; they are left alone.
"""

from __future__ import annotations

import fcntl
import os
import re

from heliosfs.errors import StoreBusy, StoreFormat
from heliosfs.store.directory import Directory, store_error

VERSION = 1

_FORMAT = "format"
_FORMAT_NEW = "format.new"
_LOCK = "lock"
_TEXT = "heliosfs store\nversion {}\n"
_PATTERN = re.compile(rb"heliosfs store\nversion (\d+)\n")


def has_format(directory: Directory) -> bool:
    """Whether this is a store that can be read; StoreFormat when it is one that cannot."""
    try:
        text = directory.read(_FORMAT)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise store_error("cannot read the store's format", error) from error
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise StoreFormat("this directory holds a file `format` that is not a heliosfs store's")
    version = int(match[1])
    if version != VERSION:
        raise StoreFormat(
            f"the store has format {version}, and this heliosfs knows format {VERSION}: "
            + ("install a newer heliosfs" if version > VERSION else "open it with an older one")
        )
    return True


def write_format(directory: Directory) -> None:
    """Declare the directory a store; the last step of making one."""
    try:
        fd = directory.open(_FORMAT_NEW, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            directory.write(fd, (_TEXT.format(VERSION).encode(),), 0)
            directory.sync(fd)
        finally:
            os.close(fd)
        directory.rename(_FORMAT_NEW, _FORMAT)
        directory.sync_names()
    except OSError as error:
        raise store_error("cannot make a store", error) from error


def take_lock(directory: Directory) -> int:
    """Lock the store for this process, as long as the descriptor is open; StoreBusy."""
    try:
        fd = directory.open(_LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise store_error("cannot lock the store", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BlockingIOError as error:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StoreBusy(f"process {holder} has the store open") from error
    except OSError as error:
        os.close(fd)
        raise store_error("cannot lock the store", error) from error
    return fd
