"""Permissions, and effects of changes on set-id bits: as ext4 answers."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import Mounter
from tests.posix.syscalls import as_user, create, errno_of

USER, OTHER, GROUP = 1000, 1001, 2000


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def owner(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def write(path: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"y")
    os.close(fd)


def append(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"y")
    os.close(fd)


def truncate_at_open(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def truncate_open_file(path: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.ftruncate(fd, 0)
    os.close(fd)


def give_to_own_group(path: str) -> None:
    os.chown(path, -1, USER)


def copy_range(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    os.copy_file_range(fd, fd, 1, 0, 1)
    os.close(fd)


def store_in_mapping(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 1) as mapped:
        mapped[0] = 65
    os.close(fd)


CHANGES: list[Callable[[str], None]] = [
    write,
    append,
    truncate_at_open,
    truncate_open_file,
    lambda path: os.truncate(path, 0),
    copy_range,
    give_to_own_group,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("before", "after"), [(0o6755, 0o755), (0o4711, 0o711), (0o2775, 0o775), (0o755, 0o755)]
)
def test_a_users_change_clears_set_id_bits(
    place: Path, change: Callable[[str], None], before: int, after: int
) -> None:
    create("file")
    os.chown("file", USER, USER)
    os.chmod("file", before)
    with as_user(USER):
        change("file")
    assert oct(mode("file")) == oct(after)


@pytest.mark.parametrize("change", [*CHANGES[:6], store_in_mapping])
def test_roots_change_keeps_set_id_bits(place: Path, change: Callable[[str], None]) -> None:
    create("file", mode=0o6755)
    change("file")
    assert mode("file") == 0o6755


def test_set_group_id_without_group_execute_stays(place: Path) -> None:
    create("file")
    os.chown("file", USER, USER)
    os.chmod("file", 0o2745)
    with as_user(USER):
        truncate_at_open("file")
        assert mode("file") == 0o2745


@pytest.mark.parametrize("ids", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_roots_chown_clears_set_id_bits_of_files_only(place: Path, ids: tuple[int, int]) -> None:
    create("file", mode=0o6755)
    os.chown("file", *ids)
    assert mode("file") == 0o755
    os.mkdir("directory")
    os.chmod("directory", 0o6755)
    os.chown("directory", 1, 1)
    assert mode("directory") == 0o6755


def test_chmod_by_one_outside_the_group_drops_set_group_id(place: Path) -> None:
    create("file")
    os.chown("file", USER, GROUP)
    with as_user(USER):
        os.chmod("file", 0o6755)
        assert mode("file") == 0o4755
    with as_user(USER, groups=(GROUP,)):
        os.chmod("file", 0o6755)
        assert mode("file") == 0o6755


def test_supplementary_groups(place: Path) -> None:
    os.mkdir("shared")
    os.chown("shared", 0, GROUP)
    os.chmod("shared", 0o2770)
    create("readable", b"text", 0o640)
    os.chown("readable", 0, GROUP)
    with as_user(USER):
        assert errno_of(create, "shared/file") == "EACCES"
        assert errno_of(os.open, "readable", os.O_RDONLY) == "EACCES"
    with as_user(USER, groups=(5, 6, GROUP)):
        create("shared/file")
        os.mkdir("shared/directory")
        assert Path("readable").read_text() == "text"
        assert errno_of(os.open, "readable", os.O_RDWR) == "EACCES"
    assert owner("shared/file") == owner("shared/directory") == (USER, GROUP)
    assert mode("shared/directory") == 0o2755


def test_what_is_made_in_a_set_group_id_directory(place: Path) -> None:
    os.mkdir("d")
    os.chown("d", 0, GROUP)
    os.chmod("d", 0o2777)
    with as_user(USER):
        create("d/file", mode=0o755)
        os.mkdir("d/directory")
        os.mkfifo("d/fifo")
        os.symlink("x", "d/link")
        os.close(os.open("d/set", os.O_CREAT | os.O_WRONLY, 0o2755))
    assert {owner(f"d/{name}") for name in os.listdir("d")} == {(USER, GROUP)}
    assert (mode("d/file"), mode("d/directory"), mode("d/set")) == (0o755, 0o2755, 0o755)


def test_who_may_chown(place: Path) -> None:
    create("file")
    os.chown("file", USER, USER)
    with as_user(USER, groups=(GROUP,)):
        os.chown("file", USER, GROUP)
        assert owner("file") == (USER, GROUP)
        assert errno_of(os.chown, "file", USER, GROUP + 1) == "EPERM"
        assert errno_of(os.chown, "file", 0, -1) == "EPERM"
    with as_user(OTHER):
        assert errno_of(os.chown, "file", OTHER, -1) == "EPERM"
        assert errno_of(os.chmod, "file", 0o777) == "EPERM"


def test_who_may_set_times(place: Path) -> None:
    create("file", mode=0o666)
    os.chown("file", USER, USER)
    with as_user(OTHER):
        assert errno_of(os.utime, "file", ns=(1, 1)) == "EPERM"
        os.utime("file")
    os.chmod("file", 0o644)
    with as_user(OTHER):
        assert errno_of(os.utime, "file") == "EACCES"
    with as_user(USER):
        os.utime("file", ns=(1, 1))


def test_sticky_directories(place: Path) -> None:
    os.chmod(".", 0o777)
    os.mkdir("tmp")
    os.chmod("tmp", 0o1777)
    create("tmp/root")
    with as_user(USER):
        create("tmp/mine")
        os.mkdir("tmp/directory")
    with as_user(OTHER):
        assert errno_of(os.unlink, "tmp/mine") == "EPERM"
        assert errno_of(os.rmdir, "tmp/directory") == "EPERM"
        assert errno_of(os.rename, "tmp/mine", "tmp/yours") == "EPERM"
        assert errno_of(os.rename, "tmp/mine", "moved") == "EPERM"
        create("tmp/yours")
        assert errno_of(os.rename, "tmp/yours", "tmp/mine") == "EPERM"
    with as_user(USER):
        assert errno_of(os.unlink, "tmp/root") == "EPERM"
        os.rename("tmp/mine", "tmp/renamed")
        os.unlink("tmp/renamed")
        os.rmdir("tmp/directory")
    os.chown("tmp", USER, USER)
    with as_user(USER):
        os.unlink("tmp/yours")
        os.unlink("tmp/root")


def test_search_and_read_permission_of_directories(place: Path) -> None:
    os.mkdir("d")
    create("d/file")
    os.chmod("d", 0o644)
    with as_user(USER):
        assert os.listdir("d") == ["file"]
        assert errno_of(os.stat, "d/file") == "EACCES"
    os.chmod("d", 0o311)
    with as_user(USER):
        assert errno_of(os.listdir, "d") == "EACCES"
        assert Path("d/file").read_text() == "x"
        assert errno_of(create, "d/new") == "EACCES"
        assert errno_of(os.unlink, "d/file") == "EACCES"


def test_a_read_only_file_cannot_be_truncated_at_open(place: Path) -> None:
    create("file", b"kept", 0o444)
    with as_user(USER):
        assert errno_of(os.open, "file", os.O_RDONLY | os.O_TRUNC) == "EACCES"
        assert errno_of(os.open, "file", os.O_WRONLY) == "EACCES"
    assert Path("file").read_text() == "kept"


def test_only_root_makes_devices(place: Path) -> None:
    os.chmod(".", 0o777)
    device = os.makedev(1, 3)
    with as_user(USER):
        assert errno_of(os.mknod, "null", stat.S_IFCHR | 0o666, device) == "EPERM"
        os.mknod("file", stat.S_IFREG | 0o640)
        assert owner("file") == (USER, USER)
    os.mknod("null", stat.S_IFCHR | 0o666, device)
    assert os.stat("null").st_rdev == device


@pytest.mark.parametrize("options", [(), ("-o", "allow_other")])
def test_what_access_tells_root(mounter: Mounter, options: tuple[str, ...]) -> None:
    path = mounter(*options).path
    create(path / "plain", mode=0o000)
    create(path / "program", mode=0o100)
    (path / "directory").mkdir(mode=0o000)
    assert not os.access(path / "plain", os.X_OK)
    assert os.access(path / "plain", os.R_OK | os.W_OK)
    assert os.access(path / "program", os.X_OK)
    assert os.access(path / "directory", os.X_OK | os.W_OK)
    assert not os.access(path / "missing", os.F_OK)
    assert not os.access(path / ".helios/README", os.X_OK)
    os.chdir(path / "directory")
    os.chdir("/")
