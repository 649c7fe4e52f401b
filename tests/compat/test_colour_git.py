"""Colours: the same bytes as git writes with --color=always."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from tests.git_repository import Clone
from tests.tree_builder import Stage

_LINES = (
    "one", "two words", "\tindented", "  \tspace before a tab", "at the end  ", "tab\t", "", " ",
    "int main(void)", "--- like a header", "+++", "@@ -1 +1 @@", "cr\r", "x" * 90, "ä ü",
)  # fmt: skip
_ID = re.compile(rb"[0-9a-f]{12,64}")


def text_of(random: Random, count: int) -> bytes:
    lines = [random.choice(_LINES) for _ in range(count)]
    ends = "" if random.random() < 0.3 else "\n"
    return ("\n".join(lines) + ends).encode()


def changed(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(lines) + 1)
        lines[at : at + random.randrange(3)] = [
            random.choice(_LINES).encode() for _ in range(random.randrange(3))
        ]
    return b"\n".join(lines)


class Both:
    """The same files, in a workspace and in a repository of git."""

    def __init__(self, path: Path) -> None:
        self.stage = Stage()
        self.clone = Clone(path, "main")
        self.clone.git("config", "core.abbrev", "12")

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.clone.write(path, data, mode)
        self.stage.files.write(path.encode(), data, mode)

    def commit(self, message: str) -> None:
        self.clone.commit(message)
        self.stage.commit(message)

    def same(self, *argv: str) -> bytes:
        """Compare the replies, without ids; return it."""
        self.clone.git("add", "--all", "--intent-to-add")
        theirs = self.clone.git("--no-pager", argv[0], "--color=always", *argv[1:])
        ours = self.stage.run(argv[0], "--color=always", *argv[1:])
        ours_bytes = ours.encode("utf-8", "surrogateescape")
        assert _lines(ours_bytes) == _lines(theirs), argv
        return ours_bytes


def _lines(data: bytes) -> list[bytes]:
    return [_ID.sub(b"ID", line) for line in data.split(b"\n")]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "git")


@pytest.mark.parametrize("seed", range(12))
def test_diffs(both: Both, seed: int) -> None:
    random = Random(seed)
    files = {f"file {at}.c": text_of(random, random.randint(1, 30)) for at in range(8)}
    for path, data in files.items():
        both.write(path, data)
    both.commit("base")
    for path, data in files.items():
        both.write(path, changed(random, data))
    both.write("new", b"new  \n\n")
    both.write("binary", b"\0\1")
    for argv in (
        ("diff",),
        ("diff", "--stat", "--summary"),
        ("diff", "-R"),
        ("diff", "-U1"),
        ("diff", "--word-diff"),
        ("diff", "--color-words"),
    ):
        assert b"\033[" in both.same(*argv)


def test_a_log_and_what_is_found(both: Both) -> None:
    both.write("a.c", b"one\n two x one\n")
    both.write("dir/b", b"x\none\n\none one\n")
    both.commit("first")
    both.write("a.c", b"one\n two\n")
    both.commit("second")
    both.clone.git("branch", "other", "HEAD~1")
    both.stage.run("branch", "other", "HEAD~1")
    both.clone.git("tag", "v1")
    both.stage.run("tag", "v1")
    both.same("log", "--oneline", "--decorate")
    both.same("log", "--format=%C(yellow)%s%Creset%d%C(bold 166 ul)%s%C(auto)%h%d %Cred%H")
    assert both.stage.run("branch", "--color=always") == "* \033[32mmain\033[m\n  other\n"
    for options in (
        ("-n",), ("-c",), ("-l",), ("-o", "-n"), ("-n", "-C1"), ("-v",), ("-h",), ("--heading",),
    ):  # fmt: skip
        both.same("grep", *options, "-e", "one", "-e", "x")
