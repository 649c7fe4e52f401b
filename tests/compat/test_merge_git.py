"""Merge against the real git: the same scenarios make the same trees, or a conflict on both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from heliosfs.errors import Conflicted
from heliosfs.repo.merge.text import Labels, merge_texts
from tests.tree_builder import Stage, TreeBuilder

_DATE = "1700000000 +0000"

Files = dict[str, bytes]


class Pair:
    """The same history in a workspace and in a git repository."""

    def __init__(self, directory: Path) -> None:
        self.stage = Stage()
        self.directory = directory
        self.git("init", "-q", "-b", "main")

    def git(self, *argv: str, code: int = 0) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *argv],
            cwd=self.directory,
            env=os.environ | {"GIT_AUTHOR_DATE": _DATE, "GIT_COMMITTER_DATE": _DATE},
            capture_output=True,
            timeout=60,
            check=False,
            text=True,
            errors="surrogateescape",
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def commit(self, edit: Callable[[Edit], object], branch: str = "main") -> None:
        """Edit both and commit both."""
        if branch != "main":
            self.git("checkout", "-q", branch)
        files = self.stage.files if branch == "main" else self.stage.live(branch)
        edit(Edit(files, self.directory))
        self.stage.run(
            "commit",
            "--allow-empty",
            "-m",
            f"on {branch}",
            branch=None if branch == "main" else branch,
        )
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"on {branch}")
        self.git("checkout", "-q", "main")

    def branch(self, name: str) -> None:
        self.stage.run("branch", name)
        self.git("branch", name)

    def merge(self, name: str, *options: str, into: str = "main") -> bool:
        """Merge in both; whether they agree that it is clean is asserted."""
        self.git("checkout", "-q", into)
        try:
            self.stage.run("merge", *options, name, branch=None if into == "main" else into)
            is_clean = True
        except Conflicted:
            is_clean = False
        strategy = [f"-X{each[2:]}" for each in options if each in ("--ours", "--theirs")]
        plain = [each for each in options if each == "--no-ff"]
        argv = ["merge", "-q", "-m", "m", *plain, *strategy, name]
        self.git(*argv, code=0 if is_clean else 1)
        if is_clean:
            files = self.stage.files if into == "main" else self.stage.live(into)
            assert self.of_stage(files) == self.of_git()
        else:
            self.git("merge", "--abort")
        self.git("checkout", "-q", "main")
        return is_clean

    def of_git(self) -> Files:
        found: Files = {}
        for line in self.git("ls-files", "-s", "-z").split("\0")[:-1]:
            mode, _, rest = line.partition(" ")
            path = rest.partition("\t")[2]
            place = self.directory / path
            data = os.fsencode(os.readlink(place)) if mode == "120000" else place.read_bytes()
            found[path] = mode.encode() + b" " + data
        return found

    def of_stage(self, files: TreeBuilder) -> Files:
        found: Files = {}
        for path, (mode, data) in files.tree().items():
            if mode & 0o170000 != 0o040000:
                kind = "120000" if mode & 0o170000 == 0o120000 else None
                kind = kind or ("100755" if mode & 0o100 else "100644")
                found[os.fsdecode(path)] = kind.encode() + b" " + data
        return found


class Edit:
    """Changes files in both."""

    def __init__(self, files: TreeBuilder, directory: Path) -> None:
        self._files = files
        self._directory = directory

    def write(self, path: str, data: bytes) -> Edit:
        self._files.write(path.encode(), data)
        place = self._directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return self

    def remove(self, path: str) -> Edit:
        self._files.remove(path.encode())
        subprocess.run(["rm", "-r", path], cwd=self._directory, check=True)
        above = path.rpartition("/")[0]
        while above and not list((self._directory / above).iterdir()):
            self._files.remove(above.encode())
            (self._directory / above).rmdir()
            above = above.rpartition("/")[0]
        return self

    def move(self, path: str, new: str) -> Edit:
        self._files.rename(path.encode(), new.encode())
        (self._directory / new).parent.mkdir(parents=True, exist_ok=True)
        (self._directory / path).rename(self._directory / new)
        return self

    def chmod(self, path: str, mode: int) -> Edit:
        self._files.chmod(path.encode(), mode)
        (self._directory / path).chmod(mode)
        return self

    def link(self, path: str, target: str) -> Edit:
        self._files.symlink(path.encode(), target.encode())
        (self._directory / path).symlink_to(target)
        return self


def numbered(*, changed: dict[int, bytes] | None = None, count: int = 40) -> bytes:
    lines = {number: b"line %d" % number for number in range(count)} | (changed or {})
    return b"".join(line + b"\n" for line in lines.values())


BASE: Files = {
    "text": numbered(),
    "other": numbered(count=12),
    "d/deep": numbered(count=25),
    "d/e/deeper": b"x\ny\nz\n",
    "binary": b"\0\1\2" * 50,
    "run": b"#!/bin/sh\n",
}

SCENARIOS: dict[str, tuple[bool, Callable[[Edit], object], Callable[[Edit], object]]] = {
    "disjoint lines": (
        True,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.write("text", numbered(changed={30: b"theirs"})),
    ),
    "one line between": (
        True,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.write("text", numbered(changed={5: b"theirs"})),
    ),
    "touching lines": (
        False,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.write("text", numbered(changed={4: b"theirs"})),
    ),
    "same line": (
        False,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.write("text", numbered(changed={3: b"theirs"})),
    ),
    "same change": (
        True,
        lambda e: e.write("text", numbered(changed={3: b"both"})),
        lambda e: e.write("text", numbered(changed={3: b"both", 20: b"more"})),
    ),
    "disjoint files": (
        True,
        lambda e: e.write("new", b"n").remove("other"),
        lambda e: e.write("f/new", b"n").remove("d"),
    ),
    "both add the same": (
        True, lambda e: e.write("new", b"n\n"), lambda e: e.write("new", b"n\n")
    ),
    "both add differently": (
        False, lambda e: e.write("new", b"n\n"), lambda e: e.write("new", b"m\n")
    ),
    "modify and delete": (
        False, lambda e: e.write("other", b"o\n"), lambda e: e.remove("other")
    ),
    "delete and modify": (
        False, lambda e: e.remove("other"), lambda e: e.write("other", b"o\n")
    ),
    "both delete": (True, lambda e: e.remove("other"), lambda e: e.remove("other")),
    "rename and modify": (
        True,
        lambda e: e.move("text", "renamed"),
        lambda e: e.write("text", numbered(changed={7: b"theirs"})),
    ),
    "modify and rename": (
        True,
        lambda e: e.write("text", numbered(changed={7: b"ours"})),
        lambda e: e.move("text", "g/renamed"),
    ),
    "rename with edits and modify": (
        True,
        lambda e: e.move("text", "renamed").write("renamed", numbered(changed={1: b"o"})),
        lambda e: e.write("text", numbered(changed={30: b"theirs"})),
    ),
    "both rename to the same": (
        True, lambda e: e.move("text", "renamed"), lambda e: e.move("text", "renamed")
    ),
    "both rename differently": (
        False, lambda e: e.move("text", "one"), lambda e: e.move("text", "two")
    ),
    "rename and delete": (
        False, lambda e: e.move("text", "one"), lambda e: e.remove("text")
    ),
    "rename onto an addition": (
        False,
        lambda e: e.move("text", "one").write("one", numbered(changed={1: b"o"})),
        lambda e: e.write("text", numbered(changed={9: b"t"})).write("one", b"other\n"),
    ),
    "binary, one side": (
        True, lambda e: e.write("binary", b"\0\3"), lambda e: e.write("text", b"t\n")
    ),
    "binary, both sides": (
        False, lambda e: e.write("binary", b"\0\3"), lambda e: e.write("binary", b"\0\4")
    ),
    "mode and content": (
        True, lambda e: e.chmod("run", 0o755), lambda e: e.write("run", b"#!/bin/bash\n")
    ),
    "file becomes directory": (
        True,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.remove("other").write("other/in", b"i\n"),
    ),
    "directory becomes file": (
        True,
        lambda e: e.write("text", numbered(changed={3: b"ours"})),
        lambda e: e.remove("d").write("d", b"file\n"),
    ),
    "file against directory": (
        False, lambda e: e.write("place", b"p\n"), lambda e: e.write("place/in", b"i\n")
    ),
    "directory against file": (
        False, lambda e: e.write("place/in", b"i\n"), lambda e: e.write("place", b"p\n")
    ),
    "directory against file, kept inside": (
        False,
        lambda e: e.write("d/new", b"n\n"),
        lambda e: e.remove("d").write("d", b"file\n"),
    ),
    "link against file": (
        False,
        lambda e: e.remove("other").link("other", "text"),
        lambda e: e.write("other", b"o\n"),
    ),
    "link on one side": (
        True,
        lambda e: e.remove("other").link("other", "text"),
        lambda e: e.write("text", b"t\n"),
    ),
    "empty a directory and add to it": (
        True, lambda e: e.remove("d/e"), lambda e: e.write("d/e/new", b"n\n")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("favor", ["", "--ours", "--theirs"])
def test_scenario(tmp_path: Path, name: str, favor: str) -> None:
    is_clean, ours, theirs = SCENARIOS[name]
    pair = Pair(tmp_path)
    pair.commit(lambda edit: [edit.write(path, data) for path, data in BASE.items()])
    pair.branch("x")
    pair.commit(theirs, "x")
    pair.commit(ours)
    if not favor:
        assert pair.merge("x") == is_clean
        return
    reply = pair.stage.run("merge", favor, "x")
    assert reply.startswith("Merge made")
    if is_clean or name in ("touching lines", "same line", "binary, both sides"):
        pair.git("merge", "-q", "-m", "m", f"-X{favor[2:]}", "x")
        assert pair.of_stage(pair.stage.files) == pair.of_git()


def test_fast_forward_and_no_ff(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.commit(lambda edit: edit.write("a", b"1\n"))
    pair.branch("x")
    pair.commit(lambda edit: edit.write("a", b"2\n"), "x")
    assert pair.merge("x", "--no-ff")
    assert len(pair.git("log", "--oneline").splitlines()) == 3
    assert len(pair.stage.run("log", "--oneline").splitlines()) == 3
    assert pair.stage.run("merge", "x") == "Already up to date.\n"
    assert "Fast-forward" in pair.stage.run("merge", "main", branch="x")


def test_criss_cross(tmp_path: Path) -> None:
    """Two merge bases, which are merged first."""
    pair = Pair(tmp_path)
    pair.commit(lambda edit: edit.write("text", numbered()))
    pair.branch("x")
    pair.commit(lambda edit: edit.write("text", numbered(changed={2: b"two"})))
    pair.commit(lambda edit: edit.write("text", numbered(changed={20: b"twenty"})), "x")
    pair.stage.run("branch", "old")
    pair.git("branch", "old")
    assert pair.merge("x")
    assert pair.merge("old", into="x")
    both = {2: b"two", 20: b"twenty"}
    pair.commit(lambda edit: edit.write("text", numbered(changed=both | {30: b"ours"})))
    pair.commit(lambda edit: edit.write("text", numbered(changed=both | {10: b"theirs"})), "x")
    assert pair.merge("x")


def edited(random: Random, lines: list[bytes]) -> list[bytes]:
    lines = list(lines)
    for _ in range(random.randint(0, 3)):
        at = random.randint(0, len(lines))
        match random.randint(0, 2):
            case 0:
                lines.insert(at, b"new %d\n" % random.randint(0, 99))
            case 1:
                del lines[at : at + random.randint(1, 3)]
            case _:
                lines[at : at + 1] = [b"changed %d\n" % random.randint(0, 99)]
    return lines


def test_texts_as_git_merge_file_has_them(tmp_path: Path) -> None:
    """Lines that are all different leave no choice where they match."""
    random = Random(7)
    for _ in range(60):
        base = [b"line %d\n" % number for number in range(random.randint(0, 20))]
        texts = [b"".join(each) for each in (edited(random, base), base, edited(random, base))]
        for name, data in zip("abc", texts, strict=True):
            (tmp_path / name).write_bytes(data)
        argv = ["git", "merge-file", "-p", "--diff3", "-L", "a", "-L", "o", "-L", "b"]
        done = subprocess.run(
            [*argv, "a", "b", "c"], cwd=tmp_path, capture_output=True, check=False
        )
        merged = merge_texts(texts[1], texts[0], texts[2], labels=Labels("a", "o", "b"))
        assert bool(merged.conflict_count) == bool(done.returncode)
        if not done.returncode:
            assert merged.data == done.stdout
