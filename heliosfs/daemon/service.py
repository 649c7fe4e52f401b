"""The parts of a daemon that answer requests, put together around a repository."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.daemon.control_mounts import ControlMounts
from heliosfs.daemon.control_pages import ControlPages
from heliosfs.daemon.forgetter import Trimmer
from heliosfs.daemon.handle_requests import HandleRequests
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.listing_requests import ListingRequests
from heliosfs.daemon.mount_requests import MountRequests
from heliosfs.daemon.name_requests import NameRequests
from heliosfs.daemon.node_requests import NodeRequests
from heliosfs.daemon.open_requests import OpenRequests
from heliosfs.daemon.prefetcher import Prefetcher
from heliosfs.daemon.verbs import Verbs
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import StoreError
from heliosfs.fuse.handler import Handler
from heliosfs.fuse.notices import Notices
from heliosfs.repo.repository import Repository
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem

QUIET_MAX = 3
"""Number of saves with nothing to save, each with a barrier, before they end until the next change.

A store through a mapping is no change before the kernel writes its page back, by itself within 35 s
(dirty_expire_centisecs and dirty_writeback_centisecs in /proc/sys/vm)."""


class Service:
    """Namespace, keeper, verbs and request handlers of a mount; it needs no mount point itself."""

    def __init__(
        self,
        repository: Repository,
        filesystem: FileSystem,
        kernel: Kernel,
        notices: Notices,
        watchers: Watchers,
        mounts: ControlMounts | None = None,
    ) -> None:
        """Make the parts; `mounts` are the mounts inside, if opens are to be left to the kernel."""
        self.filesystem = filesystem
        filesystem.on_relisted = kernel.relist
        files = Files(filesystem)
        kernel.barriers.observer = files.late
        self.keeper = keeper = Keeper(repository, kernel, self._fail)
        self.trimmer = Trimmer(filesystem, kernel)
        self.verbs = verbs = Verbs(repository, kernel, keeper, watchers)
        verbs.hydrator.on_failure = filesystem.dot.errors.note
        self._files = files
        self.prefetcher = Prefetcher(repository, verbs.hydrator)
        if mounts is not None:
            mounts.on_split = self._leave_opens
        if (ended := self._at_ends_of_verbs(mounts)) is not None:
            verbs.follow(ended)
        pages = ControlPages(verbs, kernel, notices)
        self.handlers: dict[int, Handler] = {
            **NodeRequests(filesystem, files, keeper, kernel.barrier).handlers,
            **NameRequests(filesystem, files, keeper, self.trimmer, notices, mounts).handlers,
            **OpenRequests(
                filesystem, files, verbs, kernel, keeper, pages, notices, mounts
            ).handlers,
            **HandleRequests(files, verbs, kernel, keeper, pages, notices).handlers,
            **ListingRequests(filesystem, kernel, self.trimmer).handlers,
            **MountRequests(filesystem, kernel, keeper).handlers,
        }
        """Handlers by opcode."""

    def _at_ends_of_verbs(self, mounts: ControlMounts | None) -> Callable[[], None] | None:
        """Return the function to call at the end of each turn of a verb; None for none."""
        note = self.prefetcher.note
        if not self.prefetcher.is_needed:
            return mounts.sweep if mounts is not None else None
        self.verbs.hydrator.on_missed = note
        if mounts is None:
            return note
        sweep = mounts.sweep

        def ended() -> None:
            sweep()
            note()

        return ended

    def _leave_opens(self) -> None:
        self._files.leave_opens()
        self.keeper.quiet_max = QUIET_MAX

    def _fail(self, error: StoreError) -> None:
        self.filesystem.failure = f"the mount is read-only since its store failed: {error}"
