"""Backups of a store with a history, beside programs that copy or back up its directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.longhistory import add_commits
from benchmarks.measure import Plan
from benchmarks.table import Figure, Peer, Row, Unit, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import World

_TREE = Tree(1_000)
_COMMITS = 10_000
_REPEATS = 5
_COMMAND_SECONDS = 300
_BLOCK_BYTES = 512
_OURS = "helios"


class Taken(NamedTuple):
    """The cost of a command."""

    ns: float
    cpu_ns: float
    """Time of processors, the kernel's included, which others on the machine do not lengthen."""
    written_bytes: float
    """Bytes that it wrote, as the kernel counts pages of files that became dirty."""


def backups(plan: Plan) -> Iterator[Row]:
    """A first backup of a history, and one after a commit, beside rsync, restic and borg."""
    count = _COMMITS // 10 if plan.quick else _COMMITS
    directory = plan.directory("backup")
    home = directory / "ws/.helios"
    home.mkdir(parents=True, mode=0o700)
    made = World(home, _TREE)
    add_commits(made, count)
    made.close()
    (home / "id").write_text("0123456789abcdef" * 2 + "\n")
    commands = _commands(directory, home)
    first: dict[str, list[Taken]] = {name: [] for name in commands}
    more: dict[str, list[Taken]] = {name: [] for name in commands}
    # In turn, so that what disturbs the machine disturbs them all.
    for number in range(1, plan.count(_REPEATS) + 1):
        _forget(directory)
        _prepare(directory, commands)
        for name, argv in commands.items():
            first[name].append(_run(argv, home.parent))
        _commit(home, number)
        for name, argv in commands.items():
            more[name].append(_run(argv, home.parent))
    yield from _rows(f"a first backup of {count:,} commits", first)
    yield from _rows(f"one after a commit, {count:,} commits", more)
    shutil.rmtree(directory)


def _rows(what: str, taken: Mapping[str, list[Taken]]) -> Iterator[Row]:
    note = "whole commands, of an unmounted workspace; the others copy the files of its store"
    for part, unit in (("ns", Unit.NS), ("cpu_ns", Unit.NS), ("written_bytes", Unit.BYTES)):
        figures: dict[str, Figure] = {
            name: figure_of([getattr(each, part) for each in found])
            for name, found in taken.items()
        }
        said = {"ns": "", "cpu_ns": ", time of processors", "written_bytes": ", written"}[part]
        ours = figures.pop(_OURS)
        peers = tuple(Peer(name, figure) for name, figure in figures.items())
        yield Row("backup", what + said, ours, unit, peers=peers, note=note)


def _commands(directory: Path, home: Path) -> dict[str, list[str]]:
    place = directory / "places"
    commands = {
        _OURS: [sys.executable, "-m", "heliosfs.cli", "backup", f"{place}/helios"],
        "rsync -a": ["rsync", "-a", f"{home}/", f"{place}/rsync"],
        "restic": ["restic", "-q", "-r", f"{place}/restic", "backup", str(home)],
        "borg": ["borg", "create", f"{place}/borg::{{now:%s.%f}}", str(home)],
    }
    return {
        name: argv
        for name, argv in commands.items()
        if name == _OURS or shutil.which(argv[0]) is not None
    }


def _prepare(directory: Path, commands: Mapping[str, list[str]]) -> None:
    """Make the empty places that two of them want."""
    place = directory / "places"
    if "restic" in commands:
        _run(["restic", "-q", "-r", f"{place}/restic", "init"], directory)
    if "borg" in commands:
        _run(["borg", "init", "-e", "none", f"{place}/borg"], directory)


def _forget(directory: Path) -> None:
    shutil.rmtree(directory / "places", ignore_errors=True)
    (directory / "places").mkdir(mode=0o700)


def _commit(home: Path, number: int) -> None:
    """Change another file than before: the changes up to that one are there already."""
    opened = World(home, _TREE, is_new=False)
    for _ in range(number):
        opened.change()
    opened.repository.root.commit(f"one more, {number}")
    opened.close()


def _run(argv: list[str], where: Path) -> Taken:
    """Run a command to its end.  RuntimeError when it fails."""
    home = str(where.parent)
    environment = {
        **os.environ,
        "HOME": home,
        "XDG_CACHE_HOME": f"{home}/cache",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "RESTIC_PASSWORD": "benchmark",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }
    began = time.perf_counter_ns()
    with subprocess.Popen(
        argv, cwd=where, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        taken_ns = time.perf_counter_ns() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"{argv[0]} failed: {told.decode(errors='replace')[-500:]}")
    cpu_ns = (used.ru_utime + used.ru_stime) * 1e9
    return Taken(taken_ns, cpu_ns, used.ru_oublock * _BLOCK_BYTES)
