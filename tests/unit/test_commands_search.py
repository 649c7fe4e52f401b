"""grep, blame, version, and the refusal of materialize."""

from __future__ import annotations

import json

import pytest

from heliosfs import __version__
from heliosfs.errors import NotFound, TooLarge, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b"a", b"one\ntwo\nthree\n")
    stage.files.write(b"d/b", b"two\nTWO\nno newline: two")
    stage.files.write(b"d/binary", b"\0two")
    stage.commit("first")
    return stage


def test_grep(stage: Stage) -> None:
    assert stage.run("grep", "tw") == (
        "a:two\nd/b:two\nd/b:no newline: two\nBinary file d/binary matches\n"
    )
    assert stage.run("grep", "-n", "^tw", "--", "a") == "a:2:two\n"
    assert stage.run("grep", "-in", "^two$", "d/b") == "d/b:1:two\nd/b:2:TWO\n"
    assert stage.run("grep", "-l", "two") == "a\nd/b\nd/binary\n"
    assert stage.run("grep", "-c", "two", "--", "d/b") == "d/b:2\n"
    assert stage.run("grep", "-e", "one", "-e", "three") == "a:one\na:three\n"
    assert stage.run("grep", "-F", "w.") == ""
    assert stage.run("grep", "-w", "tw") == ""
    assert stage.run("grep", "two", cwd="d").startswith("b:two\n")
    assert stage.run("grep", "one", "../a", cwd="d") == "../a:one\n"


def test_grep_in_commits(stage: Stage) -> None:
    stage.commit("second", a=b"four\n")
    stage.files.write(b"a", b"uncommitted\n")
    assert stage.run("grep", "one") == ""
    assert stage.run("grep", "uncommitted") == "a:uncommitted\n"
    assert stage.run("grep", "-n", "o", "HEAD~1", "HEAD", "--", "a") == (
        "HEAD~1:a:1:one\nHEAD~1:a:2:two\nHEAD:a:1:four\n"
    )
    found = json.loads(stage.run("grep", "--json", "four", "HEAD"))
    assert found == [{"revision": "HEAD", "path": "a", "line": 1, "text": "four"}]


def test_grep_refuses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv in ((), ("(",), ("-l", "-c", "x")):
        with pytest.raises(UsageError):
            stage.run("grep", *argv)
    with pytest.raises(NotFound, match="neither a revision nor a path"):
        stage.run("grep", "x", "nope")
    with pytest.raises(NotFound):
        stage.run("grep", "x", "nope", "--", "a")
    monkeypatch.setattr("heliosfs.commands.grep.grep.SEARCH_MAX_BYTES", 10)
    with pytest.raises(TooLarge):
        stage.run("grep", "x")


def blamed(stage: Stage, *argv: str) -> list[str | None]:
    return [
        each["id"] and each["subject"] for each in json.loads(stage.run("blame", "--json", *argv))
    ]


def test_blame(stage: Stage) -> None:
    stage.commit("second", a=b"zero\none\ntwo\nTHREE\n")
    assert blamed(stage, "a") == ["second", "first", "first", "second"]
    stage.files.write(b"a", b"zero\nmine\none\n")
    assert blamed(stage, "a") == ["second", None, "first"]
    lines = stage.run("blame", "a").splitlines()
    assert lines[0] == f"{stage.head[:12]} (Ada               2023-11-14 22:13:20 +0000 1) zero"
    assert lines[1].startswith("000000000000 (Not Committed Yet ")
    assert blamed(stage, "HEAD~1", "--", "a") == ["first"] * 3
    assert blamed(stage, "HEAD", "a", "-L", "2,+2") == ["first", "first"]
    assert stage.run("blame", "-L", "3", "HEAD", "a").count("\n") == 2


def test_blame_follows_merges_and_renames(stage: Stage) -> None:
    stage.run("branch", "x")
    stage.live("x").write(b"a", b"one\ntwo\nthree\nfour\n")
    stage.run("commit", "-m", "in x", branch="x")
    stage.commit("ours", a=b"ONE\ntwo\nthree\n")
    stage.run("merge", "x")
    assert blamed(stage, "a") == ["ours", "first", "first", "in x"]
    stage.files.rename(b"a", b"renamed")
    stage.commit("moved")
    assert blamed(stage, "renamed") == ["ours", "first", "first", "in x"]
    assert " a (Ada" in stage.run("blame", "renamed")


def test_blame_refuses(stage: Stage) -> None:
    for words in ("", "a b c", "-L 0 a", "-L x a"):
        with pytest.raises(UsageError):
            stage.run("blame", *words.split())
    for words in ("nope", "d", "nope a"):
        with pytest.raises(NotFound):
            stage.run("blame", *words.split())
    with pytest.raises(TooLarge):
        stage.run("blame", "d/binary")


def test_version(stage: Stage) -> None:
    assert stage.run("version") == f"helios {__version__}\n"
    assert json.loads(stage.run("version", "--json")) == {"version": __version__}


def test_materialize_is_for_the_command_line(stage: Stage) -> None:
    with pytest.raises(UsageError, match="only the command line"):
        stage.run("materialize", "HEAD", "/tmp/x")
