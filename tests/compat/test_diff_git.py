"""diff against the real git and patch: what they make of it is the new tree."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.tree_builder import Stage

Tree = dict[bytes, tuple[int, bytes]]


def git(directory: Path, *argv: str, data: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *argv], cwd=directory, input=data, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def write_out(tree: Tree, directory: Path) -> None:
    directory.mkdir()
    for path, (mode, data) in tree.items():
        place = os.path.join(os.fsencode(directory), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if stat.S_ISLNK(mode):
            os.symlink(data, place)
        elif stat.S_ISREG(mode):
            with open(place, "wb") as file:
                file.write(data)
            os.chmod(place, 0o755 if mode & 0o100 else 0o644)


def read_in(directory: Path) -> Tree:
    """The files and links as git sees them: kind, executable bit, bytes."""
    tree: Tree = {}
    root = os.fsencode(directory)
    for parent, directories, names in os.walk(root):
        if b".git" in directories:
            directories.remove(b".git")
        for name in [*names, *directories]:
            place = os.path.join(parent, name)
            path = os.path.relpath(place, root)
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode):
                tree[path] = (stat.S_IFLNK, os.readlink(place))
            elif stat.S_ISREG(status.st_mode):
                with open(place, "rb") as file:
                    tree[path] = (stat.S_IFREG | status.st_mode & 0o100, file.read())
    return tree


def as_git_sees(tree: Tree) -> Tree:
    return {
        path: (stat.S_IFMT(mode) | (0 if stat.S_ISLNK(mode) else mode & 0o100), data)
        for path, (mode, data) in tree.items()
        if not stat.S_ISDIR(mode)
    }


def diff_of(stage: Stage, *argv: str) -> bytes:
    return stage.run("diff", *argv).encode("utf-8", "surrogateescape")


@pytest.fixture
def stage() -> Stage:
    """A base commit, and one change of every kind on top of it."""
    stage = Stage()
    files = stage.files
    long = b"".join(b"line %d\n" % number for number in range(200))
    for path, data in {
        b"edit": b"one\ntwo\nthree\n",
        b"long": long,
        b"no newline": b"a\nb",
        b"gets newline": b"a\nb",
        b"loses newline": b"a\nb\n",
        b"gone/deep/file": b"x\n",
        b"old-name": b"the content that moves\n",
        b"here/moves and changes": long[:400],
        b"grows elsewhere.py": b"import os\n" * 3 + long[-300:],
        b"moves": b"#!/bin/sh\n",
        b"turn": b"a file\n",
        b"emptied": b"e\n",
        b"filled": b"",
        b"gone-empty": b"",
        "grüße".encode(): b"1\n",
        b'tab\tquote"back\\': b"1\n",
        b"\xff\xfe": b"latin \xe9\n",
        b"crlf": b"a\r\nb\r\n",
        b"blank": b" \n\t\n",
    }.items():
        files.write(path, data)
    files.symlink(b"link", b"edit")
    stage.commit("base")
    files.write(b"edit", b"one\n2\nthree\nfour\n")
    lines = long.split(b"\n")
    lines[3:5] = [b"changed"]
    lines[100:100] = [b"added", b"added"]
    del lines[-2]
    files.write(b"long", b"\n".join(lines))
    files.write(b"no newline", b"a\nc")
    files.write(b"gets newline", b"a\nb\n")
    files.write(b"loses newline", b"a\nb")
    files.remove(b"gone")
    files.rename(b"old-name", b"dir/new-name")
    files.rename(b"here/moves and changes", b"there/moves and changes")
    files.write(b"there/moves and changes", long[:400].replace(b"line 7", b"LINE 7"))
    files.rename(b"grows elsewhere.py", b"dir/other.py")
    files.write(b"dir/other.py", b"import os\n" * 3 + long[-300:] + b"more\n" * 20, 0o755)
    files.rename(b"moves", b"runs")
    files.chmod(b"runs", 0o755)
    files.chmod(b"edit", 0o755)
    files.remove(b"turn")
    files.symlink(b"turn", b"else where")
    files.write(b"emptied", b"")
    files.write(b"filled", b"f")
    files.remove(b"gone-empty")
    files.write(b"new-empty", b"")
    files.write(b"new-exec", b"#!/bin/sh\n", 0o755)
    files.write("grüße".encode(), b"2\n")
    files.write(b'tab\tquote"back\\', b"2\n")
    files.write(b"\xff\xfe", b"latin \xea\n")
    files.write(b"crlf", b"a\r\nc\r\n")
    files.write(b"blank", b" \n\n\n")
    files.remove(b"link")
    files.symlink(b"link", b"long")
    return stage


def old_tree(stage: Stage) -> Tree:
    stage.run("checkout", "HEAD")
    tree = stage.files.tree()
    stage.run("checkout", "main")
    return tree


@pytest.mark.parametrize("context", ["-U0", "-U1", "-U3", "-U25"])
def test_git_apply_makes_the_new_tree_and_takes_it_back(
    stage: Stage, tmp_path: Path, context: str
) -> None:
    patch = diff_of(stage, context)
    where = tmp_path / "tree"
    old = old_tree(stage)
    write_out(old, where)
    git(where, "init", "-q")
    unidiff = ["--unidiff-zero"] if context == "-U0" else []
    git(where, "apply", "--whitespace=nowarn", *unidiff, "-", data=patch)
    assert read_in(where) == as_git_sees(stage.files.tree())
    git(where, "apply", "--whitespace=nowarn", "-R", *unidiff, "-", data=patch)
    assert read_in(where) == as_git_sees(old)


def test_patch_makes_the_new_tree(stage: Stage, tmp_path: Path) -> None:
    assert shutil.which("patch"), "patch(1) is needed: apt-get install patch"
    stage.files.remove(b"turn")  # patch(1) cannot turn a file into a link
    stage.files.write(b"turn", b"a file\n")
    stage.files.write(b"gone-empty", b"")  # nor remove a file that is empty already
    patch = diff_of(stage)
    where = tmp_path / "tree"
    write_out(old_tree(stage), where)
    done = subprocess.run(
        ["patch", "-p1", "-s", "--no-backup-if-mismatch"],
        cwd=where, input=patch, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")
    assert read_in(where) == as_git_sees(stage.files.tree())


def test_git_apply_of_many_random_edits(tmp_path: Path) -> None:
    random = Random(20_261_123)
    stage = Stage()
    old: Tree = {}
    for number in range(60):
        words = random.choice([2, 5, 200])
        lines = [b"%d\n" % random.randrange(words) for _ in range(random.randrange(60))]
        data = b"".join(lines)
        old[b"f%d" % number] = (stat.S_IFREG | 0o644, data)
        stage.files.write(b"f%d" % number, data)
    stage.commit("base")
    for path, (_, data) in old.items():
        lines = data.splitlines(keepends=True)
        for _ in range(random.randrange(6)):
            at = random.randrange(len(lines) + 1)
            lines[at : at + random.randrange(4)] = [
                b"%d\n" % random.randrange(5) for _ in range(random.randrange(4))
            ]
        text = b"".join(lines)
        stage.files.write(path, text[: len(text) - random.randrange(2)])
    for number, context in enumerate(("-U0", "-U1", "-U3")):
        where = tmp_path / str(number)
        write_out(old, where)
        git(where, "init", "-q")
        unidiff = ["--unidiff-zero"] if context == "-U0" else []
        git(where, "apply", "--whitespace=nowarn", *unidiff, "-", data=diff_of(stage, context))
        assert read_in(where) == as_git_sees(stage.files.tree())


def test_kinds_of_changes_agree_with_git(stage: Stage, tmp_path: Path) -> None:
    where = tmp_path / "tree"
    write_out(old_tree(stage), where)
    git(where, "init", "-q")
    git(where, "add", "-A")
    git(where, "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "base")
    for path in read_in(where):
        os.unlink(os.path.join(os.fsencode(where), path))
    shutil.copytree(where / ".git", tmp_path / "kept")
    shutil.rmtree(where)
    write_out(stage.files.tree(), where)
    shutil.move(tmp_path / "kept", where / ".git")
    git(where, "add", "-A")
    expected = git(
        where, "diff", "--cached", "-M", "--no-rename-empty", "--name-status", "-z", "HEAD"
    ).split(b"\0")
    letters = sorted(each[:1] for each in expected if re.fullmatch(rb"[AMDT]|R\d{3}", each))
    ours = stage.run("diff", "--name-status").splitlines()
    assert sorted(line[:1].encode() for line in ours) == letters


def test_hunks_name_the_function_as_git_does(tmp_path: Path) -> None:
    lines = []
    for number in range(40):
        lines += [f"def function_{number}(): {'x' * number * 3}  \n", *["    body\n"] * number]
    lines += ["_private = 1\n", "\tindented\n", "$dollar\n", "é is no letter here\n", *["\n"] * 9]
    old = "".join(lines).encode()
    stage = Stage()
    stage.files.write(b"f", old)
    stage.commit("base")
    for at in range(5, len(lines), 37):
        lines[at] = "    changed\n"
    lines[-1] = "end\n"
    stage.files.write(b"f", "".join(lines).encode())
    where = tmp_path / "tree"
    write_out({b"f": (stat.S_IFREG | 0o644, old)}, where)
    git(where, "init", "-q")
    git(where, "add", "f")
    (where / "f").write_text("".join(lines))
    theirs = git(where, "diff").split(b"\n", 2)[2]
    assert diff_of(stage).split(b"\n", 2)[2] == theirs


def test_renames_are_those_that_git_finds(tmp_path: Path) -> None:
    """The same renames are found, and within a few percent the same similarity of their files."""
    random = Random(20_261_127)
    stage = Stage()
    where = tmp_path / "tree"
    where.mkdir()
    git(where, "init", "-q")
    texts = {}
    for number in range(24):
        lines = [f"file {number} has line {at} of its own\n" for at in range(20 + 5 * number)]
        texts[number] = lines
        stage.files.write(b"src/f%d.c" % number, "".join(lines).encode())
    stage.commit("base")
    write = {number: texts[number][:] for number in texts}
    for number, lines in write.items():
        for _ in range(number % 8 * len(lines) // 14):
            lines[random.randrange(len(lines))] = f"changed {random.random()}\n"
    old = {f"src/f{number}.c": "".join(lines) for number, lines in texts.items()}
    new = {}
    for number, lines in write.items():
        name = f"lib/f{number}.c" if number % 2 else f"src/g{number}.c"
        new[name] = "".join(lines)
    for tree in (old, new):
        git(where, "rm", "-rq", "--cached", "--ignore-unmatch", ".")
        shutil.rmtree(where / "src", ignore_errors=True)
        for name, text in tree.items():
            (where / name).parent.mkdir(exist_ok=True)
            (where / name).write_text(text)
        git(where, "add", "-A")
        git(where, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "tree")
    stage.files.remove(b"src")
    for name, text in new.items():
        stage.files.write(name.encode(), text.encode())
    theirs = git(where, "diff", "--name-status", "-M", "HEAD~1", "HEAD").decode().splitlines()
    ours = stage.run("diff", "--name-status").splitlines()
    pairs = [{line.split("\t", 1)[1] for line in each if line[0] == "R"} for each in (theirs, ours)]
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) >= 18
    percents = [
        {line.split("\t", 1)[1]: int(line[1:4]) for line in each if line[0] == "R"}
        for each in (theirs, ours)
    ]
    assert all(abs(percents[0][pair] - percents[1][pair]) <= 3 for pair in pairs[0])
