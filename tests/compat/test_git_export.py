"""Export against the real git: ids come back, new commits are ordinary, nothing else is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from heliosfs.cli.materialize import stored_items
from heliosfs.errors import Busy, HeliosError, NotFound, UsageError
from tests.git_repository import Clone, everything, fsck, git, refs_of
from tests.tree_builder import Stage


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return everything(tmp_path_factory.mktemp("git") / "clone")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def export(stage: Stage, path: Path, *argv: str) -> str:
    return stage.run("export", "--to-git", str(path), *argv)


def small(path: Path) -> Clone:
    clone = Clone(path)
    clone.write("a", b"1\n")
    clone.write("dir/b", b"2\n")
    clone.commit("one")
    return clone


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_every_ref_comes_back(stage: Stage, tmp_path: Path, object_format: str) -> None:
    clone = everything(tmp_path / "clone", object_format=object_format)
    stage.run("import", "--from-git", str(clone.path))
    out = tmp_path / "out.git"
    export(stage, out)
    assert git(out, "rev-parse", "--show-object-format").decode().strip() == object_format
    expected = refs_of(clone.path)
    assert refs_of(out) == expected
    assert {"refs/tags/nested", "refs/tags/a-tree", "refs/heads/odd/modes"} < set(expected)
    assert git(out, "symbolic-ref", "HEAD") == b"refs/heads/trunk\n"


def test_what_is_called_dot_helios_comes_back(stage: Stage, tmp_path: Path) -> None:
    """It is not shown, but a part of history: every commit keeps its id, and new ones have it."""
    clone = small(tmp_path / "clone")
    clone.write(".helios/ctl/command", b"theirs\n")
    clone.write("dir/.helios/x", b"x\n")
    clone.commit("two")
    os.symlink("/etc", clone.path / "dir/.helios/link")
    clone.write("a", b"3\n")
    clone.commit("three")
    reply = stage.run("import", "--from-git", str(clone.path))
    assert "  3 versions of .helios in the history, kept and exported again" in reply
    out = tmp_path / "out.git"
    export(stage, out)
    assert refs_of(out) == refs_of(clone.path)
    stage.files.write(b"a", b"4\n")
    stage.commit("four")
    export(stage, out)
    listed = git(out, "ls-tree", "-r", "--name-only", "trunk").decode().splitlines()
    assert listed == [
        ".helios/ctl/command",
        "a",
        *(f"dir/.helios/{name}" for name in ("link", "x")),
        "dir/b",
    ]
    assert git(out, "diff", "--name-only", "trunk~", "trunk") == b"a\n"
    assert "of .helios" not in stage.run("import", "--from-git", str(clone.path))
    root = stage.view.head_root()
    assert root is not None
    found = stored_items(stage.store, root)
    assert sorted(item.path for item in found) == [b"", b"a", b"dir", b"dir/b"]


def test_new_commits_are_ordinary_commits(stage: Stage, tmp_path: Path) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    files = stage.files
    files.write(b"new dir/script", b"#!/bin/sh\n", 0o755)
    files.write(b"group", b"x", 0o664)
    files.write(b"large", os.urandom(300_000) * 5)
    files.symlink(b"link", b"target")
    files.fifo(b"fifo")
    files.directory(b"empty/below")
    files.write(b"nested/.git/HEAD", b"in no commit, so not left out")
    files.write(b"nested/.GIT/HEAD", b"ref: refs/heads/x\n")
    files.write(b"nested/file", b"f")
    stage.commit("fix the <parser>\n\nwith a body")
    out = tmp_path / "out.git"
    reply = export(stage, out)
    assert "left out: 2 empty directories" in reply
    assert "left out: 1 FIFOs" in reply
    assert "left out: 1 entries with a name that git keeps" in reply
    assert fsck(out) == ""
    assert git(out, "log", "--format=%an|%ae|%B", "-1", "trunk").decode().strip() == (
        "Ada|ada@example.org|fix the <parser>\n\nwith a body"
    )
    listed = git(out, "ls-tree", "-r", "trunk").decode().splitlines()
    modes = {line.partition("\t")[2]: line.split()[0] for line in listed}
    assert modes == {
        "a": "100644",
        "dir/b": "100644",
        "new dir/script": "100755",
        "group": "100644",
        "large": "100644",
        "link": "120000",
        "nested/file": "100644",
    }
    assert git(out, "cat-file", "blob", "trunk:large") == files.read(b"large")
    assert git(out, "rev-parse", "trunk~1").decode().strip() == clone.id("trunk")
    assert "unchanged" in export(stage, out)


def test_there_and_back_is_the_same_commit(stage: Stage, tmp_path: Path) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    mine = stage.commit("mine", mine=b"x")
    clone.git("checkout", "--quiet", "--detach")
    export(stage, clone.path)
    clone.git("checkout", "--quiet", "trunk")
    clone.write("theirs", b"y")
    clone.commit("theirs")
    assert "moved: heads/trunk" in stage.run("import", "--from-git", str(clone.path))
    assert stage.run("rev-parse", "HEAD~1").strip() == mine
    assert stage.files.read(b"theirs") == b"y"
    stage.commit("more", more=b"z")
    clone.git("checkout", "--quiet", "--detach")
    assert "3 new objects" in export(stage, clone.path)
    assert fsck(clone.path) == ""


def test_only_the_named_branch_of_an_existing_repository_moves(
    stage: Stage, tmp_path: Path
) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    clone.write("a", b"stashed\n")
    clone.git("stash")
    clone.write("staged", b"s\n")
    clone.git("add", "staged")
    clone.write("dir/b", b"edited\n")
    clone.git("update-ref", "refs/notes/x", "HEAD")
    before = clone.git("for-each-ref"), clone.git("status", "--porcelain")
    index = (clone.path / ".git/index").read_bytes()
    stage.run("branch", "idea")
    stage.run("checkout", "idea")
    stage.commit("idea", idea=b"x")
    export(stage, clone.path, "idea", "trunk:copy/of-trunk")
    assert (clone.path / ".git/index").read_bytes() == index
    assert clone.git("status", "--porcelain") == before[1]
    after = clone.git("for-each-ref").splitlines()
    new = set(after) - set(before[0].splitlines())
    assert len(new) == 2
    assert {line.split(b"\t")[1] for line in new} == {
        b"refs/heads/idea",
        b"refs/heads/copy/of-trunk",
    }


def test_a_branch_that_is_checked_out_or_ahead_is_refused(stage: Stage, tmp_path: Path) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    stage.commit("mine", mine=b"x")
    refs = refs_of(clone.path)
    with pytest.raises(Busy, match="is checked out"):
        export(stage, clone.path)
    assert refs_of(clone.path) == refs
    clone.write("theirs", b"y")
    clone.commit("theirs")
    clone.git("checkout", "--quiet", "--detach")
    with pytest.raises(Busy, match="has commits that the branch here lacks"):
        export(stage, clone.path, "trunk")
    export(stage, clone.path, "--force", "trunk")
    assert clone.git("log", "-1", "--format=%s", "trunk") == b"mine\n"


def test_squash_makes_one_commit_and_then_one_more(stage: Stage, tmp_path: Path) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    stage.run("checkout", "-b", "work")
    for number in range(5):
        stage.commit(f"step {number}", **{f"file{number}": b"x"})
    export(stage, clone.path, "--squash", "work")
    assert clone.git("rev-list", "--count", "trunk..work") == b"1\n"
    subject, _, body = clone.git("log", "-1", "--format=%B", "work").decode().partition("\n")
    assert subject == "work: step 4"
    assert body.split("\n")[1:6] == [f"* step {number}" for number in range(5)]
    stage.commit("step 5", more=b"y")
    stage.commit("step 6", more=b"z")
    export(stage, clone.path, "--squash", "work")
    assert clone.git("rev-list", "--count", "trunk..work") == b"2\n"
    assert clone.git("show", "work:more") == b"z"
    assert fsck(clone.path) == ""


def with_submodule(path: Path) -> tuple[Clone, str]:
    """A repository with a submodule `lib`, which is not checked out, and the commit of that."""
    clone = small(path)
    first = clone.id("HEAD")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{first},lib")
    clone.git("commit", "--quiet", "-m", "submodule")
    return clone, first


def listed(path: Path, revision: str) -> dict[str, str]:
    """Mode and id by path, of the root."""
    lines = git(path, "ls-tree", revision).decode().splitlines()
    return {line.partition("\t")[2]: line.partition("\t")[0] for line in lines}


def test_submodules_survive_new_commits(stage: Stage, tmp_path: Path) -> None:
    clone, first = with_submodule(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    stage.files.rename(b"lib", b"moved")
    stage.commit("moved")
    # Checked out: its files are part of commits here, its repository is not.
    stage.files.write(b"moved/.git", b"gitdir: elsewhere\n")
    stage.files.write(b"moved/inside", b"content of the submodule")
    stage.commit("new", new=b"n")
    stage.files.write(b"moved/inside", b"other content")
    stage.commit("once more")
    out = tmp_path / "out.git"
    assert "left out: the files of 1 submodules" in export(stage, out)
    for revision in ("trunk", "trunk~1", "trunk~2"):
        assert listed(out, revision)["moved"] == f"160000 commit {first}"
    assert fsck(out) == ""


def test_what_holds_files_of_the_project_is_no_submodule(stage: Stage, tmp_path: Path) -> None:
    clone, _ = with_submodule(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    stage.files.write(b"lib/vendored", b"v")
    stage.files.write(b"lib/deep/file", b"f")
    stage.commit("vendored")
    out = tmp_path / "out.git"
    reply = export(stage, out)
    assert "submodules that are plain directories now: lib" in reply and "left out" not in reply
    assert git(out, "show", "trunk:lib/vendored") == b"v"
    assert git(out, "show", "trunk:lib/deep/file") == b"f"
    assert fsck(out) == ""
    # What git has a directory of is none here either, when the files stayed.
    clone.git("rm", "--quiet", "--cached", "lib")
    clone.write("lib/vendored", b"v")
    clone.write("lib/deep/file", b"f")
    clone.commit("vendored")
    other = Stage()
    other.run("import", "--from-git", str(clone.path), "--branch", "trunk")
    other.run("reset", "--hard", "HEAD~1")
    for name, data in ((b"lib/vendored", b"v"), (b"lib/deep/file", b"f")):
        other.files.write(name, data)
    assert "the files stay as they are" in other.run("import", "--from-git", str(clone.path))
    assert other.files.node(b"lib").xattrs is None
    assert other.run("status", "--short") == ""


def test_a_mark_that_is_no_id_is_none(stage: Stage, tmp_path: Path) -> None:
    stage.files.directory(b"odd")
    stage.files.node(b"odd").xattrs = {b"user.heliosfs.gitlink": b"abcd"}
    stage.commit("odd", file=b"f")
    out = tmp_path / "out.git"
    assert "1 empty directories" in export(stage, out)
    assert set(listed(out, "main")) == {"file"}
    assert fsck(out) == ""


def test_a_chmod_beats_a_mode_of_old(stage: Stage, clone: Clone, tmp_path: Path) -> None:
    stage.run("import", "--from-git", str(clone.path))
    stage.run("checkout", "odd/modes")
    stage.files.chmod(b"group", 0o755)
    stage.files.write(b"mine", b"edited")
    stage.commit("chmod")
    out = tmp_path / "out.git"
    export(stage, out, "odd/modes")
    data = git(out, "cat-file", "tree", "odd/modes^{tree}")
    entries = [b"100755 group\0", b"100600 mine\0", b"0100644 padded\0"]
    assert all(entry in data for entry in entries)


def test_history_without_git_is_exported(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing was committed yet"):
        export(stage, tmp_path / "none.git")
    assert not (tmp_path / "none.git").exists()
    stage.commit("one", a=b"1")
    stage.run("tag", "v1")
    stage.run("branch", "side")
    stage.commit("two", b=b"2")
    stage.run("checkout", "side")
    stage.commit("three", c=b"3")
    stage.run("merge", "main")
    out = tmp_path / "out.git"
    export(stage, out)
    assert fsck(out) == ""
    assert git(out, "rev-list", "--count", "side") == b"4\n"
    assert len(git(out, "rev-list", "--parents", "-1", "side").split()) == 3
    assert refs_of(out)["refs/tags/v1"] == git(out, "rev-parse", "main~1").decode().strip()


def test_what_cannot_be_a_target_is_refused(stage: Stage, tmp_path: Path) -> None:
    clone = small(tmp_path / "clone")
    stage.run("import", "--from-git", str(clone.path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(NotFound, match="is not a git repository"):
        export(stage, tmp_path / "full")
    with pytest.raises(UsageError, match="give a repository, as in 'export --to-git DIR'"):
        stage.run("export")
    with pytest.raises(NotFound, match="no branch 'none'"):
        export(stage, clone.path, "none")
    with pytest.raises(UsageError, match="not a valid branch name"):
        export(stage, clone.path, "trunk:a b")
    other = tmp_path / "sha256.git"
    git(tmp_path, "init", "--quiet", "--bare", "--object-format=sha256", str(other))
    with pytest.raises(HeliosError, match="ids of 20 bytes"):
        export(stage, other)
    assert refs_of(other) == {}
    assert stat.S_ISDIR(other.stat().st_mode)
