"""Waits of a program beside long verbs: what it asks is answered meanwhile, but when?"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.longhistory import add_commits
from benchmarks.measure import Plan
from benchmarks.table import Peer, Row, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import Mount, World, serving

_TREE = Tree(1_000)
_COMMITS = 50_000
_QUICK_COMMITS = 5_000
_ROUNDS = 3
_PAUSE_SECONDS = 0.001
_LONGEST_BUDGET_NS = 20_000_000.0
_USUAL_SHARE = 0.999
_NOTHING = "sleep 5"


def waits(plan: Plan) -> Iterator[Row]:
    """Create, write and close a file every millisecond, beside verbs on a long history."""
    count = _QUICK_COMMITS if plan.quick else _COMMITS
    longest: dict[str, list[float]] = {}
    usual: dict[str, list[float]] = {}
    taken: dict[str, list[float]] = {}
    for _ in range(plan.repeats or _ROUNDS):
        directory = _made(plan, count)
        with serving(plan, directory) as mount:
            for name, argv in _commands(plan):
                began = time.perf_counter_ns()
                found = sorted(_waits_beside(argv, mount))
                taken.setdefault(name, []).append(time.perf_counter_ns() - began)
                longest.setdefault(name, []).append(found[-1])
                usual.setdefault(name, []).append(found[math.ceil(len(found) * _USUAL_SHARE) - 1])
        shutil.rmtree(directory)
    yield from _rows(f"{count:,} commits", longest, usual, taken)


def _rows(
    where: str,
    longest: dict[str, list[float]],
    usual: dict[str, list[float]],
    taken: dict[str, list[float]],
) -> Iterator[Row]:
    note = "create, write and close of a file, every millisecond; the longest of each round"
    alone = Peer("nothing", figure_of(longest.pop(_NOTHING)))
    for name, samples in longest.items():
        figure = figure_of(samples)
        what = f"longest wait beside {name}, {where}"
        yield Row("waits", what, figure, budget=_LONGEST_BUDGET_NS, peers=(alone,), note=note)
        yield Row("waits", f"99.9 % of them beside {name}, {where}", figure_of(usual[name]))
        yield Row("waits", f"{name} beside them, {where}", figure_of(taken[name]))


def _made(plan: Plan, count: int) -> Path:
    """Return a workspace with so many commits; the first one is copied for all later rounds."""
    known = ("waits", count)
    first = plan.memo.get(known)
    if not isinstance(first, Path):
        first = plan.memo[known] = plan.directory("waits-first")
        home = first / ".helios"
        home.mkdir(mode=0o700)
        made = World(home, _TREE)
        add_commits(made, count)
        made.close()
    directory = plan.directory("waits")
    shutil.copytree(first, directory, dirs_exist_ok=True)
    return directory


def _commands(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    helios = [sys.executable, "-m", "heliosfs.cli"]
    yield _NOTHING, _NOTHING.split()
    yield "a first backup", [*helios, "backup", str(plan.directory("waits-backup"))]
    yield "gc --dry-run", [*helios, "gc", "--dry-run"]
    yield "fsck", [*helios, "fsck"]
    yield "gc", [*helios, "gc"]


def _waits_beside(argv: list[str], mount: Mount) -> list[float]:
    """Return the waits until a command ends, in nanoseconds.  RuntimeError when it fails."""
    name, found = os.path.join(mount.path, "probe"), []
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        argv, cwd=mount.path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            began = time.perf_counter_ns()
            fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            os.write(fd, b"x")
            os.close(fd)
            found.append(float(time.perf_counter_ns() - began))
            time.sleep(_PAUSE_SECONDS)
        assert process.stderr is not None
        if process.returncode:
            told = process.stderr.read().decode(errors="replace")
            raise RuntimeError(f"{' '.join(argv)} failed: {told[-500:]}")
    return found
