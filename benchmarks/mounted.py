"""Verbs through a mount: by the control files and by the command, beside git."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.git import Changes, git_figures
from benchmarks.measure import COMMAND_SECONDS, Action, Plan
from benchmarks.table import Peer, Row, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import Mount, mounted

TREES = (Tree(1_000), Tree(10_000))
LAUNCHER = Path(__file__).parents[1] / "heliosfs" / "cli" / "helios"
_TURNS = 10
_US = 1_000.0
_MS = 1_000_000.0

_BASH_LOOP = """
change=$1 ctl=$2
for ((i = 0; i < $3; i++)); do
    printf '%010240d' $i > "$change"
    began=$EPOCHREALTIME
    echo message $i > "$ctl" || exit 1
    ended=$EPOCHREALTIME
    echo $(( (${ended/./} - ${began/./}) * 1000 ))
done
"""


def control(plan: Plan) -> Iterator[Row]:
    """Requests to control files, as a program and as bash make them."""
    tree = TREES[0]
    git = git_figures(plan, tree)
    options = ("-o", "opens=asked")
    with (
        mounted(plan, "control", tree) as mount,
        mounted(plan, "asked", tree, options) as other,
    ):
        changes, others = Changes(tree, mount.path), Changes(tree, other.path)
        for what, sample in (
            ("open, write, close ctl/commit, one 10 KB file changed", _by_program),
            ("echo message > ctl/commit, in bash", _by_bash),
        ):
            taken: list[float] = []
            asked: list[float] = []
            # In turns: what disturbs the machine disturbs both.
            for _ in range(_TURNS):
                taken += sample(plan, mount, changes)
                asked += sample(plan, other, others)
            yield Row(
                "control",
                what,
                figure_of(taken),
                budget=250 * _US,
                budget_p95=1 * _MS,
                peers=(git.peer("commit"), Peer("opens=asked", figure_of(asked))),
            )
        yield from _held(plan, mount, changes)
        for verb, action, before in _requests(mount, changes):
            taken = plan.sample(action, 300, before=before)
            peers = (git.peer(verb),)
            what = f"{verb} by its control file, with the reply"
            yield Row("control", what, figure_of(taken), peers=peers)


def _write(path: str, request: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, request)
    finally:
        os.close(fd)


def _by_program(plan: Plan, mount: Mount, changes: Changes) -> list[float]:
    path = mount.control("commit")
    return plan.sample(lambda: _write(path, b"message\n"), 1_000 // _TURNS, before=changes.make)


def _by_bash(plan: Plan, mount: Mount, _changes: Changes) -> list[float]:
    """The samples that a loop in bash took itself."""
    change = mount.path / TREES[0].hot[0]
    words: list[str] = [
        "bash",
        "-c",
        _BASH_LOOP,
        "bash",
        str(change),
        mount.control("commit"),
        str(plan.count(500 // _TURNS)),
    ]
    done = subprocess.run(words, capture_output=True, check=True, timeout=COMMAND_SECONDS)
    return [float(line) for line in done.stdout.split()]


def _held(plan: Plan, mount: Mount, changes: Changes) -> Iterator[Row]:
    """Requests on a descriptor that stays open."""
    for name, what, change in (
        ("commit", "write, read on an open ctl/commit, one file changed", changes.make),
        ("rev-parse", "write, read on an open ctl/rev-parse", None),
    ):
        fd = os.open(mount.control(name), os.O_RDWR)
        try:

            def ask(fd: int = fd) -> None:
                os.write(fd, b"HEAD\n")
                if len(os.read(fd, 4096)) != 65:
                    raise RuntimeError("the reply is not an id")

            yield Row("control", what, figure_of(plan.sample(ask, 500, before=change)))
        finally:
            os.close(fd)


def _requests(mount: Mount, changes: Changes) -> Iterator[tuple[str, Action, Action | None]]:
    """Verb, the request, and what goes before each."""
    numbers = itertools.count()
    yield "branch", lambda: mount.ask("branch", f"branch-{next(numbers)}"), None
    yield "status", lambda: mount.ask("status", ""), changes.make_first
    yield "reset", lambda: mount.ask("reset", "--hard"), changes.make_first
    mount.ask("checkout", "-b other")
    changes.make_first()
    mount.ask("commit", "message")
    names = itertools.cycle(("main", "other"))
    yield "checkout", lambda: mount.ask("checkout", next(names)), None


def command(plan: Plan) -> Iterator[Row]:
    """`helios` as a command, from its start to its end."""
    for tree in TREES[:1] if plan.quick else TREES:
        git = git_figures(plan, tree)
        with mounted(plan, "command", tree) as mount:
            changes = Changes(tree, mount.path)
            for verb, words, change in (
                ("commit", ["commit", "-m", "message"], changes.make),
                ("branch", ["branch", "branch-{n}"], None),
                ("status", ["status"], changes.make_first),
                ("reset", ["reset", "--hard"], changes.make_first),
            ):
                argv = [str(LAUNCHER), *words]
                if change is not None:
                    change()
                taken = plan.sample_command(argv, mount.path, 100, before=change)
                yield Row(
                    "command",
                    f"helios {verb}, {tree.name}",
                    figure_of(taken),
                    budget=3 * _MS if verb == "commit" else None,
                    peers=(replace(git.peer(verb), limit=1.0),),
                )
