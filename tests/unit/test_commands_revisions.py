"""Revisions that the operation log knows, and the log of it."""

from __future__ import annotations

import pytest

from heliosfs.errors import NotFound, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    """Three commits, a reset to the first, and a fourth."""
    stage = Stage()
    for number in range(3):
        stage.commit(f"c{number}", a=b"%d\n" % number)
    stage.run("tag", "third")
    stage.run("reset", "--hard", "HEAD~2")
    stage.commit("c3", b=b"x\n")
    return stage


def subject(stage: Stage, revision: str, **where: str) -> str:
    return stage.run("log", "-1", "--format=%s", revision, **where).strip()


def test_what_head_named_before(stage: Stage) -> None:
    assert [subject(stage, f"HEAD@{{{at}}}") for at in range(5)] == ["c3", "c0", "c2", "c1", "c0"]
    assert subject(stage, "@{2}") == subject(stage, "main@{2}") == "c2"
    assert subject(stage, "HEAD@{2}~1") == "c1"
    assert subject(stage, "ORIG_HEAD") == "c2"
    with pytest.raises(NotFound, match="has 5 changes"):
        stage.run("rev-parse", "HEAD@{6}")
    with pytest.raises(NotFound, match="a number of changes"):
        stage.run("rev-parse", "HEAD@{yesterday}")
    with pytest.raises(NotFound, match="no merge is open"):
        stage.run("rev-parse", "MERGE_HEAD")


def test_a_live_view_has_a_history_of_its_own(stage: Stage) -> None:
    stage.run("branch", "idea")
    stage.live("idea").write(b"c", b"1\n")
    stage.run("commit", "-m", "of the idea", branch="idea")
    assert subject(stage, "HEAD@{1}", branch="idea") == "c3"
    assert subject(stage, "HEAD@{1}") == "c0"
    assert subject(stage, "idea@{0}") == "of the idea"
    with pytest.raises(NotFound):
        stage.run("rev-parse", "HEAD@{2}", branch="idea")


def test_the_log_of_it(stage: Stage) -> None:
    lines = stage.run("log", "-g", "--oneline").splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "HEAD@{0}: commit: c3",
        f"HEAD@{{1}}: reset: --hard {stage.run('rev-parse', '--short', 'HEAD@{1}').strip()}",
        "HEAD@{2}: commit: c2",
        "HEAD@{3}: commit: c1",
        "HEAD@{4}: commit: c0",
    ]
    assert stage.run("log", "-g", "--oneline", "--skip=1", "-n", "1") == lines[1] + "\n"
    text = stage.run("log", "-g", "-1")
    assert text.splitlines()[1:3] == [
        "Reflog: HEAD@{0} (Ada <ada@example.org>)",
        "Reflog message: commit: c3",
    ]


def test_names_of_objects(stage: Stage) -> None:
    stage.files.write(b"a", b"staged\n")
    stage.run("add", "a")
    stage.files.write(b"a", b"not staged\n")
    assert stage.run("show", ":a") == "staged\n"
    tree = stage.run("rev-parse", "HEAD^{tree}").strip()
    assert stage.run("show", f"{tree}:b") == "x\n"
    for word in ("HEAD^{blob}", "HEAD:none", "HEAD:b:c", "none:a"):
        with pytest.raises(NotFound):
            stage.run("rev-parse", word)
    with pytest.raises(UsageError, match="command line"):
        stage.run("rev-parse", "--show-toplevel")
