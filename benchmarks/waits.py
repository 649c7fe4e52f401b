"""Time that a program waits for its requests, beside long verbs.

Other programs on the machine make all waits longer, and a priority of real time does not help: the
kernel leaves the others 50 ms of each second.  So the daemon's own CPU time during each wait is
measured as well: that is the part of a wait that is its own doing.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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


class _Wait(NamedTuple):
    """A wait for the answers to a few requests."""

    ns: float
    own_ns: float
    """CPU time of all threads of the daemon meanwhile."""


class _Seen(NamedTuple):
    """Waits beside a command, a figure for each round."""

    longest: list[float]
    usual: list[float]
    own: list[float]
    taken: list[float]


def waits(plan: Plan) -> Iterator[Row]:
    """Create, write and close a file every millisecond, beside verbs on a long history."""
    count = _QUICK_COMMITS if plan.quick else _COMMITS
    seen: dict[str, _Seen] = {}
    for _ in range(plan.repeats or _ROUNDS):
        directory = _made(plan, count)
        with serving(plan, directory) as mount:
            for name, argv in _commands(plan):
                began = time.perf_counter_ns()
                found = sorted(_waits_beside(argv, mount))
                noted = seen.setdefault(name, _Seen([], [], [], []))
                noted.taken.append(time.perf_counter_ns() - began)
                noted.longest.append(found[-1].ns)
                noted.usual.append(found[math.ceil(len(found) * _USUAL_SHARE) - 1].ns)
                noted.own.append(max(each.own_ns for each in found))
        shutil.rmtree(directory)
    yield from _rows(f"{count:,} commits", seen)


def _rows(where: str, seen: dict[str, _Seen]) -> Iterator[Row]:
    note = "create, write and close of a file, every millisecond; the longest of each round"
    alone = seen.pop(_NOTHING)
    for name, noted in seen.items():
        peers = (Peer("nothing", figure_of(alone.longest)),)
        figure = figure_of(noted.longest)
        what = f"longest wait beside {name}, {where}"
        yield Row("waits", what, figure, budget=_LONGEST_BUDGET_NS, peers=peers, note=note)
        peers = (Peer("nothing", figure_of(alone.own)),)
        what = f"most CPU time of the daemon in a wait, beside {name}"
        yield Row("waits", what, figure_of(noted.own), budget=_LONGEST_BUDGET_NS, peers=peers)
        peers = (Peer("nothing", figure_of(alone.usual)),)
        yield Row(
            "waits", f"99.9 % of the waits beside {name}", figure_of(noted.usual), peers=peers
        )
        yield Row("waits", f"{name}, beside requests", figure_of(noted.taken))


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


def _waits_beside(argv: list[str], mount: Mount) -> list[_Wait]:
    """Return the waits until a command ends.  RuntimeError when it fails."""
    name, found = os.path.join(mount.path, "probe"), []
    # What clock_getcpuclockid(3) returns for the process.
    clock = ~mount.pid << 3 | 2
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        argv, cwd=mount.path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            own_ns, began = time.clock_gettime_ns(clock), time.perf_counter_ns()
            fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            os.write(fd, b"x")
            os.close(fd)
            taken_ns = time.perf_counter_ns() - began
            found.append(_Wait(taken_ns, time.clock_gettime_ns(clock) - own_ns))
            time.sleep(_PAUSE_SECONDS)
        assert process.stderr is not None
        if process.returncode:
            told = process.stderr.read().decode(errors="replace")
            raise RuntimeError(f"{' '.join(argv)} failed: {told[-500:]}")
    return found
