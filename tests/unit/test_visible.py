"""A terminal obeys nothing that others wrote, and files and programs get what was written."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs.cli.daemon import set_up_logging
from heliosfs.cli.main import main
from heliosfs.commands import dotfiles
from heliosfs.commands.colours import MARK
from heliosfs.commands.table import VERBS, run
from heliosfs.commands.verb import Screen
from heliosfs.commands.visible import visible
from heliosfs.errors import HeliosError
from heliosfs.steps import run_to_end
from heliosfs.vfs.control import CommandChannel, ErrorLog
from tests.tree_builder import Stage

SECONDS = 60
ODD = "\033]0;title\007 \033[2J \x9b1m \r \b \u202egnp.exe\u2066 \x7f"
"""Text that sets titles, clears, hides and turns around: harmless here, as nothing shows it."""
_SGR = re.compile(r"\033\[[0-9;]*m")
_OBEYED = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]"
)


def obeyed(text: str) -> set[str]:
    """Return what a terminal would obey in a text, our own colours apart."""
    return set(_OBEYED.findall(_SGR.sub("", text)))


def test_what_cannot_be_seen_is_shown_as_less_shows_it() -> None:
    assert visible("plain ä 提交 \t\n") == "plain ä 提交 \t\n"
    every = "".join(map(chr, [*range(0x300), *range(0x2000, 0x2100), *range(0xDC80, 0xDD00)]))
    assert obeyed(visible(every)) == set()
    assert visible("\0\033\x7f\x85\u202e\udcff") == "^@^[^?<U+0085><U+202E><FF>"
    # What looks like it, and is harmless, stays.
    assert visible("^[ <U+202E>") == "^[ <U+202E>"


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A repository in which all that others may choose is odd."""
    stage = Stage()
    stage.commit("first", file=b"one\n")
    name = ODD.replace("/", "").encode()
    stage.files.write(name, b"one\n" + ODD.encode() + b"\nlatin \xe9\n")
    stage.files.write(b"file", b"two\n" + ODD.encode() + b"\n")
    stage.run("commit", "-m", f"subject {ODD}\n\nbody {ODD}\n")
    stage.run("branch", "odd\u202egnp\x9b1m")
    stage.run("tag", "-a", "-m", f"note {ODD}", "tag\u202e")
    stage.run("experiment", "start", "trial\u202e")
    stage.files.write(b"file", b"three " + ODD.encode() + b"\n")
    stage.run("stash", "push", "-m", f"stashed {ODD}")
    stage.files.write(b"file", b"four " + ODD.encode() + b"\n")
    stage.files.write(name + b"2", b"new\n")
    return stage


CALLS = [
    ["log"],
    ["log", "-p", "--stat"],
    ["log", "--graph", "--all"],
    ["log", "--oneline"],
    ["log", "-g"],
    ["log", "--format=%an%s%b%d"],
    ["show"],
    ["show", "HEAD:file"],
    ["show", "tag\u202e"],
    ["diff"],
    ["diff", "HEAD~1", "--word-diff"],
    ["diff", "--stat", "HEAD~1"],
    ["diff", "--name-only", "-z", "HEAD~1"],
    ["status"],
    ["status", "-s"],
    ["branch"],
    ["branch", "-v"],
    ["tag", "-n"],
    ["for-each-ref"],
    ["blame", "file"],
    ["grep", "title"],
    ["ls-files", "-z"],
    ["ls-tree", "-r", "HEAD"],
    ["cat-file", "-p", "HEAD"],
    ["cat-file", "-p", "HEAD:file"],
    ["oplog"],
    ["stash", "list"],
    ["stash", "show", "-p"],
    ["experiment", "list"],
    ["rev-list", "--all"],
    ["config", "list"],
    ["undo"],
    ["redo"],
]


@pytest.mark.parametrize("argv", CALLS, ids=" ".join)
@pytest.mark.parametrize("color", [True, False])
def test_a_reply_for_a_terminal_has_only_our_own_codes(
    stage: Stage, argv: list[str], color: bool
) -> None:
    shown = run(stage.repository, stage.view, argv, screen=Screen(color, columns=80))
    assert obeyed(shown) == set()
    assert MARK not in shown
    assert color or "\033" not in shown


def test_a_reply_for_a_program_is_what_was_written(stage: Stage) -> None:
    assert ODD in stage.run("log")
    assert ODD in stage.run("show", "HEAD:file")
    assert ODD in stage.run("log", "--color=always")
    assert "\033[33mcommit" in stage.run("log", "--color=always")
    assert MARK not in stage.run("log", "-p", "--color=always")


def test_codes_in_a_message_are_told_from_ours(stage: Stage) -> None:
    """A message may say `ESC [8m`, which hides what follows: only our own codes are codes."""
    stage.run("commit", "--allow-empty", "-m", "plain \033[8mhidden\033[m")
    shown = run(stage.repository, stage.view, ["log", "-1"], screen=Screen(color=True, columns=80))
    assert "plain ^[[8mhidden^[[m" in shown
    assert "\033[33mcommit" in shown
    spelt_out = ["log", "-1", "--format=%x1b[1m%s%x1b[m"]
    shown = run(stage.repository, stage.view, spelt_out, screen=Screen(columns=80))
    assert shown == "\033[1mplain ^[[8mhidden^[[m\033[m\n"


@pytest.mark.parametrize("name", sorted(VERBS))
def test_errors_are_visible_wherever_they_go(stage: Stage, name: str) -> None:
    errors = ErrorLog()
    channel = CommandChannel(errors, stage.repository, lambda: stage.view, name, str)
    for word in (f"--{ODD}", ODD):
        try:
            for request in channel.write(repr_json([word])):
                request.run()
        except HeliosError as error:
            channel.fail(error)
            assert obeyed(channel.read(1 << 16).decode()) == set()
    assert obeyed(errors.text()) == set()


def repr_json(words: list[str]) -> bytes:
    import json

    return json.dumps(words).encode() + b"\n"


@pytest.mark.parametrize("name", sorted({*dotfiles.FILES, *dotfiles.BUILT_FILES} - {"report.html"}))
def test_the_words_under_dot_helios_are_visible(stage: Stage, name: str) -> None:
    if name in dotfiles.FILES:
        text = dotfiles.FILES[name](stage.repository, stage.view)
    else:
        steps = dotfiles.BUILT_FILES[name](stage.repository, stage.view)
        text = run_to_end(steps, stage.store)
    assert obeyed(text) == set()


def test_the_log_of_a_daemon_is_visible(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        set_up_logging(debug=False)
        logging.getLogger("x").warning("about %s", ODD)
    finally:
        root.handlers = before
        logging.captureWarnings(capture=False)
    said = capfd.readouterr().err
    assert "about ^[]0;title" in said
    assert obeyed(said) == set()


def test_refusals_of_the_command_line_are_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for argv in ([ODD], ["mount", f"no/{ODD}"], ["-C", ODD, "status"], ["status", f"--{ODD}"]):
        assert main(argv) in (1, 2)
        assert obeyed(capfd.readouterr().err) == set()


def on_a_terminal(argv: list[str], cwd: Path) -> str:
    """Return what a terminal gets from a command, on both of its outputs."""
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliosfs.cli", *argv],
            cwd=cwd, stdin=follower, stdout=follower, stderr=follower,
            env=os.environ | {"GIT_PAGER": "cat", "TERM": "xterm"},
        )  # fmt: skip
        os.close(follower)
        data = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            data += part
        process.wait(SECONDS)
    finally:
        os.close(leader)
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def test_a_terminal_gets_nothing_to_obey_from_the_command(tmp_path: Path) -> None:
    odd = tmp_path / ODD.replace("/", "")
    assert main(["init", "-q", str(odd)]) == 0
    asked = ["-C", str(odd), "commit", "--allow-empty", "-m", ODD]
    for argv in (asked, ["-C", str(odd), "log"], ["doctor", str(odd)], ["init", str(odd)], [ODD]):
        shown = on_a_terminal(argv, tmp_path)
        assert shown
        assert obeyed(shown) == set(), argv
    piped = subprocess.run(
        [sys.executable, "-m", "heliosfs.cli", "-C", str(odd), "log"],
        capture_output=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    assert ODD.encode() in piped.stdout
