"""Colours: who decides on them, and what has them.  The same bytes as git's: tests/compat."""

from __future__ import annotations

import json

import pytest

from heliosfs.commands.colours import PLAIN, Paint, Role, finished
from heliosfs.commands.table import parse_line, run
from heliosfs.commands.verb import Screen, answer, exit_code_of
from heliosfs.commands.visible import visible
from heliosfs.errors import UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("base", staged=b"1\n", edited=b"1\n")
    stage.files.write(b"staged", b"2\n")
    stage.run("add", "staged")
    stage.files.write(b"edited", b"2\n")
    return stage


def on(stage: Stage, *argv: str, columns: int = 80) -> str:
    """The reply to a caller whose terminal has colours."""
    screen = Screen(color=True, columns=columns)
    return run(stage.repository, stage.view, list(argv), screen=screen)


def test_status_has_what_is_staged_in_green_and_the_rest_in_red(stage: Stage) -> None:
    assert on(stage, "status", "-sb") == (
        "## \033[32mmain\033[m\n \033[31mM\033[m edited\n\033[32mM\033[m  staged\n"
    )
    long = on(stage, "status")
    assert "\t\033[32mmodified:   staged\033[m\n" in long
    assert "\t\033[31mmodified:   edited\033[m\n" in long
    stage.run("commit", "-q", "-m", "more")
    stage.run("reset", "--hard")
    stage.run("checkout", "--detach", "HEAD")
    assert on(stage, "status").startswith("\033[31mHEAD detached at \033[m")
    assert on(stage, "status", "-sb") == "## \033[31mHEAD (no branch)\033[m\n"


@pytest.mark.parametrize(
    "argv",
    [
        ("status",),
        ("status", "-s"),
        ("diff",),
        ("diff", "--stat"),
        ("diff", "--word-diff"),
        ("log",),
        ("log", "--oneline"),
        ("log", "-p"),
        ("log", "-g"),
        ("log", "-L1,1:edited"),
        ("show",),
        ("branch",),
        ("branch", "-v"),
        ("grep", "2"),
        ("for-each-ref", "--format=%(color:red)%(refname)"),
    ],
    ids=" ".join,
)
def test_without_colours_the_text_is_the_same(stage: Stage, argv: tuple[str, ...]) -> None:
    plain = stage.run(*argv)
    coloured = on(stage, *argv, columns=0)
    assert "\033[" not in plain
    assert "\033[" in coloured
    without = coloured
    for code in ("", "1", "31", "32", "33", "35", "36", "41", "1;31", "1;32", "1;33", "1;36"):
        without = without.replace(f"\033[{code}m", "")
    assert without == plain
    assert on(stage, argv[0], "--no-color", *argv[1:], columns=0) == plain
    assert on(stage, argv[0], "--color=never", *argv[1:], columns=0) == plain
    assert stage.run(argv[0], "--color=auto", *argv[1:]) == plain
    assert stage.run(argv[0], "--color", *argv[1:]) == coloured
    assert stage.run(argv[0], "--color=always", *argv[1:]) == coloured


@pytest.mark.parametrize("argv", [("status", "--porcelain"), ("status", "-sz"), ("diff", "--raw")])
def test_what_is_for_programs_has_none(stage: Stage, argv: tuple[str, ...]) -> None:
    assert on(stage, *argv) == visible(stage.run(*argv))
    json.loads(on(stage, argv[0], "--json", "--color=always"))


def test_a_terminal_shows_the_names_of_commits_and_is_as_wide_as_it_is(stage: Stage) -> None:
    assert "(\033[m\033[1;36mHEAD -> " in on(stage, "log")
    assert "HEAD" not in on(stage, "log", "--no-decorate")
    assert "HEAD" not in stage.run("log")
    assert "HEAD" not in stage.run("log", "--decorate=auto")
    stage.files.write(b"edited", b"x\n" * 500)
    widths = {columns: len(on(stage, "diff", "--stat", columns=columns)) for columns in (80, 160)}
    assert widths[160] - widths[80] == 80


def test_a_match_that_is_one_of_too_many_to_colour_is_still_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.files.write(b"edited", b"1 1 1\n")
    stage.files.remove(b"staged")
    monkeypatch.setattr("heliosfs.commands.grep.grep.SPANS_MAX", 2)
    assert on(stage, "grep", "-h", "1") == "1 1 1\n"


def test_a_request_says_whether_there_are_colours() -> None:
    line = parse_line('{"argv": ["log"], "color": true, "columns": 132}')
    assert line.screen == Screen(color=True, columns=132)
    assert parse_line("log").screen == Screen(color=False, columns=0)
    for text in ('"color": 1', '"columns": -1', '"columns": true', '"columns": 20000'):
        with pytest.raises(UsageError):
            parse_line(f'{{"argv": ["log"], {text}}}')


def test_a_colour_of_another_name(stage: Stage) -> None:
    with pytest.raises(UsageError, match="always, never, auto"):
        stage.run("diff", "--color=sometimes")


def test_a_reply_for_a_program_stays_as_it_is() -> None:
    reply = answer("a\033[mb", 1)
    assert finished(reply, is_for_terminal=False) is reply
    shown = finished(reply, is_for_terminal=True)
    assert (shown, exit_code_of(shown)) == ("a^[[mb", 1)


def test_names_of_colours() -> None:
    paint = Paint(is_on=True)

    def named(words: str) -> str:
        return finished(paint.named(words), is_for_terminal=True)

    assert named("bold red") == "\033[1;31m"
    assert named("red blue ul") == "\033[4;31;44m"
    assert named("214") == "\033[38;5;214m"
    assert named("reset") == "\033[m"
    assert paint.named("no such") == ""
    assert PLAIN.named("red") == ""
    assert (PLAIN(Role.META, "x"), PLAIN.raw(Role.META, b"x")) == ("x", b"x")
