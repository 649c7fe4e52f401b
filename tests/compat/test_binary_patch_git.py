"""`diff --binary` and `show --binary`: what `git apply` makes of them, in both directions."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import pytest

from heliosfs.commands.diff.binary import binary_patch, git_blob_id
from tests.git_repository import ENVIRONMENT
from tests.tree_builder import Stage

Files = dict[str, bytes]


def apply(directory: Path, patch: str, *argv: str) -> None:
    done = subprocess.run(
        ["git", "apply", *argv, "-"],
        cwd=directory,
        input=patch.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr.decode()


def files(directory: Path) -> Files:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_git_applies_it_and_takes_it_back(tmp_path: Path) -> None:
    random = Random(4)
    large = random.randbytes(2_500_000)
    old: Files = {
        "changed": b"\0\1\2" * 100,
        "gone": b"\0gone",
        "grown": b"\0" + b"x" * 300,
        "moved": b"\0" + random.randbytes(3000) + b"\n" + b"line\n" * 700,
        "text": b"1\n2\n3\n",
        "large": large,
        "emptied": b"\0e",
    }
    new = dict(old)
    del new["gone"]
    new |= {
        "changed": b"\0\1\3" * 100,
        "come": bytes(range(256)),
        "grown": b"\0" + b"x" * 500,
        "text": b"1\n2\nthree\n",
        "large": large[:1_000_000] + b"here" + large[1_000_100:],
        "emptied": b"",
    }
    new["to/moved"] = new.pop("moved") + b"line\n"
    stage = Stage()
    for path, data in old.items():
        stage.files.write(path.encode(), data)
        (tmp_path / path).write_bytes(data)
    stage.commit("old")
    for path in old.keys() - new.keys():
        stage.files.remove(path.encode())
    for path, data in new.items():
        stage.files.write(path.encode(), data)
    stage.files.chmod(b"changed", 0o755)
    stage.commit("new")
    patch = stage.run("diff", "--binary", "HEAD~1", "HEAD")
    assert "Binary files" not in patch and "rename from moved" in patch
    assert len(patch) < 200_000
    apply(tmp_path, patch)
    assert files(tmp_path) == new
    assert (tmp_path / "changed").stat().st_mode & 0o100
    apply(tmp_path, patch, "-R")
    assert files(tmp_path) == old
    apply(tmp_path, stage.run("show", "--binary", "--format=", "HEAD"))
    assert files(tmp_path) == new
    apply(tmp_path, stage.run("diff", "--binary", "-R", "HEAD~1", "HEAD", "--", "changed", "come"))
    assert files(tmp_path)["changed"] == old["changed"]
    assert "GIT binary patch" in stage.run("log", "-1", "-p", "--binary")
    assert "GIT binary patch" not in stage.run("diff", "HEAD~1", "HEAD")
    assert "Binary files" in stage.run("diff", "HEAD~1", "HEAD")


@pytest.mark.parametrize("seed", range(12))
def test_any_two_contents(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    old = b"\0" + random.randbytes(random.choice([0, 1, 52, 53, 400, 70_000]))
    at = random.randint(0, len(old))
    new = old[:at] + random.randbytes(random.choice([0, 1, 127, 128, 300])) + old[at + seed :]
    (tmp_path / "f").write_bytes(old)
    head = f"diff --git a/f b/f\nindex {git_blob_id(old)}..{git_blob_id(new)} 100644\n"
    patch = head + binary_patch(old, new).decode()
    if old == new:
        return
    apply(tmp_path, patch)
    assert (tmp_path / "f").read_bytes() == new
    apply(tmp_path, patch, "-R")
    assert (tmp_path / "f").read_bytes() == old
