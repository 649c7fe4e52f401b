"""stash: what it puts aside, what it brings back, and that undo and gc know of it."""

from __future__ import annotations

import json

import pytest

from heliosfs.errors import Busy, Conflicted, NotFound, UsageError
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    """A commit, and a changed, a new and an ignored file on top."""
    stage = Stage()
    stage.files.write(b".heliosignore", b"*.log\n")
    stage.commit("base", a=b"1\n2\n3\n", b=b"b\n")
    stage.files.write(b"a", b"1\ntwo\n3\n")
    stage.files.write(b"new", b"n\n")
    stage.files.write(b"x.log", b"log\n")
    return stage


def test_push_and_pop(stage: Stage) -> None:
    said = stage.run("stash")
    base = stage.run("log", "-1", "--oneline").strip()
    assert said == f"Saved working directory and index state WIP on main: {base}\n"
    assert stage.run("status", "-s") == ""
    assert set(stage.files.tree()) == {b".heliosignore", b"a", b"b", b"x.log"}
    assert stage.run("stash", "list") == f"stash@{{0}}: WIP on main: {base}\n"
    assert stage.run("stash", "show", "--name-status") == "M\ta\nA\tnew\n"
    assert "+two\n" in stage.run("stash", "show", "-p", "stash@{0}")
    assert stage.run("stash", "show").endswith("2 files changed, 2 insertions(+), 1 deletion(-)\n")
    assert stage.run("show", "stash@{0}:new") == "n\n"
    stage.files.write(b"b", b"edited\n")
    assert stage.run("stash", "pop").startswith("Dropped stash@{0} (")
    assert stage.run("status", "-s") == " M a\n M b\n A new\n"
    assert stage.files.read(b"a") == b"1\ntwo\n3\n"
    assert stage.run("stash", "list") == ""


def test_undo_covers_each_of_them(stage: Stage) -> None:
    stage.run("stash", "push", "-m", "half")
    stage.run("undo")
    assert stage.files.read(b"a") == b"1\ntwo\n3\n"
    assert stage.run("stash", "list") == ""
    stage.run("redo")
    assert stage.run("stash", "list") == "stash@{0}: On main: half\n"
    assert stage.files.read(b"a") == b"1\n2\n3\n"
    stage.run("stash", "pop")
    stage.run("undo")
    assert stage.run("stash", "list") == "stash@{0}: On main: half\n"
    assert stage.files.read(b"a") == b"1\n2\n3\n"
    stage.files.write(b"b", b"other\n")
    stage.run("stash", "push", "-m", "second")
    stage.run("stash", "clear")
    assert stage.run("stash", "list") == ""
    stage.run("undo")
    assert [line.split(": ")[2] for line in stage.run("stash", "list").splitlines()] == [
        "second",
        "half",
    ]
    stage.run("stash", "drop", "stash@{1}")
    stage.reopen()
    stage.run("undo")
    assert len(stage.run("stash", "list").splitlines()) == 2


def test_single_paths_and_what_is_staged(stage: Stage) -> None:
    stage.run("stash", "push", "-q", "--", "n*")
    assert stage.run("status", "-s") == " M a\n"
    stage.run("stash", "pop", "-q")
    stage.run("add", "a")
    stage.files.write(b"a", b"1\ntwo\nthree\n")
    stage.run("stash", "-k")
    assert stage.run("status", "-s") == "M  a\n"
    assert stage.files.read(b"a") == b"1\ntwo\n3\n"
    stage.run("reset", "--hard")
    with pytest.raises(Busy, match="--index"):
        stage.commit("another", c=b"c")
        stage.run("stash", "apply", "--index")
    stage.run("reset", "--hard", "HEAD~1")
    stage.run("stash", "pop", "--index")
    assert stage.run("status", "-s") == "MM a\n A new\n"
    assert stage.run("show", ":a") == "1\ntwo\n3\n"


def test_a_conflict_changes_nothing_and_names_the_ways_on(stage: Stage) -> None:
    stage.run("stash")
    stage.files.write(b"a", b"1\nzwei\n3\n")
    before = stage.files.tree()
    with pytest.raises(Conflicted) as caught:
        stage.run("stash", "pop")
    for way in ("content: a", "--markers stash@{0}", "--ours", "--theirs"):
        assert way in str(caught.value)
    assert stage.files.tree() == before
    said = stage.run("stash", "pop", "--markers")
    assert said.startswith("content: a\nstash@{0} was kept")
    assert stage.files.read(b"a").startswith(b"1\n<<<<<<< Updated upstream\nzwei\n")
    stage.run("undo")
    stage.run("stash", "pop", "--theirs")
    assert stage.files.read(b"a") == b"1\ntwo\n3\n"
    assert stage.run("stash", "list") == ""


def test_a_branch_of_it(stage: Stage) -> None:
    stage.run("stash")
    stage.commit("moved on", a=b"1\nzwei\n3\n")
    assert stage.run("stash", "branch", "idea").startswith("Switched to a new branch 'idea'\n")
    assert stage.view.branch == "idea"
    assert stage.run("status", "-s") == " M a\n A new\n"
    assert stage.run("stash", "list") == ""


def test_what_makes_no_sense(stage: Stage) -> None:
    stage.run("stash")
    assert stage.run("stash") == "No local changes to save\n"
    for words in (["nonsense"], ["pop", "a", "b"], ["pop", "HEAD"], ["branch"], ["list", "x"]):
        with pytest.raises(UsageError):
            stage.run("stash", *words)
    with pytest.raises(NotFound, match="there are 1"):
        stage.run("stash", "drop", "1")
    with pytest.raises(NotFound, match="nothing was committed"):
        Stage(MemoryStore()).run("stash")
    assert json.loads(stage.run("stash", "list", "--json"))[0]["name"] == "stash@{0}"


def test_a_collection_keeps_what_undo_can_bring_back(stage: Stage) -> None:
    stage.run("stash")
    oid = stage.run("rev-parse", "stash@{0}").strip()
    stage.run("gc", "--aggressive")
    assert stage.run("show", "stash@{0}:new") == "n\n"
    stage.run("stash", "drop")
    stage.run("gc", "--aggressive")
    stage.run("undo")
    assert stage.run("rev-parse", "stash@{0}").strip() == oid
    assert stage.run("fsck").endswith("all sound\n")
    assert stage.run("stash", "pop")
    assert stage.files.read(b"new") == b"n\n"
