"""The commands of the README's tour, the tutorial and the how-to pages, run in a real mount.

In these pages a `sh` block is typed as it stands, and a `python` block is a program that is run in
the directory where the shell is.  A comment `# => text` states output: at the end of a command the
first line of it, below one the next.  `…` stands for anything.  What prints is stated or ignored;
a command without stated output must succeed.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.mount.programs import with_helios

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted

SOURCES = Path(__file__).parents[2]
SECONDS = 60
TOUR = "## Two-minute tour\n"
PAGES = ["README.md", "docs/tutorial.md", *(f"docs/how-to/{name}.md" for name in
         ("agents", "backup", "clean-up", "commit-a-part", "experiments", "git-inside", "go-back",
          "ignore-files", "mounts", "parallel-ideas", "try-and-race"))]  # fmt: skip

_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATED = re.compile(r"(?:^|\s+)# => ?(.*)$")
_MARK = "\x1e"


class Step(NamedTuple):
    """One command of a page, or one program."""

    command: str
    expected: list[str]
    """The lines that the page states, if it states any."""


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_type_does_what_it_says(
    page: str, mounted: Mounted, tmp_path: Path
) -> None:
    text = (SOURCES / page).read_text()
    if page == "README.md":
        text = text.partition(TOUR)[2].partition("\n## ")[0]
    steps = [step for block in _BLOCK.finditer(text) for step in read_block(block[1], block[2])]
    assert steps, "the page has no commands"
    try:
        replies = run(steps, mounted, tmp_path)
    finally:
        # A page may have mounted it again: wait until that daemon has ended too.
        mounted.command("umount", "--lazy", str(mounted.path), cwd=Path("/"))
        mounted.end()
    for step, (code, output) in zip(steps, replies, strict=True):
        told = f"{page}: {step.command}\ngave {code}:\n{output}"
        if step.expected:
            assert matches("\n".join(step.expected), output.rstrip("\n")), told
        else:
            assert code == 0, told


def test_a_stated_line_may_leave_out_what_differs() -> None:
    assert matches("[main …] first", "[main 0123456789ab] first")
    assert not matches("[main …] first", "[main 0123456789ab] second")


def test_a_block_is_read_command_by_command() -> None:
    block = "cd a\n# a remark\ncat b   # => one\n# => two\nfor i in 1 2; do\n  echo $i\ndone\n"
    assert list(read_block("sh", block)) == [
        Step("cd a", []),
        Step("cat b", ["one", "two"]),
        Step("for i in 1 2; do\n  echo $i\ndone", []),
    ]


def read_block(language: str, block: str) -> Iterator[Step]:
    """The steps of a fenced block.  Of a program, the stated lines are its whole output."""
    if language == "python":
        stated = [found[1] for line in block.splitlines() if (found := _STATED.search(line))]
        yield Step(f"{shlex.quote(sys.executable)} -c {shlex.quote(block)}", stated)
        return
    lines: list[str] = []
    expected: list[str] = []
    for line in block.splitlines():
        found = _STATED.search(line)
        command = line[: found.start()] if found else line
        if not command.strip() or (command.startswith("#") and not found):
            if found:
                expected.append(found[1])
            continue
        if lines and is_complete("\n".join(lines)):
            yield Step("\n".join(lines), expected)
            lines, expected = [], []
        lines.append(command)
        if found:
            expected.append(found[1])
    yield Step("\n".join(lines), expected)


def is_complete(command: str) -> bool:
    """Return True if bash would run it, and not wait for more lines."""
    done = subprocess.run(
        ["bash", "-n", "-c", command], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode == 0 and "here-document" not in done.stderr


def run(steps: list[Step], mounted: Mounted, tmp_path: Path) -> list[tuple[int, str]]:
    """Run all steps in one shell whose home holds the workspace; exit code and output of each."""
    script = "".join(f"{step.command}\nprintf '{_MARK}%s{_MARK}' $?\n" for step in steps)
    environment = with_helios(tmp_path / "bin") | {"HOME": str(mounted.path.parent)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=mounted.path.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    parts = done.stdout.split(_MARK)
    return list(zip(map(int, parts[1::2]), parts[::2], strict=False))


def matches(stated: str, output: str) -> bool:
    """Return True if the output is the stated text; `…` in it stands for anything."""
    pattern = ".*".join(re.escape(part) for part in stated.split("…"))
    return re.fullmatch(pattern, output, re.DOTALL) is not None
