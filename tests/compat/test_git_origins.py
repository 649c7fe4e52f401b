"""Several git repositories in one store, detached HEADs, and what was deleted on either side."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest

from heliosfs.errors import AlreadyExists, Busy, NotFound, StoreError, UsageError
from heliosfs.store.memory import MemoryStore
from tests.git_repository import Clone, everything, fsck, git, refs_of
from tests.tree_builder import Stage
from tests.verb_scenarios import picture


@pytest.fixture
def stage() -> Stage:
    return Stage()


def repository(path: Path, *branches: str) -> Clone:
    """One commit that no other repository has, `trunk` and other branches at it, a tag `v1`."""
    clone = Clone(path)
    clone.write(f"in-{path.name}", path.name.encode())
    clone.commit(f"{path.name} one")
    for name in branches:
        clone.git("branch", name)
    clone.git("tag", "-a", "-m", f"of {path.name}", "v1")
    return clone


def import_(stage: Stage, clone: Clone | Path, *argv: str) -> str:
    path = clone.path if isinstance(clone, Clone) else clone
    return stage.run("import", "--from-git", str(path), *argv)


def export(stage: Stage, path: Path, *argv: str) -> str:
    return stage.run("export", "--to-git", str(path), *argv)


def heads(stage: Stage) -> dict[str, str]:
    """The subject of the commit of each branch and tag."""
    refs = stage.repository.refs
    named = {branch.name: branch.head for branch in refs}
    named |= {f"tag {name}": oid for name, oid in refs.tags.items()}
    read = stage.repository.history.read
    return {name: read(oid).subject if oid else "" for name, oid in named.items()}


def test_the_second_repository_moves_nothing_of_the_first(stage: Stage, tmp_path: Path) -> None:
    one, two = repository(tmp_path / "one", "dev"), repository(tmp_path / "two", "dev", "own")
    import_(stage, one)
    before = heads(stage)
    reply = import_(stage, two)
    assert "'trunk' belongs to another repository here: this repository's is 'two/trunk'" in reply
    expected = dict.fromkeys(("two/trunk", "two/dev", "own", "tag two/v1"), "two one")
    assert heads(stage) == before | expected
    # Each goes on by itself, forwards and to something else.
    two.write("more", b"m")
    two.commit("two two")
    two.git("tag", "-f", "v1", "HEAD")
    two.git("branch", "-f", "dev", "HEAD")
    assert "moved: heads/two/trunk" in import_(stage, two)
    assert heads(stage) == before | expected | dict.fromkeys(
        ("two/trunk", "two/dev", "tag two/v1"), "two two"
    )
    one.git("commit", "--amend", "--quiet", "-m", "one again")
    assert "moved: heads/trunk" in import_(stage, one)
    assert heads(stage)["trunk"] == "one again" and heads(stage)["two/trunk"] == "two two"
    for clone, count in ((one, 1), (two, 2)):
        # What `one` rewrote is still in its branch `dev`.
        said = stage.run("import", "--verify", str(clone.path))
        assert said.startswith(f"{len(clone.git('rev-list', '--all').split())} commits"), count


def test_each_gets_back_what_is_its_own(stage: Stage, tmp_path: Path) -> None:
    one, two = repository(tmp_path / "one", "dev"), repository(tmp_path / "two", "dev")
    import_(stage, one)
    import_(stage, two)
    stage.run("checkout", "two/dev")
    stage.commit("mine", mine=b"x")
    refs = refs_of(one.path), refs_of(two.path)
    two.git("checkout", "--quiet", "--detach")
    reply = export(stage, two.path)
    assert "left out: dev, trunk, v1: of other repositories" in reply
    after = refs_of(two.path)
    assert after.pop("refs/heads/dev") == two.id("dev") != refs[1].pop("refs/heads/dev")
    assert after == refs[1]
    # A branch of here that was begun from there is of there.
    stage.run("checkout", "-b", "idea", "two/dev")
    stage.commit("idea", idea=b"x")
    assert "left out: idea, two/dev, two/trunk, two/v1" in export(stage, one.path)
    export(stage, two.path)
    assert two.git("log", "-1", "--format=%s", "idea") == b"idea\n"
    stage.run("checkout", "trunk")
    stage.run("branch", "-D", "idea")
    two.git("branch", "-D", "idea")
    assert two.git("log", "-1", "--format=%s", "dev") == b"mine\n"
    assert "0 new objects" in export(stage, one.path)
    assert refs_of(one.path) == refs[0]
    # Where nothing was, everything goes, under the names of here.
    out = tmp_path / "all.git"
    export(stage, out)
    assert set(refs_of(out)) == {
        *(f"refs/heads/{name}" for name in ("trunk", "dev", "two/trunk", "two/dev")),
        *("refs/tags/v1", "refs/tags/two/v1"),
    }
    assert refs_of(out)["refs/tags/two/v1"] == two.id("refs/tags/v1")
    # And what others commit there comes back.
    stage.run("checkout", "trunk")
    git(tmp_path, "clone", "--quiet", "--branch", "trunk", str(out), str(tmp_path / "away"))
    git(tmp_path / "away", "commit", "--quiet", "--allow-empty", "-m", "away")
    git(tmp_path / "away", "push", "--quiet", str(out), "HEAD:trunk")
    assert "moved: heads/trunk" in import_(stage, out)
    assert heads(stage)["trunk"] == "away"


def test_a_name_is_given_or_made(stage: Stage, tmp_path: Path) -> None:
    one = repository(tmp_path / "one")
    import_(stage, one, "--as", "first")
    assert heads(stage) == {"first/trunk": "one one", "tag first/v1": "one one"}
    assert stage.view.branch == "first/trunk"
    assert "unchanged: 2" in import_(stage, one)
    with pytest.raises(AlreadyExists, match="is known as 'first' already"):
        import_(stage, one, "--as", "other")
    other = repository(tmp_path / "x" / "first.git")
    with pytest.raises(AlreadyExists, match="'first' is another repository"):
        import_(stage, other, "--as", "first")
    stage.run("branch", "taken")
    with pytest.raises(AlreadyExists, match="there is a branch or tag 'taken'"):
        import_(stage, other, "--as", "taken")
    assert "trunk" not in heads(stage)
    # A name that is made of the path is one that nothing has.
    import_(stage, other)
    odd = repository(tmp_path / "y" / "-odd  name: [1]..x")
    assert "odd-name-1--x/trunk" in import_(stage, odd)
    third = repository(tmp_path / "y" / "taken")
    reply = json.loads(import_(stage, third, "--json"))
    assert reply["apart"] == {"trunk": "taken-2/trunk", "v1": "taken-2/v1"}


def test_a_repository_that_moved_is_known_and_a_copy_is_another(
    stage: Stage, tmp_path: Path
) -> None:
    one = repository(tmp_path / "one")
    import_(stage, one)
    one.path.rename(tmp_path / "moved")
    one.path = tmp_path / "moved"
    one.commit("two")
    assert "moved: heads/trunk" in import_(stage, one)
    shutil.copytree(one.path, tmp_path / "copy")
    assert "unchanged: 2" in import_(stage, tmp_path / "copy")
    git(tmp_path / "copy", "commit", "--quiet", "--allow-empty", "-m", "of the copy")
    assert "new: heads/copy/trunk" in import_(stage, tmp_path / "copy")
    assert heads(stage) == {
        "trunk": "two",
        "copy/trunk": "of the copy",
        "tag v1": "one one",
    }
    # Whoever says so has it follow.
    shutil.rmtree(one.path)
    shutil.copytree(tmp_path / "copy", tmp_path / "back")
    assert "moved: heads/trunk" in import_(stage, tmp_path / "back", "--as", "one")
    assert heads(stage)["trunk"] == "of the copy"
    # Also afterwards, when it was taken for another one first.
    git(tmp_path / "copy", "commit", "--quiet", "--allow-empty", "-m", "more")
    assert "moved: heads/copy/trunk" in import_(stage, tmp_path / "copy")
    assert "moved: heads/trunk" in import_(stage, tmp_path / "copy", "--as", "one")
    git(tmp_path / "copy", "commit", "--quiet", "--allow-empty", "-m", "yet more")
    assert "moved: heads/trunk" in import_(stage, tmp_path / "copy")
    assert heads(stage) == {"trunk": "yet more", "copy/trunk": "more", "tag v1": "one one"}


def test_another_repository_in_the_place_of_the_first(stage: Stage, tmp_path: Path) -> None:
    import_(stage, repository(tmp_path / "one"))
    shutil.rmtree(tmp_path / "one")
    clone = Clone(tmp_path / "one")
    clone.commit("something else")
    assert "new: heads/one-2/trunk" in import_(stage, clone)
    assert heads(stage)["trunk"] == "one one"
    shutil.rmtree(tmp_path / "one")
    for name in ("a", "b"):
        shutil.copytree(repository(tmp_path / "src" / name).path, tmp_path / name)
        import_(stage, tmp_path / name)
    git(tmp_path / "a", "fetch", "--quiet", str(tmp_path / "b"), "trunk")
    for name in ("a", "b"):
        (tmp_path / name).rename(tmp_path / f"{name}-old")
    with pytest.raises(Busy, match="may be 'a' or 'b', which moved"):
        import_(stage, tmp_path / "a-old")


def test_a_detached_head_becomes_a_branch(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one")
    clone.git("checkout", "--quiet", "--detach")
    clone.commit("detached")
    import_(stage, clone)
    assert stage.view.branch == "imported/HEAD"
    assert heads(stage) == {
        "trunk": "one one",
        "imported/HEAD": "detached",
        "tag v1": "one one",
    }
    assert stage.run("import", "--verify", str(clone.path)).startswith("2 commits")
    clone.commit("further")
    assert "moved: heads/imported/HEAD" in import_(stage, clone)
    # Git has it as its HEAD: no branch of it is made there.
    assert "0 new objects" in export(stage, clone.path)
    assert set(refs_of(clone.path)) == {"refs/heads/trunk", "refs/tags/v1"}
    stage.commit("mine", mine=b"x")
    export(stage, clone.path)
    assert clone.git("log", "-1", "--format=%s", "imported/HEAD") == b"mine\n"
    # The same in a second repository, and where a branch has what HEAD names.
    other = repository(tmp_path / "two")
    other.git("checkout", "--quiet", "--detach")
    reply = import_(stage, other)
    assert f"HEAD is detached in git at {other.id('HEAD')}, which is part of heads/trunk" in reply
    other.commit("of two")
    assert "new: heads/two/HEAD" in import_(stage, other)
    # That of another working tree is told of where nothing else has its commit.
    for name in ("beside", "same"):
        other.git("worktree", "add", "--quiet", "--detach", str(tmp_path / name), "trunk")
    git(tmp_path / "beside", "commit", "--quiet", "--allow-empty", "-m", "beside")
    reply = import_(stage, other)
    assert f"left out: HEAD of {tmp_path / 'beside'}, detached at" in reply
    assert str(tmp_path / "same") not in reply
    assert "moved: heads/two/HEAD" in import_(stage, tmp_path / "beside")
    assert heads(stage)["two/HEAD"] == "beside"
    assert heads(stage)["imported/HEAD"] == "mine"


def test_a_checkout_as_ci_makes_it(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one")
    ci = Clone(tmp_path / "ci")
    ci.git("fetch", "--quiet", "--no-tags", str(clone.path), "trunk:refs/remotes/origin/trunk")
    with pytest.raises(NotFound, match=r"only other refs \(1 in refs/remotes\)"):
        import_(stage, ci)
    ci.git("checkout", "--quiet", "--detach", "origin/trunk")
    reply = import_(stage, ci)
    assert "new: heads/imported/HEAD" in reply
    assert "left out: 1 refs in refs/remotes" in reply
    assert stage.view.branch == "imported/HEAD"
    assert stage.files.read(b"in-one") == b"one"


def test_what_was_deleted_here_stays_deleted(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one", "gone", "moving")
    import_(stage, clone)
    stage.run("branch", "-d", "gone", "moving")
    stage.run("tag", "-d", "v1")
    reply = import_(stage, clone)
    assert "deleted here, and not moved in git since: gone, moving, v1" in reply
    assert heads(stage) == {"trunk": "one one"}
    assert "deleted here, still in git: heads/gone, heads/moving, tags/v1" in export(
        stage, clone.path
    )
    clone.write("more", b"m")
    clone.commit("two")
    clone.git("branch", "-f", "moving")
    reply = import_(stage, clone)
    assert "new: heads/moving" in reply and "since: gone, v1" in reply
    assert "new: heads/gone" in import_(stage, clone, "--branch", "gone")
    import_(stage, clone, "--deleted")
    assert set(heads(stage)) == {"trunk", "gone", "moving", "tag v1"}


def test_what_was_deleted_in_git_is_told_and_stays_deleted(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one", "topic", "work")
    import_(stage, clone)
    stage.run("checkout", "work")
    stage.commit("mine", mine=b"x")
    stage.run("checkout", "trunk")
    clone.git("branch", "-D", "--quiet", "topic", "work")
    clone.git("tag", "-d", "v1")
    clone.git("branch", "topic/a")
    reply = import_(stage, clone)
    assert "deleted in git, still here: topic, v1, work" in reply
    assert "'topic/a' is in conflict with a branch name here: git's is 'imported/topic/a'" in reply
    clone.git("checkout", "--quiet", "--detach")
    reply = export(stage, clone.path)
    assert "left out: topic, v1: deleted in git, not moved here since" in reply
    assert set(refs_of(clone.path)) == {
        *("refs/heads/trunk", "refs/heads/topic/a", "refs/heads/work"),
    }
    # In the way there, it is left out by name, and refused when it is asked for.
    with pytest.raises(Busy, match="git cannot hold branch 'topic' beside refs/heads/topic/a"):
        export(stage, clone.path, "topic")
    stage.run("branch", "-d", "topic")
    reply = import_(stage, clone)
    assert "new: heads/topic/a" in reply and "still here: v1" in reply


def test_what_was_put_aside_and_deleted_stays_deleted(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one")
    import_(stage, clone)
    mine = stage.commit("mine", mine=b"x")
    clone.commit("theirs")
    assert "git's is 'imported/trunk'" in import_(stage, clone)
    stage.run("branch", "-D", "imported/trunk")
    reply = import_(stage, clone)
    assert "not moved in git since: imported/trunk" in reply and "work of its own" not in reply
    assert set(heads(stage)) == {"trunk", "tag v1"} and stage.head == mine
    clone.commit("more of theirs")
    assert "git's is 'imported/trunk'" in import_(stage, clone)
    # Work on it is not moved either.
    stage.run("checkout", "imported/trunk")
    stage.commit("on it", on=b"x")
    clone.commit("still more")
    assert "left out: refs/heads/trunk: 'imported/trunk' has work" in import_(stage, clone)
    assert heads(stage)["imported/trunk"] == "on it"


def test_a_branch_that_is_in_the_way_in_git_is_left_out(stage: Stage, tmp_path: Path) -> None:
    clone = repository(tmp_path / "one", "topic")
    import_(stage, clone)
    stage.run("branch", "-d", "topic")
    stage.run("branch", "topic/a")
    reply = export(stage, clone.path)
    assert "left out: topic/a: git cannot have it beside refs/heads/topic" in reply
    assert "deleted here, still in git: heads/topic" in reply


def test_what_a_store_of_before_knows_of_refs_goes_to_its_repository(
    stage: Stage, tmp_path: Path
) -> None:
    one, two = repository(tmp_path / "one"), repository(tmp_path / "two", "dev")
    import_(stage, one)
    import_(stage, two, "--branch", "dev")
    store = stage.store
    for key, value in list(store.scan(b"git-ref/")):
        number, _, name = key[len(b"git-ref/") :].partition(b"/")
        if number == b"00000001" or name == b"refs/heads/dev":
            store.put(b"git-ref/" + name, value[2 : 2 + value[0]])
        store.put(key, None)
    for key, _ in list(store.scan(b"git-origin/")):
        store.put(key, None)
    store.publish()
    two.commit("two two")
    two.git("branch", "-f", "dev")
    one.commit("one two")
    assert "moved: heads/dev" in import_(stage, two)
    assert heads(stage)["two/trunk"] == "two two"
    assert "moved: heads/trunk" in import_(stage, one)
    assert heads(stage)["dev"] == "two two"
    assert not [key for key, _ in store.scan(b"git-ref/refs/")]


class FailingStore(MemoryStore):
    """A store whose publish number `fail_at` fails, from when it is set."""

    fail_at = 0
    count = 0

    def publish(self) -> None:
        self.count += 1
        if self.count == self.fail_at:
            raise StoreError("the disk failed")
        super().publish()


def seen(stage: Stage) -> dict[str, object]:
    """All that a user can see, but for commits without a name, and what is remembered of git."""
    known = picture(stage.repository)
    del known["commits"]
    return known | {key.decode(): value for key, value in stage.store.scan(b"git-ref/")}


def test_all_refs_of_an_import_move_or_none(tmp_path: Path) -> None:
    clone = repository(tmp_path / "one", "live", "rewritten", "deleted", "own", "topic")
    before = Stage(FailingStore())
    import_(before, clone)
    before.run("checkout", "own")
    before.commit("mine", mine=b"x")
    before.run("checkout", "trunk")
    before.run("branch", "-d", "deleted")
    clone.write("more", b"m")
    clone.commit("two")
    for name in ("live", "own", "new"):
        clone.git("branch", "-f", name)
    clone.git("tag", "-f", "v1")
    clone.git("commit", "--quiet", "--amend", "-m", "rewritten")
    clone.git("branch", "-f", "rewritten")
    clone.git("reset", "--quiet", "--hard", "HEAD@{1}")
    clone.git("branch", "-D", "--quiet", "topic")
    clone.git("branch", "topic/a")
    clone.git("checkout", "--quiet", "--detach")
    clone.commit("detached")
    fail_at, stage, after = 0, before, None
    while after is None:
        fail_at += 1
        # It has no promises, and their lock cannot be copied.
        promises = before.store.promises
        store = copy.deepcopy(before.store, {id(promises): promises})
        assert isinstance(store, FailingStore)
        stage = Stage(store)
        stage.live("live").write(b"uncommitted", b"of live")
        stage.repository.checkpoint()
        was = seen(stage)
        store.count, store.fail_at = 0, fail_at
        try:
            import_(stage, clone)
            after = seen(stage)
        except StoreError:
            assert seen(stage) == was, fail_at
            stage.crash()
            assert seen(stage) == was, fail_at
            import_(stage, clone)
            assert heads(stage)["rewritten"] == "rewritten"
    assert fail_at > 2
    two = ("trunk", "new", "tag v1", "imported/own", "imported/live", "imported/topic/a")
    assert heads(stage) == dict.fromkeys(two, "two") | {
        "live": "one one",
        "topic": "one one",
        "own": "mine",
        "rewritten": "rewritten",
        "imported/HEAD": "detached",
    }


def test_repositories_of_either_hash_beside_each_other(stage: Stage, tmp_path: Path) -> None:
    one = everything(tmp_path / "one")
    two = everything(tmp_path / "two", object_format="sha256")
    for clone in (one, two):
        import_(stage, clone)
    for clone in (one, two, one):
        assert stage.run("import", "--verify", str(clone.path)).startswith("13 commits")
        assert "moved" not in import_(stage, clone)
    with pytest.raises(UsageError, match=r"from a sha1 repository, and '.*' from a sha256"):
        export(stage, tmp_path / "both.git")
    assert not (tmp_path / "both.git").exists()
    for clone, name in ((one, "trunk"), (two, "two/trunk")):
        out = tmp_path / f"{clone.path.name}.git"
        export(stage, out, f"{name}:trunk")
        assert refs_of(out) == {"refs/heads/trunk": clone.id("trunk")}
        assert fsck(out) == ""
    with pytest.raises(UsageError, match="ids of 20 bytes"):
        export(stage, tmp_path / "two.git", "trunk:other")
    # New commits on top get ids of the same kind, and come back as what they are here.
    stage.run("checkout", "two/trunk")
    mine = stage.commit("mine", mine=b"x")
    two.git("checkout", "--quiet", "--detach")
    export(stage, two.path)
    assert len(two.id("trunk")) == 64 and "unchanged" in import_(stage, two)
    assert stage.run("rev-parse", "two/trunk").strip() == mine
