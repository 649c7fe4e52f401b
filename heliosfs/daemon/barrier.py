"""The barrier: a call of syncfs(2), on a thread, that fetches the kernel's dirty pages.

Mostly there is none, and syncfs takes a microsecond.  Then what costs is the way to a thread and
back.  So the loop does not leave the task: it wakes the thread, and sleeps until the thread is done
or a request comes, 10 us.  If a request comes, which may be one of the pages, the loop serves on,
and the task waits as for any other thread.

A commit mostly need not even wait.  Its message comes in one request, and the end of it in another.
Between the two, while the answer is on its way to the program and back, the thread is let run
(`begin`): it runs on the CPU of the loop, which has nothing else to do then.  The second request
finds the barrier done, and asks only if a page is still to be read (`has_fetched`).  A store before
the message was written is fetched so; one after it counts for this commit only by chance, as it
always did.

Linux no longer waits in syncfs for the answers of a FUSE daemon (since 6.18,
AS_NO_DATA_INTEGRITY in fs/fs-writeback.c): when it returns, the pages have been sent, behind other
requests.  So the barrier ends when no request is left to read.  For the same reason syncfs mostly
reports the refusal of a page one barrier too late, and to whom it does not concern, since it has
one error for the whole mount.  So the handler notes here which pages it refuses, and syncfs is
only believed about errors that are not ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import threading
import time
from typing import Protocol

import trio

from heliosfs.errors import StoreError
from heliosfs.fuse.loop import HandoffLock
from heliosfs.vfs.control_request import BegunBarrier

_PATIENCE_MS = 1
"""Time for which the loop itself waits for the thread while no request comes."""
_PASSES_MAX = 200
"""Passes of the loop, each with up to 64 requests, after which no page can still be among them."""
_ROOM_SECONDS = 0.001
AHEAD_NS = 1_000_000
"""Longest time between `begin` and the request that wants the barrier.  After a longer one the
barrier runs anew, since a person or a slow program may have stored much meanwhile."""
_libc = ctypes.CDLL(None, use_errno=True)


class BarrierObserver(Protocol):
    """Object that is told of each barrier."""

    def barrier_begun(self, number: int) -> None:
        """Note that a barrier begins; the numbers grow."""

    def barrier_ended(self, number: int) -> None:
        """Note that the kernel has sent all pages that were dirty when the barrier began."""


class Barrier:
    """Runner of barriers for one mount, one at a time.

    Tasks that ask while one runs share the next.
    """

    def __init__(self, mountpoint: str, device: int) -> None:
        """Sync the mount at `mountpoint`; look out for requests at the descriptor `device`."""
        self._mountpoint = mountpoint
        self._device = device
        self.observer: BarrierObserver | None = None
        self._lock = HandoffLock()
        self._begun = self._ended = self._failed = 0
        """Numbers of the last barrier that was asked for, that is over, and that failed."""
        self._synced = 0
        """Number of the last barrier of which syncfs has returned; the thread sets it."""
        self._is_awaited = False
        """True if the thread is to tell when it is done."""
        self._is_running = False
        self._is_over = False
        self._error = 0
        self._refusals: set[int] = set()
        self._lost = 0
        self._asked = self._done = -1
        self._thread_id = 0
        self._cpu = -1
        """CPU that the thread runs on; -1 while it may run on any."""
        self._poller = select.poll()
        self._requests = select.poll()
        self.waiting_writes = 0
        """Number of writes that wait for room; the kernel sends a limited number at once."""

    def note_refusal(self, code: int, *, is_lost: bool) -> None:
        """Note that a page is refused with the error `code`.

        With `is_lost`, it belongs to a tree that can be committed: the barrier that fetches it
        fails.  Other pages, of snapshots and deleted branches, are no business of any verb.
        """
        self._refusals.add(code)
        if is_lost:
            self._lost = code

    def begin(self) -> BegunBarrier:
        """Let the thread begin a barrier for a request that is about to come: 2 us."""
        number = self._begun + 1 if self._is_over else self._ask()
        return BegunBarrier(number, time.monotonic_ns())

    def is_busy(self, begun: BegunBarrier) -> bool:
        """Return True while the thread is not done with a barrier that began ahead."""
        return self._synced < begun.number

    def has_fetched(self, begun: BegunBarrier) -> bool:
        """Return True if a barrier that began ahead is over: 2 us.  If not, `run` ends it."""
        if (
            self.is_busy(begun)
            or begun.number <= self._failed
            or self._is_running
            or self._is_over
            or self._error
            or self._lost
            or self.waiting_writes
            or time.monotonic_ns() - begun.at_ns > AHEAD_NS
            or self._requests.poll(0)
        ):
            return False
        self._end(begun.number)
        return True

    async def run(self, begun: BegunBarrier | None = None) -> None:
        """Fetch all pages that are dirty now: 10 us if there is none.  Raise StoreError.

        With `begun`, that barrier will do, unless it began long ago.  The pages arrive as write
        requests, which the loop serves while this waits.
        """
        needed = self._begun + 1
        if begun is not None and time.monotonic_ns() - begun.at_ns <= AHEAD_NS:
            needed = begun.number
        async with self._lock:
            if self._ended >= needed:
                return
            if self._is_over:
                await trio.sleep_forever()
            self._is_running = True
            try:
                # The thread cannot be stopped, and its answer is for this call alone.
                with trio.CancelScope(shield=True):
                    await self._run(needed)
            finally:
                self._is_running = False

    async def run_last(self) -> None:
        """Run a barrier; each later one waits until it is cancelled, as its writes are not served.

        Raise StoreError.
        """
        await self.run()
        self._is_over = True

    async def _run(self, needed: int) -> None:
        # One that failed is not done for those who share it.
        number = needed if self._failed < needed <= self._begun else self._ask()
        await self._wait(number)
        error, self._error = self._error, 0
        if error and error not in self._refusals:
            self._failed = self._synced
            raise _failed(error)
        await self._serve_sent()
        lost, self._lost = self._lost, 0
        if lost:
            self._failed = self._synced
            raise _failed(lost)
        self._end(number)

    def _ask(self) -> int:
        """Wake the thread; return the number of the barrier that it begins."""
        if self._asked < 0:
            self._begin()
        self._begun += 1
        if self.observer is not None:
            self.observer.barrier_begun(self._begun)
        self._stay_near()
        os.eventfd_write(self._asked, 1)
        return self._begun

    async def _wait(self, number: int) -> None:
        """Wait until the thread has done what it was asked for."""
        # Set before the first look, as the thread looks at it after it has set the number.
        self._is_awaited = True
        while self._synced < number:
            found = self._poller.poll(_PATIENCE_MS)
            if not any(fd == self._done for fd, _ in found):
                await trio.lowlevel.wait_readable(self._done)
            # It may also tell of an earlier one, of which nobody had to be told any more.
            os.eventfd_read(self._done)
        self._is_awaited = False

    def _end(self, number: int) -> None:
        self._ended = max(self._ended, number)
        if self.observer is not None:
            self.observer.barrier_ended(number)

    async def _serve_sent(self) -> None:
        """Let the workers serve the requests that have been sent."""
        passes = 0
        while passes < _PASSES_MAX and (self.waiting_writes or self._requests.poll(0)):
            if self.waiting_writes:
                await trio.sleep(_ROOM_SECONDS)
            else:
                await trio.lowlevel.checkpoint()
                passes += 1

    def _begin(self) -> None:
        self._asked = os.eventfd(0, os.EFD_CLOEXEC)
        self._done = os.eventfd(0, os.EFD_CLOEXEC)
        for fd in (self._done, self._device):
            self._poller.register(fd, select.POLLIN)
        self._requests.register(self._device, select.POLLIN)
        threading.Thread(target=self._work, name="barrier", daemon=True).start()

    def _stay_near(self) -> None:
        """Have the thread run on the CPU of the loop, which sleeps meanwhile: 2 us.

        To wake another CPU, and to be woken by it, takes longer than all that the thread does.
        """
        cpu = _libc.sched_getcpu()
        if cpu != self._cpu and self._thread_id:
            self._cpu = cpu
            # Where CPUs are not ours to choose, the scheduler chooses.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(self._thread_id, {cpu})

    def _work(self) -> None:
        self._thread_id = threading.get_native_id()
        while True:
            os.eventfd_read(self._asked)
            number = self._begun
            try:
                _syncfs(self._mountpoint)
            except OSError as error:
                self._error = error.errno or errno.EIO
            self._synced = number
            if self._is_awaited:
                os.eventfd_write(self._done, 1)


def _syncfs(mountpoint: str) -> None:
    # Not kept open, or the mount would be busy when it is to be unmounted.
    fd = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)


def _failed(code: int) -> StoreError:
    return StoreError(f"the kernel could not write back its pages: {os.strerror(code)}")
