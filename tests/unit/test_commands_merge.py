"""merge: what is refused, what stays, what an open merge is, and what undo makes of it."""

from __future__ import annotations

import errno
import json
import stat

import pytest

from heliosfs.commands import dotfiles
from heliosfs.errors import Busy, Conflicted, NotFound, UsageError
from tests.tree_builder import Stage

BASE = b"1\n2\n3\n4\n5\n"


@pytest.fixture
def stage() -> Stage:
    """`x` and `main` both changed line 1 of `a`; only `x` has `new`."""
    stage = Stage()
    stage.commit("base", a=BASE, b=b"b\n", same=b"same\n")
    stage.run("branch", "x")
    stage.live("x").write(b"a", b"theirs\n2\n3\n4\n5\n")
    stage.live("x").write(b"d/new", b"new\n")
    stage.run("commit", "-m", "in x", branch="x")
    stage.commit("ours", a=b"ours\n2\n3\n4\n5\n")
    return stage


@pytest.fixture
def clean(stage: Stage) -> Stage:
    """The same without the conflict."""
    stage.commit("back", a=BASE)
    return stage


def test_a_conflict_changes_nothing(stage: Stage) -> None:
    before = dict(stage.store.state), stage.files.tree()
    with pytest.raises(Conflicted) as caught:
        stage.run("merge", "x")
    assert caught.value.errno == errno.EAGAIN
    assert caught.value.exit_code == 1
    said = str(caught.value)
    assert said.startswith(
        "conflict in 1 path: nothing was changed\ncontent: a\nways to continue:\n"
    )
    for way in ("--markers x", "--ours x", "--theirs x", "merge --abort", "merge --continue"):
        assert way in said
    assert (dict(stage.store.state), stage.files.tree()) == before
    assert dotfiles.conflicts(stage.repository, stage.view) == "content: a\n"
    with pytest.raises(Conflicted) as caught:
        stage.run("merge", "--json", "x")
    document = json.loads(str(caught.value))
    assert document["error"] == "conflict in 1 path: nothing was changed"
    assert [(each["kind"], each["path"]) for each in document["conflicts"]] == [("content", "a")]
    assert stage.run("merge", "--theirs", "x").startswith("Merge made: ")
    assert dotfiles.conflicts(stage.repository, stage.view) == ""
    assert stage.files.read(b"a") == b"theirs\n2\n3\n4\n5\n"


def test_a_merge_has_both_parents_and_touches_what_it_must(clean: Stage) -> None:
    node = clean.files.node(b"same")
    known = (node.ino, node.mtime_ns)
    ours, theirs = clean.head, clean.run("rev-parse", "x").strip()
    reply = clean.run("merge", "x")
    assert reply.splitlines() == [
        f"Merge made: {clean.head[:12]} Merge branch 'x'",
        " a     | 2 +-",
        " d/new | 1 +",
        " 2 files changed, 2 insertions(+), 1 deletion(-)",
    ]
    shown = json.loads(clean.run("show", "--json"))
    assert shown["parents"] == [ours, theirs]
    assert clean.run("status", "-s") == ""
    node = clean.files.node(b"same")
    assert (node.ino, node.mtime_ns) == known
    assert clean.run("merge", "x") == "Already up to date.\n"
    clean.run("undo")
    assert clean.head == ours
    assert b"d" not in clean.files.tree()
    clean.run("redo")
    assert clean.files.read(b"d/new") == b"new\n"


def test_fast_forward(stage: Stage) -> None:
    stage.run("reset", "--hard", "HEAD~1")
    base = stage.head
    said = json.loads(stage.run("merge", "--json", "x"))
    assert said["fast_forward"] and said["merged"] and not said["open"]
    assert stage.run("rev-parse", "HEAD") == stage.run("rev-parse", "x")
    stage.run("undo")
    assert stage.head == base
    stage.run("merge", "--no-ff", "-m", "a message", "x")
    assert stage.run("log", "--oneline").splitlines()[0].endswith(" a message")


def test_a_branch_without_commits_takes_the_other(stage: Stage) -> None:
    other = Stage()
    other.files.write(b"in the way", b"1")
    with pytest.raises(NotFound):
        other.run("merge", "x")
    stage.run("merge", "--ours", "x")
    assert stage.files.read(b"a").startswith(b"ours\n")
    assert stage.files.read(b"d/new") == b"new\n"


def test_uncommitted_changes(clean: Stage) -> None:
    clean.files.write(b"b", b"uncommitted\n")
    clean.files.write(b"d/mine", b"untracked\n")
    clean.run("merge", "x")
    assert clean.run("status", "-s") == " M b\n A d/mine\n"
    assert clean.files.read(b"d/new") == b"new\n"
    clean.run("undo")
    assert clean.files.read(b"b") == b"uncommitted\n"
    assert clean.files.read(b"d/mine") == b"untracked\n"
    assert b"d/new" not in clean.files.tree()


@pytest.mark.parametrize(("path", "named"), [(b"a", "'a'"), (b"d/new", "'d/new'"), (b"d", "'d'")])
def test_uncommitted_changes_in_the_way(clean: Stage, path: bytes, named: str) -> None:
    clean.files.write(path, b"mine\n")
    before = clean.files.tree(), clean.head
    with pytest.raises(Busy, match=named):
        clean.run("merge", "x")
    assert (clean.files.tree(), clean.head) == before


def test_markers_keep_the_merge_open(stage: Stage) -> None:
    stage.files.write(b"b", b"uncommitted\n")
    ours, theirs = stage.head, stage.run("rev-parse", "x").strip()
    assert stage.run("merge", "--markers", "x").startswith("content: a\nThe merge is open")
    marked = (
        b"<<<<<<< HEAD\nours\n||||||| merged common ancestors\n1\n=======\ntheirs\n>>>>>>> x\n"
        b"2\n3\n4\n5\n"
    )
    assert stage.files.read(b"a") == marked
    assert stage.files.read(b"d/new") == b"new\n"
    stage.reopen()
    assert stage.files.read(b"a") == marked
    status = stage.run("status")
    assert f"A merge of {theirs[:12]} is open" in status
    assert "\tboth modified:   a\n" in status
    assert "\tmodified:   a\n" not in status
    assert json.loads(stage.run("status", "--json"))["merging"] == theirs
    assert dotfiles.conflicts(stage.repository, stage.view) == "content: a\n"
    with pytest.raises(Busy, match="a merge is open"):
        stage.run("merge", "x")
    stage.files.write(b"a", b"both\n2\n3\n4\n5\n")
    stage.run("commit")
    shown = json.loads(stage.run("show", "--json"))
    assert shown["parents"] == [ours, theirs]
    assert shown["subject"] == "Merge branch 'x'"
    assert "open" not in stage.run("status")
    stage.run("undo")
    assert stage.view.merging is not None
    stage.run("undo")
    assert stage.view.merging is None
    assert stage.files.read(b"b") == b"uncommitted\n"
    stage.run("redo")
    assert stage.view.merging is not None
    assert stage.files.read(b"a").startswith(b"both")


def test_abort(stage: Stage) -> None:
    with pytest.raises(NotFound, match="no merge is open"):
        stage.run("merge", "--abort")
    stage.files.write(b"b", b"uncommitted\n")
    before = stage.files.tree()
    stage.run("merge", "--markers", "x")
    stage.crash()
    assert stage.run("merge", "--abort").startswith(f"HEAD is now at {stage.head[:12]}")
    assert stage.files.tree() == before
    assert stage.view.merging is None
    stage.run("undo")
    assert stage.view.merging is not None
    assert b"<<<<<<<" in stage.files.read(b"a")
    stage.run("reset", "--hard", "HEAD")
    assert stage.view.merging is None


def test_an_open_merge_belongs_to_its_branch(stage: Stage) -> None:
    stage.run("branch", "y")
    stage.run("merge", "--markers", "x")
    stage.run("checkout", "y")
    assert stage.view.merging is None
    stage.run("checkout", "main")
    assert stage.view.merging is not None
    assert b"<<<<<<<" in stage.files.read(b"a")


def test_an_open_merge_may_be_committed_as_head_was(stage: Stage) -> None:
    stage.run("merge", "--markers", "x")
    stage.run("restore", ".")
    stage.run("commit", "-m", "theirs was nothing")
    assert len(json.loads(stage.run("show", "--json"))["parents"]) == 2


def test_dry_run(stage: Stage) -> None:
    stage.run("branch", "y", "HEAD~1")
    stage.live("y").write(b"b", b"of y\n")
    stage.run("commit", "-m", "in y", branch="y")
    before = dict(stage.store.state)
    assert stage.run("merge", "--dry-run", "x", "y") == (
        "HEAD x: conflict\n  content: a\nHEAD y: clean\nx y: clean\n"
    )
    document = json.loads(stage.run("merge", "--dry-run", "--json", "x", "y"))
    assert not document["clean"]
    assert [each["between"] for each in document["pairs"]] == [
        ["HEAD", "x"], ["HEAD", "y"], ["x", "y"],
    ]  # fmt: skip
    assert dict(stage.store.state) == before


def test_every_kind_of_conflict_with_markers() -> None:
    stage = Stage()
    files = {f"m{number}".encode(): b"%d\n" % number * 9 for number in range(6)}
    for path, data in files.items():
        stage.files.write(path, data)
    stage.files.write(b"bin", b"\0")
    stage.run("commit")
    stage.run("branch", "x")
    theirs, ours = stage.live("x"), stage.files
    theirs.write(b"bin", b"\0theirs")
    ours.write(b"bin", b"\0ours")
    theirs.remove(b"m0")
    ours.write(b"m0", b"changed\n")
    theirs.rename(b"m1", b"one")
    ours.rename(b"m1", b"two")
    theirs.chmod(b"m2", 0o700)
    ours.chmod(b"m2", 0o755)
    theirs.remove(b"m3")
    theirs.symlink(b"m3", b"target")
    ours.write(b"m3", b"changed\n")
    theirs.write(b"place", b"file\n")
    ours.write(b"place/in", b"in\n")
    theirs.write(b"both", b"1\n")
    ours.write(b"both", b"2\n")
    stage.run("commit", branch="x")
    stage.run("commit")
    stage.run("merge", "--markers", "x")
    assert dotfiles.conflicts(stage.repository, stage.view).splitlines() == [
        "binary: bin", "add/add: both", "modify/delete: m0", "mode: m2", "type: m3",
        "rename/rename: one", "file/directory: place", "rename/rename: two",
    ]  # fmt: skip
    tree = stage.files.tree()
    assert tree[b"bin"][1] == b"\0ours"
    assert tree[b"m0"][1] == b"changed\n"
    assert tree[b"one"][1] == tree[b"two"][1] == files[b"m1"]
    assert stat.S_IMODE(tree[b"m2"][0]) == 0o755
    assert tree[b"m3"][1] == b"changed\n"
    assert tree[b"place/in"][1] == b"in\n"
    assert tree[b"place~x"][1] == b"file\n"
    assert tree[b"both"][1].startswith(b"<<<<<<< HEAD\n2\n||||||| ")


def test_attributes_and_directories_are_merged() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    stage.files.write(b"gone/x", b"1\n")
    stage.files.directory(b"d")
    stage.run("commit")
    stage.run("branch", "x")
    theirs = stage.live("x")
    theirs.chmod(b"d", 0o700)
    theirs.node(b"a").uid = 7
    theirs.node(b"a").touch()
    theirs.directory(b"empty")
    theirs.remove(b"gone")
    theirs.write(b"h", b"linked\n")
    theirs.link(b"h", b"d/h2")
    stage.run("commit", branch="x")
    stage.files.write(b"a", b"2\n")
    stage.run("commit")
    stage.run("merge", "x")
    assert stat.S_IMODE(stage.files.node(b"d").mode) == 0o700
    assert stage.files.node(b"a").uid == 7
    assert stage.files.read(b"a") == b"2\n"
    assert stage.files.tree()[b"empty"][0] & 0o040000
    assert b"gone" not in stage.files.tree()
    assert stage.files.node(b"h") is stage.files.node(b"d/h2")
    stage.reopen()
    assert stage.files.node(b"h") is stage.files.node(b"d/h2")


def test_links_whose_contents_part_are_links_no_more() -> None:
    stage = Stage()
    stage.commit(a=b"1\n")
    stage.run("branch", "x")
    stage.live("x").link(b"a", b"b")
    stage.run("commit", branch="x")
    stage.commit(a=b"2\n")
    stage.run("merge", "x")
    assert stage.files.read(b"a") == b"2\n"
    assert stage.files.read(b"b") == b"1\n"


def test_histories_without_a_common_commit() -> None:
    stage = Stage()
    stage.commit("one", a=b"1\n")
    history = stage.repository.history
    assert stage.view.head is not None
    alone = history.write(history.read(stage.view.head)._replace(message=b"alone", parents=()))
    with pytest.raises(UsageError, match="no common commit"):
        stage.run("merge", alone.hex())
    stage.run("merge", "--allow-unrelated-histories", alone.hex())
    assert stage.run("log", "-n", "1", "--oneline").endswith(f"Merge commit '{alone.hex()}'\n")


def test_wrong_syntax(stage: Stage) -> None:
    for argv, problem in (
        ((), "give a branch or a commit"),
        (("x", "y"), "one argument too many"),
        (("--ours", "--theirs", "x"), "exclude each other"),
        (("--abort", "x"), "one argument too many"),
        (("--dry-run",), "give a branch"),
        (("-m", "", "--no-ff", "x"), "empty message"),
    ):
        with pytest.raises(UsageError, match=problem):
            stage.run("merge", *argv)
    with pytest.raises(NotFound):
        stage.run("merge", "nope")


def test_a_full_store_leaves_everything(clean: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliosfs.errors import StoreFull

    before = clean.files.tree(), clean.head

    def fail() -> None:
        raise StoreFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(clean.store, "publish", fail)
        with pytest.raises(StoreFull):
            clean.run("merge", "x")
    assert (clean.files.tree(), clean.head) == before
    clean.run("merge", "x")
    assert clean.files.read(b"d/new") == b"new\n"


def test_merge_into_a_detached_head(clean: Stage) -> None:
    main = clean.head
    clean.run("checkout", "--detach", "main")
    clean.run("merge", "x")
    assert clean.view.branch is None
    assert clean.files.read(b"d/new") == b"new\n"
    assert clean.run("rev-parse", "HEAD^1", "main") == f"{main}\n{main}\n"
    clean.run("undo")
    assert clean.head == main


def test_merge_in_a_live_view(clean: Stage) -> None:
    clean.run("merge", "main", branch="x")
    assert clean.live("x").read(b"d/new") == b"new\n"
    shown = clean.run("log", "-n", "1", "--oneline", branch="x")
    assert shown.endswith("Merge branch 'main' into x\n")
    assert b"d" not in clean.files.tree()


def test_squash_leaves_the_changes_uncommitted(clean: Stage) -> None:
    head = clean.head
    clean.files.write(b"mine", b"uncommitted before\n")
    reply = clean.run("merge", "--squash", "x")
    assert reply == "Squashed: the changes are here, uncommitted, and HEAD is where it was.\n"
    assert clean.head == head
    assert clean.view.merging is None
    assert clean.run("status", "-s") == " M a\n A d/new\n A mine\n"
    clean.commit("as one")
    parents = json.loads(clean.run("log", "-1", "--json"))[0]["parents"]
    assert parents == [head]
    clean.run("undo")
    clean.run("undo")
    assert clean.run("status", "-s") == " A mine\n"


def test_squash_where_head_could_just_move_on(stage: Stage) -> None:
    stage.run("reset", "--hard", "HEAD~1")
    head = stage.head
    document = json.loads(stage.run("merge", "--squash", "--json", "x"))
    assert (document["merged"], document["head"]) == (False, head)
    assert stage.run("status", "-s") == " M a\n A d/new\n"
    stage.run("commit", "-q", "-m", "as one")
    assert stage.run("merge", "--squash", "HEAD~1") == "Already up to date.\n"


def test_squash_with_a_conflict_changes_nothing(stage: Stage) -> None:
    with pytest.raises(Conflicted):
        stage.run("merge", "--squash", "x")
    assert stage.run("status", "-s") == ""
    stage.run("merge", "--squash", "--theirs", "x")
    assert stage.files.read(b"a") == b"theirs\n2\n3\n4\n5\n"


def test_squash_since_a_commit_merges_into_uncommitted_files(clean: Stage) -> None:
    """`x` changed line 1 of `a` since its first commit; line 5 is changed here, uncommitted."""
    start = clean.run("rev-parse", "x").strip()
    clean.live("x").write(b"a", b"again\n2\n3\n4\n5\n")
    clean.run("commit", "-m", "again", branch="x")
    clean.files.write(b"a", b"theirs\n2\n3\n4\nmine\n")
    head = clean.run("rev-parse", "HEAD")
    assert clean.run("merge", "--squash", "--base", start, "x").startswith("Squashed: ")
    assert clean.files.read(b"a") == b"again\n2\n3\n4\nmine\n"
    assert "d" not in clean.run("ls-files").split()
    assert clean.run("rev-parse", "HEAD") == head
    assert clean.run("merge", "--squash", "--base", start, "x") == "Already up to date.\n"
    clean.run("undo")
    assert clean.files.read(b"a") == b"theirs\n2\n3\n4\nmine\n"


def test_squash_since_a_commit_with_a_conflict_changes_nothing(stage: Stage) -> None:
    stage.files.write(b"a", b"mine\n2\n3\n4\n5\n")
    before = dict(stage.store.state), stage.files.tree()
    with pytest.raises(Conflicted, match=r"--squash --base x~1 --theirs x"):
        stage.run("merge", "--squash", "--base", "x~1", "x")
    assert stage.files.tree() == before[1]
    stage.run("merge", "--squash", "--base", "x~1", "--theirs", "x")
    assert stage.files.read(b"a") == b"theirs\n2\n3\n4\n5\n"
    assert stage.files.read(b"d/new") == b"new\n"
    with pytest.raises(UsageError, match="--base needs --squash"):
        stage.run("merge", "--base", "x~1", "x")
