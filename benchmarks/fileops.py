"""File operations through a mount, beside the disk's own file system and C's passthrough."""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Action, Plan
from benchmarks.peers import PASSTHROUGH_OPTIONS, passthrough
from benchmarks.table import Peer, Row, figure_of
from benchmarks.worlds import Mount, mounted, serving

OURS = "heliosfs"
DISK = "the disk itself"
IN_C = "C passthrough"
_US = 1_000.0
_COUNT = 1_000
_DATA = b"x" * 4096
_APPENDED = b"y" * 100
_STOPPED_SECONDS = 10
_IN_C_LIMIT = 0.5


class Operation(NamedTuple):
    """What a program does to each of the files `root/0`, `root/1`, … in turn."""

    name: str
    run: Callable[[str], object]
    """Given the file's path."""
    budget_us: float | None
    note: str = ""


def _create(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(fd, _DATA)
    os.close(fd)


def _read(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 2 * len(_DATA))
    os.close(fd)


def _rename(path: str) -> None:
    os.rename(path, path + "-new")


def _stat(path: str) -> None:
    os.stat(path + "-new")


def _unlink(path: str) -> None:
    os.unlink(path + "-new")


PHASES = (
    (
        Operation("create, write 4 KB, close", _create, 110),
        Operation("open, read 4 KB, close, the first time", _read, None),
        Operation("open, read 4 KB, close, again", _read, 42),
        Operation("rename", _rename, 80),
    ),
    (
        Operation(
            "stat, cold",
            _stat,
            None,
            "every name for the first time since it was mounted; the disk's are in memory",
        ),
        Operation("unlink", _unlink, 55),
    ),
)
"""Between two phases everything is mounted anew."""


def files(plan: Plan) -> Iterator[Row]:
    """Create, read, append, rename, stat cold, unlink."""
    ours, disk, source = (plan.directory(f"files-{name}") for name in ("ours", "disk", "source"))
    count = plan.count(_COUNT)
    for number, phase in enumerate(PHASES):
        with ExitStack() as stack:
            stack.enter_context(serving(plan, ours))
            places: dict[str, Path | str] = {OURS: ours, DISK: disk}
            places[IN_C] = stack.enter_context(passthrough(plan, source))
            if number == 0:
                for place in places.values():
                    if isinstance(place, Path):
                        (place / "files").mkdir()
                taken = {name: _append(place, count) for name, place in places.items()}
                yield _row("append 100 B to an open file", taken, 20, "")
            for operation in phase:
                taken = {name: _run(operation, place, count) for name, place in places.items()}
                yield _row(operation.name, taken, operation.budget_us, operation.note)


def _run(operation: Operation, place: Path | str, count: int) -> list[float] | str:
    """The samples of an operation; where there is no place, the reason why."""
    if isinstance(place, str):
        return place
    action = operation.run
    samples: list[float] = []
    for number in range(count):
        path = f"{place}/files/{number}"
        began = time.perf_counter_ns()
        action(path)
        samples.append(time.perf_counter_ns() - began)
    return samples


def _append(place: Path | str, count: int) -> list[float] | str:
    if isinstance(place, str):
        return place
    fd = os.open(place / "appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    samples: list[float] = []
    try:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.write(fd, _APPENDED)
            samples.append(time.perf_counter_ns() - began)
    finally:
        os.close(fd)
    return samples


def _row(what: str, taken: dict[str, list[float] | str], budget_us: float | None, note: str) -> Row:
    own = taken[OURS]
    assert not isinstance(own, str)
    peers = (
        _peer(DISK, taken[DISK], None, ""),
        _peer(IN_C, taken[IN_C], _IN_C_LIMIT, f"libfuse's passthrough_ll, {PASSTHROUGH_OPTIONS}"),
    )
    budget = budget_us * _US if budget_us else None
    return Row("files", what, figure_of(own), budget=budget, peers=peers, note=note)


def _peer(name: str, taken: list[float] | str, limit: float | None, note: str) -> Peer:
    if isinstance(taken, str):
        return Peer(name, None, limit, taken)
    return Peer(name, figure_of(taken), limit, note)


def warm(plan: Plan) -> Iterator[Row]:
    """What the kernel answers from its caches: the daemon is stopped meanwhile."""
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
                peers=(Peer(DISK, figure_of(plan.sample(peer, 200, batch=50))),),
                note=note if is_silent else "REQUESTS REACHED THE DAEMON",
            )


def _warm_actions(path: Path, stack: ExitStack) -> Iterator[Action]:
    """In this order: after a read, the kernel asks for attributes once."""
    _create(str(path))
    yield lambda: os.stat(path)
    fd = os.open(path, os.O_RDWR)
    stack.callback(os.close, fd)
    yield lambda: os.pread(fd, len(_DATA), 0)
    mapping = stack.enter_context(mmap.mmap(fd, len(_DATA)))

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
