"""Real programs, from start to end, on file systems side by side."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.filesystems import ALL, DISK, IN_C, OURS
from benchmarks.lineup import lineup
from benchmarks.measure import COMMAND_SECONDS, Plan, run
from benchmarks.sources import Sources, sources
from benchmarks.table import Row

REPEATS = 5
_QUICK_REPEATS = 2
_LIMITS = {DISK.name: 1.5, IN_C.name: 1.0}
_AGE_SECONDS = 60
_NOTE = "from start to end; what was written before is on the disk (sync) when it begins"


class Step(NamedTuple):
    """A program that is run in a directory of its own, which the steps before it have filled."""

    name: str
    argv: list[str]
    prepare: Callable[[Path], object] = lambda _work: None
    """Function that runs ahead of it, unmeasured."""
    lacking: str = ""
    """Programs that the machine would need to run it."""


def programs(plan: Plan) -> Iterator[Row]:
    """git, tar, make, venv, npm, pytest, ripgrep, rm: from start to end, beside five others."""
    steps = _steps(sources(plan, has_npm=shutil.which("npm") is not None))
    for step in steps:
        if step.lacking:
            print(f"\n{step.name} not measured: needs {step.lacking}", file=sys.stderr)
    steps = [step for step in steps if not step.lacking]
    taken: dict[str, dict[str, list[float]]] = {step.name: {} for step in steps}
    with lineup(plan, ALL) as lined, lined.mounted() as places:
        for turn in range(repeats(plan, REPEATS, _QUICK_REPEATS)):
            works = {name: place / f"work-{turn}" for name, place in places.items()}
            for work in works.values():
                work.mkdir()
            # Step by step and not place by place: what disturbs the machine disturbs them all.
            for step in steps:
                for name, work in works.items():
                    try:
                        samples = taken[step.name].setdefault(name, [])
                        samples.append(_timed(step, work))
                    except RuntimeError as error:
                        if name == OURS.name:
                            raise
                        print(f"\n{step.name} on {name}: {error}", file=sys.stderr)
        for step in steps:
            yield lined.row("programs", step.name, taken[step.name], limits=_LIMITS, note=_NOTE)


def repeats(plan: Plan, wanted: int, quick: int) -> int:
    """Return the number of runs of a program that takes seconds."""
    return plan.repeats or (quick if plan.quick else wanted)


def _timed(step: Step, work: Path) -> float:
    """Nanoseconds of a program.  RuntimeError when it fails."""
    step.prepare(work)
    os.sync()
    return timed_program(step.argv, work)


def timed_program(argv: list[str], directory: Path) -> float:
    """Nanoseconds of a program from its start to its end.  RuntimeError when it fails."""
    began = time.perf_counter_ns()
    done = subprocess.run(
        argv,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    took = time.perf_counter_ns() - began
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {said[-300:].strip()}")
    return took


def _steps(made: Sources) -> list[Step]:
    """In this order: each leaves what the later ones want, and the last removes it all."""
    search = (
        Step("ripgrep", ["rg", "-c", "def .*self", "files"])
        if shutil.which("rg")
        else Step("grep -r", ["grep", "-rc", "def .*self", "files"])
    )
    return [
        Step(
            "untar",
            ["tar", "-xf", str(made.archive), "-C", "files"],
            lambda work: (work / "files").mkdir(),
        ),
        search,
        Step("git clone", ["git", "clone", "-q", "--no-hardlinks", str(made.repository), "clone"]),
        Step("git status, right after git clone", ["git", "-C", "clone", "status"], _make_racy),
        Step(
            "git status",
            ["git", "-C", "clone", "status"],
            # The first one after a clone reads the files again.
            lambda work: subprocess.run(
                ["git", "-C", "clone", "status"], cwd=work, capture_output=True, check=True
            ),
        ),
        Step(
            "make -j2, 60 C files",
            ["make", "-s", "-j2", "-C", "c"],
            lambda work: shutil.copytree(made.c_project, work / "c"),
            lacking=_absent("make", "gcc"),
        ),
        Step(
            "python -m venv",
            [sys.executable, "-m", "venv", "venv"],
            lacking="" if importlib.util.find_spec("ensurepip") else "python3-venv",
        ),
        Step(
            "npm ci, 60 packages",
            ["npm", "ci", "--offline", "--no-audit", "--no-fund", "--prefix", "npm"],
            lambda work: shutil.copytree(made.npm_project, work / "npm"),
            lacking=_absent("npm"),
        ),
        Step(
            "pytest, 100 files",
            [sys.executable, "-m", "pytest", "-q", "suite"],
            lambda work: shutil.copytree(made.suite, work / "suite"),
            lacking="" if importlib.util.find_spec("pytest") else "pytest",
        ),
        Step("rm -rf of all that", ["rm", "-rf", "files", "clone", "c", "venv", "npm", "suite"]),
    ]


def _make_racy(work: Path) -> None:
    """Let every file of the clone be as new as git's index, so that git reads all of them again.

    After a clone these are the files of its last second, so few where a clone is slow.
    """
    clone = work / "clone"
    seconds = int(time.time()) - _AGE_SECONDS
    for path in _files(clone):
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    # What the index knows of the files is right again, ...
    run("git", "-C", str(clone), "update-index", "-q", "--refresh")
    # ... and as old as they are.
    os.utime(clone / ".git" / "index", (seconds, seconds))


def _files(directory: Path) -> Iterator[str]:
    for place, names, files in os.walk(directory):
        if ".git" in names:
            names.remove(".git")
        for name in files:
            yield os.path.join(place, name)


def _absent(*programs: str) -> str:
    """Return the programs that the machine does not have."""
    return ", ".join(name for name in programs if shutil.which(name) is None)
