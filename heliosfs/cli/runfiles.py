"""The files that a daemon keeps outside its mount: its log, and its registration.

Both lie in `$XDG_STATE_HOME/heliosfs` (`~/.local/state/heliosfs`), which is the user's alone,
under the name of the mount point and a digest of its path.  The daemon holds a lock on the second
for as long as it lives, so that `umount` can wait for it without trusting a process id.  The file
stays when it ends: these files together are the list of known workspaces.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from heliosfs.cli.ownership import check_private, trusted_ids
from heliosfs.errors import Busy, HeliosError, NotPermitted

LOG_MAX_BYTES = 4 * 1024 * 1024
"""A log larger than this is set aside as `….log.1` at the next mount."""

_POLL_SECONDS = 0.01
_LOOK_SECONDS = 1.0


class Daemon(NamedTuple):
    """The process behind a mount."""

    pid: int
    log: str
    device: str = ""
    """Device of its mount, `MAJOR:MINOR`; "" until the mount is ready."""
    mount_id: int = 0
    """Id of its mount, in the namespace in which it was mounted."""


class KnownWorkspace(NamedTuple):
    """A workspace that was mounted here, now or before."""

    path: str
    store: str
    """Path of its store."""
    store_id: str
    options: tuple[str, ...] = ()
    """Mount options given after `-o`."""
    log: str | None = None
    """The log that the user named."""


class Registration:
    """File in which a daemon describes itself, locked until it is closed."""

    def __init__(self, workspace: KnownWorkspace, log: str) -> None:
        """Take the lock.  Raise Busy if another daemon of the same mount point still has it."""
        self._document: dict[str, object] = {
            "pid": os.getpid(),
            "log": log,
            "workspace": workspace._asdict(),
        }
        self._fd = open_log(_path(workspace.path, "json"))
        if not _lock(self._fd):
            os.close(self._fd)
            raise Busy(f"another daemon still serves {workspace.path}")
        os.ftruncate(self._fd, 0)
        self._write()

    def mounted(self, device: str, mount_id: int) -> None:
        """Write down which mount the daemon serves."""
        self._document |= {"device": device, "mount_id": mount_id}
        self._write()

    def close(self) -> None:
        """Release the lock; the text stays, as the workspace is known from it."""
        os.close(self._fd)

    def _write(self) -> None:
        # A line more, not another file: who reads meanwhile finds one that is whole.
        os.write(self._fd, json.dumps(self._document).encode() + b"\n")


def log_path(mountpoint: str) -> str:
    """Return the path of the log of a mount for which the user named none."""
    return _path(mountpoint, "log")


def last_log(mountpoint: str) -> str:
    """Return the log of the daemon that serves or served a mount."""
    workspace = known(mountpoint)
    return (workspace.log if workspace else None) or log_path(mountpoint)


def open_log(path: str) -> int:
    """Open a log for appending, its directory made.  HeliosError names what is wrong.

    Raise NotPermitted if another user has put it there.
    """
    check_private(path, "the log")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        if os.path.dirname(path) == _directory():
            _close_to_others()
        if os.path.exists(path) and os.path.getsize(path) > LOG_MAX_BYTES:
            os.replace(path, path + ".1")
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HeliosError(f"cannot write {path}: {reason}; name another log with --log") from error
    # Again, of what was opened: in a directory of others it may be another file by now.
    if os.fstat(fd).st_uid in trusted_ids():
        return fd
    os.close(fd)
    raise NotPermitted(f"the log {path} belongs to another user: name another with --log")


def find(mountpoint: str) -> Daemon | None:
    """Return the daemon that serves the mount, if it lives and is this user's."""
    return _running_daemon(_path(mountpoint, "json"))


def known(mountpoint: str) -> KnownWorkspace | None:
    """Return the record of a workspace that was mounted here, now or before."""
    return _remembered(_path(mountpoint, "json"))


def workspaces() -> list[KnownWorkspace]:
    """Return every workspace that this user mounted, in the order of their paths."""
    found = (_remembered(path) for path in _paths())
    return sorted(each for each in found if each is not None)


def served_by(pid: int) -> str | None:
    """Return the workspace that a living daemon of this user serves."""
    for path in _paths():
        daemon = _running_daemon(path)
        workspace = _remembered(path)
        if daemon is not None and workspace is not None and daemon.pid == pid:
            return workspace.path
    return None


def forget(mountpoint: str) -> None:
    """Take a workspace off the list.  Raise Busy while it is served."""
    if find(mountpoint) is not None:
        raise Busy(f"{mountpoint} is mounted: 'helios umount {shlex.quote(mountpoint)}' first")
    with suppress(FileNotFoundError):
        os.unlink(_path(mountpoint, "json"))


def agent_record(root: str) -> str:
    """Return the path of the record of what `helios agent init` did to a project."""
    return _path(root, "agent")


def agent_records() -> list[str]:
    """Return the paths of these records, of all projects."""
    try:
        names = os.listdir(_directory())
    except OSError:
        return []
    return [os.path.join(_directory(), name) for name in names if name.endswith(".agent")]


def write_agent_record(root: str, text: str) -> None:
    """Write such a record, which only this user can read.  Raise OSError."""
    os.makedirs(_directory(), mode=0o700, exist_ok=True)
    path = agent_record(root)
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def digest_of(mountpoint: str) -> str:
    """Return eight digits that tell mount points of the same name apart."""
    return hashlib.sha256(os.fsencode(mountpoint)).hexdigest()[:8]


def wait_gone(mountpoint: str, seconds: float) -> bool:
    """Wait until the daemon of the mount has ended; False when it still lives."""
    deadline = time.monotonic() + seconds
    while find(mountpoint) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _paths() -> Iterator[str]:
    try:
        names = os.listdir(_directory())
    except OSError:
        return
    yield from (
        os.path.join(_directory(), name) for name in sorted(names) if name.endswith(".json")
    )


def _running_daemon(path: str) -> Daemon | None:
    try:
        with open(path, "rb") as file:
            if not _is_locked(file.fileno()):
                return None
            said = _last_document(file.read())
            device, mount_id = str(said.get("device", "")), int(said.get("mount_id", 0))
            return Daemon(int(said["pid"]), str(said["log"]), device, mount_id)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remembered(path: str) -> KnownWorkspace | None:
    try:
        with open(path, "rb") as file:
            said = _last_document(file.read())["workspace"]
            workspace = KnownWorkspace(**{**said, "options": tuple(said["options"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return workspace if _path(workspace.path, "json") == path else None


def _last_document(text: bytes) -> dict[str, Any]:
    """Return the JSON document in the last whole line.  Raise ValueError."""
    document: dict[str, Any] = json.loads(text[: text.rindex(b"\n")].rpartition(b"\n")[2])
    return document


def _lock(fd: int) -> bool:
    """Take the lock; wait for a process that only tests it, which takes a moment."""
    deadline = time.monotonic() + _LOOK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _directory() -> str:
    """Return the path of the state directory.

    Raise NotPermitted if it is there and another user's.
    """
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = os.path.join(state, "heliosfs")
    check_private(path, "the state directory")
    return path


def _close_to_others() -> None:
    """Make the state directory the user's alone, which an older heliosfs did not.

    Raise OSError.
    """
    if os.stat(_directory()).st_mode & 0o077:
        os.chmod(_directory(), 0o700)


def _path(mountpoint: str, kind: str) -> str:
    name = os.path.basename(mountpoint) or "root"
    return os.path.join(_directory(), f"{name}-{digest_of(mountpoint)}.{kind}")
