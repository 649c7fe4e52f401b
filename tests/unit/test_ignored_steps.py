"""Steps between two sets of ignore rules: what either of them ignores is kept."""

from __future__ import annotations

import pytest

from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    """A commit without rules, then one uncommitted rule and a file that it ignores."""
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.files.write(b".heliosignore", b".env\n")
    stage.files.write(b".env", b"KEY=1\n")
    return stage


def files(stage: Stage) -> dict[str, bytes]:
    found = stage.files.tree().items()
    return {path.decode(): data for path, (mode, data) in found if mode & 0o100000}


def test_an_uncommitted_rule_protects_whatever_way_one_goes(stage: Stage) -> None:
    for words in (["reset", "--hard"], ["undo"], ["redo"], ["undo"], ["checkout", "HEAD"]):
        stage.run(*words)
        assert files(stage)[".env"] == b"KEY=1\n", words
    stage.run("undo")
    assert files(stage)[".env"] == b"KEY=1\n"


def test_what_was_edited_between_stays_and_what_is_gone_comes_back(stage: Stage) -> None:
    stage.run("reset", "--hard")
    stage.files.write(b".env", b"KEY=2\n")
    stage.run("undo")
    assert files(stage)[".env"] == b"KEY=2\n"
    stage.files.remove(b".env")
    stage.run("redo")
    stage.run("undo")
    assert files(stage)[".env"] == b"KEY=2\n"


def test_the_rules_of_the_commit_that_one_goes_to_count(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    rules = stage.head
    stage.run("reset", "--hard", "HEAD~1")
    stage.files.write(b".env", b"KEY=2\n")
    stage.files.write(b"b", b"not ignored\n")
    stage.run("reset", "--hard", rules)
    assert files(stage) == {"a": b"1\n", ".heliosignore": b".env\n", ".env": b"KEY=2\n"}


def test_the_rules_of_head_count_when_the_file_is_gone(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    for target in ("HEAD", "HEAD~1"):
        stage.files.remove(b".heliosignore")
        stage.run("reset", "--hard", target)
        assert files(stage)[".env"] == b"KEY=1\n"
        stage.run("undo")
        assert files(stage) == {"a": b"1\n", ".env": b"KEY=1\n"}
        stage.run("restore", ".")


def test_a_rule_of_a_directory_counts_in_a_tree_without_that_directory() -> None:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.files.write(b"d/.heliosignore", b"*.o\n")
    stage.files.write(b"d/src", b"1\n")
    stage.run("commit", "-m", "second")
    stage.files.write(b"d/x.o", b"object\n")
    stage.run("reset", "--hard", "HEAD~1")
    assert files(stage) == {"a": b"1\n", "d/x.o": b"object\n"}
    stage.files.write(b"d/y.o", b"object\n")
    stage.run("undo")
    assert files(stage).keys() == {"a", "d/.heliosignore", "d/src", "d/x.o", "d/y.o"}


def test_a_merge_that_removes_the_rule(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    stage.run("branch", "side")
    stage.live("side").remove(b".heliosignore")
    stage.run("commit", "-m", "no rules", branch="side")
    for mode in ("--ff", "--no-ff", "--squash"):
        stage.run("merge", *([mode] if mode != "--ff" else []), "side")
        assert files(stage) == {"a": b"1\n", ".env": b"KEY=1\n"}
        stage.run("undo")
        assert files(stage) == {"a": b"1\n", ".heliosignore": b".env\n", ".env": b"KEY=1\n"}


def test_an_aborted_merge_keeps_what_was_ignored_since(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    stage.run("branch", "side")
    stage.live("side").write(b"a", b"side\n")
    stage.run("commit", "-m", "side", branch="side")
    stage.commit("main", a=b"main\n")
    stage.run("merge", "--markers", "side")
    stage.files.write(b".env", b"KEY=2\n")
    stage.files.write(b"b", b"not ignored\n")
    stage.run("merge", "--abort")
    assert files(stage) == {"a": b"main\n", ".heliosignore": b".env\n", ".env": b"KEY=2\n"}


def test_a_merge_before_the_first_commit() -> None:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    commit = stage.head
    stage.run("undo")
    stage.files.remove(b"a")
    stage.files.write(b".heliosignore", b"*\n")
    stage.run("merge", commit)
    assert files(stage) == {"a": b"1\n", ".heliosignore": b"*\n"}


def test_a_file_in_the_place_of_an_ignored_directory_costs_that_one_alone(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b".env\nbuild/\n")
    stage.files.write(b"build", b"a file\n")
    stage.run("commit", "-m", "a file named build")
    stage.files.remove(b"build")
    stage.files.write(b"build/x/y", b"built\n")
    stage.run("reset", "--hard")
    assert files(stage)["build"] == b"a file\n"
    assert files(stage)[".env"] == b"KEY=1\n"
    stage.run("undo")
    assert files(stage)["build/x/y"] == b"built\n"


def test_what_an_operation_did_to_an_ignored_file_is_taken_back_with_it(stage: Stage) -> None:
    stage.files.remove(b".heliosignore")
    stage.run("commit", "-m", "committed by mistake")
    stage.files.remove(b".env")
    stage.run("commit", "-m", "without it")
    stage.files.write(b".heliosignore", b".env\n")
    stage.files.write(b".env", b"KEY=2\n")
    stage.run("restore", "--source", "HEAD~1", ".env")
    assert files(stage)[".env"] == b"KEY=1\n"
    stage.run("undo")
    assert files(stage)[".env"] == b"KEY=2\n"
    stage.run("redo")
    assert files(stage)[".env"] == b"KEY=1\n"
    stage.files.write(b".env", b"KEY=3\n")
    stage.run("undo")
    assert files(stage)[".env"] == b"KEY=3\n"


def test_undo_of_a_checkout_takes_along_what_was_edited_there(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b".env\n*.o\n")
    stage.files.write(b"x.o", b"old\n")
    stage.run("commit", "-m", "rules")
    stage.run("checkout", "HEAD~1")
    stage.files.write(b".env", b"KEY=2\n")
    stage.files.write(b"new.o", b"new\n")
    stage.live("main").write(b"x.o", b"made by main\n")
    stage.run("undo")
    assert stage.view.branch == "main"
    now = files(stage)
    assert (now[".env"], now["x.o"], now["new.o"]) == (b"KEY=2\n", b"made by main\n", b"new\n")


def test_a_deleted_branch_leaves_its_ignored_files_in_a_commit(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    for flag in ("-d", "-D"):
        stage.run("branch", "--fork", "side")
        stage.live("side").write(b".env", flag.encode())
        said = stage.run("branch", flag, "side")
        assert "Its ignored files are in commit" in said
        assert "uncommitted" not in said
        commit = said.split()[-1].rstrip(".")
        stage.run("restore", "--source", commit, ".env")
        assert files(stage)[".env"] == flag.encode()


def test_links_to_ignored_files_last(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    stage.files.remove(b".env")
    stage.files.link(b"a", b".env")
    assert stage.run("status", "-s") == ""
    stage.run("reset", "--hard")
    assert stage.files.node(b"a") is stage.files.node(b".env")
    stage.files.write(b"a", b"2\n")
    stage.run("reset", "--hard")
    assert (stage.files.read(b"a"), stage.files.read(b".env")) == (b"1\n", b"2\n")
    stage.run("undo")
    assert stage.files.node(b"a") is stage.files.node(b".env")
    assert stage.files.read(b"a") == b"2\n"
    stage.run("commit", "-m", "linked")
    stage.files.remove(b".env")
    assert stage.run("status", "-s") == ""


def test_a_merge_changes_a_file_to_which_an_ignored_name_leads(stage: Stage) -> None:
    stage.run("commit", "-m", "rules")
    stage.run("branch", "side")
    stage.live("side").write(b"a", b"side\n")
    stage.run("commit", "-m", "side", branch="side")
    stage.files.remove(b".env")
    stage.files.link(b"a", b".env")
    stage.run("merge", "side")
    assert (stage.files.read(b"a"), stage.files.read(b".env")) == (b"side\n", b"1\n")
    assert stage.run("status", "-s") == ""
    stage.run("undo")
    assert stage.files.node(b"a") is stage.files.node(b".env")


def test_links_between_tracked_files_last_when_an_ignored_name_leaves(stage: Stage) -> None:
    stage.files.write(b"x", b"1\n")
    stage.files.link(b"x", b"y")
    stage.run("commit", "-m", "linked")
    stage.files.remove(b".env")
    stage.files.link(b"x", b".env")
    assert stage.run("status", "-s") == ""
    stage.files.write(b"x", b"2\n")
    stage.run("reset", "--hard")
    assert stage.files.node(b"x") is stage.files.node(b"y")
    assert stage.files.read(b"x") == b"1\n"
    assert stage.files.read(b".env") == b"2\n"
    assert stage.run("status", "-s") == ""
    stage.run("undo")
    assert stage.files.node(b"x") is stage.files.node(b".env") is stage.files.node(b"y")
    stage.reopen()
    assert stage.files.node(b"x") is stage.files.node(b".env") is stage.files.node(b"y")
