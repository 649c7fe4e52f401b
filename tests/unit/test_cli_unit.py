"""The systemd unit of a workspace, and the readiness that it waits for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from heliosfs.cli import mountcheck, unit
from heliosfs.cli.main import main
from heliosfs.errors import HeliosError

PLACE = "/srv/my work/50% $HOME\\"


@pytest.fixture(autouse=True)
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state 100%"))
    monkeypatch.setattr(unit, "_reload", lambda: None)
    return tmp_path / "config/systemd/user"


def test_a_unit_is_enabled_and_removed(units: Path) -> None:
    path = Path(unit.install(PLACE, ["-o", "xattr"]))
    assert path.parent == units
    link = units / "default.target.wants" / path.name
    assert link.resolve() == path
    text = path.read_text()
    assert "Description=heliosfs workspace /srv/my work/50%% $HOME\\\\\n" in text
    words = '"mount" "--foreground" "--existing" "-o" "xattr" "--" "/srv/my work/50%% $$HOME\\\\"\n'
    assert words in text
    assert 'state 100%%"\n' in text
    # Again, with other options: what it was is replaced.
    assert Path(unit.install(PLACE, [])) == path
    assert "xattr" not in path.read_text()
    assert Path(unit.unit_path(PLACE + "/other")) != path
    unit.remove(PLACE)
    assert list(units.rglob("*.service")) == []
    with pytest.raises(HeliosError, match="there is no unit"):
        unit.remove(PLACE)


def test_names_of_units(units: Path) -> None:
    names = {Path(unit.unit_path(f"/{'long' * 90}/{number}")).name for number in range(2)}
    assert len(names) == 2
    assert all(len(name) < 256 for name in names)
    with pytest.raises(HeliosError, match="not UTF-8"):
        unit.install("/srv/\udcff", [])


def test_systemd_takes_the_unit() -> None:
    if shutil.which("systemd-analyze") is None:
        return  # it is looked at where there is one
    path = unit.install(PLACE, ["-o", "xattr", "--log", "/var/log/a b"])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(Path(path).parent)},
    )
    assert Path(path).name not in done.stderr, done.stderr


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.notify_ready()
    for name in (str(tmp_path / "notify"), f"@heliosfs-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.bind("\0" + name[1:] if name.startswith("@") else name)
            end.settimeout(10)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            unit.notify_ready()
            assert end.recv(100) == b"READY=1"
    unit.notify_ready()


def test_the_command(
    tmp_path: Path, units: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mountcheck, "_DEVICE", os.devnull)
    ws = tmp_path / "ws"
    ws.mkdir()
    assert main(["mount", "--install-unit", str(ws)]) == 1
    assert "is not a workspace yet" in capsys.readouterr().err
    assert main(["init", str(ws)]) == 0
    assert main(["mount", "--install-unit", "-o", "xattr", str(ws)]) == 0
    assert "loginctl enable-linger" in capsys.readouterr().out
    assert '"xattr"' in next(units.glob("*.service")).read_text()
    assert main(["mount", "--remove-unit", str(ws)]) == 0
    assert list(units.glob("*.service")) == []


@pytest.mark.parametrize("argv", [["--all", "x"], ["--all", "-o", "xattr"], []])
def test_all_takes_nothing_else(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mount", *argv]) == 2
    assert "--all" in capsys.readouterr().err


def test_all_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mount", "--all"]) == 0
    assert capsys.readouterr().out == "no workspace was mounted on this machine before\n"
