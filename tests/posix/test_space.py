"""Space of files: holes, room, copies without copying, and files without a name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted
from tests.posix.syscalls import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
    as_user,
    copied,
    copy_range,
    create,
    errno_of,
    fallocate,
    link_descriptor,
)


def test_holes_are_found_and_read_as_zeros(place: Path) -> None:
    size = 5 << 20
    create("file", b"begin")
    fd = os.open("file", os.O_RDWR)
    os.pwrite(fd, b"end", size - 3)
    assert os.pread(fd, 10, 0) == b"begin" + bytes(5)
    assert os.pread(fd, 10, size // 2) == bytes(10)
    assert os.pread(fd, 10, size - 5) == b"\0\0end"
    part = 128 << 10
    assert os.lseek(fd, 5, os.SEEK_DATA) == 5
    assert os.lseek(fd, 5, os.SEEK_HOLE) == part
    assert os.lseek(fd, part + 7, os.SEEK_HOLE) == part + 7
    assert os.lseek(fd, part + 7, os.SEEK_DATA) == size - part
    assert os.lseek(fd, size - 9, os.SEEK_HOLE) == size
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        assert errno_of(os.lseek, fd, size, whence) == "ENXIO"
    os.ftruncate(fd, 2 * size)
    assert errno_of(os.lseek, fd, size + part, os.SEEK_DATA) == "ENXIO"
    os.close(fd)
    create("small", bytes(9000))
    fd = os.open("small", os.O_RDONLY)
    assert os.lseek(fd, 5, os.SEEK_DATA) == 5
    assert os.lseek(fd, 5, os.SEEK_HOLE) == 9000
    os.close(fd)


@pytest.mark.parametrize("size", [10_000, 3 << 20])
def test_fallocate(place: Path, size: int) -> None:
    data = os.urandom(size)
    create("file", data)
    fd = os.open("file", os.O_RDWR)
    fallocate(fd, 0, 0, size // 2)
    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * size)
    assert (os.fstat(fd).st_size, os.pread(fd, size + 1, 0)) == (size, data)
    fallocate(fd, 0, size, 1000)
    assert os.fstat(fd).st_size == size + 1000
    assert os.pread(fd, 1001, size - 1) == data[-1:] + bytes(1000)
    os.ftruncate(fd, size)

    third = size // 3
    before = os.fstat(fd)
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, third, third)
    punched = data[:third] + bytes(third) + data[2 * third :]
    assert os.pread(fd, size, 0) == punched
    assert os.fstat(fd).st_mtime_ns > before.st_mtime_ns
    if size > 1 << 20:
        assert third <= os.lseek(fd, 0, os.SEEK_HOLE) < third + (128 << 10)
    fallocate(fd, FALLOC_FL_ZERO_RANGE, size - 100, 300)
    assert os.pread(fd, size + 200, 0) == punched[:-100] + bytes(300)
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size + 100, 10 * size)
    assert os.fstat(fd).st_size == size + 200
    os.close(fd)


def test_fallocate_is_refused_clearly(place: Path) -> None:
    create("file", b"text")
    fd = os.open("file", os.O_RDWR)
    collapse = 8
    assert errno_of(fallocate, fd, collapse, 0, 4096) == "ENOTSUP"
    assert errno_of(fallocate, fd, 0, 0, 1 << 41) == "EFBIG"
    assert errno_of(fallocate, fd, 0, 0, 1 << 40) == "ENOSPC"
    os.close(fd)
    fd = os.open("file", os.O_RDONLY)
    assert errno_of(fallocate, fd, 0, 0, 4096) == "EBADF"
    os.close(fd)
    assert Path("file").read_bytes() == b"text"


def test_who_allocates_takes_the_set_id_bits_away(place: Path) -> None:
    for before, after in ((0o6777, 0o777), (0o2766, 0o766)):
        create("file", b"text", before)
        with as_user(1234):
            fd = os.open("file", os.O_RDWR)
            fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096)
            os.close(fd)
        assert stat.S_IMODE(os.stat("file").st_mode) == after
        os.chmod("file", before)
        fd = os.open("file", os.O_RDWR)
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096)
        os.close(fd)
        assert stat.S_IMODE(os.stat("file").st_mode) == before
        os.unlink("file")


@pytest.mark.parametrize("size", [0, 5000, 1 << 20, (5 << 20) + 77])
def test_copy_file_range(workspace: Mounted, place: Path, size: int) -> None:
    """Between files, within one, from a snapshot; of what is committed and what is not."""
    data = bytearray(os.urandom(size))
    create("source", bytes(data))
    for is_committed in (False, True):
        if is_committed:
            workspace.commit(f"{size}")
        copied("source", "target")
        assert Path("target").read_bytes() == data
        source, target = os.open("source", os.O_RDWR), os.open("target", os.O_RDWR)
        for offset, at, length in (
            (0, 0, 10),
            (128 << 10, 256 << 10, 700_000),
            (1000, 3000, size // 2),
            (size // 2, size, size),
        ):
            model = bytearray(os.pread(target, 3 * size + 10_000_000, 0))
            piece = os.pread(source, length, offset)
            if piece:
                model.extend(bytes(max(0, at + len(piece) - len(model))))
                model[at : at + len(piece)] = piece
            count = copy_range(source, target, length, offset, at)
            assert count == len(piece)
            assert os.pread(target, len(model) + 1, 0) == model
            before = os.pread(source, 16, offset)
            os.pwrite(source, b"written after it", offset)
            assert os.pread(target, len(model) + 1, 0) == model
            os.pwrite(source, before, offset)
            os.ftruncate(source, size)
        if size > 2 << 20:
            assert copy_range(source, source, 1 << 20, 0, 2 << 20) == 1 << 20
            assert os.pread(source, 1 << 20, 2 << 20) == data[: 1 << 20]
            os.pwrite(source, data[2 << 20 : 3 << 20], 2 << 20)
        os.ftruncate(source, size)
        os.close(source)
        os.close(target)
    snapshot = workspace.path / ".helios/snapshots/HEAD" / place.name
    copied(f"{snapshot}/source", "again")
    assert Path("again").read_bytes() == data
    workspace.commit("copies")
    for name in ("again", "target"):
        assert (snapshot / name).read_bytes() == Path(name).read_bytes()


def test_an_unnamed_file(workspace: Mounted, place: Path) -> None:
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"text")
    assert os.fstat(fd).st_nlink == 0
    assert os.listdir() == []
    workspace.commit("without it")
    link_descriptor(fd, "named")
    status = os.stat("named")
    assert (status.st_nlink, status.st_mode, status.st_ino) == (
        1,
        stat.S_IFREG | 0o640,
        os.fstat(fd).st_ino,
    )
    os.link("named", "twice")
    assert os.fstat(fd).st_nlink == 2
    os.write(fd, b" and more")
    os.close(fd)
    assert Path("twice").read_bytes() == b"text and more"
    workspace.commit("with it")
    assert "named" in workspace.helios("show", "HEAD", "--name-status")

    fd = os.open(".", os.O_TMPFILE | os.O_EXCL | os.O_RDWR)
    os.write(fd, b"text")
    assert errno_of(link_descriptor, fd, "never") == "ENOENT"
    os.close(fd)
    os.unlink("named")
    fd = os.open("twice", os.O_RDONLY)
    os.unlink("twice")
    assert errno_of(link_descriptor, fd, "again") == "ENOENT"
    os.close(fd)
    assert os.listdir() == []
