"""Open files: unlinked, replaced, mapped, executed, locked, sparse."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.vfs.files import FILE_MAX_BYTES
from tests.mount.programs import SECONDS
from tests.posix.syscalls import create, errno_of


def test_an_unlinked_file_is_all_there(place: Path) -> None:
    create("one", b"hello")
    fd = os.open("one", os.O_RDWR)
    os.link("one", "two")
    os.unlink("one")
    assert os.fstat(fd).st_nlink == 1
    os.unlink("two")
    assert os.fstat(fd).st_nlink == 0
    os.pwrite(fd, b"J", 0)
    os.ftruncate(fd, 3)
    os.fchmod(fd, 0o600)
    os.fchown(fd, 3, 4)
    os.utime(fd, ns=(5, 6))
    status = os.fstat(fd)
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o600, 3, 4)
    assert (status.st_size, status.st_mtime_ns) == (3, 6)
    with mmap.mmap(fd, 3) as mapped:
        assert mapped[:] == b"Jel"
    here = os.open(".", os.O_RDONLY)
    assert errno_of(os.link, f"/proc/self/fd/{fd}", "back", dst_dir_fd=here) == "ENOENT"
    os.close(here)
    os.close(fd)
    assert os.listdir() == []


def test_a_replaced_file_keeps_its_bytes(place: Path) -> None:
    create("new", b"new")
    create("old", b"old")
    fd = os.open("old", os.O_RDWR)
    os.rename("new", "old")
    assert (os.read(fd, 9), os.fstat(fd).st_nlink) == (b"old", 0)
    os.pwrite(fd, b"X", 0)
    os.close(fd)
    assert Path("old").read_text() == "new"


def test_a_removed_directory_is_empty_for_good(place: Path) -> None:
    os.mkdir("gone")
    fd = os.open("gone", os.O_RDONLY)
    os.rmdir("gone")
    assert os.listdir(fd) == []
    assert errno_of(os.mkdir, "x", dir_fd=fd) == "ENOENT"
    assert errno_of(os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd) == "ENOENT"
    assert errno_of(os.symlink, "x", "x", dir_fd=fd) == "ENOENT"
    create("file")
    assert errno_of(os.rename, "file", "x", dst_dir_fd=fd) == "ENOENT"
    assert errno_of(os.link, "file", "x", dst_dir_fd=fd) == "ENOENT"
    os.close(fd)


def test_modes_of_opening_are_kept_to(place: Path) -> None:
    create("file", b"abc")
    fd = os.open("file", os.O_RDONLY)
    assert errno_of(os.write, fd, b"x") == "EBADF"
    assert errno_of(os.ftruncate, fd, 0) == "EINVAL"
    assert errno_of(mmap.mmap, fd, 3) == "EACCES"
    os.close(fd)
    fd = os.open("file", os.O_WRONLY)
    assert errno_of(os.read, fd, 1) == "EBADF"
    os.close(fd)
    fd = os.open("file", os.O_PATH)
    assert errno_of(os.read, fd, 1) == "EBADF"
    assert os.fstat(fd).st_size == 3
    os.close(fd)


def test_a_running_program_cannot_be_written(place: Path) -> None:
    shutil.copy("/bin/sleep", "program")
    with subprocess.Popen(["./program", "30"]) as process:
        try:
            assert errno_of(os.open, "program", os.O_WRONLY) == "ETXTBSY"
            assert errno_of(os.truncate, "program", 0) == "ETXTBSY"
            os.rename("program", "renamed")
            os.unlink("renamed")
        finally:
            process.kill()
    shutil.copy("/bin/sleep", "program")
    fd = os.open("program", os.O_RDWR)
    assert errno_of(subprocess.Popen, ["./program", "0"]) == "ETXTBSY"
    os.close(fd)


def test_sizes_have_a_limit(place: Path) -> None:
    create("file")
    assert errno_of(os.truncate, "file", FILE_MAX_BYTES + 1) == "EFBIG"
    assert errno_of(os.truncate, "file", -1) == "EINVAL"
    fd = os.open("file", os.O_RDWR)
    assert errno_of(os.pwrite, fd, b"x", FILE_MAX_BYTES) == "EFBIG"
    assert os.fstat(fd).st_size == 1
    os.pwrite(fd, b"x", 2**34)
    assert os.fstat(fd).st_size == 2**34 + 1
    assert os.pread(fd, 3, 2**34 - 1) == b"\0x"
    os.close(fd)
    os.unlink("file")


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield 1 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_the_limit_of_a_process(place: Path, file_size_limit: int) -> None:
    create("file")
    fd = os.open("file", os.O_RDWR)
    assert errno_of(os.ftruncate, fd, file_size_limit + 1) == "EFBIG"
    assert errno_of(os.pwrite, fd, b"x", file_size_limit) == "EFBIG"
    assert os.pwrite(fd, bytes(20), file_size_limit - 10) == 10
    os.close(fd)


def test_what_the_kernel_refuses_for_us(place: Path) -> None:
    create("file")
    fd = os.open("file", os.O_RDWR)
    assert errno_of(fcntl.ioctl, fd, 0x80086601, bytes(8)) == "ENOTTY"
    os.close(fd)


def test_append_writes_at_the_end_whatever_the_offset(place: Path) -> None:
    fd = os.open("file", os.O_CREAT | os.O_APPEND | os.O_RDWR)
    os.write(fd, b"aaa")
    os.pwrite(fd, b"b", 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"c")
    assert os.pread(fd, 10, 0) == b"aaabc"
    os.close(fd)


def test_mappings_and_calls_see_each_other(place: Path) -> None:
    create("file", bytes(8192))
    fd = os.open("file", os.O_RDWR)
    shared = mmap.mmap(fd, 8192)
    private = mmap.mmap(fd, 8192, mmap.MAP_PRIVATE)
    shared[:3] = b"abc"
    assert (os.pread(fd, 3, 0), private[:3]) == (b"abc", b"abc")
    private[:3] = b"own"
    assert (os.pread(fd, 3, 0), shared[:3]) == (b"abc", b"abc")
    os.pwrite(fd, b"Q", 4096)
    assert (shared[4096], private[4096]) == (ord("Q"), ord("Q"))
    os.ftruncate(fd, 4096)
    os.ftruncate(fd, 8192)
    assert shared[4096] == 0
    before = os.fstat(fd)
    shared[5:6] = b"!"
    shared.flush()
    assert os.fstat(fd).st_mtime_ns > before.st_mtime_ns
    shared.close()
    private.close()
    os.close(fd)


def test_a_store_beyond_the_end_does_not_come_back(place: Path) -> None:
    create("file", bytes(100))
    fd = os.open("file", os.O_RDWR)
    with mmap.mmap(fd, 100) as mapped:
        mapped[99:100] = b"E"
        mapped.flush()
        assert os.fstat(fd).st_size == 100
        os.ftruncate(fd, 50)
        os.ftruncate(fd, 200)
        assert os.pread(fd, 200, 0) == bytes(200)
    os.close(fd)


_LOCK = struct.Struct("hhqqi4x")
_F_OFD_SETLK = 37
_OTHER_PROCESS = """
import fcntl, os, struct, sys
fd = os.open("file", os.O_RDWR)
kind, start = sys.argv[1], int(sys.argv[2])
try:
    if kind == "flock":
        fcntl.flock(fd, start | fcntl.LOCK_NB)
    else:
        fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, start, 1, 0))
    print("locked")
except OSError as error:
    print(error.errno)
"""


def other_process(kind: str, argument: int) -> bool:
    """Return True if another process gets a lock."""
    done = subprocess.run(
        [sys.executable, "-ISc", _OTHER_PROCESS, kind, str(argument)],
        check=True, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.stdout.strip() in ("locked", str(errno.EAGAIN), str(errno.EACCES))
    return done.stdout == "locked\n"


def set_lock(fd: int, command: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(fd, command, _LOCK.pack(kind, 0, start, length, 0))


def test_flock(place: Path) -> None:
    create("file")
    fd = os.open("file", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert other_process("flock", fcntl.LOCK_SH)
    assert not other_process("flock", fcntl.LOCK_EX)
    os.close(fd)
    assert other_process("flock", fcntl.LOCK_EX)


def test_record_locks(place: Path) -> None:
    create("file")
    fd = os.open("file", os.O_RDWR)
    set_lock(fd, fcntl.F_SETLK, fcntl.F_WRLCK, 0, 10)
    assert not other_process("fcntl", 9)
    assert other_process("fcntl", 10)
    os.close(os.open("file", os.O_RDONLY))
    assert other_process("fcntl", 9), "any close of the file drops the locks of a process"
    os.close(fd)


def test_open_file_description_locks(place: Path) -> None:
    create("file")
    one, two = os.open("file", os.O_RDWR), os.open("file", os.O_RDWR)
    set_lock(one, _F_OFD_SETLK, fcntl.F_WRLCK, 0, 10)
    os.close(os.open("file", os.O_RDONLY))
    assert errno_of(set_lock, two, _F_OFD_SETLK, fcntl.F_WRLCK, 0, 1) == "EAGAIN"
    assert not other_process("fcntl", 0)
    os.close(one)
    set_lock(two, _F_OFD_SETLK, fcntl.F_WRLCK, 0, 1)
    os.close(two)
