"""Changes of branches and tags by a push: `receive-pack`, by itself, against the real git."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError, StoreFull, UsageError
from heliosfs.git.ids import IdMap
from heliosfs.objects.ids import CommitId, Oid
from tests.git_repository import Clone, everything, refs_of
from tests.tree_builder import Stage

_NEW, _GONE, _UNSEEN = "-", "-", "?"


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "clone", "main")
    clone.write("a", b"1\n")
    clone.write("dir/b", b"2\n")
    clone.commit("one")
    return clone


def push(stage: Stage, clone: Clone, *lines: str, options: tuple[str, ...] = ()) -> dict[str, str]:
    """Push these updates; return the reasons why refs were refused."""
    file = clone.path.parent / "updates"
    file.write_text("".join(f"{line}\n" for line in lines))
    argv = ("receive-pack", f"--from-git={clone.path}", f"--updates={file}", *options)
    refused: dict[str, str] = json.loads(stage.run(*argv))["refused"]
    return refused


def seen(stage: Stage, *options: str) -> dict[str, str | None]:
    """Full name -> git's id of each ref, as a clone sees them."""
    refs: dict[str, str | None] = json.loads(stage.run("upload-pack", *options))["refs"]
    return refs


def test_a_branch_is_created_moved_and_deleted(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    assert push(stage, clone, f"= {_NEW} {one} refs/heads/main") == {}
    assert stage.files.read(b"a") == b"1\n"
    clone.write("a", b"new\n")
    two = clone.commit("two")
    assert (
        push(stage, clone, f"= {_NEW} {two} refs/heads/topic", f"= {one} {two} refs/heads/main")
        == {}
    )
    assert stage.files.read(b"a") == b"new\n"
    assert seen(stage) == {"refs/heads/main": two, "refs/heads/topic": two}
    assert push(stage, clone, f"+ {two} {one} refs/heads/topic") == {}
    assert seen(stage)["refs/heads/topic"] == one
    assert push(stage, clone, f"= {one} {_GONE} refs/heads/topic") == {}
    assert seen(stage) == {"refs/heads/main": two}
    assert "the same" in stage.run("import", "--verify", str(clone.path))


def test_what_moved_meanwhile_is_not_overwritten(stage: Stage, clone: Clone) -> None:
    one, other = clone.id("main"), "12" * 20
    clone.write("a", b"new\n")
    two = clone.commit("two")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main", f"= {_NEW} {one} refs/tags/v1")
    for line, reason in (
        (f"= {other} {two} refs/heads/main", "fetch first"),
        (f"+ {other} {two} refs/heads/main", "stale info"),
        (f"= {_NEW} {two} refs/heads/main", "fetch first"),
        (f"= {one} {two} refs/heads/none", "stale info"),
        (f"= {_NEW} {two} refs/tags/v1", "fetch first"),
        (f"= {one} {two} refs/tags/v1", "already exists"),
        (f"= {other} {_GONE} refs/tags/v1", "stale info"),
        (f"= {_NEW} {_GONE} refs/heads/none", "it does not exist"),
    ):
        assert list(push(stage, clone, line).values()) == [reason], line
    assert seen(stage) == {"refs/heads/main": one, "refs/tags/v1": one}
    assert push(stage, clone, f"+ {one} {two} refs/tags/v1") == {}
    assert push(stage, clone, f"= {two} {_GONE} refs/tags/v1") == {}
    assert seen(stage) == {"refs/heads/main": one}


def test_a_commit_that_git_never_had(stage: Stage, clone: Clone) -> None:
    """It has no id before a clone gets it; a push goes over it by force alone."""
    one = clone.id("main")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main")
    stage.files.write(b"a", b"made here\n")
    oid = stage.commit("made here")
    assert seen(stage, "--known") == {"refs/heads/main": None}
    clone.write("a", b"new\n")
    two = clone.commit("two")
    refused = push(stage, clone, f"= {_UNSEEN} {two} refs/heads/main")
    assert refused == {"refs/heads/main": "fetch first"}
    assert stage.run("rev-parse", "HEAD").strip() == oid
    assert seen(stage, "--known") == {"refs/heads/main": None}
    assert seen(stage)["refs/heads/main"] is not None
    assert push(stage, clone, f"+ {_UNSEEN} {two} refs/heads/main") == {}
    assert seen(stage, "--known") == {"refs/heads/main": two}
    stage.run("undo")
    assert stage.run("rev-parse", "HEAD").strip() == oid
    assert stage.files.read(b"a") == b"made here\n"


def test_uncommitted_work_stays(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main", f"= {_NEW} {one} refs/heads/side")
    clone.write("dir/b", b"new\n")
    two = clone.commit("two")
    to_main, to_side = f"+ {one} {two} refs/heads/main", f"+ {one} {two} refs/heads/side"
    stage.files.write(b"a", b"uncommitted\n")
    refused = push(stage, clone, to_main, to_side)
    assert list(refused) == ["refs/heads/main"]
    assert "uncommitted changes in the workspace: commit or stash" in refused["refs/heads/main"]
    assert stage.files.read(b"a") == b"uncommitted\n"
    stage.run("checkout", "side")
    assert stage.files.read(b"dir/b") == b"new\n"
    # Now it is shown nowhere.
    refused = push(stage, clone, to_main, f"= {two} {_GONE} refs/heads/side")
    assert "uncommitted changes there: commit" in refused["refs/heads/main"]
    assert "deletion of the current branch" in refused["refs/heads/side"]
    refused = push(stage, clone, f"= {one} {_GONE} refs/heads/main")
    assert "'helios branch -D main'" in refused["refs/heads/main"]
    stage.run("checkout", "main")
    stage.run("add", "a")
    stage.run("restore", "a")
    assert list(push(stage, clone, to_main)) == ["refs/heads/main"]


def test_ignored_files_stay(stage: Stage, clone: Clone) -> None:
    clone.write(".heliosignore", b"*.o\n")
    one = clone.commit("ignore")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main", f"= {_NEW} {one} refs/heads/side")
    stage.files.write(b"dir/x.o", b"built\n")
    clone.write("a", b"new\n")
    two = clone.commit("two")
    stage.run("checkout", "side")
    lines = [f"= {one} {two} refs/heads/{name}" for name in ("main", "side")]
    assert push(stage, clone, *lines) == {}
    for name in ("side", "main"):
        stage.run("checkout", name)
        assert stage.files.read(b"a") == b"new\n"
        assert stage.run("status", "--short") == ""
    assert stage.files.read(b"dir/x.o") == b"built\n"


def test_all_or_none(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    lines = (
        f"= {_NEW} {one} refs/heads/main",
        f"= {_NEW} {one} refs/heads/topic",
        f"= {_NEW} {one} refs/heads/topic/a",
        f"= {_NEW} {one} refs/notes/commits",
    )
    refused = push(stage, clone, *lines, options=("--atomic",))
    assert set(refused) == {line.rpartition(" ")[2] for line in lines}
    assert refused["refs/heads/main"] == "atomic push failed"
    assert seen(stage) == {}
    refused = push(stage, clone, *lines[:3], options=("--atomic",))
    assert refused["refs/heads/topic/a"] == "a branch 'topic' exists already"
    assert len(refused) == 3
    assert seen(stage) == {}
    refused = push(stage, clone, *lines, options=("--dry-run",))
    assert refused == {"refs/notes/commits": "a workspace has branches and tags only"}
    assert seen(stage) == {}
    assert set(push(stage, clone, *lines)) == {"refs/heads/topic/a", "refs/notes/commits"}
    assert set(seen(stage)) == {"refs/heads/main", "refs/heads/topic"}


def test_tags_of_every_kind(stage: Stage, tmp_path: Path) -> None:
    """A tag of an odd form keeps its bytes, too; one of no commit is refused."""
    clone = everything(tmp_path / "clone")
    commit = clone.id("HEAD")
    old = f"object {commit}\ntype commit\ntag old\n\nwithout a tagger\n"
    clone.git("update-ref", "refs/tags/old", clone.object("tag", old.encode()))
    refs = {ref: oid for ref, oid in refs_of(clone.path).items() if ref.startswith("refs/tags/")}
    refused = push(stage, clone, *(f"= {_NEW} {oid} {ref}" for ref, oid in refs.items()))
    assert refused == dict.fromkeys(("refs/tags/a-blob", "refs/tags/a-tree"), "it names no commit")
    kept = {ref: oid for ref, oid in refs.items() if ref not in refused}
    assert seen(stage) == kept
    assert len(kept) == 4
    ref, nested = "refs/heads/nested", refs["refs/tags/nested"]
    assert push(stage, clone, f"= {_NEW} {nested} {ref}") == {
        ref: "a branch names a commit, and no tag"
    }


def test_a_push_on_top_of_what_was_made_here(stage: Stage, clone: Clone) -> None:
    """Files, links and directories that git does not send again are known by their paths."""
    push(stage, clone, f"= {_NEW} {clone.id('main')} refs/heads/main")
    stage.files.write(b"big/one", bytes(range(256)) * 1000)
    stage.files.write(b"big/empty", b"")
    stage.files.symlink(b"big/link", b"../a")
    stage.files.write(b"big/below/run", b"#!/bin/sh\n", 0o755)
    stage.commit("made here")
    base = clone.path.parent / "base"
    clone.git("init", "-q", "--bare", str(base))
    stage.run("upload-pack", f"--to-git={base}")
    two = seen(stage)["refs/heads/main"]
    clone.git("fetch", "-q", str(base), str(two))
    clone.git("reset", "-q", "--hard", "FETCH_HEAD")
    clone.git("mv", "big/one", "big/moved")
    clone.git("mv", "big/link", "elsewhere")
    clone.git("mv", "big/below", "dir/below")
    three = clone.commit("moved in git")
    assert push(stage, clone, f"= {two} {three} refs/heads/main") == {}
    assert stage.files.read(b"big/moved") == bytes(range(256)) * 1000
    assert stage.files.read(b"dir/below/run") == b"#!/bin/sh\n"
    assert stage.run("status", "--short") == ""
    assert "3 commits" in stage.run("import", "--verify", str(clone.path))


def test_what_is_wrong_is_refused_before_anything_is_done(
    stage: Stage, clone: Clone, tmp_path: Path
) -> None:
    one = clone.id("main")
    for line in (
        "",
        f"{_NEW} {one} refs/heads/main",
        f"= {_NEW} xyz refs/heads/main",
        f"= - {one}",
    ):
        with pytest.raises(UsageError):
            push(stage, clone, line)
    missing = f"= {_NEW} {'12' * 20} refs/heads/main"
    assert push(stage, clone, missing) == {"refs/heads/main": "it names no commit"}
    assert "name" in push(stage, clone, f"= {_NEW} {one} refs/heads/-x")["refs/heads/-x"]
    other = Clone(tmp_path / "other", object_format="sha256")
    two = other.commit("one")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main")
    with pytest.raises(HeliosError, match="ids of sha256, and the history here those of sha1"):
        push(stage, other, f"= {_NEW} {two} refs/heads/other")
    assert seen(stage) == {"refs/heads/main": one}


def test_after_a_garbage_collection(stage: Stage, clone: Clone, tmp_path: Path) -> None:
    """Ids of what is gone are forgotten, and a push on top of what is left finds all of it."""
    push(stage, clone, f"= {_NEW} {clone.id('main')} refs/heads/main")
    stage.files.symlink(b"link", b"a")
    stage.files.write(b"dir/c", b"3\n")
    kept = stage.commit("made here")
    stage.run("branch", "idea")
    stage.run("checkout", "idea")
    stage.files.write(b"c", b"4\n")
    gone = stage.commit("an idea")
    base = tmp_path / "base"
    clone.git("init", "-q", "--bare", str(base))
    stage.run("upload-pack", f"--to-git={base}")
    stage.run("checkout", "main")
    two = seen(stage)["refs/heads/main"]
    clone.git("fetch", "-q", str(base), str(two))
    clone.git("reset", "-q", "--hard", "FETCH_HEAD")
    clone.write("a", b"new\n")
    three = clone.commit("three")
    assert push(stage, clone, f"= {two} {three} refs/heads/topic") == {
        "refs/heads/topic": "stale info"
    }
    assert push(stage, clone, f"= {_NEW} {three} refs/heads/topic") == {}
    for name in ("idea", "topic"):
        stage.run("branch", "-D", name)
    stage.run("gc", "--aggressive", "--remove-old-snapshots", "--before=0s")
    ids = IdMap(stage.store)
    assert ids.served(CommitId(Oid(bytes.fromhex(gone)))) is None
    assert ids.served(CommitId(Oid(bytes.fromhex(kept)))) is not None
    clone.write("dir/c", b"new\n")
    four = clone.commit("four")
    assert push(stage, clone, f"= {two} {four} refs/heads/main") == {}
    assert stage.files.read(b"dir/c") == b"new\n"
    assert "4 commits" in stage.run("import", "--verify", str(clone.path))
    assert stage.run("fsck").endswith("all sound\n")


@pytest.mark.parametrize("count", [1, 70])
def test_a_branch_with_filtered_files_is_left_out(stage: Stage, count: int) -> None:
    """The guard sees it, also behind so many plain commits that it has searched whole trees."""
    for number in range(count):
        stage.files.write(b"a/b/c", b"%d\n" % number)
        stage.files.write(b"a/x.bin", b"%d\n" % number)
        stage.commit("plain")
    stage.files.write(b"a/b/.gitattributes", b"*.bin filter=lfs\n")
    stage.files.write(b"a/x.bin", b"not below these attributes")
    stage.commit("attributes")
    stage.run("branch", "plain")
    stage.files.write(b"a/b/x.bin", b"what LFS would keep elsewhere")
    stage.commit("filtered")
    reply = json.loads(stage.run("upload-pack"))
    assert list(reply["refs"]) == ["refs/heads/plain"]
    assert "a/b/x.bin (filter=lfs)" in reply["left_out"]["refs/heads/main"]


def test_a_push_whose_publish_fails_has_changed_nothing(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let each publish of a push fail in turn; then the same push is repeated."""
    one = clone.id("main")
    clone.write("a", b"new\n")
    two = clone.commit("two")
    lines = (
        f"= {one} {two} refs/heads/main",
        f"= {one} {two} refs/heads/side",
        f"= {one} {_GONE} refs/heads/gone",
        f"= {_NEW} {two} refs/tags/v1",
    )
    failed = 0
    while True:
        stage = Stage()
        names = ("main", "side", "gone")
        push(stage, clone, *(f"= {_NEW} {one} refs/heads/{name}" for name in names))
        stage.run("upload-pack")
        before, publish, left = seen(stage), stage.store.publish, failed

        def fail(publish: Callable[[], None] = publish) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise StoreFull("no room")
            publish()

        with monkeypatch.context() as patched:
            patched.setattr(stage.store, "publish", fail)
            try:
                assert push(stage, clone, *lines) == {}
                break
            except StoreFull:
                failed += 1
        assert seen(stage) == before
        assert stage.files.read(b"a") == b"1\n"
        assert push(stage, clone, *lines) == {}
        assert stage.files.read(b"a") == b"new\n"
        assert seen(stage) == dict.fromkeys(
            ("refs/heads/main", "refs/heads/side", "refs/tags/v1"), two
        )
    # At least that of the commits and that of the refs.
    assert failed >= 2


def test_refs_that_come_and_go_are_in_the_operation_log(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main")
    clone.write("a", b"new\n")
    two = clone.commit("two")
    push(
        stage,
        clone,
        f"= {one} {two} refs/heads/main",
        f"= {_NEW} {one} refs/heads/idea",
        f"= {_NEW} {two} refs/tags/v1",
    )
    lines = stage.run("oplog").splitlines()
    head = stage.head[:12]
    assert lines[0].endswith(f"push     {head} -> {head} new branch idea, new tag v1")
    assert lines[1].endswith(f"main {head}")
    idea = stage.run("rev-parse", "idea")[:12]
    push(
        stage,
        clone,
        f"= {one} {_GONE} refs/heads/idea",
        f"+ {two} {one} refs/tags/v1",
        f"= {_NEW} {two} refs/heads/x",
        f"= {_NEW} {two} refs/heads/x",
    )
    assert stage.run("oplog", "-n1").endswith(
        f"deleted branch idea (was {idea}), tag v1 moved (was {head}), new branch x\n"
    )
    push(stage, clone, f"= {one} {_GONE} refs/tags/v1", f"= {_NEW} {one} refs/tags/x/../y")
    assert stage.run("oplog", "-n1").endswith(f"deleted tag v1 (was {idea})\n")
    # Undo and redo pass over what changed no file, in either direction.
    stage.reopen()
    stage.run("undo")
    assert stage.files.read(b"a") == b"1\n"
    push(stage, clone, f"= {_NEW} {two} refs/heads/y")
    assert stage.run("oplog", "-n1").endswith("new branch y\n")
    stage.run("redo")
    assert stage.files.read(b"a") == b"new\n"
    stage.run("undo")
    assert stage.files.read(b"a") == b"1\n"
    stage.run("undo")
    with pytest.raises(HeliosError, match="nothing to undo"):
        stage.run("undo")


def test_a_refused_push_is_in_no_log(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main")
    before = stage.run("oplog")
    lines = (f"= {_NEW} {one} refs/heads/idea", f"= {one} {_GONE} refs/heads/main")
    assert len(push(stage, clone, *lines, options=("--atomic",))) == 2
    assert push(stage, clone, lines[0], options=("--dry-run",)) == {}
    assert stage.run("oplog") == before


def test_what_git_cannot_hold_is_told_when_a_push_drops_it(stage: Stage, clone: Clone) -> None:
    one = clone.id("main")
    push(stage, clone, f"= {_NEW} {one} refs/heads/main")
    stage.files.directory(b"dir/empty")
    stage.files.directory(b"other/empty")
    stage.files.fifo(b"dir/pipe")
    stage.commit("here")
    found = json.loads(stage.run("upload-pack", f"--to-git={clone.path}"))
    here = found["refs"]["refs/heads/main"]
    clone.git("reset", "-q", "--hard", here)
    clone.write("dir/b", b"changed\n")
    two = clone.commit("two")
    file = clone.path.parent / "updates"
    file.write_text(f"= {here} {two} refs/heads/main\n")
    words = ("receive-pack", f"--from-git={clone.path}", f"--updates={file}")
    reply = json.loads(stage.run(*words))
    assert reply == {
        "refused": {},
        "lost": {"refs/heads/main": {"empty_directories": 2, "special_files": 1}},
    }
    assert set(stage.files.tree()) == {b"a", b"dir", b"dir/b"}
    stage.run("undo")
    assert b"dir/pipe" in stage.files.tree()
