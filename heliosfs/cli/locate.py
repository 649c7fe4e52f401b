"""The view or repository that a path lies in.

Paths are as `os.fsdecode` returns them.  Nothing here opens a store.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from heliosfs.mounttable import mount_over, upward

REPOSITORY = ".helios"
COMMAND = ".helios/ctl/command"
POINTER = "store-path"
"""File with the path of the store, in a repository whose store lies elsewhere (`--store`)."""
FORMAT = "format"
"""A file that every store has."""
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
    """Return the nearest mounted view at or above a directory."""
    for root in upward(path):
        if os.path.exists(os.path.join(root, COMMAND)):
            return Location(root, os.path.relpath(path, root) if path != root else "")
    return None


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
