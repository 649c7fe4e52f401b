"""Submodules in merges and diffs."""

from __future__ import annotations

import json

import pytest

from heliosfs.errors import Conflicted
from heliosfs.trees.gitlinks import GITLINK
from tests.tree_builder import Stage


def point(stage: Stage, commit: int | None, branch: str | None = None) -> None:
    """Let `sub` stand for a commit, or for nothing but a directory."""
    files = stage.live(branch) if branch else stage.files
    node = files.directory(b"sub")
    node.xattrs = {GITLINK: b"%040d" % commit} if commit else None
    node.touch()


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b"m", b"m\n")
    point(stage, 1)
    stage.commit("base")
    for name in ("moved", "gone", "vendored"):
        stage.run("branch", name)
    point(stage, 3, "moved")
    stage.live("gone").remove(b"sub")
    point(stage, None, "vendored")
    stage.live("vendored").write(b"sub/x", b"vendored\n")
    for name in ("moved", "gone", "vendored"):
        stage.run("commit", "-m", name, branch=name)
    return stage


def conflicts(stage: Stage, other: str) -> list[str]:
    return [line.strip() for line in stage.run("merge", "--dry-run", other).splitlines()[1:]]


def test_conflicts_are_those_of_git(stage: Stage) -> None:
    assert conflicts(stage, "moved") == []
    point(stage, 2)
    stage.commit("ours")
    assert conflicts(stage, "moved") == ["submodule: sub"]
    assert conflicts(stage, "gone") == ["modify/delete: sub"]
    assert conflicts(stage, "vendored") == ["file/directory: sub", "modify/delete: sub"]
    with pytest.raises(Conflicted, match="submodule: sub"):
        stage.run("merge", "moved")
    stage.run("merge", "--theirs", "moved")
    assert json.loads(stage.run("show", "--json", "HEAD:sub"))["submodule"] == "0" * 39 + "3"
    stage.run("undo")
    stage.run("merge", "--ours", "moved")
    assert json.loads(stage.run("show", "--json", "HEAD:sub"))["submodule"] == "0" * 39 + "2"


def test_markers_keep_the_submodule_beside_the_directory(stage: Stage) -> None:
    point(stage, 2)
    stage.commit("ours")
    stage.run("merge", "--markers", "vendored")
    files = stage.files.tree()
    assert files[b"sub/x"][1] == b"vendored\n"
    assert stage.files.node(b"sub~HEAD").xattrs == {GITLINK: b"%040d" % 2}
    assert stage.files.node(b"sub").xattrs is None


def test_a_name_aside_that_is_taken(stage: Stage) -> None:
    point(stage, 2)
    stage.files.write(b"sub~HEAD", b"mine\n")
    stage.commit("ours")
    stage.run("merge", "--markers", "vendored")
    assert stage.files.read(b"sub~HEAD") == b"mine\n"
    assert stage.files.node(b"sub~HEAD_0").xattrs == {GITLINK: b"%040d" % 2}


def test_one_side_alone(stage: Stage) -> None:
    stage.commit("ours", m=b"n\n")
    stage.run("merge", "vendored")
    assert b"sub/x" in stage.files.tree()
    stage.run("undo")
    stage.run("merge", "gone")
    assert b"sub" not in stage.files.tree()
    stage.run("undo")
    stage.run("merge", "moved")
    assert stage.files.node(b"sub").xattrs == {GITLINK: b"%040d" % 3}


def test_diff_names_the_commits(stage: Stage) -> None:
    one, three = "0" * 39 + "1", "0" * 39 + "3"
    assert stage.run("diff", "main", "moved") == (
        "diff --git a/sub b/sub\nindex 000000000000..000000000000 160000\n--- a/sub\n+++ b/sub\n"
        f"@@ -1 +1 @@\n-Subproject commit {one}\n+Subproject commit {three}\n"
    )
    gone = (
        "diff --git a/sub b/sub\ndeleted file mode 160000\nindex 000000000000..000000000000\n"
        f"--- a/sub\n+++ /dev/null\n@@ -1 +0,0 @@\n-Subproject commit {one}\n"
    )
    assert stage.run("diff", "main", "gone") == gone
    vendored = stage.run("diff", "main", "vendored")
    assert vendored.startswith(gone) and vendored.endswith("@@ -0,0 +1 @@\n+vendored\n")
    assert "new file mode 160000" in stage.run("diff", "gone", "main")
    assert stage.run("diff", "--name-status", "main", "moved") == "M\tsub\n"
    assert stage.run("diff", "--stat", "main", "moved").startswith(" sub | 2 +-\n")
    shown = stage.run("show", "moved")
    assert f"+Subproject commit {three}\n" in shown
    point(stage, 2)
    assert stage.run("status", "-s") == " M sub\n"


def test_a_submodule_that_is_filled_is_a_directory(stage: Stage) -> None:
    """The mark is shown as an extended attribute, and nothing is shown as deleted."""
    stage.files.write(b"sub/x", b"x\n")
    assert stage.run("diff", "--name-status") == "A\tsub/x\n"
    stage.commit("filled")
    point(stage, 2)
    assert stage.run("diff") == "# extended attributes: sub\n"
