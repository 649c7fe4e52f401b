"""add, and what it means to commit, status, diff, reset, restore, merge, undo and branches."""

from __future__ import annotations

import errno
import json

import pytest

from heliosfs.errors import Busy, HeliosError, NotFound, NothingToCommit, UsageError
from heliosfs.objects.tree import Entry
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    stage.files.write(b"d/x", b"x\n")
    stage.files.write(b"d/e/y", b"y\n")
    stage.commit("first")
    return stage


def root_of_head(stage: Stage) -> Entry:
    root = stage.view.head_root()
    assert root is not None
    return root


def committed(stage: Stage, path: bytes) -> bytes | None:
    """The bytes of a file in HEAD."""
    entry = find_entry(stage.store, root_of_head(stage), path)
    return None if entry is None else read_file(stage.store, entry)


def short(stage: Stage) -> str:
    return stage.run("status", "-s")


def test_a_commit_takes_what_was_added_as_it_was_then(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"b", b"new\n")
    assert stage.run("add", "a") == ""
    stage.files.write(b"a", b"3\n")
    assert short(stage) == "MM a\n A b\n"
    stage.run("commit", "-m", "part")
    assert committed(stage, b"a") == b"2\n"
    assert committed(stage, b"b") is None
    assert stage.files.read(b"a") == b"3\n"
    assert short(stage) == " M a\n A b\n"
    stage.run("commit", "-m", "rest")
    assert committed(stage, b"a") == b"3\n"
    assert committed(stage, b"b") == b"new\n"
    assert short(stage) == ""


def test_directories_deletions_and_directories_of_new_files(stage: Stage) -> None:
    stage.files.remove(b"d/e")
    stage.files.write(b"d/x", b"changed\n")
    stage.files.write(b"n/m/o", b"deep\n")
    stage.files.chmod(b"n/m", 0o700)
    stage.files.write(b"n/p", b"beside\n")
    said = json.loads(stage.run("add", "--json", "d/e", "n/m/o"))
    assert said == {"changed": ["d/e", "d/e/y", "n/m/o"]}
    assert short(stage) == "D  d/e/y\n M d/x\nA  n/m/o\n A n/p\n"
    stage.run("commit")
    assert committed(stage, b"d/e/y") is None
    assert find_entry(stage.store, root_of_head(stage), b"d/e") is None
    entry = find_entry(stage.store, root_of_head(stage), b"n/m")
    assert entry is not None
    assert entry.mode & 0o7777 == 0o700
    stage.run("add", ".", cwd="d")
    assert short(stage) == "M  d/x\n A n/p\n"


def test_what_is_not_there_is_named_and_nothing_is_staged(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    with pytest.raises(NotFound, match="no path 'nope'") as caught:
        stage.run("add", "a", "nope")
    assert caught.value.errno == errno.ENOENT
    assert short(stage) == " M a\n"
    for argv in (["add"], ["add", "../out"], ["add", "/abs"]):
        with pytest.raises(UsageError):
            stage.run(*argv)
    assert stage.run("add", "-A", cwd="d") == ""
    assert short(stage) == "M  a\n"


def test_the_words_of_the_guide(stage: Stage) -> None:
    """`add .`, later edits, `commit --work .`: everything as it is now."""
    stage.files.write(b"a", b"2\n")
    stage.run("add", ".")
    stage.files.write(b"a", b"3\n")
    stage.files.write(b"b", b"later\n")
    stage.run("commit", "--work", ".")
    assert (committed(stage, b"a"), committed(stage, b"b")) == (b"3\n", b"later\n")
    assert short(stage) == ""


@pytest.mark.parametrize("words", [["--work"], ["-a"], ["--work", "."], ["."], ["--work", "/ws"]])
def test_everything_although_something_is_staged(stage: Stage, words: list[str]) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"b", b"b\n")
    stage.run("add", "a")
    stage.run("commit", *words)
    assert committed(stage, b"b") == b"b\n"
    assert short(stage) == ""


def test_named_paths_only(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"b", b"b\n")
    stage.files.write(b"d/x", b"2\n")
    stage.run("add", "a", "b")
    stage.files.write(b"b", b"b2\n")
    stage.run("commit", "-m", "paths", "d", "b")
    assert committed(stage, b"a") == b"1\n"
    assert (committed(stage, b"b"), committed(stage, b"d/x")) == (b"b2\n", b"2\n")
    assert short(stage) == "M  a\n"
    stage.run("commit", "--", "a")
    assert short(stage) == ""
    with pytest.raises(NotFound, match="no path 'nope'"):
        stage.run("commit", "nope")
    with pytest.raises(NothingToCommit):
        stage.run("commit", "a")
    with pytest.raises(UsageError, match="outside"):
        stage.run("commit", "--work", "../..", cwd="d")


def test_adding_what_did_not_change_stages_nothing(stage: Stage) -> None:
    stage.run("add", "a", "d")
    stage.files.write(b"b", b"b\n")
    assert short(stage) == " A b\n"
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.files.write(b"a", b"1\n")
    assert short(stage) == "MM a\n A b\n"
    stage.run("add", "a")
    assert short(stage) == " A b\n"
    assert stage.view.stage.root is None


def test_status_in_words_and_for_programs(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.rename(b"d/x", b"d/z")
    stage.run("add", "d")
    stage.files.write(b"b", b"b\n")
    assert stage.run("status") == (
        "On branch main\n"
        "Changes to be committed:\n"
        '  (use "helios restore --staged PATH" to unstage)\n'
        "\trenamed:   d/x -> d/z\n"
        "\n"
        "Changes not staged for commit:\n"
        '  (use "helios add PATH" to stage)\n'
        "\tmodified:   a\n"
        "\tnew file:   b\n"
    )
    assert short(stage) == " M a\n A b\nR  d/x -> d/z\n"
    said = json.loads(stage.run("status", "--json"))
    assert [each["path"] for each in said["staged"]] == ["d/z"]
    assert [each["path"] for each in said["unstaged"]] == ["a", "b"]
    assert [each["path"] for each in said["changes"]] == ["a", "b", "d/z"]
    assert said["clean"] is False


def test_diff_of_each_step(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.files.write(b"a", b"3\n")
    assert "-2\n+3\n" in stage.run("diff")
    for name in ("--staged", "--cached"):
        assert "-1\n+2\n" in stage.run("diff", name)
    assert "-1\n+3\n" in stage.run("diff", "HEAD")
    stage.run("commit", "-m", "second")
    assert "-1\n+2\n" in stage.run("diff", "--staged", "HEAD~1")
    assert stage.run("diff", "--staged") == ""
    with pytest.raises(UsageError, match="one revision too many"):
        stage.run("diff", "--staged", "HEAD", "HEAD~1")


def test_unstage(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"b", b"b\n")
    for words in (["reset"], ["reset", "--mixed", "HEAD"], ["restore", "--staged", "."]):
        stage.run("add", ".")
        assert short(stage) == "M  a\nA  b\n"
        stage.run(*words)
        assert short(stage) == " M a\n A b\n"
    for words in (["reset", "a"], ["reset", "HEAD", "--", "a"], ["restore", "--staged", "a"]):
        stage.run("add", ".")
        stage.run(*words)
        assert short(stage) == " M a\nA  b\n"
    with pytest.raises(NotFound):
        stage.run("reset", "nope")
    with pytest.raises(UsageError):
        stage.run("reset", "--hard", "a")
    assert short(stage) == " M a\nA  b\n"


def test_unstage_before_the_first_commit() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    stage.files.write(b"b", b"1\n")
    stage.run("add", "a", "b")
    assert short(stage) == "A  a\nA  b\n"
    stage.run("reset", "b")
    assert short(stage) == "A  a\n A b\n"
    stage.run("commit", "-m", "only a")
    assert committed(stage, b"b") is None
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    stage.run("add", "a")
    assert stage.run("reset") == "HEAD is now before the first commit\n"
    assert short(stage) == " A a\n"


def test_restore_brings_back_what_was_staged(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.files.write(b"a", b"3\n")
    stage.run("restore", "a")
    assert stage.files.read(b"a") == b"2\n"
    assert short(stage) == "M  a\n"
    stage.files.write(b"a", b"3\n")
    assert stage.run("checkout", "--", "a") == "Updated 1 path from the stage\n"
    assert stage.files.read(b"a") == b"2\n"
    stage.run("restore", "--staged", "--worktree", "a")
    assert stage.files.read(b"a") == b"1\n"
    assert short(stage) == ""
    stage.run("undo")
    assert short(stage) == "M  a\n"


def test_reset_and_the_stage(stage: Stage) -> None:
    stage.commit("second", a=b"2\n")
    stage.files.write(b"a", b"3\n")
    stage.run("add", "a")
    stage.run("reset", "--soft", "HEAD~1")
    assert short(stage) == "M  a\n"
    assert "-1\n+3\n" in stage.run("diff", "--staged")
    stage.run("reset", "--hard")
    assert short(stage) == ""
    stage.run("undo")
    assert short(stage) == "M  a\n"
    assert stage.files.read(b"a") == b"3\n"


def test_undo_and_redo_bring_the_stage_back(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.files.write(b"b", b"b\n")
    before = short(stage)
    stage.run("commit", "-m", "part")
    after = short(stage)
    for _ in range(2):
        stage.run("undo")
        assert short(stage) == before == "M  a\n A b\n"
        stage.run("redo")
        assert short(stage) == after == " A b\n"
    stage.run("undo")
    stage.run("commit", "-m", "part again")
    assert committed(stage, b"a") == b"2\n"
    assert committed(stage, b"b") is None


def test_a_merge_waits_for_what_is_staged(stage: Stage) -> None:
    stage.run("branch", "other")
    stage.live("other").write(b"o", b"o\n")
    stage.run("commit", branch="other")
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    with pytest.raises(Busy, match="changes are staged"):
        stage.run("merge", "other")
    stage.run("reset")
    stage.run("merge", "other")
    assert short(stage) == " M a\n"


def test_the_commit_of_an_open_merge_takes_everything(stage: Stage) -> None:
    stage.run("branch", "other")
    stage.live("other").write(b"a", b"other\n")
    stage.live("other").write(b"o", b"o\n")
    stage.run("commit", branch="other")
    stage.commit("ours", a=b"ours\n")
    stage.run("merge", "--markers", "other")
    stage.files.write(b"a", b"both\n")
    stage.run("add", "a")
    with pytest.raises(Busy, match="takes everything"):
        stage.run("commit", "a")
    with pytest.raises(Busy, match="a merge is open"):
        stage.run("commit", "--amend")
    stage.run("commit")
    assert (committed(stage, b"a"), committed(stage, b"o")) == (b"both\n", b"o\n")


def test_each_branch_has_a_stage_that_stays(stage: Stage) -> None:
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.run("branch", "--fork", "forked")
    stage.run("branch", "plain")
    stage.run("checkout", "forked")
    assert short(stage) == "M  a\n"
    stage.run("reset")
    stage.run("checkout", "plain")
    assert short(stage) == ""
    stage.run("checkout", "main")
    assert short(stage) == "M  a\n"
    stage.reopen()
    assert short(stage) == "M  a\n"
    stage.run("branch", "-m", "main", "renamed")
    assert short(stage) == "M  a\n"
    stage.run("checkout", "HEAD")
    assert short(stage) == ""
    stage.run("undo")
    assert short(stage) == "M  a\n"


def test_a_branch_with_something_staged_is_not_deleted_by_accident(stage: Stage) -> None:
    stage.run("branch", "other")
    stage.live("other").write(b"a", b"2\n")
    stage.run("add", "a", branch="other")
    stage.live("other").write(b"a", b"1\n")
    with pytest.raises(Busy):
        stage.run("branch", "-d", "other")
    stage.run("branch", "-D", "other")
    assert not [key for key in stage.store.state if key.startswith(b"stage/")]


def test_verbose(stage: Stage) -> None:
    stage.files.write(b"d/n", b"n\n")
    stage.files.remove(b"a")
    assert stage.run("add", "-v", ".", "../a", cwd="d") == "remove '../a'\nadd 'n'\n"


def test_amend(stage: Stage) -> None:
    with pytest.raises(NotFound, match="no commit yet"):
        Stage().run("commit", "--amend")
    stage.run("commit", "--allow-empty", "--author", "G <g@h>", "--meta", "k=v", "-m", "secnd")
    assert stage.view.head is not None
    parent = stage.repository.history.read(stage.view.head).parents
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"b", b"b\n")
    stage.run("add", "a")
    reply = stage.run("commit", "--amend", "-m", "second")
    assert reply == f"[main {stage.head[:12]}] second\n"
    made = json.loads(stage.run("log", "-1", "--json"))[0]
    assert made["parents"] == [each.hex() for each in parent]
    assert (made["author"]["name"], made["committer"]["name"]) == ("G", "Ada")
    assert (made["metadata"], made["message"]) == ({"k": "v"}, "second")
    assert (committed(stage, b"a"), committed(stage, b"b")) == (b"2\n", None)
    stage.run("commit", "--amend", "--work", "--meta", "k=w")
    made = json.loads(stage.run("log", "-1", "--json"))[0]
    assert (made["metadata"], made["message"]) == ({"k": "w"}, "second")
    assert committed(stage, b"b") == b"b\n"
    stage.run("undo")
    assert short(stage) == " A b\n"
    assert "(amend) second" in stage.run("oplog")
    with pytest.raises(HeliosError, match="HEAD is"):
        stage.run("commit", "--amend", "--expect", "0" * 64)


def test_amend_of_the_first_commit(stage: Stage) -> None:
    stage.run("commit", "--amend", "-m", "begin")
    assert stage.run("log", "--oneline") == f"{stage.head[:12]} begin\n"


def test_update_stages_nothing_new() -> None:
    stage = Stage()
    stage.commit("base", a=b"1\n", gone=b"1\n")
    stage.files.write(b"d/kept", b"1\n")
    stage.commit("more")
    stage.files.write(b"a", b"2\n")
    stage.files.remove(b"gone")
    stage.files.write(b"d/kept", b"2\n")
    stage.files.write(b"d/new", b"1\n")
    assert stage.run("add", "-v", "-u", "d") == "add 'd/kept'\n"
    assert stage.run("add", "-v", "-u") == "add 'a'\nremove 'gone'\n"
    assert stage.run("status", "-s") == "M  a\nM  d/kept\n A d/new\nD  gone\n"


def test_a_directory_goes_with_the_last_entry_that_is_staged_as_deleted(stage: Stage) -> None:
    stage.files.remove(b"d")
    stage.run("add", "d/e/y")
    stage.run("commit")
    assert (committed(stage, b"d/x"), find_entry(stage.store, root_of_head(stage), b"d/e")) == (
        b"x\n",
        None,
    )
    stage.run("add", "d/x")
    stage.run("commit")
    assert find_entry(stage.store, root_of_head(stage), b"d") is None
    assert stage.run("status", "-s") == ""


def test_a_directory_that_is_still_there_stays_in_the_stage(stage: Stage) -> None:
    stage.files.remove(b"d/e/y")
    stage.run("add", "d/e/y")
    stage.run("commit")
    assert find_entry(stage.store, root_of_head(stage), b"d/e") is not None
    assert stage.run("status", "-s") == ""
