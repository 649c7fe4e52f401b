"""`helios clone` of a git server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.clock import SECOND_NS
from tests.git_repository import git
from tests.gitserver.servers import Server
from tests.mount.conftest import Mounted


@pytest.fixture
def server(tmp_path: Path) -> Server:
    made = Server(tmp_path / "team.git")
    clone = made.clone(tmp_path / "git")
    clone.write("src/a", b"1\n")
    clone.commit("first")
    clone.git("push", "--quiet", "origin", "main")
    return made


@pytest.fixture
def cloned(server: Server, tmp_path: Path) -> Iterator[Mounted]:
    found = Mounted(tmp_path / "clone")
    try:
        found.helios("clone", server.url, str(found.path), cwd=tmp_path)
        yield found
    finally:
        if found.is_mounted:
            found.command("umount", str(found.path), cwd=tmp_path)
        found.end()


def test_files_are_as_new_as_the_clone(server: Server, cloned: Mounted) -> None:
    # git has no times, and what an import gives a file in place of one lies far in the past.
    path = cloned.path / "src/a"
    assert path.read_bytes() == b"1\n"
    for each in (path, path.parent, cloned.path):
        assert abs(each.stat().st_mtime_ns - time.time_ns()) < 600 * SECOND_NS
    assert cloned.helios("status", "--porcelain") == ""
    path.write_bytes(b"2\n")
    cloned.helios("commit", "-q", "-m", "second")
    cloned.helios("push", "-q")
    assert git(server.path, "show", "main:src/a") == b"2\n"
    server.check()
