"""restore, checkout of paths, and tags."""

from __future__ import annotations

import json

import pytest

from heliosfs.errors import AlreadyExists, NotFound, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    stage.files.write(b"d/x", b"x\n")
    stage.files.write(b"d/e/y", b"y\n")
    stage.commit("first")
    stage.commit("second", a=b"2\n")
    return stage


def test_restore_of_files_and_directories(stage: Stage) -> None:
    clean = stage.files.tree()
    stage.files.write(b"a", b"dirty\n")
    stage.files.remove(b"d/e")
    stage.files.write(b"d/extra", b"extra\n")
    dirty = stage.files.tree()
    assert stage.run("restore", "d") == ""
    assert stage.run("status", "-s") == " M a\n"
    stage.run("restore", ".")
    assert stage.files.tree() == clean
    stage.run("undo")
    stage.run("undo")
    assert stage.files.tree() == dirty


def test_restore_from_a_commit_and_a_directory_below(stage: Stage) -> None:
    head = stage.head
    said = json.loads(stage.run("restore", "-s", "HEAD~1", "../a", "--json", cwd="d"))
    assert said["changed"] == ["a"]
    assert stage.files.read(b"a") == b"1\n"
    assert stage.head == head
    assert stage.run("status", "-s") == " M a\n"


def test_restore_brings_missing_directories_with_their_modes(stage: Stage) -> None:
    stage.files.chmod(b"d", 0o750)
    stage.commit("mode")
    stage.files.remove(b"d")
    stage.run("restore", "d/e/y")
    assert stage.files.node(b"d").mode & 0o7777 == 0o750
    assert set(stage.files.tree()) == {b"a", b"d", b"d/e", b"d/e/y"}


def test_restore_when_something_is_in_the_way(stage: Stage) -> None:
    stage.files.remove(b"d")
    stage.files.write(b"d", b"a file\n")
    with pytest.raises(AlreadyExists, match="'d' is a file"):
        stage.run("restore", "d/x")
    stage.run("restore", "d")
    assert stage.files.read(b"d/x") == b"x\n"
    stage.files.remove(b"a")
    stage.files.write(b"a/in", b"1\n")
    stage.run("restore", "a")
    assert stage.files.read(b"a") == b"2\n"


def test_checkout_of_paths_removes_nothing(stage: Stage) -> None:
    stage.files.write(b"d/extra", b"extra\n")
    stage.files.write(b"d/x", b"dirty\n")
    assert stage.run("checkout", "HEAD~1", "--", "d", "a") == "Updated 2 paths from HEAD~1\n"
    assert stage.files.read(b"d/x") == b"x\n"
    assert stage.files.read(b"d/extra") == b"extra\n"
    assert stage.files.read(b"a") == b"1\n"
    assert stage.view.branch == "main"
    assert stage.run("checkout", "--", "a") == "Updated 1 path from HEAD\n"
    with pytest.raises(NotFound, match="no path 'd/extra'"):
        stage.run("checkout", "--", "d/extra")
    with pytest.raises(UsageError):
        stage.run("checkout", "-b", "x", "--", "a")


def test_restore_without_a_change_records_nothing(stage: Stage) -> None:
    log = stage.run("oplog")
    stage.run("restore", "a")
    assert stage.run("oplog") == log
    for argv in (("restore",), ("restore", "../x")):
        with pytest.raises(UsageError):
            stage.run(*argv)
    with pytest.raises(NotFound):
        stage.run("restore", "nope")


def test_restore_in_a_large_directory() -> None:
    stage = Stage()
    for number in range(400):
        stage.files.write(b"many/%03d" % number, b"%d" % number)
    stage.commit()
    before = stage.files.tree()
    stage.files.write(b"many/200", b"changed")
    stage.files.remove(b"many/007")
    stage.run("restore", "many/200", "many/007")
    assert stage.files.tree() == before
    assert stage.run("status", "-s") == ""


def test_tags(stage: Stage) -> None:
    assert stage.run("tag", "v1", "HEAD~1") == ""
    assert stage.run("tag", "v2") == ""
    assert stage.run("tag") == "v1\nv2\n"
    assert stage.run("tag", "-l", "*1") == "v1\n"
    assert stage.run("rev-parse", "v1") == stage.run("rev-parse", "HEAD~1")
    with pytest.raises(AlreadyExists):
        stage.run("tag", "v1")
    stage.run("tag", "-f", "v1")
    stage.reopen()
    assert json.loads(stage.run("tag", "--json")) == [
        {"name": name, "id": stage.head, "message": None} for name in ("v1", "v2")
    ]
    with pytest.raises(NotFound):
        stage.run("tag", "-d", "v1", "nope")
    assert stage.run("tag", "-d", "v1") == f"Deleted tag 'v1' (was {stage.head[:12]})\n"
    assert stage.run("tag") == "v2\n"
    for argv in (("a b",), ("-d",), ("x", "y", "z"), ("-f",)):
        with pytest.raises(UsageError):
            stage.run("tag", *argv)
    with pytest.raises(NotFound):
        stage.run("tag", "v3", "nope")


def test_a_pattern_takes_nothing_away_that_is_new() -> None:
    stage = Stage()
    stage.commit("one", **{"a.md": b"1\n", "b.c": b"1\n"})
    stage.files.write(b"a.md", b"2\n")
    stage.files.write(b"b.c", b"2\n")
    stage.files.write(b"new.md", b"n\n")
    stage.run("restore", "*.md")
    assert stage.run("status", "-s") == " M b.c\n A new.md\n"
    stage.run("add", "*.c", ":!x*")
    assert stage.run("status", "-s") == "M  b.c\n A new.md\n"
    stage.run("reset", "--", "*.c")
    stage.run("commit", "-m", "two", "--", ":!*.md")
    assert stage.run("show", "--name-only", "--format=") == "b.c\n"
    stage.run("checkout", "HEAD~1", "--", "*.c")
    assert stage.files.read(b"b.c") == b"1\n"
    with pytest.raises(NotFound, match=r"no path matches '\*.py'"):
        stage.run("add", "*.py")
    stage.run("checkout", "HEAD", "--", "*.md")


@pytest.mark.parametrize(
    "line",
    [
        ("restore", "-s", "HEAD~1", "link"),
        ("checkout", "HEAD~1", "--", "link"),
        ("restore", "--saved", "link"),
    ],
)
def test_one_name_of_a_file_is_brought_back_alone(stage: Stage, line: tuple[str, ...]) -> None:
    """The other name keeps its bytes, and the two are no longer one file."""
    stage.files.write(b"link", b"old\n")
    stage.files.link(b"link", b"other")
    stage.commit("linked")
    stage.files.write(b"link", b"new\n")
    stage.commit("written by either name")
    stage.run(*line)
    for _ in range(2):
        assert stage.files.read(b"link") == b"old\n"
        assert stage.files.read(b"other") == b"new\n"
        assert stage.run("status", "-s").split() == ["M", "link"]
        stage.reopen()
    stage.files.write(b"other", b"newer\n")
    assert stage.files.read(b"link") == b"old\n"


@pytest.mark.parametrize("line", [("add", "link"), ("commit", "-m", "a part", "link")])
def test_one_name_of_a_file_is_committed_alone(stage: Stage, line: tuple[str, ...]) -> None:
    stage.files.write(b"link", b"old\n")
    stage.files.link(b"link", b"other")
    stage.commit("linked")
    stage.files.write(b"link", b"new\n")
    stage.run(*line)
    if line[0] == "add":
        stage.run("commit", "-m", "a part")
    assert stage.files.read(b"other") == b"new\n"
    stage.run("reset", "--hard")
    for _ in range(2):
        assert stage.files.read(b"link") == b"new\n"
        assert stage.files.read(b"other") == b"old\n"
        stage.reopen()
