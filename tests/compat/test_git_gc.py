"""Garbage collection of imported history: what git still has can be had again."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliosfs.git.ids import IdMap
from heliosfs.git.importer import Import
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.steps import Progress, Turn, perform
from tests.git_repository import Clone, everything
from tests.tree_builder import Stage

ALL = ("gc", "--aggressive", "--remove-old-snapshots", "--before=0s")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "clone")
    clone.write("kept", b"kept\n" * 50)
    clone.write("empty")
    clone.commit("first")
    clone.git("checkout", "--quiet", "-b", "idea")
    clone.write("idea", b"idea\n" * 50)
    clone.write("d/large", bytes(range(256)) * 8_000)
    clone.commit("idea")
    clone.git("tag", "-a", "-m", "annotated", "v1")
    clone.git("checkout", "--quiet", "trunk")
    return clone


def import_(stage: Stage, clone: Clone, *argv: str) -> str:
    return stage.run("import", "--from-git", str(clone.path), *argv)


def test_a_kept_import_goes_on_and_comes_back_unchanged(tmp_path: Path) -> None:
    clone, stage = everything(tmp_path / "clone"), Stage()
    import_(stage, clone)
    stage.run(*ALL)
    stage.run("import", "--verify", str(clone.path))
    clone.write("more", b"more")
    clone.commit("more")
    import_(stage, clone)
    stage.run("export", "--to-git", str(tmp_path / "back.git"))
    back = Clone.__new__(Clone)
    back.path = tmp_path / "back.git"
    names = "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"
    assert back.git(*names) == clone.git(*names)
    assert stage.run("fsck").endswith("all sound\n")


def test_a_branch_that_was_collected_stays_deleted_until_it_is_asked_for(clone: Clone) -> None:
    stage = Stage()
    import_(stage, clone)
    idea = stage.run("rev-parse", "idea").strip()
    stage.run("branch", "-D", "idea")
    stage.run("tag", "-d", "v1")
    reply = stage.run(*ALL)
    assert reply.startswith("removed 1 commit")
    assert stage.run("show", "trunk:empty") == ""
    ids = IdMap(stage.store)
    assert ids.commit(bytes.fromhex(clone.id("idea"))) is None
    assert ids.commit(bytes.fromhex(clone.id("trunk"))) is not None
    assert ids.tag(bytes.fromhex(clone.id("v1"))) is None
    reply = import_(stage, clone)
    assert reply.startswith("0 commits") and "since: idea, v1 (--deleted" in reply
    assert {branch.name for branch in stage.repository.refs} == {"trunk"}
    import_(stage, clone, "--deleted")
    assert stage.run("rev-parse", "idea").strip() == idea
    assert set(stage.repository.refs.tags) == {"v1"}
    stage.run("import", "--verify", str(clone.path))
    assert stage.run("fsck").endswith("all sound\n")


def test_what_an_import_that_was_cut_short_took_in_stays(clone: Clone) -> None:
    stage = Stage()
    git = Git.find(str(clone.path))
    steps = Import(
        stage.repository, git, GitRefs(git, []), portion_bytes=512, written_count=1
    ).run()
    for step in steps:
        if not isinstance(step, (Turn, Progress)):
            perform(step)
        if list(IdMap(stage.store).unfinished.commits()):
            break
    steps.close()
    taken = [oid for _, oid in IdMap(stage.store).unfinished.commits()]
    assert taken
    stage.run(*ALL)
    assert all(stage.store.contains(oid) for oid in taken)
    import_(stage, clone)
    stage.run("import", "--verify", str(clone.path))


def test_a_branch_that_git_rewrote_is_kept_from_then_on(clone: Clone) -> None:
    stage = Stage()
    import_(stage, clone)
    old = stage.run("rev-parse", "idea").strip()
    clone.git("branch", "-f", "idea", "trunk")
    clone.git("tag", "-d", "v1")
    stage.run("tag", "-d", "v1")
    import_(stage, clone)
    assert stage.run("rev-parse", "idea").strip() != old
    stage.run("gc")
    assert stage.run("show", f"{old}:idea").startswith("idea")
