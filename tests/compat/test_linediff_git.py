"""Line differences against `git diff`: the same lines, by both comparisons."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from heliosfs.repo.lines.compare import ChangedRange, Effort, Method, changed_ranges, split_lines
from tests.compat.texts import edited, text
from tests.git_repository import ENVIRONMENT

_HUNK = re.compile(rb"@@ -(\d+)(?:,\d+)? \+(\d+)")


def by_git(
    directory: Path, old: list[bytes], new: list[bytes], method: Method
) -> list[ChangedRange]:
    (directory / "old").write_bytes(b"".join(old))
    (directory / "new").write_bytes(b"".join(new))
    argv = ["git", "diff", "--no-index", f"--diff-algorithm={method.value}"]
    argv += ["--no-indent-heuristic"] if method is Method.HISTOGRAM else []
    done = subprocess.run(
        [*argv, "old", "new"], cwd=directory, capture_output=True, check=False, env=ENVIRONMENT
    )
    gone, come = set(), set()
    at = new_at = 0
    for line in done.stdout.split(b"\n")[4:]:
        match = _HUNK.match(line)
        if match is not None:
            at, new_at = (int(match[each]) - 1 for each in (1, 2))
        elif line.startswith(b"-"):
            gone.add(at)
            at += 1
        elif line.startswith(b"+"):
            come.add(new_at)
            new_at += 1
        elif line.startswith(b" "):
            at, new_at = at + 1, new_at + 1
    return list(ranges(gone, come, len(old), len(new)))


def ranges(gone: set[int], come: set[int], size: int, new_size: int) -> Iterator[ChangedRange]:
    """The stretches of changed lines; what is between them goes in pairs."""
    at = new_at = 0
    while at < size or new_at < new_size:
        start, new_start = at, new_at
        while at in gone:
            at += 1
        while new_at in come:
            new_at += 1
        if (at, new_at) != (start, new_start):
            yield ChangedRange(start, at, new_start, new_at)
        at, new_at = at + 1, new_at + 1


@pytest.mark.parametrize("method", Method)
def test_differences_are_those_of_git(tmp_path: Path, method: Method) -> None:
    random = Random(11)
    for _ in range(60):
        old = text(random, random.choice([0, 5, 20, 60, 200]))
        new = edited(random, old) if random.random() < 0.9 else text(random, 20)
        assert changed_ranges(old, new, Effort(), method) == by_git(tmp_path, old, new, method)


def test_a_long_comparison_is_cut_short_as_in_git(tmp_path: Path) -> None:
    random = Random(5)
    old = [b"%d\n" % random.randint(0, 900) for _ in range(3_000)]
    new = [b"%d\n" % random.randint(0, 900) for _ in range(3_000)]
    effort = Effort(10**9)
    assert changed_ranges(old, new, effort) == by_git(tmp_path, old, new, Method.MYERS)


def test_lines_without_an_end(tmp_path: Path) -> None:
    old, new = split_lines(b"a\nb"), split_lines(b"a\nb\nc")
    assert changed_ranges(old, new, Effort()) == by_git(tmp_path, old, new, Method.MYERS)
