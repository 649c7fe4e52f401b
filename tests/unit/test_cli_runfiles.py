"""The log and the lock of a daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import runfiles
from heliosfs.errors import HeliosError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_daemon_is_known_for_as_long_as_it_holds_the_lock() -> None:
    assert runfiles.find("/ws") is None
    fd = runfiles.register("/ws", "/the/log")
    assert runfiles.find("/ws") == runfiles.Daemon(os.getpid(), "/the/log")
    assert runfiles.find("/other/ws") is None
    assert not runfiles.wait_gone("/ws", 0)
    os.close(fd)
    assert runfiles.find("/ws") is None
    assert runfiles.wait_gone("/ws", 0)


def test_registering_again_replaces_what_was_said() -> None:
    os.close(runfiles.register("/ws", "/a/much/longer/name/of/a/log"))
    fd = runfiles.register("/ws", "/log")
    assert runfiles.find("/ws") == runfiles.Daemon(os.getpid(), "/log")
    os.close(fd)


def test_mount_points_of_one_name_have_different_logs(state: Path) -> None:
    one, other = runfiles.log_path("/a/ws"), runfiles.log_path("/b/ws")
    assert one != other
    assert Path(one).parent == state / "heliosfs"
    assert Path(one).name.startswith("ws-")


def test_without_a_state_directory_it_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert runfiles.log_path("/ws").startswith("/home/me/.local/state/heliosfs/ws-")


def test_a_log_is_appended_to_and_set_aside_when_large(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log"
    for _ in range(2):
        fd = runfiles.open_log(str(log))
        os.write(fd, b"line\n")
        os.close(fd)
    assert log.read_text() == "line\nline\n"
    os.truncate(log, runfiles.LOG_MAX_BYTES + 1)
    os.close(runfiles.open_log(str(log)))
    assert log.stat().st_size == 0
    assert (tmp_path / "deep" / "log.1").stat().st_size == runfiles.LOG_MAX_BYTES + 1


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeliosError, match=r"cannot write .*: is a directory"):
        runfiles.open_log(str(tmp_path))
