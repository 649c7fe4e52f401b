"""Programs that read a whole tree: for the first time after a mount, and again and again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.filesystems import DISK, IN_C, OURS
from benchmarks.lineup import lineup
from benchmarks.measure import Plan, run
from benchmarks.programs import repeats, timed_program
from benchmarks.sources import write_archive
from benchmarks.table import Row

_ROUNDS = 7
_QUICK_ROUNDS = 2
_FIRST_LIMIT = 2.5
_AGAIN_LIMIT = 1.15
_NOTE = "Python's modules, everything in the page cache; mounted anew for each first time"


class Pass(NamedTuple):
    """A program that reads all of the tree `files` in its directory."""

    name: str
    argv: list[str]


def passes(plan: Plan) -> Iterator[Row]:
    """rg, grep, tar, cat, find, git and compileall over a tree, beside the disk and C passthrough.

    Each is run twice after each mount, and its second time counts; of the search that comes first,
    the first time, too.
    """
    programs = _programs()
    first = f"{programs[0].name}, the first time after a mount"
    taken: dict[str, dict[str, list[float]]] = {first: {}}
    taken |= {f"{each.name}, again": {} for each in programs}
    archive = plan.directory("archive") / "files.tar"
    write_archive(archive)
    with lineup(plan, (OURS, DISK, IN_C)) as lined:
        for _ in range(repeats(plan, _ROUNDS, _QUICK_ROUNDS)):
            with lined.mounted() as places:
                works = {name: _filled(place, archive) for name, place in places.items()}
                # By the programs and not by the places: what disturbs the machine disturbs all.
                for program in programs:
                    for name, work in works.items():
                        once = timed_program(program.argv, work)
                        if program is programs[0]:
                            taken[first].setdefault(name, []).append(once)
                for program in programs:
                    for name, work in works.items():
                        again = timed_program(program.argv, work)
                        taken[f"{program.name}, again"].setdefault(name, []).append(again)
        for what, samples in taken.items():
            limit = _FIRST_LIMIT if what == first else _AGAIN_LIMIT
            yield lined.row("passes", what, samples, limits={DISK.name: limit}, note=_NOTE)


def _programs() -> list[Pass]:
    search = (
        Pass("rg -c", ["rg", "-c", "def .*self", "files"])
        if shutil.which("rg")
        else Pass("grep -rc", ["grep", "-rc", "def .*self", "files"])
    )
    return [
        search,
        Pass("grep -rc", ["grep", "-rc", "def .*self", "files"]),
        # Not to /dev/null itself: for that, tar reads no file.
        Pass("tar cf -", ["sh", "-c", "tar cf - files | cat > /dev/null"]),
        Pass("xargs cat", ["sh", "-c", "find files -type f -print0 | xargs -0 cat > /dev/null"]),
        Pass("find -size", ["sh", "-c", "find files -size +9 > /dev/null"]),
        Pass("git grep -c", ["git", "-C", "files", "grep", "-c", "self"]),
        Pass("git status", ["git", "-C", "files", "status"]),
        Pass("python -m compileall -q", [sys.executable, "-m", "compileall", "-q", "files"]),
    ]


def _filled(place: Path, archive: Path) -> Path:
    """Fill a directory with the tree, unless an earlier mount has; return it."""
    work = place / "work"
    files = work / "files"
    if not work.exists():
        files.mkdir(parents=True)
        run("tar", "-xf", str(archive), "-C", str(files))
        run("git", "init", "-q", "--template=", "-b", "main", cwd=files)
        run("git", "add", ".", cwd=files)
        run("git", "commit", "-qm", "files", cwd=files)
        (files / ".git/info").mkdir(exist_ok=True)
        (files / ".git/info/exclude").write_text("__pycache__\n")
        run("git", "status", cwd=files)
        os.sync()
    return work
