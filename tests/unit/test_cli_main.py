"""From arguments to verbs, and from errors to lines and exit codes."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from heliosfs import __version__
from heliosfs.cli import client, locate
from heliosfs.cli import main as program
from heliosfs.cli.local_verbs import LOCAL_VERBS, LocalVerb
from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import Verb
from heliosfs.errors import HeliosError, StoreBusy, UsageError
from heliosfs.mounttable import FSTYPE, Mount

main = program.main
SECONDS = 30


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(argv: Sequence[str]) -> int:
        raise error

    monkeypatch.setattr(client, "run", run)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--version", "version"):
        assert main([word]) == 0
        assert capsys.readouterr().out == f"helios {__version__}\n"


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ["init", "mount", "umount", *VERBS]:
        assert f"\n  {name} " in text
    assert main([]) == 2
    assert capsys.readouterr().out == text
    assert main(["help"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("verb", ["init", "mount", "umount", *VERBS])
def test_help_of_a_verb_needs_no_workspace(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: helios {verb}")
    assert main(["help", verb]) == 0
    assert capsys.readouterr().out == text


def test_help_as_the_value_of_an_option_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["commit", "-m", "--help"]) == 1
    assert "not inside a heliosfs workspace" in capsys.readouterr().err


def test_an_unknown_verb_is_answered_with_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comit"]) == 2
    assert capsys.readouterr().err == "helios: unknown verb 'comit': did you mean 'commit'?\n"
    assert main(["umont"]) == 2
    assert "umount" in capsys.readouterr().err
    assert main(["qqqq"]) == 2
    assert capsys.readouterr().err == "helios: unknown verb 'qqqq' ('helios --help' lists them)\n"


def test_wrong_usage_needs_no_workspace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["commit", "--frobnicate"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("helios: unknown option '--frobnicate'")
    assert said.count("\n") == 1


def test_outside_of_a_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"helios: not inside a heliosfs workspace ({tmp_path}")


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (UsageError("usage: no"), 2, "helios: no\n"),
        (StoreBusy("in use by pid 7"), 1, "helios: in use by pid 7\n"),
        (client.Refused("odd", 2, errno.EINVAL), 2, "helios: odd\n"),
        (OSError(errno.ENOENT, "No such file", "/x"), 1, "helios: no such file: /x\n"),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("oh"), 1, "helios: a bug: ZeroDivisionError: oh (HELIOS_DEBUG=1"),
    ],
)
def test_errors_are_a_line_and_an_exit_code(
    error: BaseException,
    exit_code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_with(monkeypatch, error)
    assert main(["status"]) == exit_code
    text = capsys.readouterr().err
    assert text.startswith(said)
    assert text.count("\n") == (1 if said else 0)


def test_a_bug_shows_its_traceback_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, ZeroDivisionError())
    monkeypatch.setenv("HELIOS_DEBUG", "1")
    main(["status"])
    assert "Traceback" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "heliosfs.cli", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""


@pytest.fixture
def plain_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a directory for a view although nothing is mounted there."""
    mount = Mount("/ws", FSTYPE, "heliosfs", 7, "0:7", user_id=os.geteuid())
    monkeypatch.setattr(locate, "mount_of", lambda fd: mount)


def ask(tmp_path: Path, answer: bytes, *argv: str) -> int:
    """Ask a control file that is a plain file: what is in it after the request is the reply."""
    control = tmp_path / ".helios/ctl/command"
    control.parent.mkdir(parents=True)
    request = b'{"argv": ["status"], "cwd": ""}\n'
    control.write_bytes(b" " * len(request) + answer)
    return client.run(list(argv))


@pytest.mark.usefixtures("plain_view")
def test_the_reply_is_passed_on_byte_by_byte(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    answer = b"\xff\0bytes\n" * 50_000
    assert ask(tmp_path, answer, "status") == 0
    assert capfdbinary.readouterr().out == answer


@pytest.mark.usefixtures("plain_view")
@pytest.mark.parametrize(
    ("text", "exit_code", "said"),
    [
        (b"error: usage: bad word\n", 2, "bad word"),
        (b"error: no such branch\nand more\n", 1, "no such branch\nand more"),
        (b"", 1, "bad file descriptor"),
    ],
)
def test_a_refusal_is_read_from_the_same_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, exit_code: int, said: str
) -> None:
    control = tmp_path / ".helios/ctl/command"
    control.parent.mkdir(parents=True)
    control.write_bytes(text)
    control_open = os.open

    def read_only(path: str, flags: int) -> int:
        is_control = flags & os.O_ACCMODE == os.O_RDWR
        return control_open(path, os.O_RDONLY if is_control else flags)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(HeliosError) as caught:
        client.run(["status"])
    assert str(caught.value) == said
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize("name", ["ls-remote", "rebase", "worktree", "submodule"])
def test_a_verb_of_git_is_answered_with_what_there_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name]) == 2
    assert f"there is no verb {name!r} here: " in capsys.readouterr().err


def test_another_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ws").mkdir()
    assert main(["-C", "ws", "init"]) == 0
    assert main(["-C", str(tmp_path), "-C", "ws", "status"]) == 0
    assert main(["-C"]) == 2
    os.chdir(tmp_path)
    assert main(["-C", "none", "status"]) == 1
    assert "no such file or directory: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message", "rest"),
    [
        (["-F", "-"], "from the input", []),
        (["-F", "file"], "from a file\n\nwith a body", []),
        (["-aF", "file", "--json"], "from a file\n\nwith a body", ["-a", "--json"]),
        (["-Ffile", "--", "F"], "from a file\n\nwith a body", ["--", "F"]),
        (["--file=file", "-q"], "from a file\n\nwith a body", ["-q"]),
        (["-qFfile"], "from a file\n\nwith a body", ["-q"]),
    ],
)
def test_a_message_from_a_file(
    words: list[str], message: str, rest: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(argv: Sequence[str]) -> int:
        asked.append(list(argv))
        return 0

    monkeypatch.setattr(client, "run", run)
    (tmp_path / "file").write_text("\nfrom a file\n\nwith a body\n\n")
    stdin = io.TextIOWrapper(io.BytesIO(b"from the input\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["commit", *words]) == 0
    (argv,) = asked
    assert f"--message={message}" in argv
    assert [word for word in argv[1:] if not word.startswith("--message")] == rest


def test_whether_something_differs_is_an_exit_code(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    workspace = tmp_path / "ws"
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_text("text\n")
    assert main(["init", str(workspace)]) == 0
    where = ["-C", str(workspace)]
    assert main([*where, "import", "--from-dir", str(tmp_path / "source")]) == 0
    capfdbinary.readouterr()
    for option, said in (("--exit-code", b"+text\n"), ("--quiet", b"")):
        assert main([*where, "diff", option]) == 1
        assert capfdbinary.readouterr().out.endswith(said)
    assert main([*where, "diff"]) == 0
    assert main([*where, "commit", "-m", "all"]) == 0
    capfdbinary.readouterr()
    for option in ("--exit-code", "--quiet"):
        assert main([*where, "diff", option]) == 0
        assert capfdbinary.readouterr().out == b""
    # Where 1 is an answer, a refusal is not 1.
    assert main([*where, "diff", "--quiet", "no such path"]) == 2
    assert main([*where, "diff", "--quiet", "--json"]) == 2


def test_a_message_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["commit", "-F", "none"]) == 1
    assert "no such file or directory: none" in capsys.readouterr().err
    (tmp_path / "latin").write_bytes(b"\xe4")
    assert main(["commit", "-F", "latin"]) == 2
    assert "latin is not UTF-8" in capsys.readouterr().err
    (tmp_path / "long").write_bytes(b"x" * 70_000)
    assert main(["commit", "-F", "long"]) == 1
    assert "longer than 64 KiB" in capsys.readouterr().err
    assert main(["commit", "-F", "long", "-m", "other"]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [verb for verb in VERBS.values() if verb.client])
def test_the_part_of_the_client_is_where_the_table_says(verb: Verb) -> None:
    module = import_module(f"heliosfs.cli.{verb.client}")
    assert list(signature(getattr(module, verb.function_name)).parameters) == ["argv", "options"]


@pytest.mark.parametrize("verb", list(LOCAL_VERBS.values()))
def test_a_verb_of_the_command_line_has_a_function_and_a_parser(verb: LocalVerb) -> None:
    module = import_module(f"heliosfs.cli.{verb.module}")
    assert list(signature(getattr(module, verb.name)).parameters) == ["argv"]
    assert verb.parser().prog == f"helios {verb.name}"


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_files(streams: str, tmp_path: Path) -> None:
    """The first files that are opened would be the streams: replies would be written into them."""
    code = "import os, sys; from heliosfs.cli.main import main; code = main(['--version']); "
    code += f"fd = os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_RDWR); "
    code += "print('said'); print('complained', file=sys.stderr); sys.exit(code or 3 - min(fd, 3))"
    words = ["sh", "-c", f'"$@" {streams}', "sh", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    assert b"AttributeError" not in done.stderr
    assert (tmp_path / "file").read_bytes() == b""
