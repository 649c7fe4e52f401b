"""File operations, one at a time, on file systems side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.filesystems import ALL, IN_C, OURS
from benchmarks.lineup import Lineup, lineup
from benchmarks.measure import Plan
from benchmarks.placement import FREE, PLACEMENTS, Placement
from benchmarks.table import Row

ROUNDS = 5
"""Each in new directories, with everything mounted anew."""
_US = 1_000.0
_COUNT = 1_000
_DATA = b"x" * 4096
_APPENDED = b"y" * 100
_IN_C_LIMIT = 0.5


class Operation(NamedTuple):
    """Operation of a program on the files `0`, `1`, … of a directory."""

    name: str
    sample: Callable[[Path, int], list[float]]
    """Given the directory and how many files; nanoseconds for each."""
    budget_us: float | None = None
    note: str = ""


Taken = dict[str, dict[str, list[float]]]
"""Samples by operation and file system."""


def _each(action: Callable[[str], object]) -> Callable[[Path, int], list[float]]:
    """The samples of what is done to one file after the other, by their paths."""

    def sample(directory: Path, count: int) -> list[float]:
        samples: list[float] = []
        for number in range(count):
            path = f"{directory}/{number}"
            began = time.perf_counter_ns()
            action(path)
            samples.append(time.perf_counter_ns() - began)
        return samples

    return sample


def create(path: str) -> None:
    """Make a file of 4 KB."""
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


def _append(directory: Path, count: int) -> list[float]:
    fd = os.open(directory / "appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    samples: list[float] = []
    try:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.write(fd, _APPENDED)
            samples.append(time.perf_counter_ns() - began)
    finally:
        os.close(fd)
    return samples


APPEND = Operation("append 100 B to an open file", _append, 20)
CREATE = Operation("create, write 4 KB, close", _each(create), 110)
READ = Operation("open, read 4 KB, close, the first time", _each(_read))
READ_AGAIN = Operation("open, read 4 KB, close, again", _each(_read), 42)
RENAME = Operation("rename", _each(_rename), 80)
STAT = Operation(
    "stat, cold",
    _each(_stat),
    note="every name for the first time since it was mounted; the disk's are in memory",
)
UNLINK = Operation("unlink", _each(_unlink), 55)


def files(plan: Plan) -> Iterator[Row]:
    """Create, read, append, rename, stat cold, unlink: one at a time, beside five others."""
    phases = ((APPEND, CREATE, READ, READ_AGAIN, RENAME), (STAT, UNLINK))
    with lineup(plan, ALL) as lined:
        taken = _measure(lined, phases, max(1, plan.count(_COUNT) // ROUNDS))
        for operation in (each for phase in phases for each in phase):
            yield lined.row(
                "files",
                operation.name,
                taken[operation.name],
                budget=operation.budget_us * _US if operation.budget_us else None,
                limits={IN_C.name: _IN_C_LIMIT},
                note=operation.note,
            )


def placement(plan: Plan) -> Iterator[Row]:
    """Four of the operations: placed freely, all on one CPU, and with every CPU busy."""
    phases = ((APPEND, CREATE, READ, READ_AGAIN, RENAME), (STAT,))
    count = max(1, plan.count(_COUNT) // (2 * ROUNDS))
    for where in PLACEMENTS:
        with lineup(plan, (OURS, IN_C)) as lined, where.mounting():
            taken = _measure(lined, phases, count, where)
            for operation in (STAT, READ_AGAIN, CREATE, APPEND):
                what = f"{operation.name}: {where.name}"
                yield lined.row("placement", what, taken[operation.name])


def _measure(
    lined: Lineup,
    phases: tuple[tuple[Operation, ...], ...],
    count: int,
    where: Placement = FREE,
) -> Taken:
    """`count` samples a round; between two phases everything is mounted anew."""
    taken: Taken = {operation.name: {} for phase in phases for operation in phase}
    for turn in range(ROUNDS):
        for phase in phases:
            with lined.mounted() as places, where.measuring():
                directories = {name: place / f"round-{turn}" for name, place in places.items()}
                for directory in directories.values():
                    directory.mkdir(exist_ok=True)
                for operation in phase:
                    for name, directory in directories.items():
                        samples = operation.sample(directory, count)
                        taken[operation.name].setdefault(name, []).extend(samples)
    return taken
