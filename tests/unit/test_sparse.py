"""Files with holes are taken in, and materialized, by what they have of data."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest

from heliosfs.cli import materialize
from heliosfs.clock import FixedClock
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.stored import find_entry
from heliosfs.workspace import ingest
from heliosfs.workspace.flush import flush
from heliosfs.workspace.holes import next_data
from heliosfs.workspace.inodes import InodeTable
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.working_set import WorkingSet
from heliosfs.workspace.workspace import Workspace, empty_root

GIB = 1024**3
LAYOUTS: dict[str, tuple[int, list[tuple[int, bytes]]]] = {
    "nothing": (0, []),
    "a hole": (4 * GIB, []),
    "a small hole": (5_000, []),
    "data first": (4 * GIB + 5, [(0, b"head")]),
    "data last": (4 * GIB, [(4 * GIB - 4, b"tail")]),
    "data between": (3 * GIB, [(GIB + 4096, b"x" * 10_000)]),
    "zeros between": (GIB, [(8192, b"a"), (WHOLE_MAX, bytes(PART_BYTES)), (GIB - 1, b"z")]),
    "small, with a tail of nothing": (WHOLE_MAX, [(300_000, b"middle")]),
    "grown over one object": (WHOLE_MAX + 1, [(0, b"a"), (700_000, b"b")]),
}


def make(path: Path, size: int, extents: list[tuple[int, bytes]]) -> None:
    with path.open("wb") as file:
        for offset, data in extents:
            os.pwrite(file.fileno(), data, offset)
        file.truncate(size)


@pytest.fixture
def read_counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list, to which each pread adds the number of bytes that it read."""
    counts: list[int] = []
    pread = os.pread

    def counted(fd: int, length: int, offset: int) -> bytes:
        data = pread(fd, length, offset)
        counts.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    return counts


@pytest.mark.parametrize("name", LAYOUTS)
def test_in_and_out(name: str, tmp_path: Path, read_counts: list[int]) -> None:
    size, extents = LAYOUTS[name]
    source = tmp_path / "in"
    source.mkdir()
    make(source / "file", size, extents)
    store, clock = MemoryStore(), FixedClock()
    inodes = InodeTable()
    workspace = Workspace(store, clock, inodes, WorkingSet(store), empty_root(0, 0, 1))
    fd = os.open(source, os.O_RDONLY)
    try:
        assert run_to_end(ingest.ingest(workspace, fd), store) == 1
    finally:
        os.close(fd)
    assert sum(read_counts) <= sum(-(-len(data) // 4096) * 4096 + 4096 for _, data in extents)
    entry = find_entry(store, flush(workspace), b"file")
    assert entry is not None
    assert entry.size == size
    for way in ("from the store", "from a snapshot"):
        out = tmp_path / way
        place = os.fsencode(source / "file")
        pieces = (
            partial(materialize._stored_pieces, store, entry)
            if way == "from the store"
            else partial(materialize._file_pieces, place, size)
        )
        read_counts.clear()
        materialize._make(os.fsencode(out), entry, pieces, {})
        status = out.stat()
        assert status.st_size == size
        assert status.st_blocks * 512 <= 8192 + 2 * sum(
            len(data) + PART_BYTES for _, data in extents
        )
        with out.open("rb") as file:
            for offset, data in extents:
                assert os.pread(file.fileno(), len(data), offset) == data
                if offset:
                    assert os.pread(file.fileno(), 1, offset - 1) == b"\0"
        assert sum(read_counts) <= WHOLE_MAX + 8192


def test_the_next_data_of_files_of_any_shape() -> None:
    """The result is as defined where holes are long, and where they are many."""
    chosen = random.Random(5)
    for count in (1, 3, 40):
        for density in (0.02, 0.5, 0.98):
            content = LargeFile(count * PART_BYTES, {})
            for index in range(count):
                if chosen.random() < density:
                    content.write(MemoryStore(), index * PART_BYTES, b"x" * PART_BYTES)
            for index in range(count):
                data = [at for at in range(index, count) if not content.is_hole(at)]
                wanted = data[0] * PART_BYTES if data else content.size
                assert next_data(content, index * PART_BYTES) == wanted


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("", []),
        ("x", [0]),
        ("x0", [0]),
        ("0x", [1]),
        ("x0x00xx0", [0, 2, 5]),
        ("00", []),
        ("xx", [0]),
    ],
)
def test_blocks_of_zeros_are_cut_out(shape: str, wanted: list[int]) -> None:
    data = b"".join(bytes(4096) if each == "0" else os.urandom(4096) for each in shape) + b"\0end"
    runs = list(materialize._without_zeros(data))
    assert [at // 4096 for at, _ in runs][: len(wanted)] == wanted
    made = bytearray(len(data))
    for at, run in runs:
        made[at : at + len(run)] = run
    assert made == data
