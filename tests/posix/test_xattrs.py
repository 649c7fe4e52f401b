"""User extended attributes: behind `-o xattr`, kept in commits; else refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.posix.syscalls import as_user, create, errno_of


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    return ("-o", "allow_other,xattr")


def test_set_get_list_remove(place: Path) -> None:
    create("file")
    os.setxattr("file", "user.a", b"1")
    os.setxattr("file", "user.b", b"\0\xff")
    os.setxattr("file", "user.empty", b"")
    assert os.listxattr("file") == ["user.a", "user.b", "user.empty"]
    assert os.getxattr("file", "user.b") == b"\0\xff"
    assert os.getxattr("file", "user.empty") == b""
    os.removexattr("file", "user.a")
    assert errno_of(os.getxattr, "file", "user.a") == "ENODATA"
    assert errno_of(os.removexattr, "file", "user.a") == "ENODATA"
    assert os.listxattr("file") == ["user.b", "user.empty"]


def test_create_and_replace(place: Path) -> None:
    os.mkdir("d")
    assert errno_of(os.setxattr, "d", "user.a", b"1", os.XATTR_REPLACE) == "ENODATA"
    os.setxattr("d", "user.a", b"1", os.XATTR_CREATE)
    assert errno_of(os.setxattr, "d", "user.a", b"2", os.XATTR_CREATE) == "EEXIST"
    os.setxattr("d", "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr("d", "user.a") == b"3"


def test_other_namespaces_are_not_there(place: Path) -> None:
    create("file")
    for name in ("security.selinux", "trusted.x", "other.x", "plain"):
        assert errno_of(os.setxattr, "file", name, b"x") == "ENOTSUP", name
        assert errno_of(os.getxattr, "file", name) == "ENOTSUP", name
    assert errno_of(os.getxattr, "file", "system.posix_acl_access") == "ENOTSUP"
    assert os.listxattr("file") == []


def test_limits(place: Path) -> None:
    create("file")
    os.setxattr("file", "user." + "n" * 250, b"x")
    assert errno_of(os.setxattr, "file", "user." + "n" * 251, b"x") == "ERANGE"
    assert errno_of(os.setxattr, "file", "user.", b"x") == "EINVAL"
    os.setxattr("file", "user.large", b"v" * 65536)
    assert os.getxattr("file", "user.large") == b"v" * 65536
    assert errno_of(os.setxattr, "file", "user.larger", b"v" * 65537) == "E2BIG"
    assert errno_of(os.setxattr, "file", "user.second", b"v" * 65536) == "ENOSPC"
    assert len(os.listxattr("file")) == 2


def test_as_many_names_as_can_be_listed(place: Path) -> None:
    create("file")
    for number in range(1000):
        if errno_of(os.setxattr, "file", f"user.{number:0250}", b"") != "ok":
            break
    assert number > 200
    assert len(os.listxattr("file")) == number


def test_links_and_special_files_have_none(place: Path) -> None:
    os.symlink("file", "link")
    os.mkfifo("fifo")
    assert errno_of(os.setxattr, "link", "user.a", b"", follow_symlinks=False) == "EPERM"
    assert errno_of(os.setxattr, "fifo", "user.a", b"") == "EPERM"


def test_permissions(place: Path) -> None:
    create("secret", mode=0o600)
    create("public", mode=0o644)
    os.setxattr("secret", "user.a", b"1")
    with as_user(1000):
        assert errno_of(os.getxattr, "secret", "user.a") == "EACCES"
        assert errno_of(os.setxattr, "public", "user.a", b"1") == "EACCES"
        assert errno_of(os.getxattr, "public", "user.a") == "ENODATA"


def test_a_change_is_a_change_of_status(place: Path) -> None:
    create("file")
    before = os.stat("file")
    os.setxattr("file", "user.a", b"1")
    after = os.stat("file")
    assert after.st_ctime_ns > before.st_ctime_ns
    assert after.st_mtime_ns == before.st_mtime_ns


def test_commits_keep_them(workspace: Mounted, place: Path) -> None:
    create("file")
    os.mkdir("d")
    os.setxattr("file", "user.a", b"one")
    os.setxattr("d", "user.d", b"of a directory")
    os.link("file", "link")
    workspace.commit("with attributes")
    os.setxattr("file", "user.a", b"two")
    os.removexattr("d", "user.d")
    assert f"{place.name}/file" in workspace.helios("status")
    workspace.commit("changed")
    old = workspace.path / ".helios/snapshots/HEAD~1" / place.name
    assert os.getxattr(old / "link", "user.a") == b"one"
    assert os.getxattr(old / "d", "user.d") == b"of a directory"
    assert errno_of(os.setxattr, old / "file", "user.a", b"x") == "EROFS"
    assert errno_of(os.removexattr, old / "file", "user.a") == "EROFS"
    workspace.control("reset", "--hard HEAD~1\n")
    assert os.getxattr("link", "user.a") == b"one"
    assert os.getxattr("d", "user.d") == b"of a directory"


def test_a_remount_keeps_them(mounter: Mounter) -> None:
    mounted = mounter("-o", "xattr")
    create(mounted.path / "file")
    os.setxattr(mounted.path / "file", "user.a", b"uncommitted")
    mounted.remount()
    assert os.getxattr(mounted.path / "file", "user.a") == b"uncommitted"


def test_without_the_option_there_are_none(mounter: Mounter) -> None:
    mounted = mounter()
    file = mounted.path / "file"
    create(file)
    for _ in range(2):
        assert errno_of(os.setxattr, file, "user.a", b"1") == "ENOTSUP"
        assert errno_of(os.getxattr, file, "user.a") == "ENOTSUP"
        assert errno_of(os.listxattr, file) == "ENOTSUP"
        assert errno_of(os.removexattr, file, "user.a") == "ENOTSUP"
