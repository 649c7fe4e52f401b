"""Files with filters are reported at import, and kept out of git's objects at export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.errors import NotPermitted
from tests.git_repository import Clone, git
from tests.tree_builder import Stage

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 3\n" % 7
ATTRIBUTES = (
    b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.key filter=git-crypt\n*.c ident\n"
    b"*.bat eol=crlf\n*.u16 working-tree-encoding=UTF-16\n*.raw -text eol=lf -filter\n"
)
FILES = {
    ".gitattributes": ATTRIBUTES,
    "a.bin": POINTER,
    "d/b.bin": POINTER,
    "s.key": b"\0GITCRYPT\0secret",
    "x.c": b"int x;\n",
    "x.bat": b"rem\n",
    "x.u16": "x\n".encode("utf-16"),
    "x.raw": b"x\n",
    "d/.gitattributes": b"plain.bin !filter\n",
    "d/plain.bin": b"\0\1",
}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path / "git", "main")
    for name, data in FILES.items():
        clone.write(name, data)
    clone.commit("first")
    return clone


@pytest.fixture
def stage(clone: Clone) -> Stage:
    stage = Stage()
    said = stage.run("import", "--from-git", str(clone.path))
    assert (
        "  6 files have filters or conversions: eol=crlf (1), filter=git-crypt (1), "
        "filter=lfs (2), ident (1), working-tree-encoding=UTF-16 (1): not converted" in said
    )
    return stage


def export(stage: Stage, clone: Clone, *argv: str) -> str:
    return stage.run("export", *argv, "--to-git", str(clone.path), "main:out")


def exported(clone: Clone, path: str) -> bytes:
    return clone.git("show", f"out:{path}")


@pytest.mark.parametrize("words", [[], ["--squash"]])
def test_a_decrypted_secret_does_not_get_into_git(
    stage: Stage, clone: Clone, words: list[str]
) -> None:
    stage.files.write(b"x.raw", b"fine\n")
    stage.run("commit", "-m", "fine")
    stage.files.write(b"s.key", b"the secret")
    stage.files.write(b"d/b.bin", b"contents")
    stage.run("commit", "-m", "contents")
    before = clone.git("count-objects", "-v"), clone.git("for-each-ref")
    with pytest.raises(NotPermitted) as caught:
        export(stage, clone, *words)
    said = str(caught.value)
    assert "2 files have filters in git" in said
    assert "d/b.bin (filter=lfs), s.key (filter=git-crypt)" in said
    assert "--with-filtered" in said
    assert (clone.git("count-objects", "-v"), clone.git("for-each-ref")) == before
    reply = export(stage, clone, "--with-filtered", *words)
    assert "not converted: 2 files have filters: filter=git-crypt (1), filter=lfs (1)" in reply
    assert exported(clone, "s.key") == b"the secret"


def test_what_git_stores_so_goes(stage: Stage, clone: Clone) -> None:
    """Pointers, encrypted files, empty ones, and bytes that git has already."""
    stage.files.write(b"new.bin", POINTER.replace(b"size 3", b"size 4"))
    stage.files.write(b"new.key", b"\0GITCRYPT\0other")
    stage.files.write(b"empty.key", b"")
    stage.files.write(b"copy.key", b"int x;\n")
    stage.files.rename(b"a.bin", b"moved.bin")
    stage.files.write(b"x.c", b"int y;\n")
    stage.files.write(b"x.bat", b"rem more\n")
    stage.run("commit", "-m", "more")
    reply = export(stage, clone)
    assert "not converted: 2 files have filters or conversions: eol=crlf (1), ident (1)" in reply
    assert exported(clone, "moved.bin") == POINTER
    assert json.loads(export(stage, clone, "--json"))["converted"] == {}


def test_a_merge_answers_for_what_none_of_its_parents_had(stage: Stage, clone: Clone) -> None:
    stage.run("branch", "side")
    stage.live("side").write(b"side.bin", b"contents")
    stage.run("commit", "-m", "side", branch="side")
    export(stage, clone)
    stage.run("export", "--with-filtered", "--to-git", str(clone.path), "side:side")
    stage.commit("ours", mine=b"1\n")
    stage.run("merge", "side")
    export(stage, clone)
    assert exported(clone, "side.bin") == b"contents"


def test_a_new_repository_and_patterns_of_its_own(tmp_path: Path, clone: Clone) -> None:
    stage = Stage()
    stage.commit("first", **{".gitattributes": b"*.key filter=x\n", "a.key": b"1"})
    with pytest.raises(NotPermitted, match=r"1 file has a filter in git.* a\.key \(filter=x\)"):
        stage.run("export", "--to-git", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    plain = Stage()
    plain.commit("first", secret=b"1")
    (clone.path / ".git" / "info").mkdir(exist_ok=True)
    (clone.path / ".git" / "info" / "attributes").write_bytes(b"secret filter=mine\n")
    with pytest.raises(NotPermitted, match="filter=mine"):
        export(plain, clone)
    assert git(clone.path, "status", "--porcelain") == b""
