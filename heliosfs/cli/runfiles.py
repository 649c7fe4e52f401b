"""The files that a daemon keeps outside its mount: its log, and who it is.

Both lie in `$XDG_STATE_HOME/heliosfs` (`~/.local/state/heliosfs`), under the name of the
mount point and a digest of its path.  The daemon holds a lock on the second for as long
as it lives, so that `umount` can wait for it without trusting a process id.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from typing import NamedTuple

from heliosfs.errors import HeliosError

LOG_MAX_BYTES = 4 * 1024 * 1024
"""A log larger than this is set aside as `….log.1` at the next mount."""

_POLL_SECONDS = 0.01


class Daemon(NamedTuple):
    """The process behind a mount."""

    pid: int
    log: str


def log_path(mountpoint: str) -> str:
    """Where the log of a mount goes unless the user says otherwise."""
    return _path(mountpoint, "log")


def open_log(path: str) -> int:
    """Open a log for appending, its directory made.  HeliosError names what is wrong."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if os.path.exists(path) and os.path.getsize(path) > LOG_MAX_BYTES:
            os.replace(path, path + ".1")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HeliosError(f"cannot write {path}: {reason}; name a log by --log") from error


def register(mountpoint: str, log: str) -> int:
    """Say who serves the mount; the descriptor it gives holds the lock until it is closed."""
    path = _path(mountpoint, "json")
    fd = open_log(path)
    # A lock that is held belongs to a daemon whose mount is gone but which still writes.
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps({"pid": os.getpid(), "log": log}).encode() + b"\n")
    return fd


def find(mountpoint: str) -> Daemon | None:
    """The daemon that serves the mount, if it lives and is this user's."""
    try:
        with open(_path(mountpoint, "json"), "rb") as file:
            if not _is_locked(file.fileno()):
                return None
            said = json.load(file)
            return Daemon(int(said["pid"]), str(said["log"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def wait_gone(mountpoint: str, seconds: float) -> bool:
    """Wait until the daemon of the mount has ended; False when it still lives."""
    deadline = time.monotonic() + seconds
    while find(mountpoint) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _path(mountpoint: str, kind: str) -> str:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    digest = hashlib.sha256(os.fsencode(mountpoint)).hexdigest()[:8]
    name = os.path.basename(mountpoint) or "root"
    return os.path.join(state, "heliosfs", f"{name}-{digest}.{kind}")
