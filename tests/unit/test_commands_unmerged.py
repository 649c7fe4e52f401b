"""Conflicts of an open merge: what status shows of them, and what commit lets through."""

from __future__ import annotations

import json

import pytest

from heliosfs.commands.commit import commit_message
from heliosfs.errors import Busy, Conflicted
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    """A merge of `x` that is open with a conflict of each kind that git has letters for."""
    stage = Stage()
    stage.commit("base", both=b"1\n2\n3\n", ours_gone=b"o\n", theirs_gone=b"t\n", bin=b"\0a")
    stage.run("branch", "x")
    stage.run("checkout", "x")
    stage.files.write(b"both", b"1\ntheirs\n3\n")
    stage.files.write(b"ours_gone", b"changed\n")
    stage.files.remove(b"theirs_gone")
    stage.files.write(b"added", b"by them\n")
    stage.commit("theirs", bin=b"\0b")
    stage.run("checkout", "main")
    stage.files.write(b"both", b"1\nours\n3\n")
    stage.files.remove(b"ours_gone")
    stage.files.write(b"theirs_gone", b"changed\n")
    stage.files.write(b"added", b"by us\n")
    stage.commit("ours", bin=b"\0c")
    stage.run("merge", "--markers", "x")
    return stage


def test_status_has_the_letters_of_git(stage: Stage) -> None:
    letters = "AA added\nUU bin\nUU both\nDU ours_gone\nUD theirs_gone\n"
    assert stage.run("status", "--porcelain") == letters
    assert stage.run("status", "-s", "--", "b*") == "UU bin\nUU both\n"
    assert stage.run("status", "--porcelain", "-z") == letters.replace("\n", "\0")
    assert "\tboth added:        added\n" in stage.run("status")
    assert json.loads(stage.run("status", "--json"))["unmerged"]["both"] == "UU"
    line = stage.run("status", "--porcelain=v2", "both").split()
    assert line[:7] == ["u", "UU", "N...", "100644", "100644", "100644", "100644"]
    assert line[-1] == "both"


def test_a_text_without_markers_is_resolved(stage: Stage) -> None:
    stage.files.write(b"both", b"1\nours and theirs\n3\n")
    assert " M both\n" in stage.run("status", "--porcelain")
    stage.run("checkout", "--theirs", "added")
    assert stage.files.read(b"added") == b"by them\n"
    stage.run("checkout", "--ours", "--", "added", "both")
    assert stage.files.read(b"both") == b"1\nours\n3\n"
    assert "added" not in stage.run("status", "--porcelain")


def test_markers_that_are_left_are_not_committed(stage: Stage) -> None:
    head = stage.head
    for attempt in (
        lambda: stage.run("commit", "-m", "too early"),
        lambda: commit_message(stage.repository, stage.view, b"too early"),
    ):
        with pytest.raises(Conflicted, match=r"markers are left in added, both: .*--allow-markers"):
            attempt()
    assert stage.head == head
    stage.files.write(b"both", b"done\n")
    with pytest.raises(Conflicted, match="left in added: "):
        stage.run("commit")
    stage.run("commit", "--allow-markers", "-m", "as it is")
    assert stage.run("show", "HEAD:added").startswith("<<<<<<< HEAD\n")
    assert stage.run("status", "--porcelain") == ""


def test_a_line_that_looks_like_one_marker_is_text(stage: Stage) -> None:
    stage.files.write(b"both", b"title\n=======\n<<<<<<< not all three\n")
    stage.files.write(b"added", b"x\n")
    stage.run("commit", "-m", "fine")


def test_rm_decides_for_a_deletion(stage: Stage) -> None:
    with pytest.raises(Busy, match="a merge is open"):
        stage.run("rm", "--cached", "ours_gone")
    assert stage.run("rm", "ours_gone", "theirs_gone").count("\n") == 2
    assert stage.view.stage.root is None
    assert stage.run("status", "--porcelain") == "AA added\nUU bin\nUU both\n D theirs_gone\n"
    stage.run("checkout", "--ours", "added", "bin", "both")
    stage.run("merge", "--continue")
    assert stage.run("ls-files") == "added\nbin\nboth\n"
    assert stage.run("show", "-s", "--format=%p").count(" ") == 1
