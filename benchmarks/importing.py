"""An import of a git repository, beside git's own ways to take one in."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.git import GIT_ENVIRONMENT
from benchmarks.measure import Plan, run
from benchmarks.table import Figure, Peer, Row, Unit, figure_of
from benchmarks.trees import HOT_BYTES, Tree, revised, text

_COMMITS = 12_200
"""Number of commits, each of one file: with the trees that lead to it 50,000 objects."""
_TREE = Tree(1_000)
_REPEATS = 5
_COMMAND_SECONDS = 300


def importing(plan: Plan) -> Iterator[Row]:
    """`helios import --from-git` of 50,000 objects, beside git's own ways [objects/s]."""
    scratch = plan.directory("import")
    source = scratch / "source.git"
    count = _make(source, _COMMITS // 10 if plan.quick else _COMMITS)
    ways: dict[str, Callable[[Path], None]] = {
        "helios": lambda place: _import(source, place),
        "git clone --mirror --no-local": lambda place: _clone(source, place),
        "git fast-export | fast-import": lambda place: _fast_import(source, place),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    # In turn, so that what disturbs the machine disturbs them all.
    for _ in range(plan.count(_REPEATS)):
        for name, way in ways.items():
            place = scratch / "place"
            place.mkdir()
            began = time.perf_counter()
            way(place)
            taken[name].append(count / (time.perf_counter() - began))
            shutil.rmtree(place)
    figures: dict[str, Figure] = {name: figure_of(rates) for name, rates in taken.items()}
    yield Row(
        "import",
        f"a git repository of {count:,} objects, objects a second",
        figures.pop("helios"),
        Unit.PER_SECOND,
        peers=tuple(Peer(name, figure) for name, figure in figures.items()),
        note="whole commands, from start to end; git's clone copies a pack and checks it",
    )
    shutil.rmtree(scratch)


def _make(source: Path, commits: int) -> int:
    """Make a bare repository, packed; return the number of its objects."""
    run("git", "init", "-q", "--bare", "--template=", "-b", "main", str(source))
    run("git", "fast-import", "--quiet", cwd=source, stdin=b"".join(_stream(commits)))
    run("git", "repack", "-a", "-d", "-q", cwd=source)
    return len(run("git", "rev-list", "--all", "--objects", cwd=source).splitlines())


def _stream(commits: int) -> Iterator[bytes]:
    """A tree, and commits of a small edit in one of its files each."""
    dice = random.Random(1)
    contents = {path: text(path, HOT_BYTES) for path in _TREE.hot}
    changes = list(_TREE.files())
    for number in range(commits):
        yield (
            b"commit refs/heads/main\ncommitter bench <bench@example.org> %d +0000\n"
            b"data %d\n%s\n"
            % (1_700_000_000 + number, len(b"commit %d" % number), b"commit %d" % number)
        )
        for path, data in changes:
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)
        path = dice.choice(_TREE.hot)
        contents[path] = revised(contents[path], number)
        changes = [(path, contents[path])]


def _import(source: Path, place: Path) -> None:
    path = os.pathsep.join(each for each in sys.path if each)
    _command(
        [sys.executable, "-m", "heliosfs.cli", "import", "--from-git", str(source)],
        place,
        PYTHONPATH=path,
    )


def _clone(source: Path, place: Path) -> None:
    _command(["git", "clone", "-q", "--mirror", "--no-local", str(source), "clone"], place)


def _fast_import(source: Path, place: Path) -> None:
    run("git", "init", "-q", "--bare", "--template=", "clone", cwd=place)
    script = 'git -C "$0" fast-export --all | git -C clone fast-import --quiet'
    _command(["sh", "-ec", script, str(source)], place)


def _command(argv: list[str], cwd: Path, **environment: str) -> None:
    subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **GIT_ENVIRONMENT, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=_COMMAND_SECONDS,
    )
