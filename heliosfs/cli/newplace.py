"""Directories of workspaces that are made whole or not at all: of a backup, of a remote."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from heliosfs.cli.locate import REPOSITORY, UNFINISHED
from heliosfs.errors import AlreadyExists, Busy, HeliosError, NotPermitted
from heliosfs.repo.backup_directory import reason, sync_directory


@contextmanager
def prepared(new: str) -> Iterator[None]:
    """Make the directory of the workspace, or use an empty one; take back what an error leaves.

    Busy while another process fills it, AlreadyExists, NotPermitted for a link.
    """
    was_there = _made(new)
    try:
        fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise HeliosError(f"cannot open {new}: {reason(error)}") from error
    try:
        _lock(fd, new)
        names = set(os.listdir(fd))
        if names - {UNFINISHED}:
            raise AlreadyExists(f"{new} is not empty: name a new or empty directory")
        if names:
            # What a process that was killed has left.
            shutil.rmtree(os.path.join(new, UNFINISHED))
        try:
            yield
        except BaseException:
            _take_back(new, was_there=was_there)
            raise
    finally:
        os.close(fd)


def _made(new: str) -> bool:
    """Make the directory; return True if it was there."""
    try:
        os.mkdir(new)
    except FileExistsError:
        if os.path.islink(new):
            raise NotPermitted(f"{new} is a symbolic link, which is not followed") from None
        if not os.path.isdir(new):
            raise AlreadyExists(f"{new} is no directory") from None
        return True
    except OSError as error:
        raise HeliosError(f"cannot make {new}: {reason(error)}") from error
    return False


def _lock(fd: int, new: str) -> None:
    """Keep others from filling, or clearing, the directory until it is closed.  Busy."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy(f"another process makes a workspace in {new}: wait for it") from None
    except OSError:
        # Some file servers have no locks for directories.
        pass


@contextmanager
def new_store(new: str) -> Iterator[int]:
    """Make the directory of a store in a prepared directory; yield a descriptor of it.

    It gets its name at the end, if nothing is raised.
    """
    place = os.path.join(new, UNFINISHED)
    os.mkdir(place, 0o700)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
    os.rename(place, os.path.join(new, REPOSITORY))
    for each in (new, os.path.dirname(new)):
        sync_directory(each)


def _take_back(new: str, *, was_there: bool) -> None:
    """Remove what is left of a store that was not finished, and the directory if it was made."""
    shutil.rmtree(os.path.join(new, UNFINISHED), ignore_errors=True)
    if not was_there and stat.S_ISDIR(os.lstat(new).st_mode) and not os.listdir(new):
        os.rmdir(new)
