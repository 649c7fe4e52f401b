"""The kernel's mount tables: the one reader of /proc/PID/mountinfo (proc_pid_mountinfo(5)).

Paths are as `os.fsdecode` returns them.  Nothing here asks anything of a mount, so that a daemon
may look up its own, and a caller is not blocked by one whose daemon is gone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

SUBTYPE = "heliosfs"
CONTROL_SUBTYPE = "heliosfs-ctl"
FSTYPE = f"fuse.{SUBTYPE}"
CONTROL_FSTYPE = f"fuse.{CONTROL_SUBTYPE}"
"""Type of the mounts inside a workspace's mount, which show control files."""
SELF = "/proc/self"

_OCTAL = re.compile(rb"\\([0-7]{3})")
_MOUNT_ID = b"mnt_id:"
_USER_ID = re.compile(rb"(?:^|,)user_id=(\d+)")


class Mount(NamedTuple):
    """A line of a mount table."""

    path: str
    fstype: str
    source: str
    id: int
    """Id of the mount, unique among all mounts of all namespaces; reused once it is unmounted."""
    device: str
    """`MAJOR:MINOR` of the file system, the same in every namespace that shows it."""
    root: str = "/"
    """The directory of the file system that is shown; not `/` for a bind mount."""
    user_id: int | None = None
    """Id of the user whose FUSE daemon serves it, from the kernel; None for other file systems."""

    @property
    def is_ours(self) -> bool:
        """Return True for the mount of a workspace."""
        return self.fstype == FSTYPE

    @property
    def is_control(self) -> bool:
        """Return True for a mount with control files, inside of a workspace's mount."""
        return self.fstype == CONTROL_FSTYPE


def parse(table: bytes) -> list[Mount]:
    """Read a mount table; spaces in it are octal escapes."""
    mounts = []
    for line in table.splitlines():
        before, _, after = line.partition(b" - ")
        fields, rest = before.split(b" "), after.split(b" ")
        if len(fields) > 4 and len(rest) > 1:
            path, root = _plain(fields[4]), _plain(fields[3])
            device = os.fsdecode(fields[2])
            said = _USER_ID.search(rest[2]) if len(rest) > 2 else None
            user_id = int(said[1]) if said else None
            mounts.append(
                Mount(path, _plain(rest[0]), _plain(rest[1]), int(fields[0]), device, root, user_id)
            )
    return mounts


def mounts(process: str = SELF) -> list[Mount]:
    """Return every mount that a process sees, in the order they were made.

    Raise OSError, with a text for the user if it is the caller's own table that is missing.
    """
    try:
        with open(f"{process}/mountinfo", "rb") as file:
            return parse(file.read())
    except FileNotFoundError as error:
        if process != SELF:
            raise
        reason = "the mount table cannot be read, because /proc is not mounted"
        raise FileNotFoundError(errno.ENOENT, reason) from error


def mount_at(path: str) -> Mount | None:
    """Return the mount whose mount point is `path`, the topmost if there are several."""
    return next((mount for mount in reversed(mounts()) if mount.path == path), None)


def mount_over(path: str) -> Mount | None:
    """Return the mount that `path` lies in."""
    table = {mount.path: mount for mount in mounts()}
    return next((table[each] for each in upward(path) if each in table), None)


def mounts_below(path: str) -> list[Mount]:
    """Return our mounts somewhere below a directory."""
    prefix = path.rstrip("/") + "/"
    return [mount for mount in mounts() if mount.is_ours and mount.path.startswith(prefix)]


def control_mounts(path: str) -> list[Mount]:
    """Return the mounts with control files inside of the workspace mounted at `path`."""
    prefix = path.rstrip("/") + "/"
    return [mount for mount in mounts() if mount.is_control and mount.path.startswith(prefix)]


def workspace_over(path: str) -> str | None:
    """Return where a workspace is mounted that a path without links leads into."""
    above = set(upward(path))
    return next((mount.path for mount in mounts() if mount.is_ours and mount.path in above), None)


def mount_of(fd: int) -> Mount | None:
    """Return the mount that an open file lies in; None where no table tells it.

    A process whose root directory was changed does not see all mounts that it has files of.
    """
    number = mount_id(f"{SELF}/fdinfo/{fd}")
    if number is None:
        return None
    with suppress(OSError):
        return next((mount for mount in mounts() if mount.id == number), None)
    return None


def is_there(mount: Mount) -> bool:
    """Return True while this very mount is there, whatever else is mounted and unmounted.

    It is looked up in two ways: older kernels leave lines out of a table that changes while it is
    read, and a mount on top of another hides it from its path.
    """
    if mount_id_at(mount.path) == mount.id:
        return True
    same = (mount.id, mount.device, mount.path)
    return any((each.id, each.device, each.path) == same for each in mounts())


def mount_id_at(path: str) -> int | None:
    """Return the id of the mount that a path leads into; None where it cannot be had."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return mount_id(f"{SELF}/fdinfo/{fd}")
    finally:
        os.close(fd)


def mount_id(fdinfo: str) -> int | None:
    """Return the id of the mount that an open file lies in (proc_pid_fdinfo(5))."""
    try:
        with open(fdinfo, "rb") as file:
            for line in file:
                if line.startswith(_MOUNT_ID):
                    return int(line[len(_MOUNT_ID) :])
    except OSError:
        pass
    return None


def upward(path: str) -> Iterator[str]:
    """Yield a path and every directory above it."""
    yield path
    while path != "/":
        path = os.path.dirname(path) or "/"
        yield path


def _plain(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes((int(match[1], 8),)), field))
