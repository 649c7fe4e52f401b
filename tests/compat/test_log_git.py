"""log against the real git, on histories made at random: order, graph, ranges, paths."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.git_repository import Clone
from tests.tree_builder import Stage

_ID = re.compile(r"\b[0-9a-f]{7,64}\b")
FILES = ["a", "d/b", "d/e/c", "f"]


def history(path: Path, seed: int, *, count: int = 40) -> Clone:
    """Branches and merges of up to five parents, some of which change nothing."""
    random_ = random.Random(seed)
    clone = Clone(path)
    stream = []
    tips: list[int] = []
    seconds = 1_600_000_000
    for mark in range(1, count + 1):
        seconds += random_.choice([0, 1, 60, 3600])
        stream += [f"commit refs/heads/c{mark}", f"mark :{mark}"]
        stream += [f"committer A <a@b> {seconds} +0100", "data <<.", f"commit {mark}", ".", ""]
        merges = random_.choices([0, 1, 2, 3, 4], [12, 6, 2, 1, 1])[0]
        parents = random_.sample(tips, min(len(tips), merges + 1))
        if not parents and mark > 1:
            parents = [random_.randrange(1, mark)]
        elif random_.random() < 0.3 and mark > 1:
            parents[0] = random_.randrange(1, mark)
        parents = list(dict.fromkeys(parents))
        for at, parent in enumerate(parents):
            stream.append(f"{'merge' if at else 'from'} :{parent}")
        for name in random_.sample(FILES, random_.choice([0, 1, 1, 2])):
            stream += [f"M 644 inline {name}", "data <<.", str(random_.randrange(3)), "."]
        stream.append("")
        tips = [tip for tip in tips if tip not in parents] + [mark]
    clone.git("fast-import", "--quiet", data="\n".join(stream).encode() + b"\n")
    clone.git("symbolic-ref", "HEAD", f"refs/heads/c{count}")
    return clone


def plain(text: str) -> str:
    return _ID.sub("ID", text)


@pytest.mark.parametrize("seed", range(25))
def test_a_random_history(tmp_path: Path, seed: int) -> None:
    clone = history(tmp_path / "git", seed)
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    random_ = random.Random(seed)
    one, other = (f"c{random_.randrange(1, 41)}" for _ in range(2))
    asked = [
        ["c40"],
        ["--all"],
        ["--graph", "c40"],
        ["--graph", "--all"],
        [f"{one}..{other}"],
        ["--graph", f"{one}..c40"],
        [f"{one}...{other}"],
        ["--graph", "-n", "7", "--all"],
        ["--first-parent", "c40"],
        ["--graph", "--first-parent", "c40"],
        ["--name-status", "--all"],
        ["--graph", "--name-status", "--all"],
        ["--name-only", "c40", "--", "d"],
    ]
    for name in (*FILES, "d", "d/e"):
        asked += [["c40", "--", name], ["--graph", "--all", "--", name]]
    for words in asked:
        theirs = clone.git("log", "--oneline", *words).decode()
        assert plain(stage.run("log", "--oneline", *words)) == plain(theirs), words


@pytest.mark.parametrize("seed", range(3))
def test_whole_messages_beside_a_graph(tmp_path: Path, seed: int) -> None:
    clone = history(tmp_path / "git", seed)
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    for words in (["--all"], ["--graph", "--all"]):
        for changes in ([], ["--stat"], ["--name-only"], ["-p"]):
            theirs = clone.git("log", *words, *changes).decode()
            assert plain(stage.run("log", *words, *changes)) == plain(theirs), (words, changes)


def test_a_renamed_file_is_followed(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "git")
    text = "".join(f"line {at}\n" for at in range(20))
    clone.write("old", text.encode())
    clone.commit("first")
    clone.write("old", (text + "more\n").encode())
    clone.commit("second")
    clone.git("mv", "old", "new")
    clone.commit("third")
    clone.write("new", b"changed\n" + text.encode())
    clone.write("other", b"other\n")
    clone.commit("fourth")
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    for words in (["--follow", "new"], ["new"], ["--", "old"], ["other"]):
        theirs = clone.git("log", "--oneline", *words).decode()
        assert plain(stage.run("log", "--oneline", *words)) == plain(theirs), words
