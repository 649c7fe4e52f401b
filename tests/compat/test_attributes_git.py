"""Merging and comparing follow .gitattributes as git does."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from heliosfs.errors import Conflicted
from tests.git_repository import ENVIRONMENT, Clone
from tests.tree_builder import Stage

ATTRIBUTES = b"""[attr]log merge=union
*.union merge=union
*.whole -merge
*.bin binary
*.list log
d/* !merge
*.odd merge=nobody-knows-it
*.nul diff merge
*.gen -diff
*.py diff=python
"""
NESTED = b"*.whole merge\n*.txt merge=union\n"
NAMES = [
    "a.union",
    "a.whole",
    "a.bin",
    "a.list",
    "a.odd",
    "a.txt",
    "d/a.union",
    "d/a.whole",
    "d/a.txt",
]


def succeeds(clone: Clone, *argv: str) -> bool:
    done = subprocess.run(
        ["git", *argv],
        cwd=clone.path,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def edited(random_: random.Random, lines: list[bytes]) -> list[bytes]:
    lines = list(lines)
    for _ in range(random_.randrange(1, 4)):
        at = random_.randrange(len(lines))
        new = [b"%d" % random_.randrange(100) for _ in range(random_.randrange(3))]
        lines[at : at + random_.randrange(2)] = new
        lines = lines or [b"x"]
    return lines


@pytest.mark.parametrize("seed", range(6))
def test_the_same_merges(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)
    clone, stage = Clone(tmp_path / "git", "main"), Stage()
    texts = {name: [b"%d" % number for number in range(12)] for name in NAMES}

    def commit(branch: str, files: dict[str, bytes]) -> None:
        clone.git("checkout", "-q", branch, "--")
        for name, data in files.items():
            clone.write(name, data)
            (stage.files if branch == "main" else stage.live(branch)).write(name.encode(), data)
        clone.commit("work")
        stage.run(
            "commit",
            "--allow-empty",
            "-m",
            "work",
            **({} if branch == "main" else {"branch": branch}),
        )

    base = {name: b"\n".join(lines) + b"\n" for name, lines in texts.items()}
    clone.commit("none")
    commit("main", {".gitattributes": ATTRIBUTES, "d/.gitattributes": NESTED, **base})
    clone.git("branch", "side")
    stage.run("branch", "side")
    for name in NAMES:
        ending = random_.choice([b"\n", b""])
        for branch in ("main", "side"):
            commit(branch, {name: b"\n".join(edited(random_, texts[name])) + ending})
        clone.git("checkout", "-q", "main")
        is_clean = succeeds(clone, "merge", "-q", "-m", "merge", "side")
        if is_clean:
            stage.run("merge", "side")
        else:
            with pytest.raises(Conflicted):
                stage.run("merge", "side")
            clone.git("checkout", "--theirs", name)
            clone.commit("merge")
            stage.run("merge", "--markers", "side")
            stage.files.write(name.encode(), stage.live("side").read(name.encode()))
            stage.run("commit", "--allow-empty", "-m", "merge")
        assert stage.files.read(name.encode()) == (clone.path / name).read_bytes(), (
            name,
            is_clean,
        )


def test_uncommitted_attributes_count() -> None:
    stage = Stage()
    stage.commit("base", a=b"1\n2\n3\n")
    stage.run("branch", "side")
    stage.live("side").write(b"a", b"1\ntheirs\n3\n")
    stage.run("commit", "-m", "theirs", branch="side")
    stage.commit("ours", a=b"1\nours\n3\n")
    with pytest.raises(Conflicted):
        stage.run("merge", "side")
    stage.files.write(b".gitattributes", b"a merge=union\n")
    stage.run("merge", "side")
    assert stage.files.read(b"a") == b"1\nours\ntheirs\n3\n"


@pytest.mark.parametrize("words", [[], ["--stat"], ["--numstat"], ["--text"], ["--name-status"]])
def test_the_same_diffs(tmp_path: Path, words: list[str]) -> None:
    clone, stage = Clone(tmp_path / "git", "main"), Stage()
    files = {
        ".gitattributes": ATTRIBUTES,
        "a.gen": b"1\n2\n",
        "b.bin": b"1\n2\n",
        "c.nul": b"1\0\n2\n",
        "m.txt": b"1\0\n2\n",
        "n.py": b"1\n2\n",
        "d/.gitattributes": b"*.gen diff\n",
        "d/f.gen": b"1\n2\n",
    }
    for text in (b"\n2\n", b"\ntwo\n"):
        for name, data in files.items():
            data = data.replace(b"\n2\n", text)
            clone.write(name, data)
            stage.files.write(name.encode(), data)
        clone.commit("work")
        stage.run("commit", "-m", "work")
    assert (
        stage.run("diff", *words, "HEAD~1", "HEAD").split("index ")[0]
        == (clone.git("diff", *words, "HEAD~1", "HEAD").decode().split("index ")[0])
    )
    ours = [
        line
        for line in stage.run("diff", *words, "HEAD~1", "HEAD").split("\n")
        if line[:5] != "index"
    ]
    theirs = clone.git("diff", *words, "HEAD~1", "HEAD").decode().split("\n")
    assert ours == [line for line in theirs if line[:5] != "index"]
    assert "Binary files a/a.gen and b/a.gen differ\n" in stage.run("show")
    assert "Binary files a/a.gen and b/a.gen differ\n" in stage.run("log", "-p", "-1")
    for argv in (["two"], ["-I", "two"], ["-c", "two"], ["-l", "-I", "2", "HEAD~1"]):
        assert stage.run("grep", *argv) == clone.git("grep", *argv).decode(), argv
