"""Gains and costs of polling, and costs of a mount that nobody uses."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.measure import Plan
from benchmarks.placement import FREE, PLACEMENTS, Placement
from benchmarks.programs import repeats, timed_program
from benchmarks.sources import write_c_project
from benchmarks.table import Figure, Peer, Row, Unit, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import Mount, make_repository, mounted, serving
from heliosfs.fuse.idle_cpus import openable

_REPEATS = 7
_QUICK_REPEATS = 3
_REQUEST_COUNT = 20_000
_IDLE_SECONDS = 10.0
_QUICK_IDLE_SECONDS = 3.0
_SETTLE_SECONDS = 2.0
"""After this, what was changed is saved and the loop sleeps."""
_IDLE_BUDGET = 0.01
_NOT_SLOWER = 1.05
"""Ratio by which two builds of the same differ on a quiet machine."""
_PAUSE_SECONDS = 0.0001
"""Between two requests of the client that has the loop poll as much as it can: until the next."""
_GAPS_US = (0, 100)
_PACED_COUNT = 500
_BUILD = ["make", "-s", "-j2"]


def idle(plan: Plan) -> Iterator[Row]:
    """Costs of a mount that nobody uses: CPU time, and a build on the disk beside it."""
    directory = plan.directory("idle")
    make_repository(directory, Tree(1_000))
    with serving(plan, directory) as mount:
        (mount.path / "changed").write_text("x")
        os.listdir(mount.path)
        time.sleep(_SETTLE_SECONDS)
        seconds = _QUICK_IDLE_SECONDS if plan.quick else _IDLE_SECONDS
        before = _cpu_seconds(mount)
        time.sleep(seconds)
        share = (_cpu_seconds(mount) - before) / seconds
    what = f"CPU time of an idle daemon, over {seconds:g} s"
    yield Row("idle", what, Figure(share, share, 1), Unit.SHARE, budget=_IDLE_BUDGET)
    if shutil.which("make") is None or shutil.which("gcc") is None:
        return
    beside: list[float] = []
    alone: list[float] = []
    for _ in range(repeats(plan, _REPEATS, _QUICK_REPEATS)):
        alone.append(_build(plan.directory("build")))
        with serving(plan, directory):
            beside.append(_build(plan.directory("build")))
    peer = Peer("no mount", figure_of(alone), _NOT_SLOWER)
    what = f"{' '.join(_BUILD)} on the disk, beside an idle mount"
    yield Row("idle", what, figure_of(beside), peers=(peer,))


def polling(plan: Plan) -> Iterator[Row]:
    """The loop with and without polling: requests a second, and a build that wants the CPUs."""
    for placement in PLACEMENTS:
        taken = _both(plan, placement, lambda mount: _requests_a_second(mount, plan))
        what = f"writes of 100 B to an open file: {placement.name}"
        yield _row(what, taken, Unit.PER_SECOND, 1.0 if placement is FREE else None)
    if openable():
        yield from _awake(plan)
    if shutil.which("make") is None or shutil.which("gcc") is None:
        return
    taken = _both(plan, FREE, lambda mount: _build(mount.path / "build"))
    yield _row(f"{' '.join(_BUILD)} in the workspace", taken, Unit.NS, _NOT_SLOWER)
    taken = _both(plan, FREE, lambda mount: _build_beside_requests(plan, mount))
    what = f"{' '.join(_BUILD)} on the disk, beside a request every {_PAUSE_SECONDS * 1e6:.0f} us"
    yield _row(what, taken, Unit.NS, _NOT_SLOWER)


def _awake(plan: Plan) -> Iterator[Row]:
    """Waits for a request while the daemon keeps idle CPUs awake, and while it does not."""
    with mounted(plan, "awake", None) as mount:
        for gap_us in _GAPS_US:
            taken: dict[str, list[float]] = {"true": [], "false": []}
            for _ in range(repeats(plan, _REPEATS, _QUICK_REPEATS)):
                # In turn, on one mount: what disturbs the machine disturbs both.
                for value, samples in taken.items():
                    mount.ask("config", f"set performance.keep_cpus_awake {value}")
                    samples += _paced_writes(mount.path / "file", plan.count(_PACED_COUNT), gap_us)
            awake, halting = (figure_of(samples) for samples in taken.values())
            what = f"write of 100 B, after {gap_us} us of the program's own work"
            yield Row("polling", what, awake, peers=(Peer("CPUs may halt", halting, 1.0),))


def _paced_writes(path: Path, count: int, gap_us: int) -> list[float]:
    """Nanoseconds of each write, between which the program computes for a while."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    samples: list[float] = []
    try:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.pwrite(fd, b"x" * 100, 0)
            ended = time.perf_counter_ns()
            samples.append(ended - began)
            while time.perf_counter_ns() - ended < gap_us * 1_000:
                pass
        return samples
    finally:
        os.close(fd)


def _both(
    plan: Plan, placement: Placement, measure: Callable[[Mount], float]
) -> dict[str, list[float]]:
    """The samples with polling and without, in turn, each with a mount of its own."""
    taken: dict[str, list[float]] = {"heliosfs.cli": [], "benchmarks.unpolled": []}
    for _ in range(repeats(plan, _REPEATS, _QUICK_REPEATS)):
        for module, samples in taken.items():
            with ExitStack() as stack:
                stack.enter_context(placement.mounting())
                mount = stack.enter_context(serving(plan, plan.directory("polling"), module))
                stack.enter_context(placement.measuring())
                samples.append(measure(mount))
    return taken


def _row(what: str, taken: dict[str, list[float]], unit: Unit, limit: float | None) -> Row:
    with_polling, without = (figure_of(samples) for samples in taken.values())
    return Row("polling", what, with_polling, unit, peers=(Peer("no polling", without, limit),))


def _requests_a_second(mount: Mount, plan: Plan) -> float:
    count = _REQUEST_COUNT // 5 if plan.quick else _REQUEST_COUNT
    fd = os.open(mount.path / "file", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        began = time.perf_counter()
        for _ in range(count):
            os.pwrite(fd, b"x" * 100, 0)
        return count / (time.perf_counter() - began)
    finally:
        os.close(fd)


def _build(directory: Path) -> float:
    """Nanoseconds of a build from sources that are new there."""
    directory.mkdir(exist_ok=True)
    write_c_project(directory)
    os.sync()
    return timed_program(_BUILD, directory)


def _build_beside_requests(plan: Plan, mount: Mount) -> float:
    with _requests(mount.path / "file"):
        return _build(plan.directory("build"))


@contextmanager
def _requests(path: Path) -> Iterator[None]:
    """Keep writing to a file, a little at a time with a pause after each, until the end."""
    ended = threading.Event()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

    def write() -> None:
        while not ended.is_set():
            os.pwrite(fd, b"x" * 100, 0)
            time.sleep(_PAUSE_SECONDS)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        os.close(fd)


def _cpu_seconds(mount: Mount) -> float:
    """Return the CPU time that all threads of the daemon have had: proc(5), `stat`."""
    fields = Path(f"/proc/{mount.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
