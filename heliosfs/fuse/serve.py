"""Serve a repository at a mount point until it is unmounted."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import pyfuse3
import trio

from heliosfs.errors import HeliosError, StoreError
from heliosfs.fuse.collector import Collector
from heliosfs.fuse.handler import log_requests
from heliosfs.fuse.handshake import Connection
from heliosfs.fuse.keeper import Keeper
from heliosfs.fuse.kernel import Kernel
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.memory import use_one_heap
from heliosfs.fuse.operations import Operations
from heliosfs.fuse.trimmer import Trimmer
from heliosfs.repo.repository import Repository
from heliosfs.store.pace import Pace
from heliosfs.vfs.filesystem import FileSystem

WORKERS_MIN = 2
WORKERS_MAX = 1_000_000
"""No bound: each waiting request keeps a worker, and one must be left to read the requests that
those wait for, however many processes wait at once."""
_SWITCH_SECONDS = 0.00005
"""How long a thread that drains may keep the interpreter from a request."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What `helios mount` was asked for."""

    mountpoint: str
    allow_other: bool = False
    xattr: bool = False
    debug: bool = False
    fsname: str = "heliosfs"


def serve(repository: Repository, options: MountOptions, on_ready: Callable[[], None]) -> None:
    """Mount and answer requests; return once unmounted, or after SIGTERM or SIGINT.

    `on_ready` is called when the mount answers.  Everything is saved before the return.
    HeliosError when it cannot be mounted.
    """
    filesystem = FileSystem(repository)
    loop = RequestLoop()
    kernel = Kernel(loop, options.mountpoint)

    def fail(error: StoreError) -> None:
        filesystem.failure = f"the mount is read-only since its store failed: {error}"

    keeper = Keeper(repository, kernel, fail)
    trimmer = Trimmer(filesystem, kernel)
    operations = Operations(filesystem, kernel, keeper, trimmer, xattr=options.xattr)
    collector = Collector(repository, keeper, operations.verbs.run_long)
    if options.debug:
        log_requests(Operations)
    pyfuse3.trio = loop  # type: ignore[attr-defined]
    connection = _mount(operations, options)
    if connection.can_prune:
        trimmer.prune = connection.prune
    loop.open_with(connection.open)
    try:
        background = (keeper.run, trimmer.run, collector.run)
        trio.run(_main, operations, background, kernel, on_ready)
    finally:
        try:
            connection.end()
            pyfuse3.close()
        finally:
            repository.close()


def _mount(operations: Operations, options: MountOptions) -> Connection:
    """Have the kernel check permissions, unless nobody but root can come in.

    Root passes every check but that of execution, which the kernel makes all the same; and the
    checks cost a getattr of the directory for each create, rename and unlink.
    """
    fuse_options = {f"fsname={options.fsname}", "subtype=heliosfs"}
    if options.allow_other:
        fuse_options.add("allow_other")
    if options.allow_other or os.geteuid() != 0:
        fuse_options.add("default_permissions")
    connection = Connection(options.mountpoint, fuse_options)
    try:
        pyfuse3.init(operations, connection.device, fuse_options)
        connection.offer()
    except BaseException as error:
        connection.end()
        if isinstance(error, RuntimeError):
            raise HeliosError(f"cannot mount at {options.mountpoint}: {error}") from error
        raise
    return connection


async def _main(
    operations: Operations,
    background: Iterable[Callable[[], Awaitable[None]]],
    kernel: Kernel,
    on_ready: Callable[[], None],
) -> None:
    _tune()
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, operations, kernel)
        for work in background:
            nursery.start_soon(work)
        on_ready()
        await pyfuse3.main(WORKERS_MIN, WORKERS_MAX)
        nursery.cancel_scope.cancel()


async def _stop_on_signal(
    operations: Operations, kernel: Kernel, task_status: trio.TaskStatus[None]
) -> None:
    """End the mount on a signal, with what the kernel still holds of shared mappings."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("stopping on signal %d", number)
            operations.verbs.end()
            try:
                await kernel.last_barrier()
            except Exception:
                log.exception("the kernel's dirty pages are lost")
            pyfuse3.terminate()


def _tune() -> None:
    """Keep the collector and the interpreter's thread switches from holding requests up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100_000)
    sys.setswitchinterval(_SWITCH_SECONDS)
    use_one_heap()
    Pace.is_shared = True
    os.umask(0)
