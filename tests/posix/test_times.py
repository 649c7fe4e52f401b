"""Effects of each call on the modification and the change time of what it touches."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.posix.syscalls import RENAME_EXCHANGE, create, errno_of, renameat2

LONG_AGO_NS = 10**18


def write(data: bytes, flags: int = os.O_WRONLY) -> None:
    fd = os.open("file", flags)
    if data:
        os.write(fd, data)
    os.close(fd)


def resize(size: int) -> None:
    fd = os.open("file", os.O_RDWR)
    os.ftruncate(fd, size)
    os.close(fd)


def empty_write() -> None:
    fd = os.open("file", os.O_WRONLY)
    os.write(fd, b"")
    os.close(fd)


# Of each call: what becomes of `file`, of the directory `.`, and of the directory `d`.
# m: the modification time is now; c: the change time is now.
CALLS: list[tuple[str, Callable[[], object], str, str, str]] = [
    ("chmod", lambda: os.chmod("file", 0o600), "c", "", ""),
    ("chmod to the same", lambda: os.chmod("file", 0o644), "c", "", ""),
    ("chown", lambda: os.chown("file", 5, -1), "c", "", ""),
    ("write", lambda: write(b"abc"), "mc", "", ""),
    ("append", lambda: write(b"abc", os.O_WRONLY | os.O_APPEND), "mc", "", ""),
    ("write nothing", empty_write, "", "", ""),
    ("open for writing", lambda: write(b"", os.O_RDWR), "", "", ""),
    ("open with O_CREAT", lambda: write(b"", os.O_RDWR | os.O_CREAT), "", "", ""),
    ("open with O_TRUNC", lambda: write(b"", os.O_WRONLY | os.O_TRUNC), "mc", "", ""),
    ("truncate", lambda: os.truncate("file", 0), "mc", "", ""),
    ("truncate to the same size", lambda: os.truncate("file", 4), "mc", "", ""),
    ("ftruncate, larger", lambda: resize(100), "mc", "", ""),
    ("read", lambda: Path("file").read_bytes(), "", "", ""),
    ("link", lambda: os.link("file", "d/new"), "c", "", "mc"),
    ("unlink of one name", lambda: os.unlink("d/link"), "c", "", "mc"),
    ("rename", lambda: os.rename("file", "file2"), "c", "mc", ""),
    ("rename to elsewhere", lambda: os.rename("file", "d/file"), "c", "mc", "mc"),
    ("rename onto itself", lambda: os.rename("d/link", "file"), "", "", ""),
    ("rename over it", lambda: os.rename("d/other", "file"), "c", "mc", "mc"),
    ("exchange", lambda: renameat2("file", "d/other", RENAME_EXCHANGE), "c", "mc", "mc"),
    ("mkdir", lambda: os.mkdir("d/new"), "", "", "mc"),
    ("rmdir", lambda: os.rmdir("d/sub"), "", "", "mc"),
    ("symlink", lambda: os.symlink("x", "d/new"), "", "", "mc"),
    ("mkfifo", lambda: os.mkfifo("d/new"), "", "", "mc"),
    ("readlink", lambda: os.readlink("sym"), "", "", ""),
    ("utimensat", lambda: os.utime("file", ns=(1, 2)), "mc", "", ""),
    ("a rename that fails", lambda: errno_of(os.rename, "file", "d"), "", "", ""),
    ("a link that exists", lambda: errno_of(os.link, "file", "d/link"), "", "", ""),
    ("an rmdir that fails", lambda: errno_of(os.rmdir, "d"), "", "", ""),
]


@pytest.mark.parametrize(("call", "of_file", "of_place", "of_d"), [c[1:] for c in CALLS],
                         ids=[c[0] for c in CALLS])  # fmt: skip
def test_times(
    place: Path, call: Callable[[], object], of_file: str, of_place: str, of_d: str
) -> None:
    os.mkdir("d")
    os.mkdir("d/sub")
    create("file", b"1234")
    create("d/other")
    os.link("file", "d/link")
    os.symlink("file", "sym")
    fd = os.open("file", os.O_RDONLY)
    for path in ("file", "d", "."):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    before = [os.fstat(fd), os.stat("."), os.stat("d")]
    call()
    after = [os.fstat(fd), os.stat("."), os.stat("d")]
    os.close(fd)
    changed = [
        "m" * (old.st_mtime_ns != new.st_mtime_ns) + "c" * (old.st_ctime_ns != new.st_ctime_ns)
        for old, new in zip(before, after, strict=True)
    ]
    assert changed == [of_file, of_place, of_d]


def test_a_time_that_is_set_after_a_store_through_a_mapping_stays(place: Path) -> None:
    create("file", bytes(3 * mmap.PAGESIZE))
    fd = os.open("file", os.O_RDWR)
    with mmap.mmap(fd, 0) as mapping:
        for number, set_time in enumerate((
            lambda: os.utime("file", ns=(1, LONG_AGO_NS)),
            lambda: os.utime(fd, ns=(1, LONG_AGO_NS)),
            lambda: os.utime("file", ns=(1, LONG_AGO_NS), follow_symlinks=False),
        )):  # fmt: skip
            mapping[number * mmap.PAGESIZE] = 7
            set_time()
            mapping.flush()
            assert os.stat("file").st_mtime_ns == LONG_AGO_NS
        mapping[0] = 8
        mapping.flush()
        assert os.stat("file").st_mtime_ns > LONG_AGO_NS, "stored after it was set"
        mapping[1] = 9
        os.close(fd)
        os.utime("file", ns=(1, LONG_AGO_NS))
    assert os.stat("file").st_mtime_ns == LONG_AGO_NS
    assert Path("file").read_bytes()[:2] == b"\x08\x09"


def test_times_of_a_link_are_its_own(place: Path) -> None:
    create("file")
    os.symlink("file", "link")
    before = os.stat("file")
    os.utime("link", ns=(1, LONG_AGO_NS), follow_symlinks=False)
    os.chown("link", 7, 8, follow_symlinks=False)
    assert os.lstat("link").st_mtime_ns == LONG_AGO_NS
    assert (os.lstat("link").st_uid, os.lstat("link").st_gid) == (7, 8)
    assert os.stat("file") == before


def test_new_names_have_the_time_of_their_making(place: Path) -> None:
    os.utime(".", ns=(1, 1))
    create("file")
    status = os.stat("file")
    assert abs(os.stat(".").st_mtime_ns - status.st_ctime_ns) < 10**9
    assert status.st_mtime_ns >= os.stat(".").st_mtime_ns
