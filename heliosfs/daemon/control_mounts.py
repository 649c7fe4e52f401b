"""The mounts of the control files: one in the workspace, and one in each live view that is used.

In the workspace's own connection the kernel opens files by itself, for which it must not be asked
anything about opens.  Control files and texts need their opens.  So they are in connections of
their own, which are mounted inside the workspace by the same daemon.

That of the workspace is there before the daemon says that it is ready.  That of a live view is
begun when the view is first looked up.  Until it is there, programs find an empty mount point.  Who
looks up a name in it is refused with ESTALE, on which the kernel walks the whole path again
(`retry_estale` in fs/namei.c).  It must not wait there, since it holds the lock of the directory
that mount(2) takes.  On its second way the kernel looks the mount point up again without a lock
(`d_revalidate`), and that look-up waits until the mount is there.  The first one never does: it may
be that of the thread that mounts, or one for which that thread waits.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Collection
from functools import partial
from weakref import WeakValueDictionary

import trio

from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import HeliosError, NotFound, PosixError
from heliosfs.fuse.device import Device
from heliosfs.fuse.inner import InnerDevices
from heliosfs.fuse.mounting import is_connected, mount_inside, share, unmount_inside
from heliosfs.mounttable import Mount, mount_at, mounts
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.virtual import MountPoint

_PATIENCE_SECONDS = 10.0
"""Longest wait of a program for a mount, which takes 1 to 3 ms, and 5 if fusermount3 makes it."""
_END_SECONDS = 1.0
"""Longest wait for the news that a mount has ended."""
_REFUSED_MAX = 1000
_AGAIN_SECONDS = 1.0
"""Time after a mount that failed before another is tried."""

log = logging.getLogger(__name__)


class _State:
    """The mount at one mount point, from its beginning until it is gone."""

    def __init__(self) -> None:
        self.device: Device | None = None
        """None while it is not there yet, or if it failed."""
        self.mount: Mount | None = None
        self.place = b""
        """Path of the mount below the workspace."""
        self.is_decided = trio.Event()
        self.is_abandoned = False
        """True if the view was closed while the mount was being made.  Another view of the branch
        may be at its path when it is done."""
        self.has_ended = trio.Event()
        self.failed_at = 0.0
        self.refused: set[int] = set()
        """Threads that were sent back to walk their paths again."""


class ControlMounts:
    """Owner of the mounts inside of a workspace's mount."""

    def __init__(
        self,
        filesystem: FileSystem,
        kernel: Kernel,
        inner: InnerDevices,
        mountpoint: str,
        options: Collection[str],
    ) -> None:
        self._filesystem = filesystem
        self._kernel = kernel
        self._inner = inner
        self._mountpoint = os.fsencode(mountpoint)
        self._options = options
        self._states: dict[MountPoint, _State] = {}
        self._paths: WeakValueDictionary[bytes, trio.Lock] = WeakValueDictionary()
        """Locks by which one mount at a time is made, or taken back, at a path."""
        self._leaving: dict[bytes, trio.Event] = {}
        """Events by path, set once a mount there that nobody wants any more is gone."""
        self._served: set[Device] = set()
        """Devices of mounts that are there, or are being taken back."""
        self._stale: set[int] = set()
        """Threads that were in a mount whose view had been closed, and walk their paths again."""
        self._nursery: trio.Nursery | None = None
        self.is_decided = trio.Event()
        """Event that is set once the workspace's mount is there, or failed."""
        self.on_split: Callable[[], None] = lambda: None
        """Function to call when it is there."""
        filesystem.site.is_split = True
        filesystem.dot.on_shown = self.want

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Make the workspace's mount; then make and end those of live views until cancelled.

        If there can be none, show the control files in the workspace's own mount.
        """
        async with trio.open_nursery() as self._nursery:
            filesystem = self._filesystem
            await trio.to_thread.run_sync(share, os.fsdecode(self._mountpoint))
            root = filesystem.dot.mount_point(filesystem.repository.root.workspace)
            if await self._is_there(root):
                self.on_split()
            else:
                filesystem.site.is_split = False
            self.is_decided.set()
            if filesystem.site.is_split:
                # Before the first program: the kernel learns from the answer to an OPEN that it is
                # to open files itself, and would until then send a RELEASE for each one created.
                readme = os.path.join(self._mountpoint, DOT_HELIOS, b"README")
                await trio.to_thread.run_sync(_open_once, readme, abandon_on_cancel=True)
            task_status.started()
            await trio.sleep_forever()

    def want(self, point: MountPoint) -> None:
        """Begin the mount of a live view, unless it is there or has just failed: 0.2 us."""
        state = self._states.get(point)
        if state is None or (
            state.failed_at and trio.current_time() > state.failed_at + _AGAIN_SECONDS
        ):
            assert self._nursery is not None
            self._states[point] = state = _State()
            self._nursery.start_soon(self._mount, point, state)

    def enter(self, point: MountPoint, pid: int) -> None:
        """Send a thread back that looked up a name where the mount is to lie.

        Return if the control files are shown there.  Fail with ESTALE for a thread that shall walk
        its path again, with ENODEV if there is no mount on its way.
        """
        self.want(point)
        if not point.is_covered:
            return
        state = self._states[point]
        has_failed = state.is_decided.is_set() and state.device is None
        if has_failed or pid in state.refused:
            # In the second case it came again the same way: its mount namespace has no such mount,
            # or it stands in the directory beneath.
            state.refused.discard(pid)
            raise PosixError(errno.ENODEV)
        if len(state.refused) >= _REFUSED_MAX:
            state.refused.clear()
        state.refused.add(pid)
        raise PosixError(errno.ESTALE)

    def was_sent_back(self, pid: int) -> bool:
        """Return True once for a thread that `enter` has sent back: the kernel does so only once.

        A second ESTALE on the same way would reach the program.
        """
        if pid in self._stale:
            self._stale.discard(pid)
            return True
        for state in self._states.values():
            if pid in state.refused:
                state.refused.discard(pid)
                return True
        return False

    def note_stale(self, ino: int, pid: int) -> None:
        """Note that a thread got ESTALE in a directory, if that is the root of a mount.

        It lay where that of the next view of the same branch is to lie, and was taken back.
        """
        if any(each.root == ino for each in self._served):
            if len(self._stale) >= _REFUSED_MAX:
                self._stale.clear()
            self._stale.add(pid)

    def holds(self, point: MountPoint, pid: int) -> bool:
        """Return True if a thread that looks up the mount point is to wait for the mount.

        Costs 1 ms for a thread that was sent back from a mount point whose mount was there.
        """
        state = self._states.get(point)
        if state is None or not (pid in state.refused or pid in self._stale):
            return False
        if not state.is_decided.is_set():
            return True
        # The kernel drops it with the old name of a branch, and tells of it a little later.
        device = None if state.mount is None else state.mount.device
        return state.device is not None and all(each.device != device for each in mounts())

    async def hold(self, point: MountPoint) -> None:
        """Wait for the mount, or until it should have been there."""
        with trio.move_on_after(_PATIENCE_SECONDS):
            before = self._states.get(point)
            if before is not None and before.device is not None:
                with trio.move_on_after(_END_SECONDS):
                    await before.has_ended.wait()
                self.want(point)
                self._states[point].refused |= before.refused
            await self._is_there(point)

    async def _is_there(self, point: MountPoint) -> bool:
        """Wait for the mount, which is begun if need be; return True if it is there."""
        self.want(point)
        state = self._states[point]
        with self._kernel.waiting():
            await state.is_decided.wait()
        return state.device is not None

    async def _mount(self, point: MountPoint, state: _State) -> None:
        try:
            await self._mount_where_it_is(point, state)
        except HeliosError as error:
            if not isinstance(error, NotFound):
                log.warning("the control files have no mount of their own: %s", error)
            state.failed_at = trio.current_time()
        finally:
            state.is_decided.set()
        # The view may have gone meanwhile.
        self.sweep()

    async def _mount_where_it_is(self, point: MountPoint, state: _State) -> None:
        is_again = False
        while True:
            # One that is to go from this path must not be on top, nor beneath.
            self.sweep()
            place = point.place()
            path = os.fsdecode(os.path.join(self._mountpoint, place))
            making = partial(_mount, path, self._options)
            async with self._paths.setdefault(place, trio.Lock()):
                while place in self._leaving:
                    await self._leaving[place].wait()
                try:
                    fd, made = await trio.to_thread.run_sync(making, abandon_on_cancel=True)
                except HeliosError:
                    # The branch may have been renamed meanwhile, or have been shown elsewhere for
                    # a moment.  If it is gone, this is NotFound.
                    if point.place() == place and is_again:
                        raise
                    is_again = True
                    continue
                # Even if it is taken back: a program may have entered it.
                device = self._inner.add(fd, point.control.ino)
                self._served.add(device)
                point.control.site.fd = fd
                if not state.is_abandoned:
                    state.device, state.mount, state.place = device, made, place
                    return
                # Before the next view mounts at the same path, whose mount would lie on this one.
                await self._leave(place, os.dup(fd), made)
            if not point.is_fixed:
                raise NotFound("the view has another mount point now")
            # It is shown here again: the kernel has dropped the mount with the name, or will.
            state.is_abandoned = False

    def ended(self, device: Device) -> None:
        """Note that a mount was unmounted, and that nobody uses it any more."""
        self._served.discard(device)
        for point, state in list(self._states.items()):
            if state.device is device:
                del self._states[point]
                state.has_ended.set()
        self._filesystem.dot.unmounted(device.fd)
        if self._nursery is not None:
            self._nursery.start_soon(self._kernel.close_device, device.fd)

    def sweep(self) -> None:
        """Unmount those of live views that are no longer open: 1 us."""
        for point, state in list(self._states.items()):
            try:
                point.place()
            except NotFound:
                if not state.is_decided.is_set():
                    # It is being made, and taken back after that.
                    state.is_abandoned = True
                    continue
                del self._states[point]
                if state.device is not None and self._nursery is not None:
                    # The kernel may end the mount at any time, with which the descriptor is closed.
                    fd = os.dup(state.device.fd)
                    self._leaving[state.place] = trio.Event()
                    self._nursery.start_soon(self._leave, state.place, fd, state.mount)

    async def _leave(self, place: bytes, fd: int, made: Mount | None) -> None:
        """Unmount what was mounted at a path, and close a descriptor of its device."""
        try:
            await trio.to_thread.run_sync(_unmount, fd, made)
        finally:
            leaving = self._leaving.pop(place, None)
            if leaving is not None:
                leaving.set()


def _open_once(path: bytes) -> None:
    """Open and close a file of the workspace's mount, whatever comes of it."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY))


def _mount(path: str, options: Collection[str]) -> tuple[int, Mount | None]:
    """Mount; return the descriptor and the line of the mount table.  Raise HeliosError."""
    return mount_inside(path, options), mount_at(path)


def _unmount(fd: int, made: Mount | None) -> None:
    """Unmount a file system wherever it is mounted, and close a descriptor of its device.

    The way to the mount point may have become invalid.  The kernel detaches what is below when a
    process walks it; so the mount may be gone by then, and its number be that of another one.
    """
    table = mounts() if made is not None else []
    # It is looked up in this order: a number is given away once its mount has ended.
    if is_connected(fd):
        for each in table:
            if made is not None and each.device == made.device:
                unmount_inside(each.path)
    os.close(fd)
