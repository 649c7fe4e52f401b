"""One large file, written and read in sequence and at random, on file systems side by side."""

from __future__ import annotations

import os
import random
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.filesystems import DISK, IN_C, OURS
from benchmarks.lineup import Lineup, lineup
from benchmarks.measure import Plan
from benchmarks.programs import repeats
from benchmarks.table import Row, Unit

GIB = 1 << 30
_STEP = 1 << 20
_PAGE = 4096
_SIZE = 4 * GIB
_QUICK_SIZE = GIB // 4
_RANDOM_COUNT = 2_000
_POOL_BYTES = 16 << 20
_STRIDE = 4_099
"""Bytes between two: odd, so that parts of 128 KiB are alike after 131,072 of them only."""
_CALM_SECONDS = 3.0
_CALM_BYTES = 200e6
"""Bytes for which a second more passes between the writes and the reads."""
_TURN_COUNT = 16_384
"""Mebibytes from the first of a turn to that of the next: more than a half has."""
_REPEATS = 5
_QUICK_REPEATS = 1
_LIMITS = {IN_C.name: 1.0}
_COLD = (
    "cold: unmounted, what lies beneath dropped from the page cache, mounted again; so that no "
    "one has anything in memory but what the disk's own hardware keeps"
)

Taken = dict[str, dict[str, list[float]]]


class Content:
    """Content of a half of the file: 1 MiB after the other, all of them different."""

    def __init__(self, name: str, pool: bytes | memoryview, first: int = 0) -> None:
        self.name = name
        self._pool = memoryview(pool)
        self._first = first

    def in_turn(self, turn: int) -> Content:
        """The same kind, but no bytes that another turn has: a store would know them."""
        return Content(self.name, self._pool, turn * _TURN_COUNT)

    def mebibyte(self, number: int) -> memoryview:
        """The bytes of that number; costs nothing."""
        at = (self._first + number) * _STRIDE % (len(self._pool) - _STEP)
        return self._pool[at : at + _STEP]


def contents() -> tuple[Content, Content]:
    """Bytes that cannot be compressed, and the source text of the standard library."""
    dice = random.Random(1)
    root = Path(sysconfig.get_paths()["stdlib"])
    source = b"".join(path.read_bytes() for path in sorted(root.rglob("*.py"))[:2_000])
    source *= -(-_POOL_BYTES // len(source))
    return (
        Content("incompressible", dice.randbytes(_POOL_BYTES)),
        Content("source text", source[:_POOL_BYTES]),
    )


def write(path: Path, content: Content, offset: int, size_bytes: int) -> float:
    """Fill a part of a file in steps of 1 MiB, and close it; return nanoseconds."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    began = time.perf_counter_ns()
    try:
        os.lseek(fd, offset, os.SEEK_SET)
        for number in range(size_bytes // _STEP):
            if os.write(fd, content.mebibyte(number)) != _STEP:
                raise RuntimeError(f"a short write to {path}")
    finally:
        os.close(fd)
    return time.perf_counter_ns() - began


def read(path: Path, content: Content, offset: int, size_bytes: int) -> float:
    """Read what `write` wrote; RuntimeError when it is something else.  Return nanoseconds."""
    fd = os.open(path, os.O_RDONLY)
    buffer = bytearray(_STEP)
    took = 0
    try:
        os.lseek(fd, offset, os.SEEK_SET)
        for number in range(size_bytes // _STEP):
            began = time.perf_counter_ns()
            length = os.readv(fd, [buffer])
            took += time.perf_counter_ns() - began
            if length != _STEP or buffer != content.mebibyte(number):
                raise RuntimeError(f"{path} does not hold what was written")
    finally:
        os.close(fd)
    return took


def large(plan: Plan) -> Iterator[Row]:
    """A file of 4 GiB (--size), in sequence and at random, beside the disk and C passthrough."""
    size_bytes = plan.size_bytes or (_QUICK_SIZE if plan.quick else _SIZE)
    half = size_bytes // 2 // _STEP * _STEP
    kinds = contents()
    rates: Taken = {}
    waits: Taken = {}
    with lineup(plan, (OURS, DISK, IN_C)) as lined:
        for turn in range(repeats(plan, _REPEATS, _QUICK_REPEATS)):
            filled = tuple(each.in_turn(turn) for each in kinds)
            _write_all(lined, filled, half, rates)
            _read_all(lined, filled, half, rates)
            _at_random(lined, 2 * half, turn, waits)
        size = f"{2 * half / GIB:g} GiB"
        for what, taken in rates.items():
            yield lined.row(
                "large",
                f"{what} of {size}",
                taken,
                unit=Unit.BYTES_PER_SECOND,
                limits=_LIMITS,
                note=_COLD if "cold" in what else "",
            )
        for what, taken in waits.items():
            yield lined.row("large", f"{what} {size}", taken, note=_COLD if "cold" in what else "")


def _keep(taken: Taken, what: str, name: str, samples: list[float]) -> None:
    taken.setdefault(what, {}).setdefault(name, []).extend(samples)


def _rate(size_bytes: int, took_ns: float) -> list[float]:
    return [size_bytes * 1e9 / took_ns]


def _write_all(lined: Lineup, filled: tuple[Content, ...], half: int, rates: Taken) -> None:
    with lined.mounted() as places:
        for name, place in places.items():
            (place / "large").unlink(missing_ok=True)
            os.sync()
            for at, content in enumerate(filled):
                took = write(place / "large", content, at * half, half)
                what = f"write, {content.name} half"
                _keep(rates, what, name, _rate(half, took))
                began = time.perf_counter_ns()
                fd = os.open(place / "large", os.O_WRONLY)
                os.fsync(fd)
                os.close(fd)
                took += time.perf_counter_ns() - began
                _keep(rates, f"{what} and fsync", name, _rate(half, took))
        # What was left for later when it was written is done now.
        time.sleep(_CALM_SECONDS + 2 * half / _CALM_BYTES)


def _read_all(lined: Lineup, filled: tuple[Content, ...], half: int, rates: Taken) -> None:
    _forget(lined)
    with lined.mounted() as places:
        for name, place in places.items():
            for at, content in enumerate(filled):
                took = read(place / "large", content, at * half, half)
                _keep(rates, f"read cold, {content.name} half", name, _rate(half, took))


def _at_random(lined: Lineup, size_bytes: int, turn: int, waits: Taken) -> None:
    _forget(lined)
    dice = random.Random(turn)
    offsets = [dice.randrange(size_bytes // _PAGE) * _PAGE for _ in range(_RANDOM_COUNT)]
    with lined.mounted() as places:
        for name, place in places.items():
            fd = os.open(place / "large", os.O_RDWR)
            try:
                taken = [_timed_read(fd, offset) for offset in offsets]
                _keep(waits, "read 4 KB at random, cold, in", name, taken)
                data = [dice.randbytes(_PAGE) for _ in offsets]
                taken = [_timed_write(fd, *each) for each in zip(offsets, data, strict=True)]
                _keep(waits, "write 4 KB at random in", name, taken)
            finally:
                os.close(fd)


def _timed_read(fd: int, offset: int) -> float:
    began = time.perf_counter_ns()
    os.pread(fd, _PAGE, offset)
    return time.perf_counter_ns() - began


def _timed_write(fd: int, offset: int, data: bytes) -> float:
    began = time.perf_counter_ns()
    os.pwrite(fd, data, offset)
    return time.perf_counter_ns() - began


def _forget(lined: Lineup) -> None:
    """Drop the pages of everything in the sources, none of which is mounted."""
    os.sync()
    for source in lined.sources.values():
        for directory, _, names in os.walk(source):
            for name in names:
                fd = os.open(os.path.join(directory, name), os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
