"""The reference page of the Python client, and the names at the top of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import heliosfs
from heliosfs.client import reference
from tests.sources import parsed

SOURCES = Path(__file__).parents[2]
PAGE = SOURCES / "docs/reference/python.md"


def test_the_page_is_made_from_the_docstrings() -> None:
    assert PAGE.read_text() == reference.page(), "run python -m heliosfs.client.reference"


def test_every_method_of_the_synchronous_client_is_one_of_the_other() -> None:
    bodies = {
        node.name: node
        for name in ("view", "remotes", "workspace", "asynchronous")
        for node in parsed(SOURCES / f"heliosfs/client/{name}.py").body
        if isinstance(node, ast.ClassDef)
    }

    def public(*names: str) -> set[str]:
        found = set()
        for name in names:
            for each in bodies[name].body:
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.add(each.name)
                elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                    found.add(each.targets[0].id)
        return {each for each in found if not each.startswith("_")}

    left_out = {"head", "start"}
    assert public("ViewClient", "RemoteClient", "Workspace") - public("AsyncWorkspace") == left_out
    assert public("LiveBranch") - public("AsyncLiveBranch") == set()
    assert public("RunningExperiment") - public("AsyncRunningExperiment") == set()


def test_the_top_imports_the_client_when_it_is_asked_for() -> None:
    program = "import heliosfs, sys; print(sorted(n for n in sys.modules if n[:8] == 'heliosfs'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "['heliosfs']\n"
    assert heliosfs.Workspace.__module__ == "heliosfs.client.workspace"
    assert set(heliosfs.__all__) == {"AsyncWorkspace", "Workspace"}
    with pytest.raises(AttributeError, match="has no attribute 'Workspaces'"):
        heliosfs.__getattr__("Workspaces")
