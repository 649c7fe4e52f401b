"""branch and checkout: names, isolation, what is protected."""

from __future__ import annotations

import errno
import json

import pytest

from heliosfs.errors import AlreadyExists, Busy, NotFound, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.commit("second", a=b"2\n")
    return stage


def test_create_and_list(stage: Stage) -> None:
    assert stage.run("branch", "idea-7") == ""
    assert stage.run("branch", "old", "HEAD~1") == ""
    assert stage.run("branch", "from", "idea-7") == ""
    assert stage.run("branch") == "  from\n  idea-7\n* main\n  old\n"
    listed = stage.run("branch", "-v").splitlines()
    assert listed[1] == f"  idea-7 {stage.head[:12]} second"
    assert listed[3].endswith(" first")
    assert stage.run("branch", "--show-current") == "main\n"
    documents = {each["name"]: each for each in json.loads(stage.run("branch", "--json"))}
    assert documents["main"] == {
        "name": "main", "head": stage.head, "current": True, "mounted": True,
    }  # fmt: skip
    assert not documents["old"]["mounted"]
    assert stage.live("old").read(b"a") == b"1\n"


@pytest.mark.parametrize(
    "name",
    [
        "", "..", "a..b", "a b", "a\tb", "a\x01b", "a\x7f", "-x/", "/x", "x/", "a//b", ".a", "a/.b",
        "a.lock", "HEAD", "@", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "a" * 300,
        "0" * 64, "x.",
    ],
)  # fmt: skip
def test_bad_names(stage: Stage, name: str) -> None:
    before = dict(stage.store.state)
    for argv in (["branch", "--", name], ["branch", "-m", "main", name], ["checkout", "-b", name]):
        with pytest.raises(UsageError) as caught:
            stage.run(*argv)
        assert caught.value.errno == errno.EINVAL
    assert stage.store.state == before
    assert stage.run("branch") == "* main\n"


def test_names_that_are_fine(stage: Stage) -> None:
    for name in ("a/b/c", "ünï", "x" * 255, "1", "deadbeef", "a.b", "a-b_c+d"):
        stage.run("branch", name)
        assert name in stage.repository.refs


def test_taken_names(stage: Stage) -> None:
    stage.run("branch", "a/b")
    for name in ("main", "a", "a/b", "a/b/c"):
        with pytest.raises(AlreadyExists) as caught:
            stage.run("branch", name)
        assert caught.value.errno == errno.EEXIST
    with pytest.raises(AlreadyExists):
        stage.run("branch", "-m", "main", "a/b")
    with pytest.raises(AlreadyExists):
        stage.run("checkout", "-b", "a/b")
    assert stage.run("branch") == "  a/b\n* main\n"


def test_unknown_base(stage: Stage) -> None:
    for base in ("nope", "HEAD~99", "f" * 64):
        with pytest.raises(NotFound):
            stage.run("branch", "x", base)
    assert "x" not in stage.repository.refs


def test_before_the_first_commit() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1")
    with pytest.raises(NotFound, match="nothing was committed yet"):
        stage.run("branch", "x")
    stage.run("branch", "--fork", "x")
    assert stage.live("x").read(b"a") == b"1"
    with pytest.raises(NotFound):
        stage.run("branch", "y", "x")
    assert stage.run("branch", "-v") == "* main (no commit)\n  x    (no commit)\n"


def test_a_branch_begins_without_uncommitted_changes(stage: Stage) -> None:
    stage.files.write(b"b", b"new")
    stage.run("branch", "clean")
    stage.run("branch", "--fork", "forked")
    assert stage.run("status", "-s", branch="clean") == ""
    assert stage.run("status", "-s", branch="forked") == " A b\n"


def test_a_fork_of_another_branch_has_its_working_state(stage: Stage) -> None:
    stage.run("branch", "base")
    stage.live("base").write(b"b", b"uncommitted")
    stage.live("base").write(b"c", b"staged")
    stage.run("add", "c", branch="base")
    stage.files.write(b"here", b"of main")
    stage.run("branch", "--fork", "x", "base")
    assert stage.run("status", "-s", branch="x") == stage.run("status", "-s", branch="base")
    assert stage.run("status", "-s", branch="x") == " A b\nA  c\n"
    stage.live("x").write(b"b", b"of x")
    assert stage.live("base").read(b"b") == b"uncommitted"
    # The same of a branch that is shown nowhere.
    stage.reopen()
    stage.run("branch", "y", "x", "--fork")
    assert stage.live("y").read(b"b") == b"of x"
    assert stage.run("status", "-s", branch="y") == " A b\nA  c\n"
    stage.run("branch", "--fork", "z", "HEAD")
    assert stage.run("status", "-s", branch="z") == " A here\n"


def test_only_a_branch_has_something_to_fork(stage: Stage) -> None:
    with pytest.raises(UsageError, match="takes a branch: 'HEAD~1' has no uncommitted changes"):
        stage.run("branch", "--fork", "x", "HEAD~1")
    with pytest.raises(NotFound):
        stage.run("branch", "--fork", "x", "nothing")
    with pytest.raises(UsageError, match="exclude each other"):
        stage.run("branch", "--fork", "--copy-ignored", "x")
    with pytest.raises(UsageError, match="--copy-ignored needs the name of the branch"):
        stage.run("branch", "--copy-ignored")
    assert "x" not in stage.repository.refs


def test_copied_are_the_ignored_files_and_no_change(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b".env\nmodules/\n")
    stage.run("commit", "-m", "rules")
    stage.files.write(b".env", b"KEY=1")
    stage.files.write(b"modules/one/index.js", b"1")
    stage.files.write(b"src/kept.o", b"tracked later")
    stage.files.write(b"a", b"changed")
    stage.files.write(b"new", b"untracked")
    stage.run("add", "new")
    stage.run("branch", "--copy-ignored", "x")
    assert stage.run("status", "-s", branch="x") == ""
    assert stage.run("status", "-s", "--ignored", branch="x") == "!! .env\n!! modules/\n"
    assert stage.live("x").read(b"modules/one/index.js") == b"1"
    assert stage.live("x").read(b"a") == b"2\n"
    stage.live("x").write(b".env", b"KEY=2")
    assert stage.files.read(b".env") == b"KEY=1"
    # At an older commit, whose tree does not have the rules: they are ignored here.
    stage.run("branch", "--copy-ignored", "old", "HEAD~2")
    assert stage.live("old").read(b".env") == b"KEY=1"
    assert stage.live("old").read(b"a") == b"1\n"
    stage.reopen()
    assert stage.live("x").read(b".env") == b"KEY=2"
    assert stage.live("x").read(b"modules/one/index.js") == b"1"


def test_with_nothing_ignored_a_copy_is_a_plain_branch(stage: Stage) -> None:
    stage.files.write(b"b", b"new")
    stage.run("branch", "--copy-ignored", "x")
    assert stage.run("status", "-s", branch="x") == ""


def test_forks_are_isolated(stage: Stage) -> None:
    stage.files.write(b"b", b"shared")
    stage.run("branch", "--fork", "x")
    stage.run("branch", "--fork", "y")
    stage.live("x").write(b"b", b"of x")
    stage.live("y").remove(b"a")
    stage.run("commit", "-m", "in x", branch="x")
    assert stage.files.read(b"b") == b"shared"
    assert stage.files.read(b"a") == b"2\n"
    assert stage.live("x").read(b"b") == b"of x"
    assert stage.run("status", "-s", branch="y") == " D a\n A b\n"
    assert "in x" not in stage.run("log")
    assert "in x" in stage.run("log", "x")
    assert stage.run("branch", "--show-current", branch="x") == "x\n"
    stage.reopen()
    assert stage.files.read(b"b") == b"shared"
    assert stage.live("x").read(b"b") == b"of x"
    assert stage.run("status", "-s", branch="y") == " D a\n A b\n"


def test_forking_keeps_the_changes_where_they_were(stage: Stage) -> None:
    stage.files.write(b"b", b"x")
    stage.run("branch", "--fork", "x")
    stage.reopen()
    assert stage.run("status", "-s") == " A b\n"


def test_rename(stage: Stage) -> None:
    stage.run("branch", "x")
    stage.live("x").write(b"b", b"1")
    stage.run("branch", "-m", "x", "y/z")
    assert stage.live("y/z").read(b"b") == b"1"
    stage.run("branch", "-m", "trunk")
    assert stage.run("status").startswith("On branch trunk\n")
    with pytest.raises(NotFound):
        stage.run("branch", "-m", "main", "other")
    stage.reopen()
    assert stage.run("branch") == "* trunk\n  y/z\n"
    assert stage.live("y/z").read(b"b") == b"1"
    stage.run("checkout", "HEAD")
    with pytest.raises(UsageError, match="detached"):
        stage.run("branch", "-m", "other")


def test_delete(stage: Stage) -> None:
    stage.run("branch", "x")
    stage.run("branch", "y")
    assert stage.run("branch", "-d", "x", "y") == (
        f"Deleted branch x (was {stage.head[:12]}).\nDeleted branch y (was {stage.head[:12]}).\n"
    )
    assert stage.run("branch") == "* main\n"
    with pytest.raises(NotFound):
        stage.run("branch", "-d", "x")
    stage.run("branch", "z")
    with pytest.raises(NotFound):
        stage.run("branch", "-D", "z", "nope")
    assert "z" in stage.repository.refs


def test_delete_protects_what_nothing_else_has(stage: Stage) -> None:
    stage.run("branch", "commits")
    stage.live("commits").write(b"c", b"1")
    stage.run("commit", "-m", "only here", branch="commits")
    stage.run("branch", "changes")
    stage.live("changes").write(b"c", b"1")
    stage.run("branch", "times")
    node = stage.live("times").node(b"a")
    node.mtime_ns += 1
    node.touch()
    for name, why in (("commits", "nothing else reaches"), ("changes", "uncommitted changes")):
        with pytest.raises(Busy, match=why) as caught:
            stage.run("branch", "-d", name)
        assert caught.value.errno == errno.EBUSY
        assert name in stage.repository.refs
    stage.run("branch", "-d", "times")
    stage.run("branch", "keep", "commits")
    stage.run("branch", "-D", "changes")
    stage.run("branch", "changes", "keep")
    stage.run("branch", "-d", "commits")
    stage.live("keep").write(b"d", b"1")
    stage.run("commit", "-m", "more", branch="keep")
    with pytest.raises(Busy, match="nothing else reaches"):
        stage.run("branch", "-d", "changes", "keep")
    assert "changes" in stage.repository.refs
    stage.run("branch", "-D", "changes", "keep")
    assert stage.run("branch") == "* main\n"


def test_delete_protects_a_first_state_without_a_commit() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1")
    stage.run("branch", "--fork", "x")
    with pytest.raises(Busy, match="uncommitted changes"):
        stage.run("branch", "-d", "x")
    reply = stage.run("branch", "-D", "x")
    assert reply.startswith("Deleted branch x (was without a commit). Its uncommitted changes")


def test_delete_what_is_in_use(stage: Stage) -> None:
    with pytest.raises(Busy, match="you are on it"):
        stage.run("branch", "-D", "main")
    stage.run("branch", "x")
    with pytest.raises(Busy, match="mount point"):
        stage.run("branch", "-D", "main", branch="x")
    with pytest.raises(Busy, match="you are on it"):
        stage.run("branch", "-D", "x", branch="x")
    stage.live("x").workspace.handles = 1
    for argv in (["branch", "-D", "x"], ["checkout", "x"]):
        with pytest.raises(Busy, match="open files"):
            stage.run(*argv)
    assert "x" in stage.repository.refs


def test_checkout_keeps_the_changes_of_both(stage: Stage) -> None:
    stage.run("branch", "x")
    stage.files.write(b"b", b"of main")
    stage.live("x").write(b"a", b"of x")
    assert stage.run("checkout", "x") == "Switched to branch 'x'\n"
    assert stage.run("checkout", "x") == "Already on 'x'\n"
    assert stage.run("status", "-s") == " M a\n"
    assert stage.run("status", "-s", branch="main") == " A b\n"
    stage.reopen()
    assert stage.run("branch", "--show-current") == "x\n"
    assert stage.files.read(b"a") == b"of x"
    stage.run("checkout", "main")
    assert stage.files.read(b"a") == b"2\n"
    assert stage.files.read(b"b") == b"of main"


def test_checkout_of_an_unchanged_file_keeps_its_inode(stage: Stage) -> None:
    stage.files.write(b"same", b"x")
    stage.commit("third")
    node = stage.files.node(b"same")
    known = (node.ino, node.mtime_ns)
    stage.run("reset", "--hard", "HEAD")
    stage.run("checkout", "-b", "x")
    stage.files.write(b"a", b"3")
    stage.commit("fourth")
    stage.run("checkout", "main")
    node = stage.files.node(b"same")
    assert (node.ino, node.mtime_ns) == known


def test_checkout_of_a_new_branch(stage: Stage) -> None:
    stage.files.write(b"b", b"1")
    assert stage.run("checkout", "-b", "x") == "Switched to a new branch 'x'\n"
    assert stage.run("status", "-s") == " A b\n"
    assert stage.run("status", "-s", branch="main") == " A b\n"
    stage.run("checkout", "-b", "y", "HEAD~1")
    assert stage.files.read(b"a") == b"1\n"
    assert stage.run("status", "-s") == ""


def test_checkout_of_a_commit_detaches(stage: Stage) -> None:
    stage.files.write(b"b", b"1")
    first = stage.run("rev-parse", "HEAD~1").strip()
    assert stage.run("checkout", "HEAD~1") == f"HEAD is now at {first[:12]} first\n"
    assert stage.files.tree().keys() == {b"a"}
    assert stage.run("branch").startswith(f"* (HEAD detached at {first[:12]})\n")
    assert stage.run("branch", "--show-current") == ""
    stage.files.write(b"a", b"changed")
    stage.reopen()
    assert stage.run("status") == (
        f"HEAD detached at {first[:12]}\nUncommitted changes:\n\tmodified:   a\n"
    )
    stage.run("checkout", "main")
    assert stage.files.read(b"b") == b"1"
    stage.run("checkout", "--detach", "main")
    assert stage.view.branch is None
    stage.run("checkout", "-b", "kept")
    assert stage.run("branch", "--show-current") == "kept\n"


def test_a_branch_goes_before_a_prefix(stage: Stage) -> None:
    prefix = stage.run("rev-parse", "HEAD~1")[:8]
    assert stage.run("checkout", prefix).endswith("first\n")
    stage.run("branch", prefix, "main")
    assert stage.run("rev-parse", prefix) == stage.run("rev-parse", "main")
    assert stage.run("checkout", prefix) == f"Switched to branch '{prefix}'\n"


def test_checkout_of_nothing_known(stage: Stage) -> None:
    with pytest.raises(NotFound, match="'nope' is neither a branch nor a revision") as caught:
        stage.run("checkout", "nope")
    assert caught.value.errno == errno.ENOENT


def test_a_live_view_stays_on_its_branch(stage: Stage) -> None:
    stage.run("branch", "x")
    for argv in (["checkout", "main"], ["checkout", "HEAD"], ["checkout", "-b", "y"]):
        with pytest.raises(UsageError, match="a live view cannot leave its branch"):
            stage.run(*argv, branch="x")
    assert "y" not in stage.repository.refs
    assert stage.run("checkout", "x", branch="x") == "Already on 'x'\n"
    stage.live("x").write(b"a", b"3")
    assert stage.run("reset", "--hard", "HEAD~1", branch="x").endswith("first\n")
    assert stage.live("x").read(b"a") == b"1\n"
    assert stage.files.read(b"a") == b"2\n"


def test_a_branch_deleted_by_force_leaves_its_uncommitted_changes_in_a_commit() -> None:
    stage = Stage()
    stage.commit("first", a=b"one")
    stage.run("branch", "idea")
    stage.live("idea").write(b"a", b"an idea")
    reply = stage.run("branch", "-D", "idea")
    rest = reply.split()[-1].rstrip(".")
    stage.run("branch", "again", rest)
    assert stage.live("again").read(b"a") == b"an idea"
    assert stage.run("log", "--oneline", "again").splitlines()[1].endswith("first")


def test_back_to_what_was_checked_out_before(stage: Stage) -> None:
    with pytest.raises(NotFound, match="nothing else was checked out"):
        stage.run("checkout", "-")
    stage.run("checkout", "-b", "idea", "HEAD~1")
    assert stage.run("checkout", "-") == "Switched to branch 'main'\n"
    assert stage.run("checkout", "-") == "Switched to branch 'idea'\n"
    first = stage.head
    stage.run("checkout", "main~1")
    stage.run("checkout", "main")
    stage.reopen()
    assert stage.run("rev-parse", "@{-1}").strip() == first
    assert "HEAD is now at" in stage.run("checkout", "-")
    assert stage.view.branch is None
    assert stage.run("checkout", "-") == "Switched to branch 'main'\n"
    stage.run("checkout", "idea")
    stage.run("commit", "--allow-empty", "-m", "on idea")
    stage.run("checkout", "main")
    stage.run("merge", "--no-ff", "-")
    assert "Merge branch 'idea'" in stage.run("log", "-1")
    stage.run("branch", "-D", "idea")
    for argv in (["checkout", "-"], ["rev-parse", "@{-1}"]):
        with pytest.raises(NotFound, match="deleted"):
            stage.run(*argv)


def test_paths_without_dashes(stage: Stage) -> None:
    stage.files.write(b"a", b"3\n")
    assert stage.run("checkout", "a") == "Updated 1 path from HEAD\n"
    assert stage.files.read(b"a") == b"2\n"
    assert stage.run("checkout", "HEAD~1", "a") == "Updated 1 path from HEAD~1\n"
    assert stage.files.read(b"a") == b"1\n"
    stage.run("branch", "a")
    assert stage.run("checkout", "a") == "Switched to branch 'a'\n"
    with pytest.raises(NotFound, match="neither a branch nor a revision"):
        stage.run("checkout", "nope")


def test_switch_shows_branches_only(stage: Stage) -> None:
    assert stage.run("switch", "-c", "idea", "HEAD~1") == "Switched to a new branch 'idea'\n"
    assert stage.files.read(b"a") == b"1\n"
    assert stage.run("switch", "-") == "Switched to branch 'main'\n"
    stage.files.write(b"a", b"3\n")
    stage.run("switch", "-c", "along")
    assert stage.files.read(b"a") == b"3\n"
    assert stage.run("switch", "along") == "Already on 'along'\n"
    with pytest.raises(UsageError, match="not a branch: use --detach"):
        stage.run("switch", "HEAD~1")
    with pytest.raises(NotFound, match="no branch 'nope'"):
        stage.run("switch", "nope")
    assert "HEAD is now at" in stage.run("switch", "--detach", "main~1")
    assert stage.view.branch is None
    stage.run("switch", "main")
    stage.run("branch", "-M", "trunk")
    assert "* trunk\n" in stage.run("branch", "-a")


def test_a_list_of_those_that_match(stage: Stage) -> None:
    for name in ("idea-1", "idea-2", "other"):
        stage.run("branch", name)
    assert stage.run("branch", "--list", "idea-*") == "  idea-1\n  idea-2\n"
    assert stage.run("branch", "--list", "idea-1", "m*") == "  idea-1\n* main\n"
    assert stage.run("branch", "-v", "--list", "none*") == ""
    names = [each["name"] for each in json.loads(stage.run("branch", "--list", "--json", "o*"))]
    assert names == ["other"]


def test_force_moves_a_branch_with_its_files(stage: Stage) -> None:
    stage.run("branch", "-f", "idea", "HEAD~1")
    assert stage.live("idea").read(b"a") == b"1\n"
    stage.run("branch", "-f", "idea")
    assert stage.live("idea").read(b"a") == b"2\n"
    assert stage.run("rev-parse", "idea") == f"{stage.head}\n"
    stage.live("idea").write(b"a", b"uncommitted\n")
    with pytest.raises(Busy, match="'idea' has uncommitted changes"):
        stage.run("branch", "-f", "idea", "HEAD~1")
    assert stage.live("idea").read(b"a") == b"uncommitted\n"
    stage.run("reset", "--hard", branch="idea")
    stage.run("branch", "-f", "idea", "HEAD~1")
    # As every verb that moves a branch, it can be taken back there.
    stage.run("undo", branch="idea")
    assert stage.live("idea").read(b"a") == b"2\n"
    with pytest.raises(Busy, match="you are on it, use 'reset'"):
        stage.run("branch", "-f", "main", "HEAD~1")
    with pytest.raises(NotFound):
        stage.run("branch", "-f", "idea", "nowhere")
