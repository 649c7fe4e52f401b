"""Where views and repositories are, from a path.

Paths are what `os.fsdecode` gives.  Nothing here opens a store.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from heliosfs.mounttable import mount_over, upward

REPOSITORY = ".helios"
COMMAND = ".helios/ctl/command"
POINTER = "store-path"
"""In a repository whose store lies elsewhere (`--store`), the file that says where."""
FORMAT = "format"
"""A file that every store has."""
LOST = (errno.ENOTCONN, errno.ECONNABORTED)
"""What a mount answers whose daemon is gone."""


class Location(NamedTuple):
    """A workspace, and where in it."""

    root: str
    below: str
    """The path from the root on; "" is the root itself."""

    @property
    def command(self) -> str:
        """The control file that takes any verb."""
        return os.path.join(self.root, COMMAND)


def is_dead(path: str) -> bool:
    """Whether a mount point has lost its daemon.  Waits for a daemon that is busy."""
    try:
        # Unlike stat, never answered from what the kernel has cached.
        os.statvfs(path)
    except OSError as error:
        return error.errno in LOST
    return False


def find_view(path: str) -> Location | None:
    """The nearest mounted view at or above a directory."""
    for root in upward(path):
        if os.path.exists(os.path.join(root, COMMAND)):
            return Location(root, os.path.relpath(path, root) if path != root else "")
    return None


def find_repository(path: str) -> Location | None:
    """The nearest directory at or above `path` that has a repository and is not mounted."""
    for root in upward(path):
        if has_repository(root):
            return Location(root, os.path.relpath(path, root) if path != root else "")
    return None


def has_repository(directory: str) -> bool:
    """Whether a directory that is not mounted has a store, or says where it is."""
    home = os.path.join(directory, REPOSITORY)
    return any(os.path.isfile(os.path.join(home, name)) for name in (FORMAT, POINTER))


def find_dead_mount(path: str) -> str | None:
    """The mount point above `path` whose daemon is gone."""
    mount = mount_over(path)
    return mount.path if mount and mount.is_ours and is_dead(mount.path) else None
