"""Builds and tests in a fresh fork, after one in the base, beside a fresh worktree of git."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.git import GIT_ENVIRONMENT
from benchmarks.measure import COMMAND_SECONDS, Plan
from benchmarks.mounted import LAUNCHER
from benchmarks.programs import timed_program
from benchmarks.sources import Sources, sources
from benchmarks.table import Peer, Row, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import mounted

_HELIOS = (sys.executable, "-m", "heliosfs.cli")
_TREE = Tree(1_000)
_REPEATS = 7
_IGNORED = "*.o\n*.a\n/c/program\n__pycache__/\n.pytest_cache/\n/crate/target/\n"
_CRATE_MODULES = 30
_DEPENDENCIES = "node_modules"
_PACKAGES = Tree(20_000, directories=1_000)
_FORK = ("branch", "--fork", "fork")
_FORK_MS = 20
_FUNCTIONS = 40


class _Build(NamedTuple):
    """A program that leaves what makes its next run shorter, in ignored files."""

    name: str
    argv: list[str]
    lacking: tuple[str, ...] = ()
    """Programs that the machine would need to run it."""


def forks(plan: Plan) -> Iterator[Row]:
    """A fork or a worktree made, and make, pytest or cargo build in it, after one in the base."""
    builds = [build for build in _builds() if not build.lacking]
    for build in _builds():
        if build.lacking:
            print(f"\n{build.name} not measured: needs {build.lacking}", file=sys.stderr)
    made = sources(plan, has_npm=False)
    repository = plan.directory("forks-git") / "base"
    with mounted(plan, "forks", _TREE) as mount:
        shutil.copytree(mount.path, repository)
        for place, name in ((mount.path, ".heliosignore"), (repository, ".gitignore")):
            _write_project(made, place)
            (place / name).write_text(_IGNORED)
        _run([*_HELIOS, "commit", "-q", "-m", "project"], mount.path)
        _run(["git", "init", "-q"], repository)
        _run(["git", "add", "-A"], repository)
        _run(["git", "commit", "-q", "-m", "project"], repository)
        for build in builds:
            for place in (mount.path, repository):
                _run(build.argv, place)
        for build in builds:
            taken: dict[str, list[float]] = {"helios": [], "git": []}
            # In turn, so that what disturbs the machine disturbs both.
            for _ in range(plan.count(_REPEATS)):
                taken["helios"].append(_in_fork(build, mount.path))
                taken["git"].append(_in_worktree(build, repository))
            yield Row(
                "forks",
                f"{build.name} in a fresh fork, which is made for it",
                figure_of(taken["helios"]),
                peers=(Peer("the same in a git worktree", figure_of(taken["git"])),),
            )


def dependencies(plan: Plan) -> Iterator[Row]:
    """A fork of a project with 20,000 ignored files, beside a worktree that gets a copy of them."""
    repository = plan.directory("dependencies-git") / "base"
    with mounted(plan, "dependencies", _TREE) as mount:
        (mount.path / ".heliosignore").write_text(f"/{_DEPENDENCIES}/\n")
        _run([*_HELIOS, "commit", "-q", "-m", "project"], mount.path)
        shutil.copytree(mount.path, repository)
        (repository / ".gitignore").write_text(f"/{_DEPENDENCIES}/\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "project"]):
            _run(["git", *words], repository)
        for place in (repository, mount.path):
            for path, data in _PACKAGES.files():
                file = place / _DEPENDENCIES / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        remove = [*_HELIOS, "branch", "-D", "fork"]
        taken: dict[str, list[float]] = {"helios": [], "git": []}
        # In turn, so that what disturbs the machine disturbs both.
        for _ in range(plan.count(_REPEATS)):
            taken["helios"].append(timed_program([str(LAUNCHER), *_FORK], mount.path))
            _run(remove, mount.path)
            taken["git"].append(_worktree_with_copy(repository))
        yield Row(
            "dependencies",
            f"helios branch --fork, {_PACKAGES.file_count:,} ignored files",
            figure_of(taken["helios"]),
            budget=_FORK_MS * 1_000_000.0,
            peers=(Peer("git worktree add and cp -a", figure_of(taken["git"])),),
        )


def _worktree_with_copy(base: Path) -> float:
    """Nanoseconds to make a worktree and to copy what git does not carry."""
    there = base.parent / "worktree"
    add = ["git", "worktree", "add", "-q", "--detach", str(there)]
    copy = ["cp", "-a", _DEPENDENCIES, str(there)]
    try:
        return timed_program(add, base) + timed_program(copy, base)
    finally:
        shutil.rmtree(there)
        _run(["git", "worktree", "prune"], base)


def _in_fork(build: _Build, base: Path) -> float:
    """Nanoseconds to make a fork and run the program in it."""
    words = [*_HELIOS, "run", "-q", "-b", "fork", "--fork", "--", *build.argv]
    try:
        return timed_program(words, base)
    finally:
        _run([*_HELIOS, "branch", "-D", "fork"], base)


def _in_worktree(build: _Build, base: Path) -> float:
    """Nanoseconds to make a worktree and run the program in it."""
    there = base.parent / "worktree"
    add = ["git", "worktree", "add", "-q", "--detach", str(there)]
    try:
        return timed_program(add, base) + timed_program(build.argv, there)
    finally:
        _run(["git", "worktree", "remove", "--force", str(there)], base)


def _builds() -> list[_Build]:
    has_pytest = importlib.util.find_spec("pytest") is not None
    return [
        _Build("make -j2, 60 C files", ["make", "-s", "-j2", "-C", "c"], _absent("make", "gcc")),
        _Build(
            "pytest, 100 files",
            [sys.executable, "-m", "pytest", "-q", "suite"],
            () if has_pytest else ("pytest",),
        ),
        _Build(
            f"cargo build, {_CRATE_MODULES} modules",
            ["cargo", "build", "-q", "--offline", "--manifest-path", "crate/Cargo.toml"],
            _absent("cargo"),
        ),
    ]


def _absent(*programs: str) -> tuple[str, ...]:
    return tuple(name for name in programs if shutil.which(name) is None)


def _write_project(made: Sources, place: Path) -> None:
    shutil.copytree(made.c_project, place / "c")
    shutil.copytree(made.suite, place / "suite")
    source = place / "crate/src"
    source.mkdir(parents=True)
    (place / "crate/Cargo.toml").write_text(
        '[package]\nname = "crate"\nversion = "0.1.0"\nedition = "2021"\n'
    )
    for module in range(_CRATE_MODULES):
        functions = "".join(
            f"pub fn f{number}(n: u64) -> u64 {{\n"
            f"    (0..n).filter(|each| each % {number + 2} == {module % 2})"
            ".map(|each| each * n).sum()\n"
            "}\n"
            for number in range(_FUNCTIONS)
        )
        (source / f"m{module}.rs").write_text(functions)
    uses = "".join(f"mod m{module};\n" for module in range(_CRATE_MODULES))
    calls = " + ".join(f"m{module}::f0(9)" for module in range(_CRATE_MODULES))
    text = f'#![allow(dead_code)]\n{uses}fn main() {{\n    println!("{{}}", {calls});\n}}\n'
    (source / "main.rs").write_text(text)


def _run(argv: list[str], directory: Path) -> None:
    """Run a command that is not measured.  Raise CalledProcessError if it fails."""
    subprocess.run(
        argv,
        cwd=directory,
        env={**os.environ, **GIT_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
