"""The calls by which a thread makes the kernel tell watchers of a checkout.

The thread runs beside the loop.  It uses descriptors of directories that it has found to belong to
the mount, because a user who may write in them could put a link in the way of a path.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import threading
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.daemon.pretended_requests import PretendedName, PretendedRequests
from heliosfs.fuse.notices import Notices
from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import Entry, decode_entry

_PROBE = b".helios-notifier"
_AT_FDCWD = -100
_UTIME_OMIT = (1 << 30) - 2
_MINE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class WatchedChanges(NamedTuple):
    """Watched directory, and the changes in it."""

    path: bytes
    ino: int
    changes: Changes


class WatchNotifier:
    """Maker of the pretended calls, for one directory after another; it runs on a thread."""

    def __init__(
        self, mountpoint: bytes, pretended_requests: PretendedRequests, notices: Notices
    ) -> None:
        self._mountpoint = mountpoint
        self._pretended_requests = pretended_requests
        self._notices = notices
        self._device = 0

    def notify(self, told: list[WatchedChanges]) -> None:
        """Make the calls for the changes that still hold; none of them alters anything."""
        self._device = os.stat(self._mountpoint).st_dev
        self._pretended_requests.notifier_thread = threading.get_native_id()
        self._probe()
        for directory in told:
            # Gone again, or somebody else's: then there is nothing to tell.
            with contextlib.suppress(OSError):
                fd = os.open(directory.path, _MINE | os.O_DIRECTORY)
                try:
                    status = os.fstat(fd)
                    if (status.st_dev, status.st_ino) == (self._device, directory.ino):
                        self._notify_directory(fd, directory)
                finally:
                    os.close(fd)

    def _probe(self) -> None:
        """Look up a name that is not there, by which `pretended_requests` recognises the thread.

        Otherwise the pretended calls would alter files, and so are not made.
        """
        self._pretended_requests.scene = PretendedName(os.stat(self._mountpoint).st_ino, _PROBE)
        with contextlib.suppress(OSError):
            os.lstat(os.path.join(self._mountpoint, _PROBE))
        self._pretended_requests.scene = None

    def _notify_directory(self, fd: int, directory: WatchedChanges) -> None:
        is_silent = True
        for name, (old, new) in directory.changes.items():
            before = decode_entry(old)[0] if old else None
            after = decode_entry(new)[0] if new else None
            with contextlib.suppress(OSError):
                if after is None:
                    assert before is not None
                    is_silent &= self._remove(fd, PretendedName(directory.ino, name, _kind(before)))
                elif before is None or _kind(before) != _kind(after):
                    is_new = self._create(fd, PretendedName(directory.ino, name), after.mode)
                    if not (is_new and stat.S_ISDIR(after.mode)):
                        self._touch(fd, name)
                elif not stat.S_ISDIR(after.mode):
                    self._alter(fd, name, before, after)
        if not is_silent:
            touch(fd)

    def _remove(self, fd: int, scene: PretendedName) -> bool:
        """Pretend to remove a name; return False if that failed."""
        if not self._pretended_requests.is_known:
            return False
        self._pretended_requests.scene = scene
        remove = os.rmdir if scene.gone == stat.S_IFDIR else os.unlink
        try:
            try:
                remove(scene.name, dir_fd=fd)
            except FileNotFoundError:
                # Another process looked the name up in vain, and the kernel remembers that it is
                # missing.
                self._notices.entry(scene.parent, scene.name, 0)
                remove(scene.name, dir_fd=fd)
        except OSError:
            return False
        finally:
            self._pretended_requests.scene = None
        return True

    def _create(self, fd: int, scene: PretendedName, mode: int) -> bool:
        """Pretend to create the node that is there; return False if that failed."""
        if not self._pretended_requests.is_known:
            return False
        self._pretended_requests.scene = scene
        try:
            if stat.S_ISDIR(mode):
                os.mkdir(scene.name, dir_fd=fd)
            elif stat.S_ISLNK(mode):
                os.symlink(b".", scene.name, dir_fd=fd)
            else:
                os.mknod(scene.name, stat.S_IFMT(mode) | 0o600, dir_fd=fd)
        except OSError:
            return False
        finally:
            self._pretended_requests.scene = None
        return True

    def _alter(self, fd: int, name: bytes, before: Entry, after: Entry) -> None:
        """Tell of a file that changed: other bytes as IN_MODIFY, other metadata as IN_ATTRIB."""
        if _content(before) != _content(after):
            self._touch(fd, name)
        elif _owner(before) != _owner(after) and not stat.S_ISLNK(after.mode):
            self._touch(fd, name, is_modified=False)

    def _touch(self, directory: int, name: bytes, *, is_modified: bool = True) -> None:
        fd = os.open(name, _MINE, dir_fd=directory)
        try:
            if os.fstat(fd).st_dev == self._device:
                touch(fd, is_modified=is_modified)
        finally:
            os.close(fd)


def touch(fd: int, *, is_modified: bool = True) -> None:
    """Set an open file's mtime (IN_MODIFY) or mode (IN_ATTRIB) to its current value.

    Of a directory set both, since some watchers ask for only one of the two events.  Raise OSError.
    """
    status = os.fstat(fd)
    # The way through /proc leads to the file itself, also when that is a link.
    itself = f"/proc/self/fd/{fd}"
    if is_modified:
        _set_mtime(itself, status.st_mtime_ns)
    if stat.S_ISDIR(status.st_mode) or not is_modified:
        os.chmod(itself, stat.S_IMODE(status.st_mode))


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _set_mtime(path: str, time_ns: int) -> None:
    """Set the mtime alone, which os.utime() cannot: it sets both times.  Raise OSError."""
    omitted = _Timespec(0, _UTIME_OMIT)
    times = (_Timespec * 2)(omitted, _Timespec(*divmod(time_ns, SECOND_NS)))
    if _libc.utimensat(_AT_FDCWD, os.fsencode(path), times, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def _kind(entry: Entry) -> int:
    return stat.S_IFMT(entry.mode)


def _content(entry: Entry) -> tuple[object, ...]:
    return entry.oid, entry.size, entry.target, entry.rdev


def _owner(entry: Entry) -> tuple[object, ...]:
    return entry.mode, entry.uid, entry.gid, entry.xattrs
