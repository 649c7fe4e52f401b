"""log, show and the texts of `.helios`."""

from __future__ import annotations

import json
import re

import pytest

from heliosfs.commands import dotfiles
from heliosfs.commands.render import git_date, iso_time
from heliosfs.errors import NotFound, TooLarge, UsageError
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.steps import run_to_end
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first\n\nwith a body", a=b"1\n")
    stage.files.write(b"src/lib/x.c", b"int x;\n")
    stage.files.symlink(b"src/link", b"lib/x.c")
    stage.files.fifo(b"pipe")
    stage.commit("second", a=b"2\n")
    return stage


def test_medium_format(stage: Stage) -> None:
    first = stage.run("rev-parse", "HEAD~1").strip()
    assert stage.run("log") == (
        f"commit {stage.head}\n"
        "Author: Ada <ada@example.org>\n"
        "Date:   Tue Nov 14 22:13:20 2023 +0000\n"
        "\n"
        "    second\n"
        "\n"
        f"commit {first}\n"
        "Author: Ada <ada@example.org>\n"
        "Date:   Tue Nov 14 22:13:20 2023 +0000\n"
        "\n"
        "    first\n"
        "    \n"
        "    with a body\n"
    )


def test_oneline_and_limits(stage: Stage) -> None:
    first, second = stage.run("rev-parse", "--short", "HEAD~1", "HEAD").split()
    assert stage.run("log", "--oneline") == f"{second} second\n{first} first\n"
    for limit in (["-1"], ["-n", "1"], ["-n1"], ["--max-count=1"]):
        assert stage.run("log", "--oneline", *limit) == f"{second} second\n"
    assert stage.run("log", "-n", "0") == ""
    assert stage.run("log", "--oneline", "HEAD~1") == f"{first} first\n"
    stage.run("branch", "x", "HEAD~1")
    assert stage.run("log", "--oneline", "--decorate") == (
        f"{second} (HEAD -> main) second\n{first} (x) first\n"
    )
    ids = [each["id"] for each in json.loads(stage.run("log", "--json"))]
    assert ids == stage.run("rev-parse", "HEAD", "HEAD~1").split()


def test_log_without_commits() -> None:
    with pytest.raises(NotFound, match="your current branch 'main' does not have any commits yet"):
        Stage().run("log")
    with pytest.raises(NotFound):
        Stage().run("log", "HEAD")


def test_dates_keep_their_zone() -> None:
    assert git_date(0, 0) == "Thu Jan 1 00:00:00 1970 +0000"
    assert git_date(1_700_000_000, 345) == "Wed Nov 15 03:58:20 2023 +0545"
    assert iso_time(1_700_000_000, -210) == "2023-11-14T18:43:20-03:30"


def test_show_a_commit(stage: Stage) -> None:
    text = stage.run("show", "HEAD~1")
    assert text.startswith(f"commit {stage.run('rev-parse', 'HEAD~1')}")
    assert text.endswith("+++ b/a\n@@ -0,0 +1 @@\n+1\n")
    text = stage.run("show")
    assert "-1\n+2\n" in text
    assert "# new pipe or socket: pipe\n" in text
    assert stage.run("show", "--name-status").endswith(
        "\nM\ta\nA\tpipe\nA\tsrc/lib/x.c\nA\tsrc/link\n"
    )
    document = json.loads(stage.run("show", "--json"))
    assert document["id"] == stage.head
    assert [each["path"] for each in document["changes"]] == [
        "a",
        "pipe",
        "src/lib/x.c",
        "src/link",
    ]


def test_show_a_path(stage: Stage) -> None:
    assert stage.run("show", "HEAD~1:a") == "1\n"
    assert stage.run("show", "HEAD:src/lib/x.c") == "int x;\n"
    assert stage.run("show", "HEAD:./x.c", cwd="src/lib") == "int x;\n"
    assert stage.run("show", "HEAD:../link", cwd="src/lib") == "lib/x.c\n"
    assert stage.run("show", "HEAD:") == "a\npipe\nsrc/\n"
    assert stage.run("show", "HEAD:src") == "lib/\nlink\n"
    assert json.loads(stage.run("show", "HEAD:a", "--json"))["size"] == 2


@pytest.mark.parametrize("word", ["HEAD:nope", "HEAD~1:src", "HEAD:a/b", "HEAD~9:a", "HEAD:pipe"])
def test_show_what_is_not_there(stage: Stage, word: str) -> None:
    with pytest.raises(NotFound):
        stage.run("show", word)


@pytest.mark.parametrize("word", ["HEAD:../x", "HEAD:/a"])
def test_show_what_makes_no_sense(stage: Stage, word: str) -> None:
    with pytest.raises(UsageError):
        stage.run("show", word)


def test_bytes_survive_a_reply(stage: Stage) -> None:
    data = bytes(range(256)) + "ü€".encode()
    stage.commit(raw=data)
    assert stage.run("show", "HEAD:raw").encode("utf-8", "surrogateescape") == data


def test_large_files(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"0123456789abcdef" * (WHOLE_MAX // 16) + b"end"
    stage.commit(large=data)
    assert stage.run("show", "HEAD:large").encode() == data
    monkeypatch.setattr("heliosfs.commands.log.show.PATCH_MAX_BYTES", 1000)
    with pytest.raises(TooLarge, match=r"\.helios/snapshots"):
        stage.run("show", "HEAD:large")


def dot_text(stage: Stage, name: str) -> str:
    """Return the text of a file in `.helios`, made at once or in steps."""
    if name in dotfiles.FILES:
        return dotfiles.FILES[name](stage.repository, stage.view)
    return run_to_end(dotfiles.BUILT_FILES[name](stage.repository, stage.view), stage.store)


def test_reports(stage: Stage) -> None:
    def report(name: str) -> str:
        return dot_text(stage, name)

    assert report("HEAD") == stage.head + "\n"
    assert report("branch") == "main\n"
    assert report("status") == stage.run("status")
    assert report("log") == stage.run("log", "--oneline")
    assert report("oplog") == stage.run("oplog")
    stats = dict(line.split(": ") for line in report("stats").splitlines())
    assert stats["branch_count"] == "1"
    assert int(stats["object_count"]) > 5
    assert stats["cache_hit_count"].isdigit()
    assert stats["commit_latency_p95"] == "-"
    stage.run("checkout", "HEAD")
    assert report("branch") == "(detached)\n"
    steps = dotfiles.diff_text(stage.repository, stage.view, "main~1", "")
    assert run_to_end(steps, stage.store) == stage.run("diff", "main~1", "HEAD")


def test_reports_before_the_first_commit() -> None:
    stage = Stage()
    texts = {name: dot_text(stage, name) for name in dotfiles.CONTENTS}
    assert texts["HEAD"] == texts["log"] == texts["oplog"] == ""
    assert texts["branch"] == "main\n"
    assert "No commits yet" in texts["status"]
    assert "cache_hit_ratio: -\n" in texts["stats"]


def test_readme_fits_a_screen() -> None:
    lines = dotfiles.readme().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_history_of_a_path(stage: Stage) -> None:
    def subjects(*words: str, cwd: str = "") -> list[str]:
        lines = stage.run("log", "--oneline", *words, cwd=cwd).splitlines()
        return [line.partition(" ")[2] for line in lines]

    stage.commit("third", b=b"b\n")
    assert subjects("a") == ["second", "first"]
    assert subjects("-1", "HEAD", "--", "a") == ["second"]
    assert subjects("lib", cwd="src") == ["second"]
    assert subjects("--", "gone") == []
    assert subjects("HEAD~2..HEAD") == ["third", "second"]
    stage.files.rename(b"a", b"z")
    stage.commit("moved")
    assert subjects("z") == ["moved"]
    assert subjects("--follow", "z") == ["moved", "second", "first"]
    for words in (["--follow"], ["--follow", "b", "z"], ["--graph", "--json"]):
        with pytest.raises(UsageError):
            stage.run("log", *words)
    with pytest.raises(NotFound, match="neither a revision nor a path"):
        stage.run("log", "nope")


def test_a_graph_of_a_merge(stage: Stage) -> None:
    stage.run("branch", "side")
    stage.live("side").write(b"side", b"1\n")
    stage.run("commit", "-m", "aside", branch="side")
    stage.commit("here", here=b"1\n")
    stage.run("merge", "-m", "both", "side")
    lines = stage.run("log", "--graph", "--oneline", "--decorate").splitlines()
    drawn = [re.sub(r"\b[0-9a-f]{12} ", "", line) for line in lines]
    assert drawn == [
        "*   (HEAD -> main) both",
        "|\\  ",
        "| * (side) aside",
        "* | here",
        "|/  ",
        "* second",
        "* first",
    ]


def test_a_short_id_has_as_many_digits_as_wanted(stage: Stage) -> None:
    assert stage.run("rev-parse", "--short", "HEAD") == f"{stage.head[:12]}\n"
    assert stage.run("rev-parse", "--short=8", "HEAD") == f"{stage.head[:8]}\n"
    assert stage.run("rev-parse", "--short=1", "HEAD").strip() == stage.head[:4]
    with pytest.raises(UsageError, match="not a number"):
        stage.run("rev-parse", "--short=x", "HEAD")


def test_a_commit_by_paths(stage: Stage) -> None:
    assert stage.run("show", "--name-only", "HEAD", "src/lib").endswith("\nsrc/lib/x.c\n")
    assert stage.run("show", "--name-only", "--", "a").endswith("\n    second\n\na\n")
    both = stage.run("show", "-s", "--format=%s", "HEAD", "HEAD~1")
    assert both == "second\nfirst\n"


def test_changes_in_a_log(stage: Stage) -> None:
    first, second = stage.run("rev-parse", "--short", "HEAD~1", "HEAD").split()
    assert stage.run("log", "--oneline", "--name-status", "--", "a") == (
        f"{second} second\nM\ta\n{first} first\nA\ta\n"
    )
    assert "-1\n+2\n" in stage.run("log", "-p", "-1")
