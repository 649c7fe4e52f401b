"""The task that notifies watchers of a checkout, as far as the kernel can (inotify, fanotify).

A checkout changes the tree behind the kernel's back.  The kernel passes a notice (`notices`) on to
those who watch a file that went, but not to those who watch its directory: editors, servers that
rebuild, test runners.  It does tell them of a call through the mount.  So where a process watches,
a thread makes such calls (`watch_notifier`), which alter nothing (`pretended_requests`):

- it creates the files that came and removes those that went: IN_CREATE, IN_DELETE;
- it sets the mtime of a file that changed to the value it has, and leaves out the atime.  The
  kernel takes that for a write (`fsnotify_change` in include/linux/fsnotify.h): IN_MODIFY.  With
  both times, or a chmod to the mode that is there, it would tell of an IN_ATTRIB, for which
  compilers do not ask.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from itertools import islice

import trio

from heliosfs.daemon.pretended_requests import PretendedRequests
from heliosfs.daemon.watch_notifier import WatchedChanges, WatchNotifier
from heliosfs.daemon.watched import watched_inodes
from heliosfs.fuse.notices import Notices
from heliosfs.objects.leafdiff import Changes
from heliosfs.repo.repository import Repository
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.workspace.nodes import DirNode

SETTLE_SECONDS = 0.05
"""Time for which changes are gathered before the search for watchers.  Longer on a machine with
many processes, so that the search takes a twentieth of a CPU at most."""
REPORTED_MAX = 5_000
"""Largest number of names that are reported after one checkout: 0.4 s, on a thread of its own."""

log = logging.getLogger(__name__)


class Watchers:
    """Background task that sleeps until a checkout has changed directories, and tells watchers."""

    def __init__(self, repository: Repository, mountpoint: str, notices: Notices) -> None:
        self._repository = repository
        self._notices = notices
        self._mountpoint = os.fsencode(mountpoint)
        self._changed: list[tuple[DirNode, Changes]] = []
        self._wanted = trio.Event()
        self.pretended_requests: PretendedRequests | None = None
        """Handlers of the notifier's requests; set by `serve` once the other handlers exist."""

    def note(self, changed: list[tuple[DirNode, Changes]]) -> None:
        """Note changed directories, after the kernel was sent the notices about them: 0.1 us."""
        self._changed += changed
        self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        rest_seconds = SETTLE_SECONDS
        while True:
            await self._wanted.wait()
            # A checkout is often followed by another one; one search serves both.
            await trio.sleep(rest_seconds)
            self._wanted = trio.Event()
            changed, self._changed = self._changed, []
            try:
                began = trio.current_time()
                watched = await trio.to_thread.run_sync(watched_inodes, self._mountpoint)
                rest_seconds = max(SETTLE_SECONDS, 20 * (trio.current_time() - began))
                told = self._changes_to_report(changed, watched) if watched else []
                if told:
                    await self._tell(told)
            except Exception:
                log.exception("watchers were not notified of a checkout")

    async def _tell(self, told: list[WatchedChanges]) -> None:
        """Have a thread make the calls.

        It is abandoned when the mount ends, as it may then wait forever for an answer.
        """
        assert self.pretended_requests is not None
        notifier = WatchNotifier(self._mountpoint, self.pretended_requests, self._notices)
        self.pretended_requests.install()
        try:
            await trio.to_thread.run_sync(notifier.notify, told, abandon_on_cancel=True)
        except trio.Cancelled:
            # The thread may go on, and must not alter anything: the handlers stay.
            raise
        except BaseException:
            self.pretended_requests.uninstall()
            raise
        self.pretended_requests.uninstall()

    def _changes_to_report(
        self, changed: Iterable[tuple[DirNode, Changes]], watched: set[int]
    ) -> list[WatchedChanges]:
        """Return the changes in watched directories that are shown, at most REPORTED_MAX names."""
        found: list[WatchedChanges] = []
        room = REPORTED_MAX
        for directory, changes in changed:
            # Of a very large checkout, only the first names are reported.
            if directory.ino not in watched or not room:
                continue
            place = self._place(directory)
            if place is not None:
                found.append(
                    WatchedChanges(place, directory.ino, dict(islice(changes.items(), room)))
                )
                room -= len(found[-1].changes)
        return found

    def _place(self, directory: DirNode) -> bytes | None:
        """Return the path of a directory; None if its tree is no longer shown anywhere."""
        names: list[bytes] = []
        node = directory
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        for view in self._repository.views():
            if view.workspace.root is node:
                if view is not self._repository.root:
                    names += [os.fsencode(view.branch or ""), b"live", DOT_HELIOS]
                # A path of the mount, as a process would use it: the calls must come through the
                # kernel.
                return b"/".join([self._mountpoint, *reversed(names)])
        return None
