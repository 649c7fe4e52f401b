"""`helios import` and `helios export` from the command line, without a mount."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.cli import transfer
from heliosfs.cli.main import main
from tests.git_repository import Clone, refs_of


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "project")
    clone.write("a", b"1\n")
    clone.commit("one")
    return clone


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The command turns the collector off for its process, which a test is not."""
    yield
    gc.enable()


def test_a_project_becomes_a_workspace_with_its_files_uncommitted(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    clone.write("untracked", b"u\n")
    clone.write("a", b"edited\n")
    monkeypatch.chdir(clone.path)
    assert main(["import", "--from-git", "."]) == 0
    assert main(["status", "--short"]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert "new: heads/trunk" in out
    assert " M a\n" in out
    assert " A untracked\n" in out
    # It came along as part of the working tree, and no commit will have it.
    assert ".git/HEAD" not in out
    assert clone.git("status", "--porcelain", "a") == b" M a\n"
    assert main(["import", "--verify", "."]) == 0
    assert main(["export", "--to-git", "../out.git"]) == 0
    assert refs_of(clone.path) == refs_of(clone.path.parent / "out.git")


def test_nothing_is_begun_when_there_is_nothing_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--from-git", "none"]) == 1
    assert main(["import", "--verify", "none"]) == 1
    assert main(["export", "--to-git", "none"]) == 1
    assert os.listdir(tmp_path) == []
    text = capsys.readouterr().err
    assert "is not a git repository" in text
    assert text.count("not inside a heliosfs workspace") == 2


def test_paths_of_a_request_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["import", "--from-git", "x", "--verify=y/../z", "--branch", "b"]
    expected = ["import", "--from-git", f"{tmp_path}/x", f"--verify={tmp_path}/z", "--branch", "b"]
    assert transfer._absolute(argv) == expected
