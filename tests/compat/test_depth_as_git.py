"""The commits within a depth are those of `git clone --depth`."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError
from heliosfs.remote.buckets.memory import MemoryBucket
from tests.remote.machines import Machine
from tests.remote.shallow import ShallowMachine

_COMMITS_COUNT = 25


def _git(path: Path, *words: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(path), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def _grow(machine: Machine, drawn: random.Random) -> None:
    """Commit on several branches, which join each other now and then."""
    for number in range(_COMMITS_COUNT):
        names = [branch.name for branch in machine.repository.refs if branch.head is not None]
        what = drawn.randrange(6)
        with suppress(HeliosError):
            if what == 0:
                machine.run("checkout", "-q", "-b", f"b{number}", drawn.choice(names))
            elif what == 1:
                machine.run("checkout", "-q", drawn.choice(names))
            elif what == 2:
                machine.run("merge", "-q", "-m", f"m{number}", drawn.choice(names))
        machine.clock.time_ns += 10**9
        machine.commit(f"c{number}", **{f"f{number}": b"%d" % number})


@pytest.mark.parametrize("seed", range(4))
def test_the_commits_are_those_of_git(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    machine = Machine(MemoryBucket())
    machine.commit("first", a=b"1")
    _grow(machine, drawn)
    for branch in list(machine.repository.refs):
        machine.push(branch.name)
    machine.run("export", "--to-git", str(tmp_path / "whole"))
    for depth in (1, 2, 3, 5, 50):
        copy = tmp_path / f"depth{depth}"
        url = f"file://{tmp_path}/whole"
        words = ["git", "clone", "-q", "--bare", f"--depth={depth}", "--no-single-branch"]
        subprocess.run([*words, url, str(copy)], check=True)
        theirs = sorted(_git(copy, "log", "--all", "--format=%s"))
        shallow = ShallowMachine(machine.bucket, depth)
        history = shallow.repository.history
        assert sorted(history.read(oid).subject for oid in history.ids()) == theirs
        # git cuts a commit at the depth also where its parents come with another branch.
        cut = copy / "shallow"
        assert len(shallow.edge) <= (len(cut.read_text().split()) if cut.exists() else 0)
