"""Basic and extended regular expressions find the lines that git grep finds."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from heliosfs.errors import UsageError
from heliosfs.repo.regex.expressions import Syntax, compile_expression
from tests.git_repository import ENVIRONMENT, Clone

PIECES = [
    "a", "b", "1", " ", "_", "-", "+", "*", ".", "(", ")", "{", "}", "|", "^", "$", "[ab]", "[^a]",
    "[a-b]", "[]a]", "[^]]", "[[:alpha:]]", "[[:digit:]_]", "[a-]", r"\(", r"\)", r"\|", r"\+",
    r"\?", r"\{2\}", "{2}", "{1,}", r"\{1,2\}", r"\w", r"\W", r"\.", r"\*", "?", r"\\", "[.a]",
    r"[\a]", "a*", r"\ba", r"b\>",
]  # fmt: skip


@pytest.mark.parametrize("syntax", [Syntax.BASIC, Syntax.EXTENDED])
def test_the_same_lines(tmp_path: Path, syntax: Syntax) -> None:
    random_ = random.Random(syntax.value)
    lines = ["".join(random_.choices("ab1 _-+*.(){}|^$[]\\?", k=at % 9)) for at in range(200)]
    text = "\n".join([*lines, "end"]).encode() + b"\n"
    clone = Clone(tmp_path / "git")
    clone.write("text", text)
    clone.git("add", "--all")
    flag = "-G" if syntax is Syntax.BASIC else "-E"
    compared = 0
    for _ in range(120):
        pattern = "".join(random_.choices(PIECES, k=random_.randrange(1, 6)))
        ignore_case = random_.random() < 0.2
        asked = ["git", "grep", "-hn", flag, *(["-i"] if ignore_case else []), "-e", pattern]
        done = subprocess.run(
            asked,
            check=False,
            cwd=clone.path,
            env={**ENVIRONMENT, "LC_ALL": "C"},
            capture_output=True,
        )
        try:
            expression = compile_expression([pattern.encode()], syntax, ignore_case=ignore_case)
        except UsageError:
            assert done.returncode > 1, pattern
            continue
        if done.returncode > 1:
            continue
        found = [b"%d:%s\n" % (number, text[at:end]) for number, at, end in expression.lines(text)]
        assert b"".join(found) == done.stdout, pattern
        compared += 1
    assert compared > 60
