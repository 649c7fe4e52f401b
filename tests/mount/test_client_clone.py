"""Clones made by the Python client: mounted, refused, cancelled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from heliosfs import AsyncWorkspace, Workspace
from heliosfs.client import async_clone, clone
from heliosfs.errors import AlreadyExists, HeliosError, NotFound, UsageError
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.mount.lazy import URL, Link, linked
from tests.remote.promised import noise

_FILE = noise(1, 100_000)


@pytest.fixture
def link() -> Iterator[Link]:
    with linked() as link:
        yield link


@pytest.fixture
def pusher(mounter: Mounter, link: Link) -> Mounted:
    one = mounter(name="one")
    (one.path / "file").write_bytes(_FILE)
    one.commit("first")
    one.helios("branch", "idea")
    one.helios("remote", "add", "origin", URL)
    one.helios("push", "--all")
    return one


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Path]:
    """A directory that is to be made; what is mounted there is unmounted in the end."""
    path = tmp_path / "new"
    yield path
    if os.path.ismount(path):
        command = [sys.executable, "-m", "heliosfs.cli", "umount", str(path)]
        subprocess.run(command, check=True, timeout=SECONDS)


def test_a_clone_is_a_workspace(pusher: Mounted, new: Path, link: Link) -> None:
    workspace = clone(URL, new)
    assert isinstance(workspace, Workspace)
    assert workspace.path == new
    assert workspace.status().branch == "main"
    link.is_cut = True
    with pytest.raises(OSError):
        (new / "file").read_bytes()


def test_branch_and_contents_can_be_asked_for(pusher: Mounted, new: Path, link: Link) -> None:
    workspace = clone(URL, str(new), branch="idea", full=True)
    assert workspace.status().branch == "idea"
    link.is_cut = True
    assert (new / "file").read_bytes() == _FILE


def test_the_last_commits_alone_can_be_asked_for(pusher: Mounted, new: Path) -> None:
    for text in ("second", "third"):
        (pusher.path / "file").write_text(text)
        pusher.commit(text)
    pusher.helios("push")
    assert [each.subject for each in clone(URL, new, depth=1).log()] == ["third"]


@pytest.mark.parametrize("runner", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_on_a_loop(
    pusher: Mounted, new: Path, runner: Callable[[Awaitable[AsyncWorkspace]], AsyncWorkspace]
) -> None:
    workspace = runner(async_clone(URL, new))
    assert isinstance(workspace, AsyncWorkspace)
    assert workspace.path == new


def test_refusals_have_the_classes_of_verbs(pusher: Mounted, new: Path) -> None:
    for url, branch, kind in (
        (f"{URL}/nowhere", None, NotFound),
        (URL, "nobody", NotFound),
        ("s4://bucket", None, UsageError),
    ):
        with pytest.raises(kind) as caught:
            clone(url, new, branch=branch)
        assert "usage" not in str(caught.value)
        assert not new.exists()
    new.mkdir()
    (new / "own").write_bytes(b"own")
    with pytest.raises(AlreadyExists, match="not empty"):
        clone(URL, new)
    assert os.listdir(new) == ["own"]


def test_a_cancelled_one_leaves_nothing(pusher: Mounted, new: Path, link: Link) -> None:
    async def main() -> None:
        with link.held_up(), trio.move_on_after(SECONDS) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(async_clone, URL, new)
                await trio.to_thread.run_sync(link.reached.wait, SECONDS)
                scope.cancel()

    trio.run(main)
    # Nobody waits for the process that takes it back.
    deadline = time.monotonic() + SECONDS
    while new.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_where_nothing_can_be_mounted_the_clone_is_there(
    pusher: Mounted, new: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("fusermount3", "fusermount"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho no mounts here >&2\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(HeliosError, match="the clone is complete, and not mounted"):
        clone(URL, new)
    assert (new / ".helios").is_dir()
