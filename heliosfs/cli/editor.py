"""`commit` without a message on a terminal: the editor of the user is opened, as git does it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence

from heliosfs.cli.client import ask_in_current_directory
from heliosfs.commands.message import MESSAGE_MAX_BYTES
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError, TooLarge, UsageError

FILE = "COMMIT_EDITMSG"
"""Name of the file, by which editors recognize a commit message."""

_HINT = """\
# Please enter the commit message for your changes. Lines starting
# with '#' will be ignored, and an empty message aborts the commit.
#
"""
_GIT_SECONDS = 5


def is_terminal() -> bool:
    """Return True if an editor can be shown to the user."""
    return os.isatty(0) and os.isatty(1)


def with_edited_message(argv: Sequence[str], options: Options) -> list[str]:
    """Return the words of a commit with the message that the user wrote.

    Raise HeliosError when the message is empty, or the editor cannot be run or fails.
    """
    status = ask_in_current_directory(["status"])
    begin = _begin(options)
    lines = (line if line.startswith("\t") else f" {line}" for line in status.splitlines())
    comments = "".join(f"#{line}".rstrip() + "\n" for line in lines)
    message = cleaned(edited(f"{begin}\n{_HINT}{comments}"))
    if not message:
        raise HeliosError("aborting the commit: the message is empty")
    return [argv[0], f"--message={message}", *argv[1:]]


def with_edited_tag(argv: Sequence[str]) -> list[str]:
    """Return the words of an annotated tag with the message that the user wrote."""
    hint = "# Write a message for the tag. Lines starting with '#' will be ignored.\n"
    message = cleaned(edited(f"\n{hint}"))
    if not message:
        raise HeliosError("no tag: the message is empty")
    return [argv[0], f"--message={message}", *argv[1:]]


def _begin(options: Options) -> str:
    """Return the message to begin with: that of the commit to amend, or of the open merge."""
    if "amend" in options:
        return ask_in_current_directory(["log", "-1", "--format=%B"])
    return ask_in_current_directory(["commit", "--dry-run", "--message-only"]).rstrip("\n")


def edited(text: str) -> str:
    """Open the editor on a text, and return the text as it was saved."""
    with tempfile.TemporaryDirectory(prefix="helios-") as directory:
        path = os.path.join(directory, FILE)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        command = editor()
        # As git does: the shell knows quotes and options in the name of the editor.
        done = subprocess.run(["sh", "-c", f'{command} "$@"', command, path], check=False)
        if done.returncode:
            raise HeliosError(
                f"the editor {command!r} ended with exit code {done.returncode}: "
                "give the text with -m, or set EDITOR"
            )
        with open(path, "rb") as file:
            data = file.read(MESSAGE_MAX_BYTES * 4)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"usage: the message is not UTF-8: {error.reason}") from error


def editor() -> str:
    """Return the editor's command, from where git takes it.

    GIT_EDITOR, core.editor of this call or of git, VISUAL on a capable terminal, EDITOR, vi.
    """
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    known = [
        os.environ.get("GIT_EDITOR"),
        os.environ.get("HELIOS_EDITOR"),
        _configured(),
        None if is_dumb else os.environ.get("VISUAL"),
        os.environ.get("EDITOR"),
    ]
    found = next((each for each in known if each), None)
    if found is None and is_dumb:
        raise HeliosError("no editor on this terminal: set EDITOR, or give the text with -m")
    return found or "vi"


def _configured() -> str | None:
    """Return the editor of git's configuration; None without one, or without git."""
    try:
        done = subprocess.run(
            ["git", "config", "core.editor"],
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def cleaned(text: str) -> str:
    r"""Return a message as git-stripspace(1) cleans it.

    Comments are removed, blank lines at both ends, and all but one of adjacent blank lines.

    >>> cleaned("subject  \n\n\nbody\n# comment\n\n")
    'subject\n\nbody'
    """
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        stripped = line.rstrip()
        if stripped or (lines and lines[-1]):
            lines.append(stripped)
    message = "\n".join(lines).strip("\n")
    if len(message.encode()) > MESSAGE_MAX_BYTES:
        raise TooLarge(f"the message is longer than {MESSAGE_MAX_BYTES // 1024} KiB")
    return message
