"""Taking samples: repeated calls and commands, bounded in number and in time."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

COMMAND_SECONDS = 120
"""Longest time that a command that is not measured may take."""
_SAMPLES_MIN = 5
_PACKAGES = ("pyfuse3", "trio", "lmdb", "blake3", "lz4")

Action = Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """Extent of the measurements, and their place."""

    scratch: Path
    """A directory of this run's own, on the disk that is measured."""
    quick: bool = False
    repeats: int | None = None
    """Samples for every figure, instead of the number that each asks for."""
    size_bytes: int | None = None
    """Size of the large file, instead of the size that each benchmark has."""
    file_count: int | None = None
    """Number of files in the large tree, instead of the number that the benchmark has."""
    memo: dict[object, object] = field(default_factory=dict)
    """Objects that several benchmarks share, made by the first that wants them."""

    def count(self, wanted: int) -> int:
        """Return the number of samples to take of something that asks for `wanted`."""
        if self.repeats is not None:
            return self.repeats
        return max(_SAMPLES_MIN, wanted // 5) if self.quick else wanted

    @property
    def seconds(self) -> float:
        """Time that the samples of one figure may take, once there are a few."""
        return 1.0 if self.quick else 4.0

    def directory(self, name: str) -> Path:
        """A new directory, whose name begins so."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def sample(
        self, action: Action, wanted: int, *, before: Action | None = None, batch: int = 1
    ) -> list[float]:
        """Nanoseconds for a call of `action`; `before` runs ahead of each sample, unmeasured.

        A sample is the mean of `batch` calls, for what takes no longer than reading the clock.
        """
        samples = []
        deadline = time.monotonic() + self.seconds
        for _ in range(self.count(wanted)):
            if before is not None:
                before()
            samples.append(_timed(action, batch))
            if len(samples) >= _SAMPLES_MIN and time.monotonic() > deadline:
                break
        return samples

    def sample_command(
        self, argv: Sequence[str], directory: Path, wanted: int, *, before: Action | None = None
    ) -> list[float]:
        """Nanoseconds of a command from its start to its end.  RuntimeError when it fails."""
        run = Command(argv).run
        with working_directory(directory):
            run()
            return self.sample(run, wanted, before=before)


def _timed(action: Action, batch: int) -> float:
    if batch == 1:
        began = time.perf_counter_ns()
        action()
        return time.perf_counter_ns() - began
    turns = range(batch)
    began = time.perf_counter_ns()
    for _ in turns:
        action()
    return (time.perf_counter_ns() - began) / batch


class Command:
    """A command started as cheaply as can be (posix_spawn), its output thrown away.

    `{n}` in a word becomes the number of the run.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = list(argv)
        self._runs = 0
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._actions = [(os.POSIX_SPAWN_DUP2, null, each) for each in (0, 1)]

    def run(self) -> None:
        """Run it once, in the current directory."""
        argv = [word.replace("{n}", str(self._runs)) for word in self._argv]
        self._runs += 1
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=self._actions)
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError(f"{' '.join(argv)} ended with status {status:#x}")


@contextmanager
def working_directory(path: Path) -> Iterator[None]:
    """Be in a directory; so that no mount stays busy, never for longer than needed."""
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(path)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def run(*argv: str, cwd: Path | None = None, stdin: bytes = b"") -> str:
    """Run a command that is not measured, and return its output.  CalledProcessError."""
    done = subprocess.run(
        argv, cwd=cwd, input=stdin, capture_output=True, check=True, timeout=COMMAND_SECONDS
    )
    return done.stdout.decode(errors="replace")


def disk_bytes(path: Path) -> int:
    """The disk that everything below a directory takes, as du(1) counts it."""
    total = 0
    for directory, names, files in os.walk(path):
        for name in (*names, *files):
            total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total


def environment(plan: Plan) -> dict[str, object]:
    """Return the environment of the figures: without it they mean nothing."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _line_of("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "placement": "free: client and daemon run wherever the scheduler puts them",
        "load_average": os.getloadavg()[0],
        "disk": run("stat", "-f", "-c", "%T", str(plan.scratch)).strip(),
        "python": platform.python_version(),
        "git": run("git", "--version").split()[-1],
        "libfuse": run("fusermount3", "--version").split()[-1],
        "packages": {name: version(name) for name in _PACKAGES},
        "quick": plan.quick,
        "repeats": plan.repeats,
    }


def _line_of(path: str, key: str) -> str:
    for line in Path(path).read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
