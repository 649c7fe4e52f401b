"""`mounted`: a workspace mounted by the real command, ended whatever the test does."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliosfs import mounttable
from heliosfs.cli import runfiles
from tests import ready_process

ASKED = ("-o", "opens=asked")
"""Options with which the daemon is asked for every open, and nothing is mounted inside."""
DEFAULTS = ASKED if os.environ.get("HELIOS_TEST_OPENS") == "asked" else ()
"""Options of all workspaces: the tests pass both ways."""

SECONDS = 30
"""Longest time that anything here may take; all of it takes milliseconds when it works."""


class Mounted:
    """A workspace, its daemon, and the ways to end and begin it again."""

    def __init__(self, path: Path, options: tuple[str, ...] = ()) -> None:
        self.path = path
        self.options = (*DEFAULTS, *options)
        self.output = ""
        """Output of the last `helios mount`."""
        self.told = ""
        """Standard error of the last `helios mount`."""
        self._pidfd = -1
        self.pid = 0
        self.log = Path()

    @property
    def are_opens_asked(self) -> bool:
        """True if the daemon is asked for every open."""
        return "opens=asked" in self.options

    @property
    def is_mounted(self) -> bool:
        return mounttable.mount_at(str(self.path)) is not None

    def mount(self, *options: str) -> None:
        """Run `helios mount`; the daemon's output is in `log`."""
        done = self.command("mount", *self.options, *options, str(self.path), cwd=Path("/"))
        assert done.returncode == 0, done.stderr + self._log_tail()
        self.output, self.told = done.stdout, done.stderr
        found = runfiles.find(str(self.path))
        assert found is not None, f"no daemon registered: {done.stdout}"
        self._close_pidfd()
        self.pid, self.log = found.pid, Path(found.log)
        self._pidfd = os.pidfd_open(self.pid)

    def unmount(self) -> None:
        """Unmount as a user does, and wait until the daemon has saved and ended."""
        fusermount(self.path)
        self.wait_ended()

    def umount(self) -> str:
        """Run `helios umount`, and wait until the daemon has ended; return what it complains of.

        Mount namespaces that other tests make meanwhile are copies that keep the mount for a
        moment: nothing else may.
        """
        done = self.command("umount", str(self.path), cwd=Path("/"))
        assert not self.is_mounted
        if done.returncode:
            assert f"{self.path} is unmounted here, but held by" in done.stderr
            assert ", mount namespace mnt:[" in done.stderr
        self.wait_ended()
        return done.stderr

    def remount(self, *options: str) -> None:
        """Unmount, and mount again."""
        self.unmount()
        self.mount(*options)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the daemon to end, and wait for it."""
        signal.pidfd_send_signal(self._pidfd, number)
        self.wait_ended()

    def kill9(self) -> None:
        """Kill the daemon where it stands; the mount is dead then, until `mount`."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self.wait_ended()

    def wait_ended(self) -> None:
        """Wait until the daemon is gone."""
        assert self._has_ended(), f"the daemon {self.pid} did not end\n{self._log_tail()}"

    def command(
        self, *argv: str, cwd: Path | None = None, stdin: str = "", seconds: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `helios` (its Python side) in the workspace; the caller checks the exit code."""
        return ready_process.run(argv, cwd=cwd or self.path, stdin=stdin, timeout=seconds)

    def helios(self, *argv: str, cwd: Path | None = None, seconds: float = SECONDS) -> str:
        """Run a verb that must succeed; return what it printed."""
        done = self.command(*argv, cwd=cwd, seconds=seconds)
        assert done.returncode == 0, f"helios {' '.join(argv)}: {done.stderr}{self._log_tail()}"
        return done.stdout

    def control(self, verb: str, text: str, *, view: str = ".") -> str:
        """Write a request to a control file, and read the reply from the same descriptor."""
        fd = os.open(self.path / view / ".helios" / "ctl" / verb, os.O_RDWR)
        try:
            os.write(fd, text.encode())
            return _read_all(fd).decode()
        finally:
            os.close(fd)

    def commit(self, message: str, *, view: str = ".") -> str:
        """Commit through the control file; return the id."""
        return self.control("commit", message, view=view).strip()

    def end(self) -> None:
        """Leave nothing behind, whatever state this is in."""
        while self.is_mounted:
            subprocess.run(
                ["fusermount3", "-uz", str(self.path)],
                check=False,
                capture_output=True,
                timeout=SECONDS,
            )
        if self._pidfd >= 0 and not self._has_ended():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self.wait_ended()
        self._close_pidfd()

    def _has_ended(self) -> bool:
        """Wait for it; select(2) could not, where other tests hold a thousand descriptors."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return bool(poller.poll(SECONDS * 1000))

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    def _log_tail(self) -> str:
        log = Path(runfiles.log_path(str(self.path)))
        return "\n" + log.read_text(errors="replace")[-4000:] if log.exists() else ""


def fusermount(path: Path) -> None:
    """Unmount a workspace, and before it what is mounted inside."""
    deadline = time.monotonic() + SECONDS
    while True:
        # The daemon itself has the mount open for a moment, at a barrier, and mounts anew what was
        # unmounted inside when somebody uses it.
        inner = [mount.path for mount in mounttable.control_mounts(str(path))]
        is_last = time.monotonic() > deadline
        for each in reversed(inner):
            command = ["fusermount3", "-u", each]
            subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)
        command = ["fusermount3", "-u", str(path)]
        done = subprocess.run(command, check=is_last, capture_output=True, timeout=SECONDS)
        if not done.returncode:
            return
        time.sleep(0.02)


Mounter = Callable[..., Mounted]


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Mounter]:
    """Mounts `tmp_path / name` with the given options, as often as wanted."""
    made: list[Mounted] = []

    def mount(*options: str, name: str = "ws", start: bool = True) -> Mounted:
        workspace = Mounted(tmp_path / name, options)
        made.append(workspace)
        if start:
            workspace.mount()
        return workspace

    yield mount
    for workspace in reversed(made):
        workspace.end()


@pytest.fixture
def mounted(mounter: Mounter) -> Mounted:
    """A new, empty workspace."""
    return mounter()


def _read_all(fd: int) -> bytes:
    parts = []
    while data := os.read(fd, 65536):
        parts.append(data)
    return b"".join(parts)
