"""Watchers are told of a checkout, as far as the kernel lets us (inotify(7)).

A checkout changes the tree behind the kernel's back, and what the kernel is told (`notices`) it
tells those who watch a file that went, not those who watch the directory around it: editors,
servers that rebuild, test runners.  A call through the mount it does tell them of.  So where
somebody watches, each file that came or changed is given the mode that it has, and so is a
directory of which something went: an IN_ATTRIB, after which programs look.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import threading
from collections.abc import Iterable
from functools import partial

import trio

from heliosfs.objects.leafdiff import Changes
from heliosfs.objects.tree import is_dir_entry
from heliosfs.repo.repository import Repository
from heliosfs.workspace.node import DirNode

SETTLE_SECONDS = 0.05
"""How long changes are gathered before anybody is looked for; more on a machine with many
processes, so that looking takes a twentieth of a CPU at most."""
TOLD_MAX = 5_000
"""Files that one checkout tells of: 0.2 s."""
_INOTIFY = "anon_inode:inotify"
_WATCH = re.compile(rb"^inotify wd:\S+ ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)

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
                watched = await trio.to_thread.run_sync(_watched, self._mountpoint)
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
    """Give a file of the mount the mode that it has.

    And nothing else: whoever may write there could have put a link in its way.
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_dev == device and not stat.S_ISLNK(status.st_mode):
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(status.st_mode))
    finally:
        os.close(fd)


def _watched(mountpoint: bytes) -> set[int]:
    """The inodes of a mount that somebody watches (proc_pid_fdinfo(5)), of whom we may know."""
    device = os.stat(mountpoint).st_dev
    wanted = os.major(device) << 20 | os.minor(device)
    watched: set[int] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == _INOTIFY:
                        with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as file:
                            found = _WATCH.findall(file.read())
                        watched.update(int(ino, 16) for ino, at in found if int(at, 16) == wanted)
    return watched
