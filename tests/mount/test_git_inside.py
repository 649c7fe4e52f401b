"""The real git in a mounted workspace, beside verbs, kills and mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.git_repository import fsck, git
from tests.mount.conftest import Mounted


@pytest.fixture
def project(mounted: Mounted) -> Mounted:
    """A repository of git with one commit, which is a commit here, too."""
    (mounted.path / "a").write_text("1\n")
    git(mounted.path, "init", "--quiet", "-b", "main")
    git(mounted.path, "add", "a")
    git(mounted.path, "commit", "--quiet", "-m", "one")
    mounted.commit("one")
    return mounted


def head(path: Path) -> str:
    return git(path, "rev-parse", "HEAD").decode().strip()


def test_commits_of_git_outlive_a_reset_a_kill_and_a_mount(project: Mounted) -> None:
    (project.path / "a").write_text("2\n")
    git(project.path, "commit", "--quiet", "-am", "two")
    second = head(project.path)
    project.helios("reset", "--hard")
    assert (project.path / "a").read_text() == "1\n"
    assert head(project.path) == second
    assert git(project.path, "status", "--porcelain") == b" M a\n"
    for name in ("refs/heads/main", "index"):
        fd = os.open(project.path / ".git" / name, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    project.kill9()
    project.mount()
    assert head(project.path) == second
    assert fsck(project.path) == ""
    project.helios("undo")
    assert git(project.path, "status", "--porcelain") == b""
    project.unmount()
    project.mount()
    assert head(project.path) == second
    assert project.helios("status", "--short", "--ignored") == " M a\n"
    snapshot = project.path / ".helios/snapshots/HEAD"
    assert os.listdir(snapshot) == ["a"]


def test_what_git_does_to_its_own_works_beside_verbs(project: Mounted, tmp_path: Path) -> None:
    git(project.path, "clone", "--quiet", ".", "vendor/x")
    (project.path / "vendor/x/b").write_text("1\n")
    git(project.path / "vendor/x", "add", "b")
    git(project.path / "vendor/x", "commit", "--quiet", "-m", "of x")
    git(project.path, "worktree", "add", "--quiet", "tree")
    project.commit("with what was cloned")
    listed = project.helios("ls-files").split()
    assert listed == ["a", "tree/a", "vendor/x/a", "vendor/x/b"]
    inside = [head(project.path / place) for place in ("", "vendor/x", "tree")]
    git(project.path, "gc", "--quiet")
    project.helios("branch", "plain")
    project.helios("branch", "--fork", "agent")
    live = project.path / ".helios/branches/agent"
    (live / "a").write_text("of the agent\n")
    git(live, "commit", "--quiet", "-am", "of the agent")
    for words in (
        ("reset", "--hard", "HEAD~1"),
        ("undo",),
        ("checkout", "plain"),
        ("merge", "main"),
    ):
        project.helios(*words)
        assert [head(project.path / place) for place in ("", "vendor/x", "tree")] == inside, words
    assert git(project.path / "vendor/x", "status", "--porcelain") == b""
    git(project.path, "fetch", "--quiet", str(live), "main")
    assert git(project.path, "log", "--format=%s", "-1", "FETCH_HEAD") == b"of the agent\n"
    for place in ("", "vendor/x"):
        assert fsck(project.path / place) == ""
    assert fsck(live) == ""
