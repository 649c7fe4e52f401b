"""The log and the lock of a daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import runfiles
from heliosfs.errors import Busy, HeliosError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def workspace(path: str, store: str = "/store") -> runfiles.KnownWorkspace:
    return runfiles.KnownWorkspace(path, store, "5" * 32, ("xattr",))


def test_a_daemon_is_known_for_as_long_as_it_holds_the_lock() -> None:
    assert runfiles.find("/ws") is None
    registered = runfiles.Registration(workspace("/ws"), "/the/log")
    assert runfiles.find("/ws") == runfiles.Daemon(os.getpid(), "/the/log")
    registered.mounted("0:50", 99)
    assert runfiles.find("/ws") == runfiles.Daemon(os.getpid(), "/the/log", "0:50", 99)
    assert runfiles.served_by(os.getpid()) == "/ws"
    assert runfiles.find("/other/ws") is None
    assert not runfiles.wait_gone("/ws", 0)
    registered.close()
    assert runfiles.find("/ws") is None
    assert runfiles.served_by(os.getpid()) is None
    assert runfiles.wait_gone("/ws", 0)


def test_registering_again_replaces_what_was_said() -> None:
    runfiles.Registration(workspace("/ws"), "/a/much/longer/name/of/a/log").close()
    registered = runfiles.Registration(workspace("/ws"), "/log")
    assert runfiles.find("/ws") == runfiles.Daemon(os.getpid(), "/log")
    registered.close()


def test_one_daemon_serves_a_mount_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runfiles, "_LOOK_SECONDS", 0)
    registered = runfiles.Registration(workspace("/ws"), "/log")
    with pytest.raises(Busy, match="another daemon still serves /ws"):
        runfiles.Registration(workspace("/ws"), "/log")
    registered.close()


def test_workspaces_are_known_until_they_are_forgotten(state: Path) -> None:
    assert runfiles.workspaces() == []
    registered = runfiles.Registration(workspace("/b/ws"), "/log")
    runfiles.Registration(workspace("/a/w\udc80s"), "/log").close()
    assert [each.path for each in runfiles.workspaces()] == ["/a/w\udc80s", "/b/ws"]
    assert runfiles.known("/b/ws") == workspace("/b/ws")
    with pytest.raises(Busy, match="is mounted"):
        runfiles.forget("/b/ws")
    registered.close()
    for path in ("/b/ws", "/none"):
        runfiles.forget(path)
        assert runfiles.known(path) is None
    # What an older heliosfs wrote, what was cut short, and what is no file of a daemon.
    (state / "heliosfs/old-00000000.json").write_text('{"pid": 1, "log": "/log"}\n')
    (state / "heliosfs/cut-00000000.json").write_text('{"pid": 1, "lo')
    (state / "heliosfs/list-00000000.json").write_text("[]\n")
    assert [each.path for each in runfiles.workspaces()] == ["/a/w\udc80s"]


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
