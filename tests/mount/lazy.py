"""Workspaces of which a server has the contents: one that has pushed, and a lazy copy of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import ready_process
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.remote.promised import noise
from tests.remote.s3_server import Fault, S3Server, s3_server
from tests.remote.storages import s3_settings

SIZE = 40_000
COUNT = 60
LARGE = noise(1_000, 4 * 1024 * 1024 + 212_345)
URL = "s3://bucket/team"


class Link:
    """The way to the server: it can be cut, and hold up requests until they may go on."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.is_cut = False
        self.reached = threading.Event()
        """Event that is set when a request is held up."""
        self.go_on = threading.Event()
        self.go_on.set()
        server.fault = self._pass

    def _pass(self, method: str, key: str) -> Fault | None:
        if not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(SECONDS)
        return Fault(0) if self.is_cut else None

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Hold all requests up as long as the context lasts."""
        self.reached.clear()
        self.go_on.clear()
        try:
            yield
        finally:
            self.go_on.set()

    @property
    def request_count(self) -> int:
        return sum(self.server.requests.values())


@contextmanager
def linked() -> Iterator[Link]:
    """A server, and the settings by which all processes that are started find it."""
    with s3_server() as server, s3_settings(server.endpoint, "access"):
        yield Link(server)


def fill(one: Mounted) -> None:
    """Make files in a workspace, and push them."""
    for number in range(COUNT):
        path = one.path / f"{number // 20}" / f"{number:02}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(noise(number, SIZE))
    (one.path / "large").write_bytes(LARGE)
    (one.path / "run").write_bytes(b"#!/bin/sh\n" + noise(2_000, SIZE))
    (one.path / "run").chmod(0o755)
    one.commit("first")
    one.helios("remote", "add", "origin", URL)
    one.helios("push")


def copied(
    mounter: Mounter, path: Path, name: str = "two", *, reads_ahead: bool = False
) -> Mounted:
    """Return a workspace with the history of the remote, mounted, without contents."""
    command = ("clone", "-q", "--no-mount", URL, str(path / name))
    done = ready_process.run(command, cwd=path, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    if not reads_ahead:
        (path / name / ".helios" / "helios.yaml").write_text("remotes:\n  prefetch: 0B\n")
    return mounter(name=name)
