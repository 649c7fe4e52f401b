"""log against the real git, on histories made at random: order, graph, ranges, paths."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from heliosfs.commands.moments import ago, parse_moment
from heliosfs.errors import UsageError
from tests.git_repository import Clone
from tests.tree_builder import Stage

_ID = re.compile(r"\b[0-9a-f]{7,64}\b")
DATES = ("iso-strict", "short", "rfc", "raw", "unix")
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


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Stage]:
    """People, zones, messages of several kinds, a merge."""
    clone = Clone(tmp_path_factory.mktemp("told") / "git")
    messages = [
        ("Ada", "ada@a", "1600000000 +0000", "first\n"),
        (
            "Grace H",
            "g@h.org",
            "1600003600 -0130",
            "Second: a subject\n\nwith a body\nof two lines\n",
        ),
        ("Ada", "ada@a", "1600090000 +0545", "third\nstill the subject\n\n\nbody\n\nmore\n"),
        ("Zoë", "z@z", "1700000000 +0100", "no newline at the end"),
    ]
    for number, (name, email, when, message) in enumerate(messages):
        clone.write("a", b"%d\n" % number)
        clone.write(f"d/{number}", b"x\n")
        clone.commit(
            message,
            GIT_AUTHOR_NAME=name,
            GIT_AUTHOR_EMAIL=email,
            GIT_AUTHOR_DATE=when,
            GIT_COMMITTER_DATE=when,
        )
    clone.git("checkout", "-q", "-b", "side", "HEAD~2")
    clone.write("side", b"1\n")
    clone.commit("on the side", GIT_COMMITTER_DATE="1700000100 +0000")
    clone.git("checkout", "-q", "trunk")
    clone.seconds = 1_700_001_000
    clone.merge("side")
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    stage.run("checkout", "trunk")
    return clone, stage


@pytest.mark.parametrize(
    "words",
    [
        ["--format=%an|%ae|%cn|%ce|%ad|%cd|%aD|%ai|%aI|%at|%as|%cI"],
        ["--format=%s|%f"],
        ["--format=%s%n%b<"],
        ["--format=[%B]"],
        ["--format=%H %h %T %t %P %p"],
        ["--format=%D%%%x41%m%Cred%C(auto)%Creset%q", "--decorate"],
        ["--pretty=format:%s"],
        ["--pretty=format:%s", "--name-only"],
        ["--pretty=tformat:%s", "--name-status"],
        ["--format=%s", "--stat", "-2"],
        ["--format=%s", "--graph"],
        ["--format=oneline"],
        ["--pretty=short"],
        ["--pretty=full"],
        ["--pretty=fuller"],
        ["--pretty=medium", "--date=iso"],
        *(
            ["--format=%ad", f"--date={form}"]
            for form in ("iso-strict", "short", "rfc", "raw", "unix")
        ),
        ["--reverse", "--oneline"],
        ["--reverse", "-2", "--format=%s"],
        ["--author=Ada", "--format=%s"],
        ["--author=g@h", "--author=Zo", "--format=%s"],
        ["--author=ada", "--oneline"],
        ["-i", "--author=GRACE", "--oneline"],
        ["--grep=^body", "--oneline"],
        ["--grep=subject", "--grep=side", "--oneline"],
        ["--since=2020-09-14T00:00:00Z", "--oneline"],
        ["--until=@1600003600 +0000", "--oneline"],
        ["--after=2020-09-13 12:30:00 +0000", "--before=2020-09-14 14:00:00 +0000", "--oneline"],
        ["--merges", "--oneline"],
        ["--no-merges", "--oneline", "-2"],
        ["--author=Ada", "-1", "--oneline"],
    ],
    ids=" ".join,
)
def test_forms_and_filters(told: tuple[Clone, Stage], words: list[str]) -> None:
    clone, stage = told
    theirs = clone.git("log", *words).decode()
    assert plain(stage.run("log", *words)) == plain(theirs)


@pytest.mark.parametrize("words", [["-s"], ["-s", "--format=%s"], ["--format=%an", "--stat"]])
def test_show_takes_the_same_forms(told: tuple[Clone, Stage], words: list[str]) -> None:
    clone, stage = told
    theirs = clone.git("show", *words, "HEAD~1").decode()
    assert plain(stage.run("show", *words, "HEAD~1")) == plain(theirs)


def test_relative_dates_are_those_of_git(told: tuple[Clone, Stage]) -> None:
    clone, _ = told
    now = 1_800_000_000
    for seconds in [
        *(0, 1, 89, 90, 150, 5399, 5400, 86400, 129_599, 129_600, 1_209_599, 1_209_600),
        *(70 * 86400, 71 * 86400, 364 * 86400, 365 * 86400, 400 * 86400, 1000 * 86400, 9e7, 3e8),
    ]:
        date = f"{now - int(seconds)} +0000"
        oid = (
            clone.git(
                "commit-tree",
                "-m",
                "x",
                "HEAD^{tree}",
                GIT_AUTHOR_DATE=date,
                GIT_COMMITTER_DATE=date,
            )
            .decode()
            .strip()
        )
        theirs = clone.git("log", "-1", "--format=%ar", oid, GIT_TEST_DATE_NOW=str(now)).decode()
        assert ago(int(seconds)) + "\n" == theirs


def test_dates_of_filters_are_those_of_git(told: tuple[Clone, Stage]) -> None:
    clone, _ = told
    now = 1_800_000_000
    for text in (
        *("2 weeks ago", "3.days.ago", "yesterday", "1 hour ago", "2 months ago", "now"),
        *("2026-11-27", "2026-11-27 14:00", "2026-11-27T14:00:05", "2026/1/2 3:04 +0530"),
    ):
        theirs = clone.git("rev-parse", f"--since={text}", GIT_TEST_DATE_NOW=str(now)).decode()
        seconds = int(theirs.partition("=")[2])
        # Git counts days and months by the calendar, and so across a change of the clocks.
        assert abs(parse_moment(text, now) - seconds) <= 86400 * 3, text
        if "month" not in text:
            assert abs(parse_moment(text, now) - seconds) <= 3600, text


@pytest.mark.parametrize(
    "words",
    [
        ["--since=soon"],
        ["--format=nice"],
        ["--date=lunar"],
        ["--grep=("],
        ["--merges", "--no-merges"],
    ],
)
def test_nonsense_is_named(told: tuple[Clone, Stage], words: list[str]) -> None:
    _, stage = told
    with pytest.raises(
        UsageError, match=words[0].partition("=")[2].replace("(", r"\(") or "exclude"
    ):
        stage.run("log", *words)


ODD_DATES = [
    *("A <a@b> 5 +9999", "A <a@b> 1500000000 -0000", "A <a@b> 1500000000 -0030"),
    *("A <a@b> 4611686018427387904 +0100", "A <a@b> 99999999999999999999 +0100"),
    *("A <a@b> 67768036191676799 +0100", "A <a@b> 253402300800 +0200", "A <a@b>1500000000 +0200"),
]
NO_DATES = ["A <a@b> -5 +0000", "A <a@b> 5", "A <a@b> 1500000000 0200", "A <a@b> 1.5 +0000"]
"""Dates that git takes for no date: in its plain formats the epoch."""
DEADLY_DATES = ["A <a@b> 5 -0100", "A <a@b> 9223372036854775807 +0100", "A <a@b> 1 -99999999999"]
"""Dates at which git stops."""


def dated(path: Path, whos: list[str]) -> tuple[Clone, Stage]:
    """A line of commits, each by one of `whos`."""
    clone = Clone(path)
    tree = clone.object("tree", b"")
    parent = ""
    for number, who in enumerate(whos):
        text = f"tree {tree}\n{parent}author {who}\ncommitter {who}\n\ndate {number}\n"
        parent = f"parent {clone.object('commit', text.encode())}\n"
    clone.git("update-ref", "refs/heads/trunk", parent.split()[1])
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    return clone, stage


def test_odd_dates_are_shown_as_git_shows_them(tmp_path: Path) -> None:
    clone, stage = dated(tmp_path / "git", ODD_DATES)
    for form in ("default", "iso", "iso-strict", "rfc", "short", "raw", "unix"):
        words = ["log", "--format=%s %ad", f"--date={form}"]
        assert stage.run(*words) == clone.git(*words).decode(), form
    theirs = clone.git("log", "--pretty=fuller").decode()
    assert plain(stage.run("log", "--pretty=fuller")) == plain(theirs)


def test_no_date_is_the_epoch_and_no_date_stops_a_log(tmp_path: Path) -> None:
    clone, stage = dated(tmp_path / "git", NO_DATES)
    assert plain(stage.run("log")) == plain(clone.git("log").decode())
    clone, stage = dated(tmp_path / "deadly", [*DEADLY_DATES, *ODD_DATES])
    for form in ("default", "iso", "iso-strict", "rfc", "short", "raw", "unix", "relative"):
        said = stage.run("log", f"--date={form}", "--format=%s %ad|%cd")
        assert len(said.splitlines()) == len(DEADLY_DATES) + len(ODD_DATES)
    assert len(json.loads(stage.run("log", "--json"))) == len(DEADLY_DATES) + len(ODD_DATES)
    assert "1969-12-31 23:00:05 -0100" in stage.run("log", "--date=iso")
    for verb in ("report", "show", "oplog"):
        assert stage.run(verb)


@pytest.mark.parametrize(
    "message",
    [
        b"subject\r\n\r\nbody\r\nof two\r\n",
        b"\r\n \r\nsubject\r\nof two\r\n\r\n\r\nbody\r\n\r\nmore\r\n",
        b"subject\n \t\nbody\n\n\n\nmore\n",
        b"subject\r\n",
        b"subject\n\nbody without an end",
        "\ttab\n\na\tb\t\tc\n12345678\tx\né\ty\n漢字\tz\n".encode(),
        b"..a  subject... of more than fifty-two letters, - and ending: so..-\n",
        b"subject\n\n\xff\ttab\tmore\n",
        b"subject\n\nbody\n\n\n",
        b"  indented  \n\n  body\n",
        b"\r\n",
        b"",
    ],
)
def test_messages_of_any_line_end_have_git_s_subject_and_body(
    tmp_path: Path, message: bytes
) -> None:
    clone = Clone(tmp_path / "git")
    clone.commit(message)
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    for words in (
        ["--format=<%s|%f|%b>"],
        ["--oneline"],
        *([f"--pretty={name}"] for name in ("short", "medium", "full")),
    ):
        theirs = clone.git("log", *words).decode()
        if not message.strip():
            theirs = theirs.replace(" \n", "\n")
        assert plain(stage.run("log", *words)) == plain(theirs), words
