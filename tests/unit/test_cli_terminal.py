"""Output on a terminal: the choice of colours, and the pager."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from heliosfs.cli import terminal
from heliosfs.commands.table import VERBS
from heliosfs.errors import UsageError

VARIABLES = (
    "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "GIT_PAGER", "PAGER", "LESS", terminal.PAGINATE,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal of which nothing is known, outside of any workspace."""
    for name in VARIABLES:
        # Set first, so that what the code under test sets is taken back, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "isatty", lambda fd: True)


@pytest.mark.parametrize(
    ("variables", "setting", "is_coloured"),
    [
        ({}, "auto", True),
        ({}, "", True),
        ({}, "never", False),
        ({"NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": ""}, "auto", True),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, "auto", False),
        ({"CLICOLOR_FORCE": "1"}, "never", True),
        ({"CLICOLOR_FORCE": "0"}, "auto", True),
        ({"CLICOLOR": "0"}, "auto", False),
        ({"TERM": "dumb"}, "auto", False),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "yes"}, "auto", True),
    ],
)
def test_who_decides_on_colours(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], setting: str, is_coloured: bool
) -> None:
    monkeypatch.setattr(terminal, "_setting", lambda view, key: setting)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal._is_coloured(None) is is_coloured


def test_a_pipe_has_none_unless_they_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: False)
    assert terminal._columns() == 0
    assert not terminal._is_coloured(None)
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert terminal._is_coloured(None)


@pytest.mark.parametrize(
    ("variables", "setting", "pager"),
    [
        ({"GIT_PAGER": "more", "PAGER": "most"}, "less -S", "more"),
        ({"PAGER": "most"}, "less -S", "less -S"),
        ({"PAGER": "most"}, "", "most"),
        ({"GIT_PAGER": "cat", "PAGER": "most"}, "", ""),
        ({"GIT_PAGER": ""}, "less", ""),
        ({"PAGER": "cat"}, "", ""),
        ({"PAGER": "most", "TERM": "dumb"}, "", "most"),
        ({"TERM": "dumb"}, "", ""),
    ],
)
def test_which_pager(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], setting: str, pager: str
) -> None:
    monkeypatch.setattr(terminal, "_setting", lambda view, key: setting)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal._pager_of(None) == pager


def test_without_less_there_is_no_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert terminal._pager_of(None) == ""


@pytest.mark.parametrize(
    ("line", "is_paged"),
    [
        ("log", True),
        ("status -s", True),
        ("branch", True),
        ("branch --list a*", True),
        ("branch new", False),
        ("branch -d old", False),
        ("branch --show-current", False),
        ("tag", True),
        ("tag v1", False),
        ("stash", False),
        ("stash list", True),
        ("config set ui.color never", False),
        ("config", True),
        ("ls-files", False),
    ],
)
def test_what_is_paged(monkeypatch: pytest.MonkeyPatch, line: str, is_paged: bool) -> None:
    name, *words = line.split()
    options = VERBS[name].parser().parse(words)
    assert terminal._is_paged(options) is is_paged
    monkeypatch.setenv(terminal.PAGINATE, "1")
    assert terminal._is_paged(options)


def test_settings_of_git_for_one_call() -> None:
    assert terminal.set_for_this_call("core.pager", "less -S")
    assert os.environ["GIT_PAGER"] == "less -S"
    assert terminal.set_for_this_call("color.ui", "always")
    assert (os.environ["CLICOLOR_FORCE"], "NO_COLOR" in os.environ) == ("1", False)
    assert terminal.set_for_this_call("ui.color", "never")
    assert ("CLICOLOR_FORCE" in os.environ, os.environ["NO_COLOR"]) == (False, "1")
    assert not terminal.set_for_this_call("core.editor", "vi")
    with pytest.raises(UsageError):
        terminal.set_for_this_call("color.ui", "purple")


def test_a_pager_gets_all_of_it_and_starts_with_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LV", "mine")
    shown = terminal._Pager(f"(echo $LESS $LV; cat) > {tmp_path}/shown")
    shown.write(b"")
    shown.end()
    assert not (tmp_path / "shown").exists()
    before = signal.getsignal(signal.SIGPIPE)
    try:
        shown.write(b"one\n")
        shown.write(b"two\n")
        shown.end()
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert (tmp_path / "shown").read_bytes() == b"FRX mine\none\ntwo\n"


@pytest.mark.parametrize(("command", "is_none"), [("/no/such/pager", True), ("true", False)])
def test_a_pager_that_is_none(command: str, is_none: bool) -> None:
    before = signal.getsignal(signal.SIGPIPE)
    shown = terminal._Pager(command)
    try:
        with contextlib.suppress(BrokenPipeError):
            shown.write(b"text\n")
    finally:
        shown.end()
        signal.signal(signal.SIGPIPE, before)
    assert shown.cannot_run is is_none
