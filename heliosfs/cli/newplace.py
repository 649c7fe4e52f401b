"""Directories of workspaces that are made whole or not at all: of a backup, of a remote."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from heliosfs.cli.locate import REPOSITORY
from heliosfs.errors import AlreadyExists, HeliosError, NotPermitted
from heliosfs.repo.backup_directory import reason, sync_directory

_NEW = f"{REPOSITORY}.new"
"""Name of the store until it is whole: one that is not must never be opened."""


def prepare(new: str) -> bool:
    """Make the directory of the workspace, if it is not there and empty; return True if it was."""
    try:
        os.mkdir(new)
    except FileExistsError:
        try:
            names = set(os.listdir(new))
        except NotADirectoryError as error:
            raise AlreadyExists(f"{new} is no directory") from error
        if os.path.islink(new):
            raise NotPermitted(f"{new} is a symbolic link, which is not followed") from None
        if names - {_NEW}:
            raise AlreadyExists(f"{new} is not empty: name a new or empty directory") from None
        if _NEW in names:
            # What a restore that was killed has left.
            shutil.rmtree(os.path.join(new, _NEW))
        return True
    except OSError as error:
        raise HeliosError(f"cannot make {new}: {reason(error)}") from error
    return False


@contextmanager
def new_store(new: str) -> Iterator[int]:
    """Make the directory of a store in a prepared directory; yield a descriptor of it.

    It gets its name at the end, if nothing is raised.
    """
    place = os.path.join(new, _NEW)
    os.mkdir(place, 0o700)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
    os.rename(place, os.path.join(new, REPOSITORY))
    for each in (new, os.path.dirname(new)):
        sync_directory(each)


def take_back(new: str, *, was_there: bool) -> None:
    """Remove what is left of a store that was not finished, and the directory if it was made."""
    shutil.rmtree(os.path.join(new, _NEW), ignore_errors=True)
    if not was_there and stat.S_ISDIR(os.lstat(new).st_mode) and not os.listdir(new):
        os.rmdir(new)
