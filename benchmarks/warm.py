"""Answers of the kernel from its caches, without us."""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.fileops import create
from benchmarks.filesystems import DISK
from benchmarks.measure import Action, Plan
from benchmarks.table import Peer, Row, figure_of
from benchmarks.worlds import Mount, mounted

_SIZE = 4096
_STOPPED_SECONDS = 10


def warm(plan: Plan) -> Iterator[Row]:
    """Answers of the kernel from its caches: the daemon is stopped meanwhile."""
    disk = plan.directory("warm-disk")
    with mounted(plan, "warm", None) as mount, ExitStack() as stack:
        for name, own, peer in zip(
            ("stat", "read 4 KB", "page fault in a mapping"),
            _warm_actions(mount.path / "file", stack),
            _warm_actions(disk / "file", stack),
            strict=True,
        ):
            own()
            taken, is_silent = _without_daemon(mount, plan, own)
            note = "the daemon was stopped meanwhile, so no request reached it"
            yield Row(
                "warm",
                f"{name}, warm",
                figure_of(taken),
                peers=(Peer(DISK.name, figure_of(plan.sample(peer, 200, batch=50))),),
                note=note if is_silent else "REQUESTS REACHED THE DAEMON",
            )


def _warm_actions(path: Path, stack: ExitStack) -> Iterator[Action]:
    """In this order: after a read, the kernel asks for attributes once."""
    create(str(path))
    yield lambda: os.stat(path)
    fd = os.open(path, os.O_RDWR)
    stack.callback(os.close, fd)
    yield lambda: os.pread(fd, _SIZE, 0)
    mapping = stack.enter_context(mmap.mmap(fd, _SIZE))

    def fault() -> int:
        mapping.madvise(mmap.MADV_DONTNEED)
        return mapping[0]

    yield fault


def _without_daemon(mount: Mount, plan: Plan, action: Action) -> tuple[list[float], bool]:
    """Samples taken while the daemon cannot answer, and whether that went well."""
    samples: list[float] = []
    thread = threading.Thread(
        target=lambda: samples.extend(plan.sample(action, 200, batch=50)), daemon=True
    )
    os.kill(mount.pid, signal.SIGSTOP)
    try:
        thread.start()
        thread.join(_STOPPED_SECONDS)
        is_silent = not thread.is_alive()
    finally:
        os.kill(mount.pid, signal.SIGCONT)
        thread.join()
    return samples, is_silent
