""".heliosignore against git's .gitignore: the same files are committed, at random."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from heliosfs.objects.ids import TreeId
from heliosfs.trees.stored import EMPTY_TREE, walk_changes
from tests.compat.fuzz_patterns import compare_attributes, run
from tests.git_repository import ENVIRONMENT, Clone
from tests.tree_builder import Stage

NAMES = ["a", "b", "build", "keep", "x.o", "y.o", "z.txt"]
PATTERNS = [
    "*.o", "!x.o", "/build/", "build", "build/", "!build/keep", "**/keep", "a/*", "!a/b", "/a/b/",
    "a/**/x.o", "[xy].o", "?", "*", "!*/", "!*.txt", "/*.txt", "\\!odd", "# remark", "", "b/",
    "!b/", "a/b", "**/build/**", "z.t*t", "keep/ ", "\\*", "!", "/", "//", "a//b", "*.o/",
]  # fmt: skip


def files_of(random_: random.Random) -> dict[str, str]:
    files = {}
    for _ in range(25):
        parts = [random_.choice(NAMES[:4]) for _ in range(random_.randrange(4))]
        files["/".join([*parts, random_.choice(NAMES)])] = str(random_.random())
    for _ in range(random_.choice([1, 1, 2, 3])):
        above = random_.choice(["", "", *[path.rpartition("/")[0] for path in files]])
        lines = random_.choices(PATTERNS, k=random_.randrange(1, 5))
        files[f"{above}/IGNORE".lstrip("/")] = "\n".join(lines) + "\n"
    paths = sorted(files)
    return {
        path: files[path]
        for path in paths
        if not any(other.startswith(path + "/") for other in paths)
    }


def committed(stage: Stage) -> set[str]:
    root = stage.view.head_root()
    assert root is not None
    changes = walk_changes(stage.store, EMPTY_TREE, TreeId(root.oid))
    return {each.path.decode() for each in changes if each.new and not each.new.is_dir}


@pytest.mark.parametrize("seed", range(60))
def test_the_same_files_are_committed(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    clone = Clone(tmp_path / "git")
    stage = Stage()
    there: dict[str, str] = {}
    for number in range(3):
        for path in [path for path in there if random_.random() < 0.5]:
            (clone.path / path.replace("IGNORE", ".gitignore")).unlink()
            stage.files.remove(path.replace("IGNORE", ".heliosignore").encode())
            del there[path]
        for path, text in files_of(random_).items():
            above = [path[:at] for at, mark in enumerate(path) if mark == "/"]
            is_free = path not in there and not any(each.startswith(path + "/") for each in there)
            if not is_free or any(each in there for each in above):
                continue
            if (clone.path / path).is_dir():
                continue
            there[path] = text
            clone.write(path.replace("IGNORE", ".gitignore"), text.encode())
            stage.files.write(path.replace("IGNORE", ".heliosignore").encode(), text.encode())
        clone.git("add", "--all")
        clone.git("commit", "--quiet", "--allow-empty", "-m", str(number))
        stage.run("commit", "--allow-empty", "-m", str(number))
        theirs = clone.git("ls-files").decode().replace(".gitignore", ".heliosignore").split("\n")
        assert committed(stage) == {path for path in theirs if path}, there
        assert stage.run("status", "-s") == ""


@pytest.mark.parametrize("seed", range(60))
def test_git_ignore_files_that_are_taken_in(tmp_path: Path, seed: int) -> None:
    """`#!include:.gitignore`: nested ones, `info/exclude` and negations, as git asks them."""
    random_ = random.Random(seed)
    clone = Clone(tmp_path / "git")
    stage = Stage()

    def write(path: str, text: str) -> None:
        clone.write(path, text.encode())
        stage.files.write(path.encode(), text.encode())

    # It takes nothing out by itself: git has to know nothing of it.
    write(".heliosignore", random_.choice(["", "# ours\n"]) + "#!include:.gitignore\n")
    for number in range(3):
        lines = random_.choices(PATTERNS, k=random_.randrange(4))
        write(".git/info/exclude", "\n".join(lines) + "\n")
        for path, text in files_of(random_).items():
            there = {each.decode() for each in stage.files.tree()}
            above = [path[:at] for at, mark in enumerate(path) if mark == "/"]
            is_file = any((clone.path / each).is_file() for each in above)
            if is_file or (path in there and (clone.path / path).is_dir()):
                continue
            write(path.replace("IGNORE", ".gitignore"), text)
        every = sorted(
            each.decode()
            for each, (mode, _) in stage.files.tree().items()
            if not each.startswith(b".git/") and each != b".git"
        )
        paths = [path for path in every if (clone.path / path).is_file()]
        # With all paths told of, git exits with 0.
        words = ("check-ignore", "-v", "--non-matching", "--no-index", "--", *paths)
        assert stage.run(*words) == checked(clone, words)
        assert ignored(stage.run("status", "--porcelain", "--ignored")) == ignored(
            clone.git("status", "--porcelain", "--ignored", "-unormal").decode()
        )
        clone.git("add", "--all")
        clone.git("commit", "--quiet", "--allow-empty", "-m", str(number))
        stage.run("commit", "--allow-empty", "-m", str(number))
        theirs = clone.git("ls-files").decode().split("\n")
        assert committed(stage) == {path for path in theirs if path}
        assert stage.run("status", "-s") == ""


def checked(clone: Clone, words: tuple[str, ...]) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=clone.path,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr
    return done.stdout.decode()


def ignored(status: str) -> list[str]:
    return sorted(line for line in status.splitlines() if line.startswith("!!"))


def test_the_same_line_decides(tmp_path: Path) -> None:
    """A part of the fuzzer's pairs; its own size is 100,000."""
    assert run(tmp_path, 6_000, seed=7) == []


def test_the_same_attributes(tmp_path: Path) -> None:
    assert run(tmp_path, 3_000, seed=8, compare=compare_attributes) == []
