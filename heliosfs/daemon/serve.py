"""Serving a repository at a mount point until it is unmounted."""

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

from heliosfs.daemon.auto_gc import Collector
from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.control_mounts import ControlMounts
from heliosfs.daemon.heap import use_one_heap
from heliosfs.daemon.indexer import Indexer
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.pretended_requests import PretendedRequests
from heliosfs.daemon.rare_requests import Operations
from heliosfs.daemon.service import Service
from heliosfs.daemon.verbs import Verbs
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import HeliosError
from heliosfs.fuse.connection import Connection
from heliosfs.fuse.dispatcher import Dispatcher
from heliosfs.fuse.handler import log_requests
from heliosfs.fuse.idle_cpus import DEVICE, IdleCpus, openable
from heliosfs.fuse.inner import InnerDevices
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.mounting import mount
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.tracing import traced
from heliosfs.mounttable import CONTROL_SUBTYPE, SUBTYPE
from heliosfs.pace import serve_here
from heliosfs.repo.repository import Repository
from heliosfs.vfs.filesystem import FileSystem

_COLLECTED_COUNTS = (2_000, 3, 100_000)
"""Thresholds of Python's cyclic garbage collector.  It holds up all requests while it looks at the
new objects: 2,000 take 0.4 ms.  Survivors are looked at once more, and then hardly ever again."""
_SWITCH_SECONDS = 0.00005
"""Longest time for which a thread that drains keeps the interpreter lock from a request."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MountOptions:
    """Options of `helios mount`."""

    mountpoint: str
    allow_other: bool = False
    xattr: bool = False
    shares_history: bool = False
    """True if other users may read the files under `.helios`, too."""
    is_helios_listed: bool | None = None
    """True if this mount lists `.helios`; None leaves it to the configuration."""
    are_opens_asked: bool = False
    """True if the daemon is asked to open files, also where the kernel could do that by itself."""
    debug: bool = False
    fsname: str = "heliosfs"


def serve(repository: Repository, options: MountOptions, on_ready: Callable[[], None]) -> None:
    """Mount and answer requests; return once unmounted, or after SIGTERM or SIGINT.

    `on_ready` is called when the mount answers.  All changes are saved before the return.
    Raise HeliosError if the mount fails.
    """
    fuse_options = _fuse_options(options, SUBTYPE)
    connection = Connection(mount(options.mountpoint, fuse_options), options.mountpoint)
    try:
        _serve(repository, connection, options, fuse_options, on_ready)
    finally:
        try:
            connection.end()
        finally:
            repository.close()


def _fuse_options(options: MountOptions, subtype: str) -> set[str]:
    """Return the options for fusermount3.

    The kernel is told to check permissions (`default_permissions`) unless only root can enter.
    Root would pass all checks except that for execution, which the kernel always makes.  Each
    create, rename and unlink then saves a GETATTR of the directory.
    """
    chosen = {f"fsname={options.fsname}", f"subtype={subtype}"}
    if options.allow_other:
        chosen.add("allow_other")
    if options.allow_other or os.geteuid() != 0:
        chosen.add("default_permissions")
    return chosen


def _can_split(options: MountOptions) -> bool:
    """Return True if there may be a mount inside of the workspace's.

    fusermount3 makes it, which is root for the kernel, and the mount of another user refuses root
    unless it lets others in (fuse_permissible_uidgid in fs/fuse/dir.c).
    """
    return not options.are_opens_asked and (os.geteuid() == 0 or options.allow_other)


def _serve(
    repository: Repository,
    connection: Connection,
    options: MountOptions,
    fuse_options: set[str],
    on_ready: Callable[[], None],
) -> None:
    filesystem = FileSystem(repository, options.is_helios_listed, is_shared=options.shares_history)
    loop = RequestLoop()
    idle_cpus = IdleCpus(loop, DEVICE if openable() else None)
    repository.configuration.follow(idle_cpus.apply)
    notices = Notices(connection.fd, filesystem.device_of)
    kernel = Kernel(loop, Barrier(options.mountpoint, connection.fd), notices)
    watchers = Watchers(repository, options.mountpoint, notices)
    inner = InnerDevices(loop, connection)
    mounts = None
    if _can_split(options):
        connection.is_opened_by_kernel = True
        inner_options = _fuse_options(options, CONTROL_SUBTYPE)
        mounts = ControlMounts(filesystem, kernel, inner, options.mountpoint, inner_options)
    service = Service(repository, filesystem, kernel, notices, watchers, mounts)
    handlers = service.handlers
    operations = Operations(filesystem, service.keeper, xattr=options.xattr)
    if options.debug:
        log_requests(Operations)
        handlers = traced(handlers)
    watchers.pretended_requests = PretendedRequests(filesystem, handlers)
    try:
        pyfuse3.init(operations, connection.device, fuse_options)
    except RuntimeError as error:
        raise HeliosError(f"cannot mount at {options.mountpoint}: {error}") from error
    try:
        if connection.begin():
            service.trimmer.prune = notices.prune
        ended = mounts.ended if mounts is not None else lambda _device: None
        hydrator = service.verbs.hydrator
        dispatcher = Dispatcher(
            connection, loop, handlers, inner, ended, hydrator.bring, hydrator.end
        )
        collector = Collector(repository, service.keeper, service.verbs.run_long)
        background = (
            service.keeper.run, service.trimmer.run, collector.run, watchers.run, kernel.run,
            Indexer(repository).run, idle_cpus.run, service.prefetcher.run,
        )  # fmt: skip
        trio.run(_main, dispatcher, background, service, kernel, mounts, on_ready)
    finally:
        pyfuse3.close()
        inner.end()
        loop.close()
        idle_cpus.close()


async def _main(
    dispatcher: Dispatcher,
    background: Iterable[Callable[[], Awaitable[None]]],
    service: Service,
    kernel: Kernel,
    mounts: ControlMounts | None,
    on_ready: Callable[[], None],
) -> None:
    _tune()
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, dispatcher, kernel, service.verbs)
        for work in background:
            nursery.start_soon(work)
        nursery.start_soon(_dispatch, dispatcher, nursery.cancel_scope)
        if mounts is not None:
            await nursery.start(mounts.run)
        on_ready()


async def _dispatch(dispatcher: Dispatcher, scope: trio.CancelScope) -> None:
    """Serve requests until the mount ends, and end everything else then."""
    await dispatcher.run()
    scope.cancel()


async def _stop_on_signal(
    dispatcher: Dispatcher,
    kernel: Kernel,
    verbs: Verbs,
    task_status: trio.TaskStatus[None],
) -> None:
    """End the mount on a signal, after the kernel has written its dirty pages back."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("stopping on signal %d", number)
            verbs.end()
            try:
                await kernel.last_barrier()
            except Exception:
                log.exception("the kernel's dirty pages are lost")
            dispatcher.stop()


def _tune() -> None:
    """Keep garbage collection and other threads of the interpreter from delaying requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_COUNTS)
    sys.setswitchinterval(_SWITCH_SECONDS)
    use_one_heap()
    serve_here()
    os.umask(0)
