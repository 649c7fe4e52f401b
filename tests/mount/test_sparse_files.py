"""Files with holes, as programs see them that look at st_blocks and SEEK_HOLE."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.programs import run

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted

MIB = 1024**2
PART = 128 * 1024
SIZE = 64 * MIB


def make(path: Path) -> None:
    """64 MiB with 4 KiB of data at 8 MiB and at 40 MiB."""
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for at in (8 * MIB, 40 * MIB):
            os.pwrite(file.fileno(), b"data" * 1024, at)


def holes(path: Path) -> list[int]:
    """Return the offsets at which data begins and ends."""
    found, at = [], 0
    with open(path, "rb") as file:
        try:
            while True:
                found.append(at := os.lseek(file.fileno(), at, os.SEEK_DATA))
                found.append(at := os.lseek(file.fileno(), at, os.SEEK_HOLE))
        except OSError:
            return found


def test_blocks_and_seek_agree_before_and_after_a_remount(mounted: Mounted) -> None:
    path = mounted.path / "sparse"
    make(path)
    places = [8 * MIB, 8 * MIB + PART, 40 * MIB, 40 * MIB + PART]
    for way in ("dirty", "committed", "mounted again"):
        if way == "committed":
            mounted.commit(way)
        if way == "mounted again":
            mounted.remount()
            # A listing first: it must not tell the kernel anything else.
            assert [each.stat().st_size for each in os.scandir(mounted.path)] == [SIZE]
        assert path.stat().st_blocks * 512 == 2 * PART, way
        assert holes(path) == places, way
    assert run("du", "-k", path, cwd=mounted.path).stdout.split()[0] == f"{2 * PART // 1024}"
    with open(path, "r+b") as file:
        file.truncate(SIZE + 5 * MIB)
        assert os.fstat(file.fileno()).st_blocks * 512 == 2 * PART
        os.pwrite(file.fileno(), b"x" * PART, 20 * MIB)
        assert os.fstat(file.fileno()).st_blocks * 512 == 3 * PART
        run("fallocate", "-p", "-o", f"{8 * MIB}", "-l", f"{MIB}", path, cwd=mounted.path)
        assert os.fstat(file.fileno()).st_blocks * 512 == 2 * PART
        file.truncate(10 * MIB)
        assert os.fstat(file.fileno()).st_blocks == 0
    assert holes(path) == []


def test_programs_keep_the_holes(mounted: Mounted, tmp_path: Path) -> None:
    make(mounted.path / "sparse")
    run("cp", "sparse", "copy", cwd=mounted.path)
    run("tar", "-S", "-cf", tmp_path / "a.tar", "sparse", cwd=mounted.path)
    assert (tmp_path / "a.tar").stat().st_size < MIB
    (mounted.path / "out").mkdir()
    run("tar", "-xf", tmp_path / "a.tar", "-C", "out", cwd=mounted.path)
    for name in ("copy", "out/sparse"):
        run("cmp", "sparse", name, cwd=mounted.path)
        assert (mounted.path / name).stat().st_blocks * 512 == 2 * PART, name


def test_small_files_have_holes_of_a_page(mounted: Mounted) -> None:
    """Holes as on ext4, until the daemon no longer remembers the file: then it is all data."""
    path = mounted.path / "small"
    with open(path, "wb") as file:
        fd = file.fileno()
        os.ftruncate(fd, PART)
        assert os.fstat(fd).st_blocks == 0
        os.pwrite(fd, b"x", 70_000)
        assert (os.fstat(fd).st_blocks, holes(path)) == (8, [69_632, 73_728])
        # Written zeros are data, and so is what was allocated.
        os.pwrite(fd, bytes(4096), 0)
        os.posix_fallocate(fd, 8192, 4096)
        assert (os.fstat(fd).st_blocks, holes(path)[:4]) == (24, [0, 4096, 8192, 12_288])
        run("fallocate", "-p", "-o", "0", "-l", "12288", path, cwd=mounted.path)
        assert (os.fstat(fd).st_blocks, holes(path)) == (8, [69_632, 73_728])
    run("cp", "small", "copy", cwd=mounted.path)
    assert (mounted.path / "copy").stat().st_blocks == 8
    mounted.commit("small")
    assert path.stat().st_blocks == 8
    mounted.remount()
    assert path.stat().st_blocks * 512 == PART
    assert path.read_bytes() == bytes(70_000) + b"x" + bytes(PART - 70_001)
