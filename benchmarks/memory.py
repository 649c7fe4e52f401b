"""The daemon's resident memory: at rest, after a large tree was listed, for a live branch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Plan
from benchmarks.table import Figure, Row, Unit
from benchmarks.trees import Tree
from benchmarks.worlds import Mount, make_repository, mounted, serving

_MB = 1_000_000
_BRANCHES = 20


def memory(plan: Plan) -> Iterator[Row]:
    """RSS of the daemon."""
    with mounted(plan, "at-rest", None) as mount:
        os.listdir(mount.path)
        at_rest = mount.rss_bytes()
    yield _row("daemon at rest", at_rest, 60 * _MB)
    tree = Tree(20_000 if plan.quick else 100_000)
    directory = plan.directory("listed")
    make_repository(directory, tree)
    with serving(plan, directory) as mount:
        before = mount.rss_bytes()
        entries = list_tree(mount.path)
        assert entries > tree.file_count
        listed = mount.rss_bytes()
        yield _row(f"{tree.name} mounted and listed once, more", listed - at_rest, 60 * _MB)
        yield _row("  of that, before it was listed", before - at_rest, None)
        each = _live_branches(mount)
    yield _row(f"an idle live branch ({_BRANCHES} of them)", each, 1 * _MB)


def _row(what: str, size_bytes: float, budget: float | None) -> Row:
    figure = Figure(size_bytes, size_bytes, 1)
    note = "resident memory, with what is mapped of the store's file"
    return Row("memory", what, figure, Unit.BYTES, budget=budget, note=note)


def list_tree(root: Path) -> int:
    """Every name, and the attributes of each, as `ls -lR` does."""
    count = 0
    pending = [str(root)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name == ".helios":
                    continue
                entry.stat(follow_symlinks=False)
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return count


def _live_branches(mount: Mount) -> float:
    before = mount.rss_bytes()
    for number in range(_BRANCHES):
        mount.ask("branch", f"branch-{number}")
        os.listdir(f"{mount.path}/.helios/branches/branch-{number}/")
    return max(0, mount.rss_bytes() - before) / _BRANCHES
