"""Holders of a file system: found in /proc by its device, without asking the file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import holders, runfiles, umount
from heliosfs.cli.holders import Holder, device_of, find_holders
from heliosfs.errors import Busy
from heliosfs.mounttable import CONTROL_FSTYPE, Mount


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_the_device_of_a_path(tmp_path: Path) -> None:
    status = tmp_path.stat()
    assert device_of(str(tmp_path)) == f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    assert device_of(str(tmp_path / "none")) == ""


def test_how_they_are_named() -> None:
    assert str(Holder(7, "vim", "current directory", "")) == "vim (pid 7: current directory)"
    other = "mnt:[4026531841]"
    assert str(Holder(7, "sh", "", other)) == f"sh (pid 7, mount namespace {other})"
    assert str(Holder(7, "sh", "x", other)) == f"sh (pid 7, mount namespace {other}: x)"
    assert str(Holder(0, "/place", "", "")) == "the mount of it at /place"


@pytest.mark.parametrize("fstype", ["ext4", CONTROL_FSTYPE])
def test_nobody_holds_what_is_not_mounted_yet_or_is_gone(
    monkeypatch: pytest.MonkeyPatch, fstype: str
) -> None:
    assert find_holders("/ws", "", 1) == []
    # The number of the device is that of something else by now, which processes use.
    device = device_of("/proc/self/cwd")
    later = Mount("/other", fstype, "source", 1, device)
    monkeypatch.setattr(holders, "mounts", lambda process: [later])
    assert find_holders("/ws", device, 1) == []


def test_control_files_that_are_mounted_have_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    device = device_of("/proc/self/cwd")
    control = Mount("/ws/.helios/ctl", CONTROL_FSTYPE, "source", 1, device)
    monkeypatch.setattr(holders, "mounts", lambda process: [control])
    assert find_holders(control.path, device, 1, is_control=True)


def test_a_daemon_that_cannot_be_seen_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umount, "_QUIET_SECONDS", 0)
    registered = runfiles.Registration(runfiles.KnownWorkspace("/ws", "/store", "id"), "/log")
    gone = runfiles.Daemon(2**22 + 1, "/log")
    with monkeypatch.context() as patch:
        patch.setattr(runfiles, "find", lambda directory: gone)
        with pytest.raises(Busy, match="which cannot be seen from here"):
            umount.wait_saved("/ws")
    registered.close()
