"""Import against the real git: history, files, refs, increments, what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError, NotFound, UsageError
from heliosfs.git.importer import Import
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import decode_entry
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Progress, Turn, perform
from heliosfs.trees.stored import find_entry, read_entries, write_entries
from tests.git_repository import Clone, everything
from tests.tree_builder import Stage


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return everything(tmp_path_factory.mktemp("git") / "clone")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def import_(stage: Stage, clone: Clone, *argv: str) -> str:
    return stage.run("import", "--from-git", str(clone.path), *argv)


def log_lines(text: str) -> list[str]:
    return [line.partition(" ")[2] for line in text.splitlines()]


def test_the_log_is_that_of_git_line_for_line(stage: Stage, clone: Clone) -> None:
    import_(stage, clone)
    branches = [branch.name for branch in stage.repository.refs]
    assert len(branches) == 10
    for name in branches:
        theirs = clone.git("log", "--oneline", f"refs/heads/{name}").decode()
        ours = stage.run("log", "--oneline", name)
        assert log_lines(ours) == log_lines(theirs), name


def test_people_times_and_messages(stage: Stage, clone: Clone) -> None:
    import_(stage, clone)
    form = "--format=%an%x00%ae%x00%at%x00%ai%x00%cn%x00%ct%x00%B"
    for name in ("trunk", "light", "odd/latin1", "odd/signed"):
        said = clone.git("log", "-1", "--encoding=UTF-8", form, name, "--").split(b"\0")
        oid = resolve(stage.repository, name, stage.view.head)
        commit = stage.repository.history.read(oid)
        author, committer = commit.author, commit.committer
        assert [author.name, author.email, b"%d" % author.seconds] == said[:3]
        zone = int(said[3][-5:-2]) * 60
        zone += int(said[3][-2:]) * (-1 if said[3][-5:-4] == b"-" else 1)
        assert author.offset_minutes == zone
        assert [committer.name, b"%d" % committer.seconds] == said[4:6]
        assert commit.message.rstrip(b"\n") == said[6].rstrip(b"\n")


def test_files_are_those_of_a_checkout(stage: Stage, clone: Clone) -> None:
    import_(stage, clone)
    assert stage.view.branch == "trunk"
    tree = stage.files.tree()
    listed = clone.git("ls-tree", "-r", "-t", "-z", "HEAD").split(b"\0")[:-1]
    expected = {}
    for line in listed:
        head, _, path = line.partition(b"\t")
        mode, kind, oid = head.decode().split()
        data = clone.git("cat-file", "blob", oid) if kind == "blob" else b""
        expected[path] = (
            {
                "100644": stat.S_IFREG | 0o644,
                "100755": stat.S_IFREG | 0o755,
                "120000": stat.S_IFLNK | 0o777,
            }.get(mode, stat.S_IFDIR | 0o755),
            data,
        )
    assert tree == expected
    assert stage.run("status", "--short") == ""


def test_equal_trees_are_equal_and_times_follow_the_content(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("dir/file", b"one\n")
    clone.commit("one")
    clone.write("dir/file", b"two\n")
    clone.commit("two")
    clone.write("dir/file", b"one\n")
    clone.commit("one again")
    import_(stage, clone)
    history, head = stage.repository.history, stage.view.head
    roots = [commit.root for _, commit in history.walk(head)]
    assert roots[0] == roots[2]
    times = set()
    for root in roots:
        entry = find_entry(stage.store, root, b"dir/file")
        assert entry is not None
        times.add(entry.mtime_ns)
        assert 318_211_200 <= entry.mtime_ns // 10**9 < 600_000_000
    assert len(times) == 2


def test_an_import_again_takes_only_what_is_new(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("a", b"1\n")
    clone.commit("one")
    assert import_(stage, clone).startswith("1 commits, 3 objects")
    first = stage.head
    assert "unchanged: 1" in import_(stage, clone)
    clone.write("b/c", b"2\n")
    clone.commit("two")
    assert import_(stage, clone).startswith("1 commits, 4 objects")
    assert stage.run("rev-parse", "HEAD~1").strip() == first
    assert stage.files.read(b"b/c") == b"2\n"
    assert stage.run("undo").startswith("undone") or stage.head == first


def test_work_of_ones_own_is_not_moved(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("a", b"1\n")
    clone.commit("one")
    clone.git("branch", "other")
    import_(stage, clone)
    mine = stage.commit("mine", mine=b"x")
    clone.write("a", b"2\n")
    clone.commit("theirs")
    reply = import_(stage, clone)
    assert "branch 'trunk' has work of its own here: git's is 'imported/trunk'" in reply
    assert stage.head == mine
    assert stage.repository.refs.branch("imported/trunk").head is not None
    stage.files.write(b"a", b"uncommitted")
    stage.run("checkout", "-b", "elsewhere")
    assert "imported/trunk" in import_(stage, clone)
    assert stage.files.read(b"a") == b"uncommitted"


def test_head_follows_where_the_files_are_as_git_has_them_now(stage: Stage, tmp_path: Path) -> None:
    """Uncommitted here, and committed there: what is committed there is no change any more."""
    clone = Clone(tmp_path / "clone")
    for name in ("a", "b", "gone"):
        clone.write(name, b"1\n")
    clone.commit("one")
    import_(stage, clone)
    stage.files.write(b"a", b"2\n")
    stage.files.write(b"new", b"new\n")
    stage.files.remove(b"gone")
    stage.files.write(b"b", b"not in git\n")
    clone.write("a", b"2\n")
    clone.write("new", b"new\n")
    clone.git("rm", "--quiet", "gone")
    clone.commit("two")
    reply = import_(stage, clone)
    assert "moved: heads/trunk" in reply and "the files stay as they are" in reply
    assert stage.run("status", "--porcelain") == " M b\n"
    assert stage.files.read(b"b") == b"not in git\n"
    # One file is still as it was before git's next commit: that one is not followed.
    clone.write("a", b"3\n")
    clone.write("b", b"not in git\n")
    clone.commit("three")
    assert "git's is 'imported/trunk'" in import_(stage, clone)
    assert stage.run("status", "--porcelain") == " M b\n"


def test_ignored_files_stay_when_a_branch_follows(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write(".heliosignore", b".env\n")
    clone.write("a", b"1\n")
    clone.commit("first")
    clone.git("branch", "side")
    import_(stage, clone)
    for branch in (None, "side"):
        files = stage.files if branch is None else stage.live(branch)
        files.write(b".env", b"KEY\n")
    stage.reopen()
    clone.write("a", b"2\n")
    clone.git("rm", "--quiet", ".heliosignore")
    clone.commit("without rules")
    clone.git("branch", "-f", "side")
    assert "imported/" not in import_(stage, clone)
    for branch in (None, "side"):
        files = stage.files if branch is None else stage.live(branch)
        assert files.read(b".env") == b"KEY\n"
        assert files.read(b"a") == b"2\n"


def test_nothing_that_a_repository_configures_is_run(stage: Stage, tmp_path: Path) -> None:
    """Neither by an import nor by an export into it; the program would only leave a mark."""
    clone = Clone(tmp_path / "clone")
    mark = tmp_path / "made"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    clone.write(".gitattributes", b"* filter=odd diff=odd merge=odd\n")
    clone.write("a", b"1\n")
    clone.commit("one")
    for hook in ("post-checkout", "reference-transaction", "update", "pre-receive", "pre-auto-gc"):
        (clone.path / ".git/hooks").mkdir(exist_ok=True)
        (clone.path / ".git/hooks" / hook).symlink_to(program)
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "gpg.program"),
        *("filter.odd.clean", "filter.odd.smudge", "filter.odd.process", "diff.odd.textconv"),
        *("diff.odd.command", "diff.external", "merge.odd.driver", "credential.helper"),
        *("core.askPass", "uploadpack.packObjectsHook", "alias.cat-file"),
    ):
        clone.git("config", key, str(program))
    import_(stage, clone)
    stage.files.write(b"b", b"2\n")
    stage.commit("two")
    stage.run("export", "--with-filtered", "--to-git", str(clone.path), "trunk:theirs")
    import_(stage, clone)
    assert clone.git("rev-parse", "--verify", "theirs")
    assert not mark.exists()
    # By git itself it is run.  As a long-running filter it would end git, which asks one where a
    # file is as young as the index.
    clone.git("config", "--unset", "filter.odd.process")
    clone.git("status")
    assert mark.exists()


def test_two_repositories_share_content(stage: Stage, tmp_path: Path) -> None:
    one = Clone(tmp_path / "one", "one")
    two = Clone(tmp_path / "two", "two")
    for clone in (one, two):
        clone.write("same/file", b"the same\n" * 100)
    one.commit("one")
    two.commit("two", GIT_AUTHOR_NAME="Zoe")
    import_(stage, one)
    before = len(stage.store.objects)
    import_(stage, two)
    assert len(stage.store.objects) == before + 1
    assert {branch.name for branch in stage.repository.refs} == {"one", "two"}


def test_one_branch(stage: Stage, clone: Clone) -> None:
    import_(stage, clone, "--branch", "side/0")
    assert {branch.name for branch in stage.repository.refs} == {"trunk", "side/0"}
    assert set(stage.repository.refs.tags) == {"light", "v1.0", "nested"}
    with pytest.raises(NotFound, match="no branch 'none'"):
        import_(stage, clone, "--branch", "none")


def test_nothing_shows_before_the_end_and_the_rest_goes_on(stage: Stage, clone: Clone) -> None:
    git = Git.find(str(clone.path))
    importing = Import(stage.repository, git, GitRefs(git), portion_bytes=4096, written_count=1)
    steps = importing.run()
    for step in steps:
        if not isinstance(step, (Turn, Progress)):
            perform(step)
        elif importing.intake.commit_count >= 4:
            break
    steps.close()
    assert list(stage.repository.history.ids()) == []
    stage.crash()
    assert [branch.name for branch in stage.repository.refs] == ["main"]
    import_(stage, clone)
    assert f"{13} commits" in stage.run("import", "--verify", str(clone.path))
    count = len(clone.git("rev-list", "--all").split())
    assert sum(1 for _ in stage.repository.history.ids()) == count
    assert not [key for key in stage.store.state if key.startswith(b"git-taken/")]


def test_a_submodule_is_an_empty_directory_with_a_mark(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("a", b"1\n")
    first = clone.commit("one")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{first},lib")
    clone.git("commit", "--quiet", "-m", "with a submodule")
    import_(stage, clone)
    root = stage.view.head_root()
    assert root is not None
    entries = [decode_entry(raw)[0] for raw in read_entries(stage.store, TreeId(root.oid))]
    marks = {entry.name: dict(entry.xattrs or {}) for entry in entries}
    assert marks == {b"a": {}, b"lib": {b"user.heliosfs.gitlink": first.encode()}}
    assert stat.S_ISDIR(stage.files.node(b"lib").mode)


def test_files_that_were_there_first_stay(stage: Stage, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.write("a", b"1\n")
    first = clone.commit("one")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{first},lib")
    clone.git("commit", "--quiet", "-m", "with a submodule")
    stage.files.write(b"a", b"edited\n")
    stage.files.write(b"untracked", b"u\n")
    stage.files.write(b"lib/inside", b"i\n")
    assert "the files stay as they are" in import_(stage, clone)
    assert stage.files.read(b"a") == b"edited\n"
    assert sorted(stage.run("status", "--short").split()) == [
        *("A", "A", "M", "a", "lib/inside", "untracked")
    ]


@pytest.mark.parametrize("name", [b".git", b"..", b".GIT", b"x" * 300, b"a/b"])
def test_a_tree_that_no_directory_can_hold_is_refused(
    stage: Stage, tmp_path: Path, name: bytes
) -> None:
    clone = Clone(tmp_path / "clone")
    blob = bytes.fromhex(clone.object("blob", b"x"))
    tree = clone.object("tree", b"100644 " + name + b"\0" + blob)
    person = b"A <a@b> 1 +0000"
    raw = b"tree %s\nauthor %s\ncommitter %s\n\nbad\n" % (tree.encode(), person, person)
    clone.git("update-ref", "refs/heads/trunk", clone.object("commit", raw))
    said = "no directory can hold an entry .*; refs/heads/trunk needs it: .* --branch"
    with pytest.raises(HeliosError, match=f"git tree {tree} cannot be imported: {said}"):
        import_(stage, clone)
    assert stage.view.head is None


def test_what_is_no_repository_is_refused(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not a git repository"):
        stage.run("import", "--from-git", str(tmp_path))
    with pytest.raises(UsageError, match="absolute path"):
        stage.run("import", "--from-git", "relative")
    with pytest.raises(NotFound, match="has no commit yet"):
        import_(stage, Clone(tmp_path / "new"))
    shallow = tmp_path / "shallow"
    clone = Clone(tmp_path / "deep")
    clone.commit("one")
    clone.commit("two")
    clone.git("clone", "--quiet", "--depth=1", f"file://{clone.path}", str(shallow))
    with pytest.raises(HeliosError, match="shallow"):
        stage.run("import", "--from-git", str(shallow))


def test_files_of_a_directory(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_bytes(b"x")
    os.utime(tmp_path / "sub/file", ns=(1, 5))
    assert "imported 1 file from" in stage.run("import", "--from-dir", str(tmp_path))
    file = find_entry(stage.store, stage.view.state().root, b"sub/file")
    assert file is not None
    assert file.mtime_ns == 5
    assert stage.files.read(b"sub/file") == b"x"
    assert stage.view.head is None
    assert "imported 0 files" in stage.run("import", "--from-dir", str(tmp_path))
    with pytest.raises(UsageError):
        stage.run("import")
    with pytest.raises(UsageError, match="exclude each other"):
        stage.run("import", "--from-dir", "/a", "--from-git", "/b")


def test_verify_finds_what_is_missing_or_not_the_same(stage: Stage, clone: Clone) -> None:
    with pytest.raises(HeliosError, match="13 were not imported"):
        stage.run("import", "--verify", str(clone.path))
    import_(stage, clone)
    assert stage.run("import", "--verify", str(clone.path)).startswith("13 commits")


def test_large_directories_are_as_the_workspace_would_write_them(
    stage: Stage, tmp_path: Path
) -> None:
    clone = Clone(tmp_path / "clone")
    for number in range(700):
        clone.write(f"big/{number:04}", b"%d\n" % number)
    clone.write("big/0100.d/x", b"x")
    clone.commit("one")
    for number in range(0, 700, 90):
        clone.write(f"big/{number:04}", b"changed\n")
    clone.commit("two")
    import_(stage, clone)
    history = stage.repository.history
    for _, commit in history.walk(stage.view.head):
        big = find_entry(stage.store, commit.root, b"big")
        assert big is not None
        raws = read_entries(stage.store, TreeId(big.oid))
        assert len(raws) == 701
        assert write_entries(stage.store, raws) == big.oid
    assert stage.run("import", "--verify", str(clone.path)).startswith("2 commits")


def test_trees_that_follow_one_another_at_a_path(stage: Stage, tmp_path: Path) -> None:
    """One changed entry, a mode, a kind, a name; git has `d.x` before `d`, we have it after."""
    clone = Clone(tmp_path / "clone")
    clone.write("d/one", b"1\n")
    clone.write("d.x", b"2\n")
    clone.write("z", b"3\n")
    os.symlink("z", clone.path / "link")
    clone.commit("begin")
    for number in range(3):
        clone.write("d/one", b"one %d\n" % number)
        clone.commit("below")
        clone.write("d.x", b"x %d\n" % number)
        clone.write("z", b"z %d\n" % number)
        clone.commit("two files")
        (clone.path / "link").unlink()
        os.symlink(f"z{number}", clone.path / "link")
        clone.commit("where a link leads to")
    clone.write("z", b"z 2\n", 0o755)
    clone.commit("a mode")
    clone.git("mv", "z", "y")
    clone.commit("a name")
    clone.git("rm", "--quiet", "d.x")
    clone.write("d.x/below", b"now a directory\n")
    clone.commit("a kind")
    git = Git.find(str(clone.path))
    # Each commit alone, and each link's target written when it is read.
    for step in Import(stage.repository, git, GitRefs(git), portion_bytes=1).run():
        if not isinstance(step, (Turn, Progress)):
            perform(step)
    count = len(clone.git("rev-list", "HEAD").split())
    assert stage.run("import", "--verify", str(clone.path)).startswith(f"{count} commits")
    for _, commit in stage.repository.history.walk(stage.view.head):
        raws = read_entries(stage.store, TreeId(commit.root.oid))
        names = [decode_entry(raw)[0].name for raw in raws]
        assert names == sorted(names)
        assert write_entries(stage.store, raws) == commit.root.oid
