"""Watchers are told of a checkout, as far as the kernel lets us (inotify(7), fanotify(7)).

A checkout changes the tree behind the kernel's back, and what the kernel is told (`notices`) it
tells those who watch a file that went, not those who watch the directory around it: editors,
servers that rebuild, test runners.  A call through the mount it does tell them of.  So where
somebody watches, each file that came or changed is given the mtime that it has, and nothing for
an atime: the kernel takes that for a write (`fsnotify_change` in include/linux/fsnotify.h), and
tells of an IN_MODIFY.  With both times, or a chmod to the mode that is there, it would tell of an
IN_ATTRIB, which compilers that watch do not ask for.  A directory that came, or of which
something went, gets an IN_ATTRIB as well: some ask only for that of directories.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import stat
import threading
from collections.abc import Iterable
from functools import partial

import trio

from heliosfs.daemon.watched import watched_inodes
from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import is_dir_entry
from heliosfs.repo.repository import Repository
from heliosfs.workspace.node import DirNode

SETTLE_SECONDS = 0.05
"""How long changes are gathered before anybody is looked for; more on a machine with many
processes, so that looking takes a twentieth of a CPU at most."""
TOLD_MAX = 5_000
"""Files that one checkout tells of: 0.2 s."""
_SECOND_NS = 10**9
_AT_FDCWD = -100
_UTIME_OMIT = (1 << 30) - 2
_libc = ctypes.CDLL(None, use_errno=True)

log = logging.getLogger(__name__)


class Watchers:
    """Sleeps until a checkout changed directories."""

    def __init__(self, repository: Repository, mountpoint: str) -> None:
        self._repository = repository
        self._mountpoint = os.fsencode(mountpoint)
        self._changed: list[tuple[DirNode, Changes]] = []
        self._wanted = trio.Event()
        self.tellers: set[int] = set()
        """The threads that call: what they ask for is so already."""

    def note(self, changed: list[tuple[DirNode, Changes]]) -> None:
        """Directories changed, and the kernel knows: 0.1 us."""
        self._changed += changed
        self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        rest_seconds = SETTLE_SECONDS
        while True:
            await self._wanted.wait()
            await trio.sleep(rest_seconds)
            self._wanted = trio.Event()
            changed, self._changed = self._changed, []
            try:
                began = trio.current_time()
                watched = await trio.to_thread.run_sync(watched_inodes, self._mountpoint)
                rest_seconds = max(SETTLE_SECONDS, 20 * (trio.current_time() - began))
                told = self._places(changed, watched) if watched else []
                if told:
                    await trio.to_thread.run_sync(partial(self._tell, told))
            except Exception:
                log.exception("watchers were not told of a checkout")

    def _places(self, changed: Iterable[tuple[DirNode, Changes]], watched: set[int]) -> list[bytes]:
        """What came or changed in watched directories, and those that lost something."""
        found: dict[bytes, None] = {}
        for directory, changes in changed:
            if directory.ino not in watched or len(found) > TOLD_MAX:
                continue
            place = self._place(directory)
            if place is None:
                continue
            for name, (old, new) in changes.items():
                if new is None:
                    found[place] = None
                elif not (old and is_dir_entry(old) and is_dir_entry(new)):
                    found[place + b"/" + name] = None
        return list(found)[:TOLD_MAX]

    def _place(self, directory: DirNode) -> bytes | None:
        """Where a directory is; None when its tree is shown nowhere any more."""
        names: list[bytes] = []
        node = directory
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        for view in self._repository.views():
            if view.workspace.root is node:
                if not view.is_root:
                    names += [os.fsencode(view.branch or ""), b"live", b".helios"]
                return b"/".join([self._mountpoint, *reversed(names)])
        return None

    def _tell(self, places: list[bytes]) -> None:
        teller = threading.get_native_id()
        self.tellers.add(teller)
        try:
            device = os.stat(self._mountpoint).st_dev
            for path in places:
                # Gone again, or somebody else's: then there is nothing to tell.
                with contextlib.suppress(OSError):
                    _touch(path, device)
        finally:
            self.tellers.discard(teller)


def _touch(path: bytes, device: int) -> None:
    """Give a file of the mount the mtime that it has, and a directory its mode as well.

    And nothing else: whoever may write there could have put a link in its way.  OSError.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_dev != device:
            return
        # The way through /proc leads to the file itself, also when that is a link.
        itself = f"/proc/self/fd/{fd}"
        _set_mtime(itself, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            os.chmod(itself, stat.S_IMODE(status.st_mode))
    finally:
        os.close(fd)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _set_mtime(path: str, time_ns: int) -> None:
    """Set the mtime alone, which os.utime() cannot: it sets both times.  OSError."""
    omitted = _Timespec(0, _UTIME_OMIT)
    times = (_Timespec * 2)(omitted, _Timespec(*divmod(time_ns, _SECOND_NS)))
    if _libc.utimensat(_AT_FDCWD, os.fsencode(path), times, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
