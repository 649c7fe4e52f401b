"""reset, undo, redo and the operation log."""

from __future__ import annotations

import json

import pytest

from heliosfs.errors import HeliosError, NotFound
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.commit("second", a=b"2\n")
    return stage


def test_reset_hard_and_soft(stage: Stage) -> None:
    stage.files.write(b"b", b"x")
    second = stage.head
    assert stage.run("reset", "HEAD~1").endswith(" first\n")
    assert stage.run("status", "-s") == " M a\n A b\n"
    stage.run("reset", "--soft", second)
    assert stage.run("status", "-s") == " A b\n"
    assert stage.run("reset", "--hard") == f"HEAD is now at {second[:12]} second\n"
    assert stage.files.tree().keys() == {b"a"}
    assert stage.run("reset", "--hard", "-q", "HEAD~1") == ""
    assert stage.files.read(b"a") == b"1\n"


def test_reset_to_what_is_not_there(stage: Stage) -> None:
    stage.files.write(b"a", b"dirty")
    for revision in ("HEAD~99", "nope", "HEAD^2"):
        with pytest.raises(NotFound):
            stage.run("reset", "--hard", revision)
    assert stage.files.read(b"a") == b"dirty"
    with pytest.raises(NotFound, match="nothing was committed"):
        Stage().run("reset", "--hard")


def test_undo_brings_back_what_reset_discarded(stage: Stage) -> None:
    stage.files.write(b"a", b"dirty")
    stage.files.write(b"new/file", b"n")
    before = stage.files.tree()
    head = stage.head
    stage.run("reset", "--hard", "HEAD~1")
    reply = stage.run("undo")
    first = stage.run("rev-parse", "HEAD~1")[:12]
    assert reply == f"undid reset: --hard {first}\nHEAD is now at {head[:12]} second\n"
    assert stage.files.tree() == before
    assert stage.head == head
    assert stage.run("redo").startswith(f"redid reset: --hard {first}\n")
    assert stage.files.tree().keys() == {b"a"}
    assert stage.files.read(b"a") == b"1\n"


def test_undo_of_commits_keeps_the_files_and_ends_before_the_first(stage: Stage) -> None:
    stage.run("undo")
    assert stage.run("status", "-s") == " M a\n"
    assert stage.files.read(b"a") == b"2\n"
    assert stage.run("undo").endswith("HEAD is now before the first commit\n")
    assert stage.view.head is None
    with pytest.raises(NotFound, match="nothing to undo"):
        stage.run("undo")
    stage.run("redo")
    stage.run("redo")
    assert stage.run("log", "--oneline").count("\n") == 2
    with pytest.raises(NotFound, match="nothing to redo"):
        stage.run("redo")


def test_nothing_edited_around_undo_and_redo_is_lost(stage: Stage) -> None:
    stage.run("reset", "--hard", "HEAD~1")
    stage.files.write(b"after-reset", b"1")
    stage.run("undo")
    stage.files.write(b"after-undo", b"2")
    stage.run("redo")
    assert stage.files.tree().keys() == {b"a", b"after-reset"}
    stage.run("undo")
    assert stage.files.tree().keys() == {b"a", b"after-undo"}
    stage.run("undo")
    assert stage.view.head is not None
    assert stage.repository.history.read(stage.view.head).subject == "first"


def test_another_operation_ends_redo(stage: Stage) -> None:
    stage.run("undo")
    stage.commit("other", a=b"3")
    with pytest.raises(NotFound, match="nothing to redo"):
        stage.run("redo")
    stage.run("undo")
    stage.run("undo")
    assert stage.view.head is None


def test_undo_of_a_checkout_goes_back_to_the_branch(stage: Stage) -> None:
    stage.files.write(b"a", b"dirty")
    stage.run("checkout", "HEAD~1")
    stage.run("reset", "--hard", "main")
    stage.run("undo")
    assert stage.files.read(b"a") == b"1\n"
    assert stage.run("undo").startswith("undid checkout: ")
    assert stage.run("branch", "--show-current") == "main\n"
    assert stage.files.read(b"a") == b"dirty"


def test_each_branch_has_its_own_log(stage: Stage) -> None:
    stage.run("branch", "x")
    with pytest.raises(NotFound, match="nothing to undo"):
        stage.run("undo", branch="x")
    stage.live("x").write(b"c", b"1")
    stage.run("commit", "-m", "in x", branch="x")
    stage.run("undo")
    assert "in x" in stage.run("log", "x")
    assert stage.run("oplog", branch="x").count("\n") == 1
    stage.run("undo", branch="x")
    assert stage.run("status", "-s", branch="x") == " A c\n"


def test_oplog_lists_the_newest_first_and_survives(stage: Stage) -> None:
    stage.run("reset", "--hard", "HEAD~1")
    stage.run("undo")
    lines = stage.run("oplog").splitlines()
    assert [line.split()[2] for line in lines] == ["undo", "reset", "commit", "commit"]
    assert lines[-1].split()[0] == "1"
    assert lines[-1].split()[3:6] == ["(none)", "->", stage.run("rev-parse", "HEAD~1")[:12]]
    assert stage.run("oplog", "-n", "1").splitlines() == lines[:1]
    assert stage.run("oplog", "-2").splitlines() == lines[:2]
    document = json.loads(stage.run("oplog", "--json"))
    assert document[0]["verb"] == "undo"
    assert document[0]["reverted"] == 3
    stage.reopen()
    assert stage.run("oplog").splitlines() == lines
    stage.run("redo")
    assert stage.files.read(b"a") == b"1\n"


def test_undo_that_cannot_be_published_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.files.write(b"b", b"1")
    stage.run("reset", "--hard", "HEAD~1")
    stage.files.write(b"c", b"1")
    before, head, log = stage.files.tree(), stage.head, stage.run("oplog")
    for verb in ("undo", "reset"):
        with monkeypatch.context() as patch:
            patch.setattr(stage.store, "publish", _fail)
            with pytest.raises(HeliosError, match="full"):
                stage.run(verb)
        assert (stage.files.tree(), stage.head, stage.run("oplog")) == (before, head, log)
    stage.run("undo")
    assert stage.files.tree().keys() == {b"a", b"b"}


def _fail() -> None:
    raise HeliosError("the disk is full")
