"""Refusals of `helios mount`, and their messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs import mounttable
from heliosfs.cli import mount, mountcheck
from heliosfs.cli.main import main
from heliosfs.errors import Busy, HeliosError, NotFound, NotPermitted, UsageError
from heliosfs.mounttable import FSTYPE, Mount


def test_options_that_mean_something() -> None:
    assert mount.parse_options(["allow_other,xattr", "debug"]) == {"allow_other", "xattr", "debug"}
    assert mount.parse_options([]) == set()
    assert mount.parse_options(["default_permissions,"]) == {"default_permissions"}


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UsageError, match="unknown mount option 'noatime'"):
        mount.parse_options(["xattr,noatime"])


def test_a_directory_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert mountcheck.check_directory(str(tmp_path / "link")) == str(tmp_path)
    assert mountcheck.check_directory(str(tmp_path / "new")) == str(tmp_path / "new")


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("", UsageError, "not a directory name"),
        ("a\nb", UsageError, "not a directory name"),
        ("/", UsageError, "root directory"),
        ("file", UsageError, "is not a directory"),
        ("file/below", NotPermitted, "not a directory"),
        ("missing/below", NotFound, "there is no directory"),
    ],
)
def test_a_directory_that_cannot_be_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    error: type[HeliosError],
    text: str,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text):
        mountcheck.check_directory(path)


def with_mounts(monkeypatch: pytest.MonkeyPatch, *table: Mount) -> None:
    monkeypatch.setattr(mounttable, "mounts", lambda: list(table))


def test_places_that_a_mount_would_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Mount(str(tmp_path / "ws"), FSTYPE, "heliosfs", 5, "0:9")
    with_mounts(monkeypatch, other)
    with pytest.raises(UsageError, match="lies in the heliosfs workspace"):
        mountcheck.check_place(str(tmp_path / "ws/below"), None)
    with pytest.raises(UsageError, match=r"--store .* lies in the heliosfs workspace"):
        mountcheck.check_place(str(tmp_path / "new"), str(tmp_path / "ws/store"))
    with pytest.raises(Busy, match="is mounted below"):
        mountcheck.check_place(str(tmp_path), None)
    with pytest.raises(UsageError, match="lies in a repository"):
        mountcheck.check_place(str(tmp_path / "old/.helios/x"), None)
    with pytest.raises(UsageError, match="would be hidden"):
        mountcheck.check_place(str(tmp_path / "new"), str(tmp_path / "new/store"))
    mountcheck.check_place(str(tmp_path / "new"), str(tmp_path / "new/.helios"))
    mountcheck.check_place(str(tmp_path / "new"), str(tmp_path / "newer"))


def test_a_mount_of_something_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mounts(monkeypatch, Mount(str(tmp_path), "tmpfs", "tmpfs", 5, "0:9"))
    with pytest.raises(UsageError, match="is a mount point of tmpfs"):
        mountcheck.clear_dead_mount(str(tmp_path))


def test_a_mount_that_lives_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_mounts(monkeypatch, Mount(str(tmp_path), FSTYPE, "heliosfs", 5, "0:9"))
    assert main(["mount", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path} is mounted already\n"


def test_no_fuse_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mountcheck, "_DEVICE", str(tmp_path / "fuse"))
    with pytest.raises(HeliosError, match=r"there is no .*fuse: load the module"):
        mountcheck.check_fuse(allow_other=False)


def test_allow_other_of_a_user_needs_the_administrators_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mountcheck, "_DEVICE", os.devnull)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    configuration = tmp_path / "fuse.conf"
    monkeypatch.setattr(mountcheck, "_FUSE_CONF", str(configuration))
    with pytest.raises(HeliosError, match="user_allow_other"):
        mountcheck.check_fuse(allow_other=True)
    configuration.write_text("#user_allow_other\n")
    with pytest.raises(HeliosError, match="user_allow_other"):
        mountcheck.check_fuse(allow_other=True)
    configuration.write_text("mount_max = 9\nuser_allow_other # yes\n")
    mountcheck.check_fuse(allow_other=True)


@pytest.mark.parametrize(
    "argv",
    [
        ["mount"],
        ["mount", "/"],
        ["mount", "a", "b"],
        ["mount", "--what", "a"],
        ["mount", "-o", "noatime", "a"],
        ["mount", "-o", "helios=shown", "a"],
        ["mount", "-o", "helios=listed,helios=hidden", "a"],
        ["mount", "--fore", "a"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("helios: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "is_listed"),
    [([], None), (["xattr"], None), (["xattr,helios=listed"], True), (["helios=hidden"], False)],
)
def test_whether_helios_is_listed_can_be_said(given: list[str], is_listed: bool | None) -> None:
    assert mount.is_helios_listed(mount.parse_options(given)) is is_listed


def test_help_names_every_mount_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mount", "--help"]) == 0
    text = capsys.readouterr().out
    for option in [*mount.OPTIONS, "--foreground", "--store", "--branch", "--debug", "--log"]:
        assert option in text
