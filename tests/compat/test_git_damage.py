"""An import names the ref and object that git lacks, and what helps; nothing is half imported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError, NotFound
from tests.git_repository import Clone, fsck, git
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "clone")
    for number in range(3):
        clone.write("dir/file", b"%d\n" % number)
        clone.write(f"new{number}", b"new %d\n" % number)
        clone.commit(f"commit {number}")
    clone.git("branch", "whole", "HEAD~2")
    clone.git("repack", "-ad", "-q")
    clone.git("unpack-objects", "-q", data=_packed(clone))
    return clone


def _packed(clone: Clone) -> bytes:
    """The only pack, taken away so that its objects can be made loose."""
    (pack,) = (clone.path / ".git/objects/pack").glob("*.pack")
    data = pack.read_bytes()
    for file in pack.parent.iterdir():
        file.unlink()
    return data


def loose(clone: Clone, oid: str) -> Path:
    return clone.path / ".git/objects" / oid[:2] / oid[2:]


def import_(stage: Stage, path: Path, *argv: str) -> str:
    return stage.run("import", "--from-git", str(path), *argv)


def refusal(stage: Stage, path: Path, *argv: str) -> str:
    """Return the refusal of an import, which leaves nothing to be seen."""
    with pytest.raises(HeliosError) as caught:
        import_(stage, path, *argv)
    refs = stage.repository.refs
    assert [(branch.name, branch.head) for branch in refs] == [("main", None)]
    assert not refs.tags and not list(stage.repository.history.ids())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("heads/bad", "garbage\n"), ("heads/bad", ""), ("tags/bad", "0" * 40), ("heads/a..b", "{}")],
)
def test_a_broken_ref(stage: Stage, clone: Clone, name: str, content: str) -> None:
    place = clone.path / ".git/refs" / name
    place.write_text(content.format(clone.id("HEAD")))
    said = refusal(stage, clone.path)
    assert said.startswith(f"refs/{name} of ") and f"remove {place}" in said
    assert not list(stage.store.objects)
    if name == "heads/bad":
        assert refusal(stage, clone.path, "--branch", "bad").startswith("refs/heads/bad of ")
    import_(stage, clone.path, "--branch", "trunk")
    place.unlink()
    assert "unchanged: 1" in import_(stage, clone.path)


def test_a_ref_of_an_object_that_is_missing(stage: Stage, clone: Clone) -> None:
    (clone.path / ".git/refs/tags/lost").write_text("12" * 20)
    said = refusal(stage, clone.path)
    assert said.startswith("refs/tags/lost of ") and f"names {'12' * 20}, which is missing" in said
    import_(stage, clone.path, "--branch", "trunk")
    (clone.path / ".git/refs/tags/lost").unlink()
    (clone.path / ".git/HEAD").write_text("34" * 20)
    with pytest.raises(HeliosError, match=f"HEAD of .* names {'34' * 20}, which is missing"):
        import_(stage, clone.path)


def test_a_branch_of_no_commit_is_left_out_by_name(stage: Stage, clone: Clone) -> None:
    (clone.path / ".git/refs/heads/blob").write_text(clone.id("HEAD:dir/file"))
    assert "left out: refs/heads/blob: it names no commit" in import_(stage, clone.path)


@pytest.mark.parametrize("path", ["new1", "dir/file", "dir", ""])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_an_object_further_down(stage: Stage, clone: Clone, path: str, how: str) -> None:
    oid = clone.id(f"trunk~1:{path}" if path else "trunk~1^{tree}")
    place = loose(clone, oid)
    data = place.read_bytes()
    place.chmod(0o644)
    if how == "missing":
        place.unlink()
    else:
        place.write_bytes(data[:2] + b"\xff" * 8 + data[10:])
    said = refusal(stage, clone.path)
    assert oid in said and "refs/heads/trunk needs it" in said
    if how == "damaged" and path not in ("", "dir"):
        assert f"for {path!r}" in said
    assert "git fsck" in said
    import_(stage, clone.path, "--branch", "whole")
    place.write_bytes(data)
    assert "new: heads/trunk" in import_(stage, clone.path)
    stage.run("import", "--verify", str(clone.path))


def test_a_commit_that_is_missing(stage: Stage, clone: Clone) -> None:
    oid = clone.id("trunk~1")
    loose(clone, oid).unlink()
    said = refusal(stage, clone.path)
    assert oid in said and "refs/heads/trunk needs it" in said


@pytest.mark.parametrize("kind", ["blob:none", "tree:0"])
def test_a_partial_clone(stage: Stage, clone: Clone, tmp_path: Path, kind: str) -> None:
    clone.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    url = f"file://{clone.path}"
    clone.git("clone", "--quiet", "--no-checkout", f"--filter={kind}", url, str(partial))
    said = refusal(stage, partial)
    assert re.match(r".* is a partial clone \(remote\.origin\.promisor true\): \d+ objects", said)
    assert "refs/heads/trunk needs it" in said
    assert not list(stage.store.objects)
    assert "'git fetch --refetch --no-filter'" in said
    git(partial, "fetch", "--quiet", "--refetch", "--no-filter")
    import_(stage, partial)
    assert stage.run("import", "--verify", str(partial)).startswith("3 commits")


def test_a_shallow_clone(stage: Stage, clone: Clone, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    clone.git("clone", "--quiet", "--depth=2", f"file://{clone.path}", str(shallow))
    said = refusal(stage, shallow)
    assert "is a shallow clone: the history of refs/heads/trunk ends at " in said
    assert clone.id("trunk~1") in said and clone.id("trunk~2") in said
    assert "'git fetch --unshallow'" in said
    assert not list(stage.store.objects)
    # What is beyond its end is here already.
    import_(stage, clone.path, "--branch", "whole")
    reply = import_(stage, shallow)
    assert "new: heads/trunk" in reply
    assert stage.run("import", "--verify", str(clone.path)).startswith("3 commits")


def test_a_shallow_clone_of_many_branches(stage: Stage, clone: Clone, tmp_path: Path) -> None:
    """Each of the ends is known, however many there are."""
    names = [f"side/{number}" for number in range(12)]
    for name in names:
        clone.git("checkout", "--quiet", "-b", name, "trunk")
        clone.write(name.replace("/", "-"), name.encode())
        clone.commit(name)
    shallow = tmp_path / "shallow"
    url = f"file://{clone.path}"
    clone.git("clone", "--quiet", "--bare", "--depth=1", "--no-single-branch", url, str(shallow))
    for name in names:
        said = refusal(stage, shallow, "--branch", name)
        assert f"is a shallow clone: the history of refs/heads/{name} ends at " in said


def test_no_repository_is_begun_for_what_is_refused(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliosfs.cli.main import main

    (clone.path / ".git/refs/heads/bad").write_text("garbage")
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--from-git", str(clone.path)]) == 1
    assert not (tmp_path / ".helios").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert main(["import", "--from-git", str(clone.path), "--branch", "trunk"]) == 0
    assert (tmp_path / ".helios").exists()


def test_nothing_but_a_wrong_name_is_no_damage(stage: Stage, clone: Clone) -> None:
    with pytest.raises(NotFound, match="has no branch 'none'"):
        import_(stage, clone.path, "--branch", "none")
    with pytest.raises(NotFound, match="has no branch 'HEAD'"):
        import_(stage, clone.path, "--branch", "HEAD")


def test_an_export_completes_what_it_names_or_is_refused(
    stage: Stage, clone: Clone, tmp_path: Path
) -> None:
    """Git may have pruned some objects of an abandoned branch and not others."""
    import_(stage, clone.path)
    out = tmp_path / "out.git"
    clone.git("clone", "--quiet", "--bare", "--branch", "whole", "--single-branch", ".", str(out))
    tip, blob = clone.id("trunk"), clone.id("trunk:dir/file")
    git(
        out, "unpack-objects", "-q", data=git(clone.path, "pack-objects", "-q", "--all", "--stdout")
    )
    (out / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(HeliosError, match=f"refs/heads/trunk would lead to, .*{blob}.*git prune"):
        stage.run("export", "--to-git", str(out), "trunk")
    assert b"trunk" not in git(out, "for-each-ref")
    git(out, "prune")
    stage.run("export", "--to-git", str(out), "trunk")
    assert git(out, "rev-parse", "trunk").decode().strip() == tip
    assert fsck(out) == ""
