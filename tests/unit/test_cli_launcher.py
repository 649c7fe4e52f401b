"""The launcher: what it answers itself, and what it hands on."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import heliosfs.cli

LAUNCHER = Path(heliosfs.cli.__file__).with_name("helios")
IS_ANSWERED = "if is_answered; then"
"""Line of the launcher that tells a control file from others, once it is open."""
SECONDS = 20


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    """The launcher beside a Python side that only says that it was called.

    It takes a plain file for a control file, which only a mount has.
    """
    path = tmp_path / "bin"
    path.mkdir()
    script = LAUNCHER.read_text()
    assert script.count(IS_ANSWERED) == 1
    (path / "helios").write_text(script.replace(IS_ANSWERED, "if true; then"))
    (path / "helios-py").write_text('#!/bin/sh\nprintf "python:%s\\n" "$@"\n')
    for name in ("helios", "helios-py"):
        (path / name).chmod(0o755)
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory that looks like a view; its control file keeps what is written."""
    path = tmp_path / "ws"
    (path / ".helios/ctl").mkdir(parents=True)
    (path / ".helios/ctl/command").touch()
    (path / "src/a b").mkdir(parents=True)
    return path


def run(program: Path, *argv: str, cwd: Path) -> str:
    done = subprocess.run(
        [program, *argv], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert done.stderr == ""
    return done.stdout


def requests(workspace: Path) -> list[dict[str, object]]:
    text = (workspace / ".helios/ctl/command").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_hot_verb_is_written_to_the_nearest_control_file(
    bin_directory: Path, workspace: Path
) -> None:
    out = run(bin_directory / "helios", "commit", "-m", "ein Weg, 100%", cwd=workspace / "src/a b")
    assert out == ""
    assert requests(workspace) == [{"argv": ["commit", "-m", "ein Weg, 100%"], "cwd": "src/a b"}]


def test_at_the_root_of_a_view(bin_directory: Path, workspace: Path) -> None:
    run(bin_directory / "helios", "status", cwd=workspace)
    assert requests(workspace) == [{"argv": ["status"], "cwd": ""}]


def test_empty_arguments_and_utf8_survive(bin_directory: Path, workspace: Path) -> None:
    run(bin_directory / "helios", "commit", "-m", "", "提交 $HOME `x` 'y'", cwd=workspace)
    assert requests(workspace)[0]["argv"] == ["commit", "-m", "", "提交 $HOME `x` 'y'"]


@pytest.mark.parametrize("message", ['say "x"', "a\\b", "two\nlines", "a\tb", "\x01"])
def test_what_needs_escapes_goes_to_python(
    bin_directory: Path, workspace: Path, message: str
) -> None:
    out = run(bin_directory / "helios", "commit", "-m", message, cwd=workspace)
    assert out == f"python:commit\npython:-m\npython:{message}\n"
    assert requests(workspace) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["diff"],
        ["mount", "x"],
        ["commit", "--help"],
        ["log", "-h"],
        ["log", "--color=always"],
        ["-P", "log"],
        ["rev-parse", "-q", "--verify", "x"],
        ["rev-parse", "--show-toplevel"],
        ["rev-parse", "--git-dir"],
        ["rev-parse", "--is-inside-work-tree"],
    ],
)
def test_other_verbs_and_help_go_to_python(
    bin_directory: Path, workspace: Path, argv: list[str]
) -> None:
    out = run(bin_directory / "helios", *argv, cwd=workspace)
    assert out == "".join(f"python:{word}\n" for word in argv)


def test_outside_of_a_workspace_python_explains(bin_directory: Path, tmp_path: Path) -> None:
    assert run(bin_directory / "helios", "status", cwd=tmp_path) == "python:status\n"


def test_a_directory_name_that_needs_escapes(bin_directory: Path, workspace: Path) -> None:
    odd = workspace / 'a"b'
    odd.mkdir()
    assert run(bin_directory / "helios", "status", cwd=odd) == "python:status\n"


def test_through_a_link_on_the_path(bin_directory: Path, tmp_path: Path, workspace: Path) -> None:
    elsewhere = tmp_path / "usr"
    elsewhere.mkdir()
    (elsewhere / "helios").symlink_to(bin_directory / "helios")
    assert run(elsewhere / "helios", "version", cwd=tmp_path) == "python:version\n"
    run(elsewhere / "helios", "status", cwd=workspace)
    assert requests(workspace) == [{"argv": ["status"], "cwd": ""}]


def test_a_link_into_another_workspace_counts_as_where_it_leads(
    bin_directory: Path, workspace: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / ".helios/ctl").mkdir(parents=True)
    (other / ".helios/ctl/command").touch()
    (other / "dep").symlink_to(workspace / "src")
    subprocess.run(
        ["sh", "-c", f"cd dep && {bin_directory / 'helios'} status"],
        cwd=other,
        timeout=SECONDS,
        check=True,
    )
    assert requests(workspace) == [{"argv": ["status"], "cwd": "src"}]
    assert requests(other) == []


@pytest.mark.parametrize("words", [["-F", "-"], ["-Ffile"], ["--file=x"], ["-aF", "x"]])
def test_a_file_with_the_message_is_read_by_python(
    bin_directory: Path, workspace: Path, words: list[str]
) -> None:
    out = run(bin_directory / "helios", "commit", *words, cwd=workspace)
    assert out.splitlines() == [f"python:{word}" for word in ("commit", *words)]
    assert requests(workspace) == []


@pytest.mark.parametrize(
    ("words", "goes_to_python"),
    [
        (["commit"], True),
        (["commit", "--amend"], True),
        (["commit", "-q"], True),
        (["commit", "-m", "x"], False),
        (["commit", "-qm", "x"], False),
        (["commit", "--amend", "--no-edit"], False),
    ],
)
def test_on_a_terminal_python_asks_for_the_message(
    bin_directory: Path, workspace: Path, words: list[str], goes_to_python: bool
) -> None:
    leader, follower = pty.openpty()
    try:
        subprocess.run(
            [bin_directory / "helios", *words],
            cwd=workspace, stdin=follower, stdout=follower, timeout=SECONDS, check=True,
        )  # fmt: skip
    finally:
        os.close(follower)
        os.close(leader)
    assert (requests(workspace) == []) == goes_to_python


@pytest.mark.parametrize("verb", ["status", "log", "branch"])
def test_a_terminal_is_a_matter_for_python(
    bin_directory: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    primary, secondary = os.openpty()
    try:
        subprocess.run(
            [bin_directory / "helios", verb],
            cwd=workspace,
            stdout=secondary,
            timeout=SECONDS,
            check=True,
        )
        assert os.read(primary, 100) == f"python:{verb}\r\n".encode()
    finally:
        os.close(primary)
        os.close(secondary)
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert run(bin_directory / "helios", verb, cwd=workspace) == f"python:{verb}\n"
    assert requests(workspace) == []


def test_a_refusal_in_json_goes_to_standard_output(
    bin_directory: Path, workspace: Path, tmp_path: Path
) -> None:
    """The launcher takes what a control file says after a write that failed."""
    document = '{"error": "no branch \'x\'", "errno": "ENOENT"}'
    script = (bin_directory / "helios").read_text()
    # No file fails a write and then has a reply, but in a mount: the reply alone is played.
    tail = script[script.index("IFS= read -r text") :]
    played = f"exec 3<<'END'\nerror: usage: {document}\nEND\n{tail}"
    done = subprocess.run(
        ["sh", "-c", played], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (document + "\n", "", 2)


def plant_nothing_but_a_file(root: Path) -> None:
    (root / ".helios/ctl/command").touch()


def plant_a_longer_file(root: Path) -> None:
    (root / ".helios/ctl/command").write_text("reply\n" * 1000)


def plant_a_link(root: Path) -> None:
    (root / ".helios/ctl/command").symlink_to(root / "mine")


def plant_a_dangling_link(root: Path) -> None:
    (root / ".helios/ctl/command").symlink_to(root / "none")


def plant_a_fifo(root: Path) -> None:
    os.mkfifo(root / ".helios/ctl/command")


def plant_a_linked_directory(root: Path) -> None:
    (root / "elsewhere").mkdir()
    (root / "elsewhere/command").touch()
    (root / ".helios/ctl").rmdir()
    (root / ".helios/ctl").symlink_to(root / "elsewhere")


@pytest.mark.parametrize(
    "plant",
    [
        plant_nothing_but_a_file,
        plant_a_longer_file,
        plant_a_link,
        plant_a_dangling_link,
        plant_a_fifo,
        plant_a_linked_directory,
    ],
)
def test_no_directory_takes_over_the_command(
    bin_directory: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    """Nothing is written if no daemon answers, and Python, called in place, says so."""
    (bin_directory / "helios").write_bytes(LAUNCHER.read_bytes())
    (bin_directory / "helios-py").write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n')
    root = tmp_path / "ws"
    (root / ".helios/ctl").mkdir(parents=True)
    (root / "mine").write_text("mine\n")
    plant(root)
    before = {path: path.stat().st_size for path in root.rglob("*") if path.is_file()}
    out = run(bin_directory / "helios", "commit", "-m", "x", cwd=root)
    assert out == f"{root}\ncommit\n-m\nx\n"
    assert {path: path.stat().st_size for path in root.rglob("*") if path.is_file()} == before
