"""One workspace for the tests of a module, each in a directory of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, mounted, mounter

__all__ = ["mounted", "mounter"]


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    """Options with which the module's workspace is mounted."""
    return ("-o", "allow_other")


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, options: tuple[str, ...]
) -> Iterator[Mounted]:
    """A workspace that other users may enter."""
    made = Mounted(tmp_path_factory.mktemp("posix") / "ws", options)
    try:
        made.mount()
        yield made
        assert "Traceback" not in made.log.read_text()
    finally:
        made.end()


@pytest.fixture
def place(
    workspace: Mounted, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A new directory of the workspace, which is the current one: other users reach it so."""
    path = workspace.path / request.node.name[:200].replace("/", "_")
    path.mkdir()
    monkeypatch.chdir(path)
    before = os.umask(0o022)
    yield path
    os.umask(before)
