"""A `.git` in a workspace: part of a working tree, and of no commit; no verb changes one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from heliosfs.clock import SECOND_NS
from heliosfs.errors import Busy, HeliosError, NothingToCommit, NotPermitted
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import encode_entry
from heliosfs.repo import keys
from heliosfs.repo.git_dirs import NEWS
from heliosfs.repo.repository import Repository
from heliosfs.trees.gitless import GitFree, git_dir_of
from heliosfs.trees.stored import EMPTY_TREE, walk_changes
from tests.tree_builder import Stage, TreeBuilder
from tests.verb_scenarios import SCENARIOS, Scenario, build, carry_out, prepare

Files = dict[bytes, bytes]


def git_files(files: TreeBuilder) -> Files:
    """The files in any `.git`: path -> bytes."""
    found = files.tree().items()
    return {
        path: data
        for path, (mode, data) in found
        if git_dir_of(path) is not None and mode & 0o100000
    }


def plain_files(files: TreeBuilder) -> Files:
    """All other files."""
    found = files.tree().items()
    return {
        path: data for path, (mode, data) in found if git_dir_of(path) is None and mode & 0o100000
    }


def committed_git_dirs(repository: Repository) -> list[bytes]:
    """Every `.git` that any commit has, as it is stored."""
    history, store = repository.history, repository.store
    roots = [history.read_whole(oid).root for oid in history.ids()]
    return [
        change.path
        for root in roots
        for change in walk_changes(store, EMPTY_TREE, TreeId(root.oid))
        if git_dir_of(change.path) is not None
    ]


def init(files: TreeBuilder, place: bytes = b"", **named: bytes) -> None:
    """Write what makes a repository of git, and more files in it."""
    prefix = place + b"/" if place else b""
    files.write(prefix + b".git/HEAD", b"ref: refs/heads/main\n")
    for name, data in named.items():
        files.write(prefix + b".git/" + name.encode(), data)


@pytest.fixture
def stage() -> Stage:
    """Two commits, a repository of git at the root, and one below in a directory with files."""
    stage = Stage()
    stage.commit("first", a=b"1\n")
    init(stage.files, index=b"1")
    init(stage.files, b"vendor/x", index=b"of x")
    stage.files.write(b"vendor/x/code", b"1\n")
    stage.commit("second", a=b"2\n")
    return stage


ALL = {
    b".git/HEAD": b"ref: refs/heads/main\n",
    b".git/index": b"1",
    b"vendor/x/.git/HEAD": b"ref: refs/heads/main\n",
    b"vendor/x/.git/index": b"of x",
}


def test_no_commit_has_one_and_no_list_names_it(stage: Stage) -> None:
    assert committed_git_dirs(stage.repository) == []
    assert stage.run("status", "-s", "--ignored") == ""
    assert stage.run("ls-files") == "a\nvendor/x/code\n"
    assert stage.run("ls-files", "--others", "--ignored") == ""
    assert stage.run("diff") == ""
    assert stage.run("grep", "refs") == ""
    stage.files.write(b".git/index", b"2")
    assert stage.run("status", "-s") == ""
    with pytest.raises(NothingToCommit):
        stage.run("commit", "-m", "nothing")
    stage.reopen()
    assert stage.run("status", "-s") == ""
    assert git_files(stage.files) == {**ALL, b".git/index": b"2"}


def test_none_is_added_not_even_by_force(stage: Stage) -> None:
    for words in (["add", ".git"], ["add", "-f", ".git/index"], ["add", "-f", "vendor/x/.git"]):
        with pytest.raises(NotPermitted, match="is kept out of commits"):
            stage.run(*words)
    stage.run("add", "-f", ".")
    stage.run("commit", "-m", "all", "--allow-empty")
    assert committed_git_dirs(stage.repository) == []


def test_what_moves_head_or_files_leaves_it(stage: Stage) -> None:
    stage.files.write(b"a", b"3\n")
    for number, words in enumerate(
        (
            ["reset", "--hard"],
            ["undo"],
            ["reset", "--hard", "HEAD~1"],
            ["undo"],
            ["checkout", "HEAD~1"],
            ["undo"],
            ["stash"],
            ["stash", "pop"],
            ["restore", "."],
            ["undo"],
            ["checkout", "HEAD~1", "--", "."],
            ["rm", "-rf", "vendor"],
            ["undo"],
            ["redo"],
            ["undo"],
            ["checkout", "-b", "other"],
            ["checkout", "main"],
        )
    ):
        # What git does between the verbs stays, whatever the verb.
        stage.files.write(b".git/index", b"%d" % number)
        stage.files.write(b"vendor/x/.git/logs/HEAD", b"%d" % number)
        stage.files.write(b"vendor/x/.git/%d" % number, b"")
        before = git_files(stage.files)
        stage.run(*words)
        assert git_files(stage.files) == before, words
        stage.reopen()
        assert git_files(stage.files) == before, words
    assert committed_git_dirs(stage.repository) == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_no_verb_changes_one(scenario: Scenario) -> None:
    """The whole table of verbs, with a repository of git at the root."""
    stage = Stage()
    init(stage.files, index=b"1")
    build(stage.repository)
    prepare(stage.repository, scenario)
    init(stage.files, index=b"2", only=b"now")
    init(stage.files, b"d", index=b"3")
    before = git_files(stage.files)
    assert len(before) == 5
    carry_out(stage.repository, scenario)
    assert git_files(stage.files) == before
    stage.reopen()
    assert git_files(stage.files) == before
    assert committed_git_dirs(stage.repository) == []


def test_a_directory_that_a_step_takes_away_stays_with_its_git_dir(stage: Stage) -> None:
    stage.run("branch", "without", "HEAD~1")
    for words in (["reset", "--hard", "HEAD~1"], ["undo"], ["checkout", "HEAD~1"], ["undo"]):
        stage.run(*words)
        assert git_files(stage.files) == ALL
        assert stage.run("status", "-s", "--ignored") == ""
    stage.run("rm", "-r", "vendor/x")
    stage.run("commit", "-m", "removed")
    assert git_files(stage.files) == ALL
    assert stage.run("status", "-s") == ""


def test_a_merge_that_removes_the_directory_keeps_it(stage: Stage) -> None:
    stage.run("branch", "side")
    stage.run("rm", "-r", "vendor/x", branch="side")
    stage.run("commit", "-m", "removed", branch="side")
    stage.commit("third", b=b"1\n")
    stage.run("merge", "side")
    assert git_files(stage.files) == ALL
    assert plain_files(stage.files) == {b"a": b"2\n", b"b": b"1\n"}
    assert stage.run("status", "-s") == ""


def test_a_file_in_its_way_is_refused(stage: Stage) -> None:
    stage.run("branch", "side", "HEAD~1")
    stage.live("side").write(b"vendor", b"a file\n")
    stage.run("commit", "-m", "a file", branch="side")
    for words in (["reset", "--hard", "side"], ["checkout", "--detach", "side"], ["merge", "side"]):
        with pytest.raises(HeliosError) as caught:
            stage.run(*words)
        assert caught.value.errno == Busy("").errno or "conflict" in str(caught.value)
        assert git_files(stage.files) == ALL
        assert plain_files(stage.files)[b"vendor/x/code"] == b"1\n"
    with pytest.raises(Busy, match=r"'vendor/x/.git' is in the way of a file 'vendor'"):
        stage.run("reset", "--hard", "side")


def test_a_step_mixes_no_two_of_them(stage: Stage) -> None:
    """Files that git has removed since an operation do not come back with its undo."""
    stage.files.write(b".git/index.lock", b"held")
    stage.files.write(b"a", b"3\n")
    stage.run("reset", "--hard")
    stage.files.remove(b".git/index.lock")
    stage.files.remove(b"vendor/x/.git")
    stage.run("undo")
    assert b".git/index.lock" not in git_files(stage.files)
    assert b"vendor/x/.git/HEAD" not in git_files(stage.files)
    assert plain_files(stage.files)[b"a"] == b"3\n"


@pytest.mark.parametrize(
    "words",
    [
        ["undo", "--at", "30 sec ago"],
        ["restore", "--at", "30 sec ago", "."],
        ["restore", "--saved", "."],
        ["restore", "--at", "30 sec ago", ".git", "vendor"],
    ],
    ids=" ".join,
)
def test_one_that_was_lost_comes_back_from_a_save(stage: Stage, words: list[str]) -> None:
    stage.repository.checkpoint()
    stage.clock.time_ns += 60 * SECOND_NS
    stage.files.remove(b".git")
    stage.files.remove(b"vendor")
    stage.files.write(b"vendor/x/.git/HEAD", b"another\n")
    stage.repository.checkpoint()
    stage.run(*words)
    assert git_files(stage.files) == {
        b".git/HEAD": ALL[b".git/HEAD"],
        b".git/index": b"1",
        b"vendor/x/.git/HEAD": b"another\n",
    }
    assert plain_files(stage.files)[b"vendor/x/code"] == b"1\n"
    assert stage.run("status", "-s") == ""


def test_a_save_that_differs_in_git_alone_is_none_to_go_back_to(stage: Stage) -> None:
    stage.files.write(b"a", b"3\n")
    stage.repository.checkpoint()
    stage.clock.time_ns += 60 * SECOND_NS
    stage.files.write(b"a", b"4\n")
    stage.repository.checkpoint()
    stage.clock.time_ns += 60 * SECOND_NS
    stage.files.write(b".git/index", b"later")
    stage.repository.checkpoint()
    stage.run("restore", "--saved", ".")
    assert stage.files.read(b"a") == b"3\n"
    assert git_files(stage.files)[b".git/index"] == b"later"


def test_a_fork_has_its_own(stage: Stage) -> None:
    stage.files.write(b".git/index", b"2")
    stage.run("branch", "--fork", "fork")
    stage.run("branch", "--copy-ignored", "copied")
    stage.run("branch", "plain")
    assert git_files(stage.live("fork")) == {**ALL, b".git/index": b"2"}
    assert git_files(stage.live("copied")) == {**ALL, b".git/index": b"2"}
    assert git_files(stage.live("plain")) == {}
    stage.live("fork").write(b".git/index", b"of the fork")
    assert git_files(stage.files)[b".git/index"] == b"2"
    stage.run("reset", "--hard", "HEAD~1", branch="fork")
    assert git_files(stage.live("fork"))[b".git/index"] == b"of the fork"
    assert stage.run("status", "-s", branch="fork") == ""


def test_at_the_mount_point_it_stays_when_another_branch_is_shown(stage: Stage) -> None:
    stage.run("branch", "idea")
    stage.run("branch", "old", "HEAD~1")
    for number, words in enumerate(
        (
            ["checkout", "idea"],
            ["checkout", "HEAD~1"],
            ["undo"],
            ["checkout", "main"],
            ["checkout", "-b", "new"],
            ["checkout", "idea"],
            ["checkout", "main"],
        )
    ):
        stage.files.write(b".git/refs/%d" % number, b"commit\n")
        before = git_files(stage.files)
        stage.run(*words)
        assert git_files(stage.files) == before, words
        stage.crash()
        assert git_files(stage.files) == before, words
        assert stage.run("status", "-s") == ""
    # One that has no place on the branch that comes stays with the one that leaves.
    stage.run("checkout", "old")
    assert b"vendor" not in stage.files.tree()
    assert b".git/refs/6" in git_files(stage.files)
    assert b"vendor/x/.git/HEAD" in git_files(stage.live("main"))
    assert b".git/HEAD" not in git_files(stage.live("main"))
    stage.run("checkout", "main")
    assert {
        path: data for path, data in git_files(stage.files).items() if b"refs" not in path
    } == ALL


def test_a_branch_with_another_one_of_its_own_shows_that(stage: Stage) -> None:
    stage.run("branch", "--fork", "fork")
    stage.live("fork").write(b".git/index", b"of the fork")
    stage.run("checkout", "fork")
    assert git_files(stage.files)[b".git/index"] == b"of the fork"
    stage.run("checkout", "main")
    assert git_files(stage.files) == ALL
    assert git_files(stage.live("fork"))[b".git/index"] == b"of the fork"


def test_a_file_named_git_is_kept_as_well(stage: Stage) -> None:
    stage.files.write(b"sub/.git", b"gitdir: ../.git/modules/sub\n")
    stage.files.write(b"sub/code", b"1\n")
    stage.commit("third")
    stage.run("reset", "--hard", "HEAD~1")
    stage.run("undo")
    assert stage.files.read(b"sub/.git") == b"gitdir: ../.git/modules/sub\n"
    assert committed_git_dirs(stage.repository) == []
    stage.run("branch", "--fork", "x")
    assert stage.live("x").read(b"sub/.git") == b"gitdir: ../.git/modules/sub\n"


def test_it_goes_with_a_directory_that_is_renamed_or_removed(stage: Stage) -> None:
    stage.files.rename(b"vendor/x", b"vendor/y")
    assert stage.run("status", "-s") == " D vendor/x/code\n A vendor/y/code\n" or "R" in stage.run(
        "status", "-s"
    )
    stage.run("commit", "-m", "renamed")
    assert git_files(stage.files)[b"vendor/y/.git/index"] == b"of x"
    stage.files.remove(b"vendor")
    stage.run("commit", "-m", "removed")
    assert b"vendor" not in stage.files.tree()
    stage.files.rename(b".git", b"dot-git")
    stage.run("commit", "-m", "a name like any other")
    assert stage.run("ls-files") == "a\ndot-git/HEAD\ndot-git/index\n"


def test_hard_links_between_repositories(stage: Stage) -> None:
    """`git clone` of a path links the objects."""
    stage.files.write(b".git/objects/1", b"object")
    stage.files.link(b".git/objects/1", b"vendor/x/.git/objects-1")
    stage.files.link(b"a", b".git/linked")
    assert stage.run("status", "-s") == ""
    stage.run("branch", "old", "HEAD~1")
    stage.run("checkout", "old")
    assert stage.files.read(b".git/objects/1") == b"object"
    assert stage.files.read(b".git/linked") == b"2\n"
    stage.run("checkout", "main")
    assert stage.files.read(b"vendor/x/.git/objects-1") == b"object"


def test_a_deleted_branch_leaves_it_in_a_snapshot(stage: Stage) -> None:
    stage.run("branch", "--fork", "same")
    assert "commit" not in stage.run("branch", "-d", "same")
    stage.run("branch", "--fork", "x")
    stage.live("x").write(b".git/index", b"of x")
    said = stage.run("branch", "-d", "x")
    assert "Its ignored files are in commit" in said
    oid = said.split("commit ")[-1].rstrip(".\n")
    # As a directory it is whole; the verbs do not see it.
    (commit,) = stage.repository.history.with_prefix(oid)
    snapshot = TreeBuilder(stage.repository.snapshot(commit))
    assert git_files(snapshot)[b".git/index"] == b"of x"
    assert ".git" not in stage.run("ls-tree", "-r", "--name-only", oid)
    stage.run("reset", "--hard", oid)
    assert git_files(stage.files) == ALL
    stage.run("commit", "--amend", "-m", "again")
    (amended,) = stage.repository.history.with_prefix(stage.head)
    assert ".git" not in stage.run("ls-tree", "-r", "--name-only", amended.hex())


def test_an_import_of_a_directory_mixes_no_two_of_them(stage: Stage, tmp_path: Path) -> None:
    for place in ("", "vendor/x", "vendor/new"):
        git_dir = tmp_path / "from" / place / ".git"
        git_dir.mkdir(parents=True)
        (git_dir / "index").write_text("foreign")
        (git_dir / "packed-refs").write_text("foreign")
    (tmp_path / "from" / "b").write_text("1\n")
    stage.run("import", "--from-dir", str(tmp_path / "from"), "--keep-both")
    assert git_files(stage.files) == {
        **ALL,
        b"vendor/new/.git/index": b"foreign",
        b"vendor/new/.git/packed-refs": b"foreign",
    }
    assert stage.run("status", "-s") == " A b\n"


def commit_whole(stage: Stage, message: bytes) -> None:
    """Commit everything at the root, as an earlier version did."""
    repository, view = stage.repository, stage.view
    state = view.state()
    parents = (state.head,) if state.head is not None else ()
    signature = repository.identity.sign(repository.clock)
    with repository.transaction:
        oid = repository.history.write(Commit(state.root, parents, signature, signature, message))
        repository.refs.move(repository.refs.branch("main"), oid)
        view.save(state._replace(head=oid))


@pytest.fixture
def older() -> Stage:
    """A store of an earlier version, with a `.git` in its commits, in branches and in a stage."""
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    init(stage.files, index=b"1")
    commit_whole(stage, b"first")
    stage.run("branch", "plain")
    stage.run("branch", "--fork", "shown")
    stage.files.write(b"a", b"2\n")
    init(stage.files, index=b"2")
    init(stage.files, b"vendor/x", index=b"of x")
    stage.files.write(b"vendor/x/code", b"1\n")
    commit_whole(stage, b"second")
    stage.files.write(b"a", b"3\n")
    staged = encode_entry(stage.view.state().root)
    stage.store.put(keys.of_slot(keys.STAGE, stage.view.slot), staged)
    stage.files.write(b".git/index", b"3")
    stage.store.put(keys.GIT_DIRS, None)
    stage.store.publish()
    stage.reopen()
    return stage


def test_an_older_store_goes_on_and_says_so_once(older: Stage) -> None:
    stage = older
    assert stage.repository.news == [NEWS]
    now = {**ALL, b".git/index": b"3"}
    assert git_files(stage.files) == now
    assert stage.run("status", "-s") == "M  a\n"
    stage.run("commit", "-m", "third")
    assert stage.run("show", "--name-status", "--format=%s") == "third\n\nM\ta\n"
    assert stage.run("diff", "--name-only", "HEAD~2", "HEAD") == "a\nvendor/x/code\n"
    assert ".git" not in stage.run("log", "-p")
    for words in (["reset", "--hard", "HEAD~2"], ["undo"], ["checkout", "HEAD~1"], ["undo"]):
        stage.run(*words)
        assert git_files(stage.files) == now, words
    # A fork that has its `.git` as the commit had it does not hide the one at the mount point.
    for words in (["checkout", "shown"], ["checkout", "plain"], ["merge", "main"]):
        stage.run(*words)
        assert git_files(stage.files)[b".git/index"] == b"3", words
    assert stage.run("ls-tree", "-r", "--name-only", "HEAD") == "a\nvendor/x/code\n"
    stage.reopen()
    assert stage.repository.news == []
    assert stage.run("status", "-s") == ""
    # What the old commits had is in their snapshots.
    (first,) = stage.repository.history.with_prefix(stage.run("rev-parse", "HEAD~2").strip())
    snapshot = TreeBuilder(stage.repository.snapshot(first))
    assert git_files(snapshot)[b".git/index"] == b"1"


def test_an_older_store_without_any_is_looked_at_once() -> None:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.store.put(keys.GIT_DIRS, None)
    stage.store.publish()
    stage.reopen()
    assert stage.repository.news == []
    assert stage.store.get(keys.GIT_DIRS) == b"none"
    assert not stage.repository.history.has_git_dirs


def test_a_collection_takes_no_tree_that_is_in_use(older: Stage) -> None:
    older.run("log", "-p")
    older.run("gc", "--aggressive")
    assert ".git" not in older.run("log", "-p")
    older.run("reset", "--hard", "HEAD~1")
    assert older.run("status", "-s") == ""


@pytest.mark.parametrize("seed", range(10))
def test_a_tree_without_any(seed: int) -> None:
    """Against a walk over all paths."""
    random_ = random.Random(seed)
    stage = Stage()
    git_free = GitFree(stage.store)
    names = [b"a", b"b", b".git", b"c"]
    for _ in range(6):
        for _ in range(random_.randrange(1, 8)):
            depth = random_.randrange(1, 5)
            path = b"/".join(random_.choice(names) for _ in range(depth)) + b"/f"
            stage.files.write(path, b"%d" % random_.randrange(3))
        root = stage.view.state().root
        store = stage.store
        paths = {
            change.path: change.new
            for change in walk_changes(store, EMPTY_TREE, TreeId(root.oid))
            if git_dir_of(change.path) is None
        }
        stripped = git_free.strip(root)
        found = {
            change.path: change.new
            for change in walk_changes(store, EMPTY_TREE, TreeId(stripped.oid))
        }
        assert {path: entry.oid for path, entry in found.items() if entry and not entry.is_dir} == {
            path: entry.oid for path, entry in paths.items() if entry and not entry.is_dir
        }
        assert found.keys() == paths.keys()
        assert git_free.strip(stripped) == stripped
