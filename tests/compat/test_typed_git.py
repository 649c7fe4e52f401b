"""What users of git type, verb by verb, against the real git on the same history."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import HeliosError
from tests.git_repository import ENVIRONMENT, Clone
from tests.tree_builder import Stage

_ID = re.compile(r"\b[0-9a-f]{7,64}\b")


def plain(text: str) -> str:
    return _ID.sub("ID", text)


class Pair:
    """A git repository, and a workspace with the same history and the same files."""

    def __init__(self, path: Path) -> None:
        self.clone = _history(path)
        self.stage = Stage()
        self.stage.run("import", "--from-git", str(path))
        self.stage.run("checkout", "trunk")

    def git(self, *words: str, cwd: str = "") -> tuple[str, int]:
        """What git answers, and its exit code."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.clone.path / cwd,
            env=ENVIRONMENT,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.stdout.decode("utf-8", "surrogateescape"), done.returncode

    def helios(self, *words: str, cwd: str = "") -> tuple[str, int]:
        """The same of heliosfs; 128 for what is refused, as git has it."""
        try:
            reply = self.stage.run(*words, cwd=cwd)
        except HeliosError:
            return "", 128
        return reply, exit_code_of(reply)


def _history(path: Path) -> Clone:
    clone = Clone(path)
    clone.write("README.md", b"# title\n\nfirst\n")
    clone.write("src/main.c", b"int main(void)\n{\n\treturn 0;\n}\n")
    clone.write("src/lib/util.c", b"".join(b"line %d of util\n" % at for at in range(30)))
    clone.write("docs/guide.md", b"".join(b"guide line %d\n" % at for at in range(12)))
    clone.write("docs/img/logo.bin", bytes(range(256)))
    clone.write("run.sh", b"#!/bin/sh\necho hi\n", 0o755)
    clone.commit("first: everything\n\nwith a body\n")
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "one dot zero\n\nthe body of the tag", "v1.0")
    clone.write("src/main.c", b'int main(void)\n{\n\tputs("hello");\n\treturn 0;\n}\n')
    clone.write("README.md", b"# title\n\nfirst\nsecond\n")
    clone.commit("second: say hello\n")
    clone.git("checkout", "-q", "-b", "side", "HEAD~1")
    clone.write("docs/side.md", b"side\n")
    clone.commit("side: a page\n")
    clone.git("checkout", "-q", "trunk")
    clone.merge("side")
    clone.git("mv", "docs/guide.md", "docs/manual.md")
    clone.write("docs/manual.md", b"".join(b"guide line %d\n" % at for at in range(13)))
    clone.write("run.sh", b"#!/bin/sh\necho  hi   there\n", 0o644)
    clone.write("src/main.c", b'int main(void)\n{\n  puts( "hello" );\n\treturn 0;\n}\n\n')
    clone.git("rm", "-q", "docs/side.md")
    clone.commit("third: move, retab, remove\n")
    clone.write("src/lib/util.c", b"".join(b"line %d of util\n" % at for at in range(3, 30)))
    clone.write("NEW", b"no newline at the end")
    clone.commit("fourth: shorter util\n")
    clone.git("branch", "old", "HEAD~2")
    return clone


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("typed") / "git")


PATHS = [
    "log --oneline -- *.md",
    "log --oneline -- *.c :!src/lib",
    "log --oneline -- :(exclude)docs",
    "log --oneline -- :^docs :^src",
    "log --oneline -- :(icase)readme.MD",
    "log --oneline -- :(glob)docs/*.md",
    "log --oneline -- :(glob)**/*.c",
    "log --oneline -- :(glob)*.c",
    "log --oneline -- :(top)src",
    "log --oneline --name-only -- docs/*",
    "diff --name-only HEAD~3 HEAD -- *.md",
    "diff --name-status v1.0 HEAD -- :!docs",
    "diff --name-status v1.0 HEAD *.c",
    "diff --stat v1.0 HEAD -- src/*.c",
    "diff --name-only v1.0 HEAD -- [s]rc",
    "diff --name-only v1.0 HEAD -- [s]rc/*",
    "diff --name-only v1.0 HEAD -- :(literal)src",
    "show --name-only --format=%s HEAD -- *.c",
    "grep -n hello -- *.c",
    "grep -l line -- :!src",
    "grep -c util HEAD -- *.c *.md",
]
IN_A_DIRECTORY = [
    "log --oneline -- *.md",
    "log --oneline -- ../src",
    "log --oneline -- :/src",
    "log --oneline -- :!img",
    "grep -l line",
    "grep -l line -- :!*.bin",
    "diff --name-only v1.0 HEAD -- *.md",
]


@pytest.mark.parametrize("line", PATHS)
def test_pathspecs(pair: Pair, line: str) -> None:
    words = line.split()
    theirs, code = pair.git(*words)
    ours, our_code = pair.helios(*words)
    assert plain(ours) == plain(theirs)
    assert our_code == code


@pytest.mark.parametrize("line", IN_A_DIRECTORY)
def test_pathspecs_in_a_directory(pair: Pair, line: str) -> None:
    words = line.split()
    assert plain(pair.helios(*words, cwd="docs")[0]) == plain(pair.git(*words, cwd="docs")[0])
