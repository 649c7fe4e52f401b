"""`helios mount --all`, and a mount that a service manager keeps."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.conftest import SECONDS

if TYPE_CHECKING:
    import pytest

    from tests.mount.conftest import Mounter


def test_all_that_were_mounted_before_are_mounted_as_they_were(
    mounter: Mounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = mounter("-o", "xattr", "--store", str(tmp_path / "store"), name="first")
    second, dead = mounter(name="second"), mounter(name="dead")
    gone, lost = mounter(name="gone"), mounter("--store", str(tmp_path / "lost-store"), name="lost")
    for each in (first, gone, lost):
        each.unmount()
    (gone.path / ".helios").rename(tmp_path / "elsewhere")
    (tmp_path / "lost-store").rename(tmp_path / "found")
    dead.kill9()
    done = second.command("mount", "--all", cwd=Path("/"))
    assert done.returncode == 1
    assert f"mounted {first.path}\n" in done.stdout
    assert f"mounted {dead.path}\n" in done.stdout
    assert f"{second.path} is mounted already" in done.stdout
    assert f"skipped {gone.path}: it has no repository any more" in done.stderr
    assert f"helios: {lost.path}: the store of {lost.path} is not there" in done.stderr
    assert not lost.is_mounted
    assert not (gone.path / ".helios").exists()
    os.setxattr(first.path, b"user.a", b"kept")
    for each in (first, dead):
        assert each.command("umount", str(each.path), cwd=Path("/")).returncode == 0


def test_a_service_manager_starts_and_stops_it(mounter: Mounter, tmp_path: Path) -> None:
    """The commands of the unit tell of readiness, and SIGTERM saves and unmounts."""
    workspace = mounter()
    (workspace.path / "a").write_text("a\n")
    workspace.unmount()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "heliosfs.cli", "mount", "--foreground", "--", workspace.path],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert end.recv(100) == b"READY=1"
            assert (workspace.path / "a").read_text() == "a\n"
            again = workspace.command("mount", "--foreground", str(workspace.path))
            assert "is mounted already" in again.stderr
            process.terminate()
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait(SECONDS)
    assert not workspace.is_mounted
    (workspace.path / ".helios").rename(tmp_path / "away")
    done = workspace.command("mount", "--existing", str(workspace.path), cwd=Path("/"))
    assert "has no repository: is its disk mounted?" in done.stderr
    assert not (workspace.path / ".helios").exists()
