"""One system call at a time, as a mounted workspace answers it."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import socket
import stat
from typing import TYPE_CHECKING

from tests.mount.programs import errno_of, names, put, run, shell

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


def test_shared_mappings(mounted: Mounted) -> None:
    path = mounted.path / "file"
    path.write_bytes(bytes(10_000))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 10_000) as mapped:
        mapped[5000:5003] = b"abc"
        with mmap.mmap(file.fileno(), 10_000) as other:
            assert other[5000:5003] == b"abc"
        assert os.pread(file.fileno(), 3, 5000) == b"abc"
        mapped.flush()
        os.pwrite(file.fileno(), b"xyz", 0)
        assert mapped[:3] == b"xyz"
    mounted.remount()
    data = path.read_bytes()
    assert (data[:3], data[5000:5003], len(data)) == (b"xyz", b"abc", 10_000)


def test_private_mappings_change_nothing(mounted: Mounted) -> None:
    path = mounted.path / "file"
    path.write_bytes(b"x" * 5000)
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 5000, access=mmap.ACCESS_COPY) as mapped:
            mapped[:3] = b"abc"
            assert mapped[:3] == b"abc"
        assert file.read() == b"x" * 5000


def test_append_ignores_the_offset(mounted: Mounted) -> None:
    path = mounted.path / "log"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"one")
    os.lseek(fd, 0, os.SEEK_SET)
    path.write_bytes(b"longer than one")
    os.write(fd, b"two")
    os.close(fd)
    assert path.read_bytes() == b"longer than onetwo"


def test_truncate_and_holes(mounted: Mounted) -> None:
    path = mounted.path / "file"
    path.write_bytes(b"0123456789")
    os.truncate(path, 4)
    assert path.read_bytes() == b"0123"
    os.truncate(path, 8)
    assert path.read_bytes() == b"0123\0\0\0\0"
    with open(path, "r+b") as file:
        file.seek(5_000_000)
        file.write(b"end")
    assert path.stat().st_size == 5_000_003
    mounted.remount()
    with open(path, "rb") as file:
        assert file.read(8) == b"0123\0\0\0\0"
        file.seek(4_999_999)
        assert file.read() == b"\0end"


def test_a_large_sparse_file_takes_no_memory(mounted: Mounted) -> None:
    path = mounted.path / "sparse"
    with open(path, "wb") as file:
        file.truncate(50 * 1024**3)
        file.seek(20 * 1024**3)
        file.write(b"middle")
    mounted.commit("sparse")
    mounted.remount()
    assert path.stat().st_size == 50 * 1024**3
    with open(path, "rb") as file:
        file.seek(20 * 1024**3 - 4)
        assert file.read(12) == b"\0\0\0\0middle\0\0"


def test_random_writes_in_a_file_of_many_parts(mounted: Mounted) -> None:
    rng = random.Random(7)
    expected = bytearray(3 * 1024 * 1024)
    path = mounted.path / "file"
    with open(path, "w+b", buffering=0) as file:
        for step in range(300):
            data = rng.randbytes(rng.choice([1, 100, 5000, 70_000]))
            at = rng.randrange(len(expected) - len(data))
            os.pwrite(file.fileno(), data, at)
            expected[at : at + len(data)] = data
            if step % 100 == 50:
                mounted.commit(f"step {step}")
        file.truncate(len(expected))
    mounted.remount()
    assert path.read_bytes() == bytes(expected)


def test_hard_links(mounted: Mounted) -> None:
    one, two = mounted.path / "one", mounted.path / "d/two"
    put(one, "text\n")
    two.parent.mkdir()
    os.link(one, two)
    with open(two, "a") as file:
        file.write("more\n")
    assert one.read_text() == "text\nmore\n"
    assert one.stat().st_ino == two.stat().st_ino
    assert one.stat().st_nlink == 2
    mounted.remount()
    assert one.stat().st_ino == two.stat().st_ino
    assert two.stat().st_nlink == 2
    one.unlink()
    assert two.stat().st_nlink == 1
    assert two.read_text() == "text\nmore\n"


def test_fifo_socket_and_device(mounted: Mounted) -> None:
    os.mkfifo(mounted.path / "fifo")
    done = shell("(echo through > fifo) & cat fifo; wait", cwd=mounted.path)
    assert done.stdout == "through\n"
    server = socket.socket(socket.AF_UNIX)
    client = socket.socket(socket.AF_UNIX)
    with server, client:
        here = os.getcwd()
        os.chdir(mounted.path)  # A socket's path is short.
        try:
            server.bind("socket")
            server.listen()
            client.connect("socket")
        finally:
            os.chdir(here)
    os.mknod(mounted.path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    mounted.remount()
    modes = {name: stat.S_IFMT((mounted.path / name).lstat().st_mode) for name in ("fifo", "null")}
    assert modes == {"fifo": stat.S_IFIFO, "null": stat.S_IFCHR}
    assert (mounted.path / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISSOCK((mounted.path / "socket").stat().st_mode)


def test_names_of_any_bytes(mounted: Mounted) -> None:
    root = os.fsencode(mounted.path)
    every = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    every += [b"x" * 255, b"\xff" * 255, "ü\n\t'\"\\ \u202e".encode(), b"-rf", b"..."]
    for name in every:
        with open(root + b"/" + name, "wb") as file:
            file.write(name)
    mounted.commit("names")
    mounted.remount()
    assert sorted(os.listdir(root)) == sorted(every)
    snapshot = root + b"/.helios/snapshots/HEAD"
    for name in every:
        for place in (root, snapshot):
            with open(place + b"/" + name, "rb") as file:
                assert file.read() == name
    for call in (os.mkdir, os.stat, os.unlink, os.rmdir, os.mkfifo):
        assert errno_of(call, root + b"/" + b"x" * 256) == "ENAMETOOLONG"
    assert errno_of(os.rename, root + b"/-rf", root + b"/" + b"x" * 256) == "ENAMETOOLONG"
    assert errno_of(os.symlink, b"t", root + b"/" + b"x" * 256) == "ENAMETOOLONG"
    assert errno_of(os.open, root + b"/" + b"x" * 256, os.O_CREAT) == "ENAMETOOLONG"


def test_a_directory_of_10_000_entries(mounted: Mounted) -> None:
    directory = mounted.path / "many"
    directory.mkdir()
    for number in range(10_000):
        os.close(os.open(directory / f"{number:05}", os.O_CREAT))
    expected = [f"{number:05}" for number in range(10_000)]
    assert sorted(os.listdir(directory)) == expected
    mounted.commit("many")
    (directory / "05000").unlink()
    put(directory / "new", "")
    mounted.commit("changed")
    mounted.remount()
    with os.scandir(directory) as entries:
        found = {entry.name: entry.stat().st_size for entry in entries}
    assert sorted(found) == sorted({*expected, "new"} - {"05000"})
    assert sorted(os.listdir(mounted.path / ".helios/snapshots/HEAD~1/many")) == expected
    shutil.rmtree(directory)
    assert names(mounted.path) == []


def test_a_listing_that_changes_shows_what_stays_once(mounted: Mounted) -> None:
    for number in range(2000):
        os.close(os.open(mounted.path / f"stays{number}", os.O_CREAT))
    seen = []
    with os.scandir(mounted.path) as entries:
        for count, entry in enumerate(entries):
            seen.append(entry.name)
            if count % 10 == 0:
                put(mounted.path / f"new{count}", "")
    stays = [name for name in seen if name.startswith("stays")]
    assert sorted(stays) == sorted(f"stays{number}" for number in range(2000))


def test_statfs(mounted: Mounted) -> None:
    disk = os.statvfs(mounted.path)
    assert disk.f_namemax == 255
    assert disk.f_blocks > disk.f_bavail > 0
    assert run("df", ".", cwd=mounted.path).stdout.splitlines()[1].startswith("heliosfs ")


def test_fsync_and_fdatasync(mounted: Mounted) -> None:
    with open(mounted.path / "file", "wb") as file:
        file.write(b"kept")
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    fd = os.open(mounted.path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    run("sync", "-f", "file", cwd=mounted.path)


def test_times_in_nanoseconds(mounted: Mounted) -> None:
    path = mounted.path / "file"
    put(path, "")
    for mtime_ns in (0, 1, 1_234_567_890_123_456_789, -1_000_000_001, 4 * 10**18):
        os.utime(path, ns=(5, mtime_ns))
        assert path.stat().st_mtime_ns == mtime_ns
        mounted.remount()
        assert path.stat().st_mtime_ns == mtime_ns
    before = path.stat().st_mtime_ns
    path.touch()
    assert path.stat().st_mtime_ns != before
    directory = mounted.path / "d"
    directory.mkdir()
    os.utime(directory, ns=(0, 0))
    put(directory / "entry", "")
    assert directory.stat().st_mtime_ns > 0


def test_open_unlinked_files(mounted: Mounted) -> None:
    path = mounted.path / "file"
    with open(path, "w+b") as file:
        file.write(b"before")
        file.flush()
        path.unlink()
        assert os.fstat(file.fileno()).st_nlink == 0
        put(path, "another")
        file.write(b" after")
        file.flush()
        assert os.pread(file.fileno(), 100, 0) == b"before after"
        mounted.commit("while it is open")
        os.ftruncate(file.fileno(), 3)
        assert os.pread(file.fileno(), 100, 0) == b"bef"
    assert path.read_text() == "another"


def test_rename_of_directories(mounted: Mounted) -> None:
    put(mounted.path / "a/b/c/file", "text\n")
    mounted.commit("one")
    os.rename(mounted.path / "a/b", mounted.path / "b")
    assert (mounted.path / "b/c/file").read_text() == "text\n"
    assert names(mounted.path / "a") == []
    assert errno_of(os.rename, mounted.path / "b", mounted.path / "b/c/d") == "EINVAL"
    assert errno_of(os.rename, mounted.path / "a", mounted.path / "b") == "ENOTEMPTY"
    os.rename(mounted.path / "b", mounted.path / "a")
    mounted.commit("two")
    mounted.remount()
    assert (mounted.path / "a/c/file").read_text() == "text\n"
