"""The view or repository that a path lies in.

Paths are as `os.fsdecode` returns them.  Nothing here opens a store.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import NamedTuple

from heliosfs.cli.ownership import check_server, own_ids
from heliosfs.mounttable import mount_of, mount_over, upward

REPOSITORY = ".helios"
UNFINISHED = f"{REPOSITORY}.new"
"""Name of a store of a clone or a backup until it is whole: it must never be opened before."""
CONTROL = ".helios/ctl"
COMMAND = ".helios/ctl/command"
_COMMAND_BELOW = "ctl/command"
POINTER = "store-path"
"""File with the path of the store, in a repository whose store lies elsewhere (`--store`)."""
FORMAT = "format"
"""A file that every store has."""
_BENEATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LOST = (errno.ENOTCONN, errno.ECONNABORTED)
"""Errno that a mount answers when its daemon is gone."""


class Location(NamedTuple):
    """A workspace, and a path in it."""

    root: str
    below: str
    """The path from the root on; "" is the root itself."""

    @property
    def command(self) -> str:
        """The control file that takes any verb."""
        return os.path.join(self.root, COMMAND)


def is_dead(path: str) -> bool:
    """Return True if a mount point has lost its daemon; wait for a daemon that is busy."""
    try:
        # Unlike stat, never answered from what the kernel has cached.
        os.statvfs(path)
    except OSError as error:
        return error.errno in LOST
    return False


def find_view(path: str) -> Location | None:
    """Return the nearest mounted view at or above a directory.

    A directory of that name counts only if a daemon of heliosfs answers in it.
    Raise NotPermitted if another user mounted the view.
    """
    for root in upward(path):
        if _is_view(root):
            return Location(root, os.path.relpath(path, root) if path != root else "")
    return None


def _is_view(root: str) -> bool:
    """Return True if `.helios` in a directory is one that a daemon of heliosfs serves."""
    try:
        fd = os.open(os.path.join(root, REPOSITORY), _BENEATH)
    except OSError:
        return False
    try:
        # No link led here, and in a mount of ours none leads on.
        os.stat(_COMMAND_BELOW, dir_fd=fd)
        mount = mount_of(fd)
        if mount is None:
            return _is_answered(fd)
        if mount.is_ours:
            check_server(mount, root)
        return mount.is_ours
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_answered(home: int) -> bool:
    """Detect a daemon by its control file where no mount table can be read, as in some sandboxes.

    A control file has a size only while it is open, and then its name may lead to another file; no
    other file does either.  The launcher looks for the same.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with ExitStack() as opened_files:
        control = os.open("ctl", _BENEATH, dir_fd=home)
        opened_files.callback(os.close, control)
        # Another process may have closed the file after its size was looked at; then it shows
        # neither.  A second open, while the first file is open, leads to one without a name.
        for _ in range(2):
            before = os.stat("command", dir_fd=control, follow_symlinks=False)
            command = os.open("command", flags, dir_fd=control)
            opened_files.callback(os.close, command)
            opened = os.fstat(command)
            now = os.stat("command", dir_fd=control, follow_symlinks=False)
            if opened.st_size > before.st_size == 0 or not os.path.samestat(opened, now):
                return opened.st_uid in own_ids()
    return False


def find_repository(path: str) -> Location | None:
    """Return the nearest directory at or above `path` with a repository that is not mounted."""
    for root in upward(path):
        if has_repository(root):
            return Location(root, os.path.relpath(path, root) if path != root else "")
    return None


def has_repository(directory: str) -> bool:
    """Return True if a directory that is not mounted has a store, or names one elsewhere."""
    home = os.path.join(directory, REPOSITORY)
    return any(os.path.isfile(os.path.join(home, name)) for name in (FORMAT, POINTER))


def find_dead_mount(path: str) -> str | None:
    """Return the mount point above `path` whose daemon is gone."""
    mount = mount_over(path)
    return mount.path if mount and mount.is_ours and is_dead(mount.path) else None
