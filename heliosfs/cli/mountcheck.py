"""Checks before a workspace is mounted at a directory."""

from __future__ import annotations

import os
import shutil
import stat

from heliosfs import mounttable
from heliosfs.cli import locate
from heliosfs.errors import Busy, HeliosError, NotFound, NotPermitted, UsageError
from heliosfs.fuse.mounting import unmount

_DEVICE = "/dev/fuse"
_FUSE_CONF = "/etc/fuse.conf"


def check_directory(path: str) -> str:
    """Return the resolved path of a future mount point, which exists or whose parent does.

    Raise UsageError, NotFound or NotPermitted.
    """
    if not path or "\0" in path or "\n" in path:
        raise UsageError(f"not a directory name: {path!r} is empty, or has a NUL byte or a newline")
    directory = os.path.realpath(path)
    if directory == "/":
        raise UsageError("cannot mount over the root directory '/'")
    if mounttable.mount_at(directory) is not None:
        return directory
    parent = os.path.dirname(directory)
    try:
        mode = os.stat(directory).st_mode
    except FileNotFoundError as error:
        if not os.path.isdir(parent):
            raise NotFound(f"cannot make {directory}: there is no directory {parent}") from error
        if not os.access(parent, os.W_OK | os.X_OK):
            raise NotPermitted(f"cannot make {directory}: {parent} is not writable") from error
        return directory
    except OSError as error:
        raise NotPermitted(f"cannot use {directory}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{directory} is not a directory")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise NotPermitted(f"cannot use {directory}: it must be readable and writable for you")
    return directory


def check_place(directory: str, store: str | None) -> None:
    """Refuse a mount that cannot work or would hide files.  Raise UsageError or Busy."""
    for what, path in (("DIR", directory), ("--store", store)):
        if path is None:
            continue
        over = mounttable.mount_over(path)
        if over is not None and over.is_ours:
            raise UsageError(f"{what} {path} lies in the heliosfs workspace {over.path}")
    if locate.REPOSITORY in directory.split("/"):
        raise UsageError(f"{directory} lies in a repository")
    for below in mounttable.mounts_below(directory):
        raise Busy(f"the workspace {below.path} is mounted below {directory}")
    left = os.path.join(directory, locate.UNFINISHED)
    if os.path.lexists(left):
        raise Busy(
            f"{directory} was to become a clone, or a restored backup, which has not ended: begin "
            f"it again, or remove {left} first to make a new workspace here"
        )
    home = os.path.join(directory, locate.REPOSITORY)
    if store and store != home and (store + "/").startswith(directory + "/"):
        raise UsageError(f"--store {store} would be hidden by the mount")


def clear_dead_mount(directory: str) -> bool:
    """Take away our mount at `directory` if its daemon is gone; False if it lives.

    Raise UsageError when the mount is not ours, HeliosError when it cannot be taken away.
    """
    cleared = False
    while (found := mounttable.mount_at(directory)) is not None:
        if not found.is_ours:
            raise UsageError(
                f"{directory} is a mount point of {found.fstype} ({found.source}): "
                "use a directory below it"
            )
        if not locate.is_dead(directory):
            break
        reason = unmount(directory, lazy=True)
        if mounttable.is_there(found):
            raise HeliosError(f"cannot unmount the dead mount {directory}: {reason}")
        cleared = True
    return cleared and found is None


def check_fuse(allow_other: bool) -> None:
    """Check that this user may mount at all.  Raise HeliosError with a line for each."""
    if not os.path.exists(_DEVICE):
        raise HeliosError(
            f"there is no {_DEVICE}: load the module (modprobe fuse), or give the "
            f"container the device (docker run --device {_DEVICE} --cap-add SYS_ADMIN)"
        )
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise NotPermitted(f"no permission for {_DEVICE}: it needs mode 0666, or root")
    if not shutil.which("fusermount3"):
        raise HeliosError("there is no fusermount3: install the package fuse3")
    if os.geteuid() == 0:
        return
    if allow_other and not _fuse_conf_allows_other():
        raise NotPermitted(f"allow_other needs a line 'user_allow_other' in {_FUSE_CONF}")


def _fuse_conf_allows_other() -> bool:
    try:
        with open(_FUSE_CONF, encoding="utf-8", errors="replace") as file:
            return any(line.split("#")[0].strip() == "user_allow_other" for line in file)
    except OSError:
        return False
