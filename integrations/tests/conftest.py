"""The mounted workspaces of `tests/mount`, with a project in them."""

from __future__ import annotations

import pytest

from heliosfs import Workspace
from tests.conftest import _own_environment
from tests.mount.conftest import Mounted, mounted, mounter
from tests.mount.programs import put

__all__ = ["_own_environment", "mounted", "mounter"]


@pytest.fixture
def workspace(mounted: Mounted) -> Workspace:
    """Return a workspace with a commit, and a file that is not in it."""
    put(mounted.path / "src/app.py", "print('one')\n")
    made = Workspace(mounted.path)
    made.commit("base")
    put(mounted.path / "draft", "uncommitted\n")
    return made
