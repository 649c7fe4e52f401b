"""Names: rename in all its cases, links, lengths, loops."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.posix.syscalls import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RENAME_WHITEOUT,
    create,
    errno_of,
    renameat2,
)


def make(kind: str, path: str) -> None:
    if kind == "file":
        create(path)
    elif kind == "link":
        os.symlink("nowhere", path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "nothing":
        os.mkdir(path)
        if kind == "full":
            create(path + "/child")


@pytest.mark.parametrize("source", ["file", "link", "fifo", "empty", "full"])
@pytest.mark.parametrize("target", ["nothing", "file", "link", "fifo", "empty", "full"])
@pytest.mark.parametrize("into", ["", "d/"])
def test_rename_over(place: Path, source: str, target: str, into: str) -> None:
    os.mkdir("d")
    make(source, "a")
    make(target, into + "b")
    ino = os.lstat("a").st_ino
    is_directory = source in ("empty", "full")
    expected = "ok"
    if target == "full" or target == "empty":
        expected = "EISDIR" if not is_directory else "ENOTEMPTY" if target == "full" else "ok"
    elif target != "nothing" and is_directory:
        expected = "ENOTDIR"
    assert errno_of(os.rename, "a", into + "b") == expected
    if expected == "ok":
        assert os.lstat(into + "b").st_ino == ino
        assert not os.path.lexists("a")
    else:
        assert os.lstat("a").st_ino == ino
        assert os.path.lexists(into + "b")


def test_rename_between_names_of_one_file_does_nothing(place: Path) -> None:
    create("a")
    os.link("a", "b")
    os.rename("a", "b")
    assert sorted(os.listdir()) == ["a", "b"]


def test_a_directory_does_not_go_below_itself(place: Path) -> None:
    os.makedirs("a/b/c")
    for target in ("a/x", "a/b", "a/b/c", "a/b/c/x"):
        assert errno_of(os.rename, "a", target) in ("EINVAL", "ENOTEMPTY")
    assert errno_of(os.rename, "a/b/c", "a") == "ENOTEMPTY"
    assert errno_of(renameat2, "a", "a/b", RENAME_EXCHANGE) == "EINVAL"
    assert errno_of(renameat2, "a/b", "a", RENAME_EXCHANGE) == "EINVAL"
    assert os.path.isdir("a/b/c")


def test_noreplace(place: Path) -> None:
    create("a", b"a")
    create("b", b"b")
    assert errno_of(renameat2, "a", "b", RENAME_NOREPLACE) == "EEXIST"
    assert errno_of(renameat2, "a", "a", RENAME_NOREPLACE) == "EEXIST"
    renameat2("a", "c", RENAME_NOREPLACE)
    assert (Path("c").read_text(), Path("b").read_text()) == ("a", "b")


def test_exchange(place: Path) -> None:
    create("file", b"text")
    os.makedirs("d/sub")
    os.symlink("x", "d/link")
    assert errno_of(renameat2, "file", "missing", RENAME_EXCHANGE) == "ENOENT"
    renameat2("file", "d/sub", RENAME_EXCHANGE)
    assert Path("d/sub").read_text() == "text"
    assert os.path.isdir("file")
    assert os.stat("d").st_nlink == 2
    assert os.stat(".").st_nlink == 4
    renameat2("file", "d/link", RENAME_EXCHANGE)
    assert os.readlink("file") == "x"
    assert os.path.isdir("d/link")
    assert (os.stat("d").st_nlink, os.stat(".").st_nlink) == (3, 3)
    renameat2("file", "file", RENAME_EXCHANGE)
    assert os.readlink("file") == "x"


def test_flags_that_are_not_there(place: Path) -> None:
    create("a")
    assert errno_of(renameat2, "a", "b", RENAME_WHITEOUT) == "EINVAL"
    assert errno_of(renameat2, "a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE) == "EINVAL"
    assert os.listdir() == ["a"]


def test_link_counts_of_directories(place: Path) -> None:
    os.mkdir("a")
    os.mkdir("b")
    for number in range(5):
        os.mkdir(f"a/{number}")
    assert os.stat("a").st_nlink == 7
    os.rename("a/0", "b/0")
    assert (os.stat("a").st_nlink, os.stat("b").st_nlink) == (6, 3)
    os.rename("a/1", "a/2")
    os.rmdir("a/3")
    assert os.stat("a").st_nlink == 4
    fd = os.open("a/4", os.O_RDONLY)
    os.rmdir("a/4")
    assert (os.stat("a").st_nlink, os.fstat(fd).st_nlink) == (3, 0)
    os.close(fd)


def test_links_of_every_kind(place: Path) -> None:
    create("file")
    os.symlink("file", "link")
    os.mkfifo("fifo")
    os.mkdir("directory")
    for name in ("file", "link", "fifo"):
        os.link(name, name + "2", follow_symlinks=False)
        assert os.lstat(name).st_nlink == 2
        assert os.lstat(name).st_ino == os.lstat(name + "2").st_ino
    assert errno_of(os.link, "directory", "directory2") == "EPERM"
    assert errno_of(os.link, "file", "file2") == "EEXIST"
    assert errno_of(os.link, "missing", "new") == "ENOENT"
    assert errno_of(os.link, "file", "file2/x") == "ENOTDIR"


def test_names_of_255_bytes_and_not_one_more(place: Path) -> None:
    longest, longer = "x" * 255, "y" * 256
    create("file")
    create(longest)
    assert errno_of(create, longer) == "ENAMETOOLONG"
    assert errno_of(os.mkdir, longer) == "ENAMETOOLONG"
    assert errno_of(os.symlink, "x", longer) == "ENAMETOOLONG"
    assert errno_of(os.link, "file", longer) == "ENAMETOOLONG"
    assert errno_of(os.rename, "file", longer) == "ENAMETOOLONG"
    assert errno_of(os.unlink, longer) == "ENAMETOOLONG"
    assert errno_of(os.lstat, longer) == "ENAMETOOLONG"
    assert errno_of(os.stat, "/".join(["a" * 250] * 17)) == "ENAMETOOLONG"
    os.rename(longest, "z" * 255)
    assert os.statvfs(".").f_namemax == 255


def test_targets_of_4095_bytes_and_not_one_more(place: Path) -> None:
    os.symlink("t" * 4095, "longest")
    assert len(os.readlink("longest")) == os.lstat("longest").st_size == 4095
    assert errno_of(os.symlink, "t" * 4096, "longer") == "ENAMETOOLONG"
    assert errno_of(os.symlink, "", "empty") == "ENOENT"


def test_loops(place: Path) -> None:
    os.symlink("two", "one")
    os.symlink("one", "two")
    assert errno_of(os.stat, "one") == "ELOOP"
    assert errno_of(os.open, "one", os.O_CREAT | os.O_WRONLY) == "ELOOP"
    assert errno_of(os.stat, "one/x") == "ELOOP"
    create("end")
    os.symlink("end", "end-link")
    assert errno_of(os.open, "end-link", os.O_RDONLY | os.O_NOFOLLOW) == "ELOOP"
    for number in range(41):
        os.symlink(f"l{number - 1}" if number else "end", f"l{number}")
    assert errno_of(os.stat, "l39") == "ok"
    assert errno_of(os.stat, "l40") == "ELOOP"


def test_what_a_path_may_go_through(place: Path) -> None:
    create("file")
    os.mkdir("d")
    os.symlink("made", "dangling")
    assert errno_of(os.open, "file/x", os.O_RDONLY) == "ENOTDIR"
    assert errno_of(os.open, "file/", os.O_RDONLY) == "ENOTDIR"
    assert errno_of(os.open, "file", os.O_RDONLY | os.O_DIRECTORY) == "ENOTDIR"
    assert errno_of(os.open, "d", os.O_WRONLY) == "EISDIR"
    assert errno_of(os.open, "d", os.O_CREAT) == "EISDIR"
    assert errno_of(os.open, "missing/", os.O_CREAT | os.O_WRONLY) == "EISDIR"
    assert errno_of(os.unlink, "d") == "EISDIR"
    assert errno_of(os.rmdir, "file") == "ENOTDIR"
    assert errno_of(os.rmdir, ".") == "EINVAL"
    assert errno_of(os.rmdir, "d/..") == "ENOTEMPTY"
    assert errno_of(os.rename, "d/.", "x") == "EBUSY"
    assert errno_of(os.rename, "file", "new/") == "ENOTDIR"
    assert errno_of(os.open, "dangling", os.O_CREAT | os.O_EXCL) == "EEXIST"
    create("dangling")
    assert Path("made").read_text() == "x"


def test_sockets_and_fifos(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        client.connect("socket")
        assert stat.S_ISSOCK(os.lstat("socket").st_mode)
        assert errno_of(os.open, "socket", os.O_RDONLY) == "ENXIO"
        with socket.socket(socket.AF_UNIX) as second:
            assert errno_of(second.bind, "socket") == "EADDRINUSE"
    os.mkfifo("fifo")
    reader = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("fifo", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    os.close(writer)
