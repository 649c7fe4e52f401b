"""Disk space that history takes: 1,000 versions of a file, all overhead counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Plan, disk_bytes, run
from benchmarks.table import Figure, Peer, Row, Unit
from benchmarks.trees import HOT_BYTES, Tree, versions
from benchmarks.worlds import World
from heliosfs.steps import drain

_COUNT = 1_000
_DRAIN_EVERY = 20
"""Commits between two drains: an agent's work, not a script's."""
_BUDGET_BYTES = 300
_FILE = Tree(1)


def storage(plan: Plan) -> Iterator[Row]:
    """Bytes for a version of a 10 KB file, beside git."""
    count = _COUNT // 5 if plan.quick else _COUNT
    ours = _ours(plan.directory("storage"), count)
    loose, packed = _git(plan.directory("storage-git"), count)
    yield Row(
        "storage",
        f"a version of a 10 KB file, small edits, {count:,} commits",
        _each(ours, count),
        Unit.BYTES,
        budget=_BUDGET_BYTES,
        peers=(
            Peer("git, loose", _each(loose, count)),
            Peer("git gc --aggressive", _each(packed, count)),
        ),
        note="the disk that the store's directory takes after close, by the number of commits",
    )


def _each(size_bytes: int, count: int) -> Figure:
    return Figure(size_bytes / count, size_bytes / count, 1)


def _ours(directory: Path, count: int) -> int:
    where = World(directory, _FILE)
    files = where.files
    node = where.find(_FILE.path(0))
    for number, data in enumerate(versions(HOT_BYTES, count)):
        handle = files.open_node(node, writing=True)
        files.truncate(node, 0)
        files.write(files.handles[handle], 0, data)
        files.release(handle)
        where.repository.root.commit(f"version {number}")
        if number % _DRAIN_EVERY == 0:
            drain(where.store)
    where.close()
    return disk_bytes(directory)


def _git(directory: Path, count: int) -> tuple[int, int]:
    run("git", "init", "-q", "--template=", "-b", "main", cwd=directory)
    unpacked = f"fastimport.unpackLimit={10 * count}"
    stream = _stream(count)
    run("git", "-c", unpacked, "fast-import", "--quiet", cwd=directory, stdin=stream)
    run("git", "config", "gc.pruneExpire", "now", cwd=directory)
    loose = disk_bytes(directory / ".git")
    run("git", "gc", "-q", "--aggressive", cwd=directory)
    return loose, disk_bytes(directory / ".git")


def _stream(count: int) -> bytes:
    parts = []
    path = os.fsencode(_FILE.path(0))
    for number, data in enumerate(versions(HOT_BYTES, count)):
        message = b"version %d" % number
        parts.append(
            b"commit refs/heads/main\ncommitter bench <bench@example.org> %d +0000\n"
            b"data %d\n%s\nM 100644 inline %s\ndata %d\n%s\n"
            % (1_700_000_000 + number, len(message), message, path, len(data), data)
        )
    return b"".join(parts)
