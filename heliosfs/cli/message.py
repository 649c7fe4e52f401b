"""The message of a commit: the daemon sees neither our files nor our terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from heliosfs.commands.message import MESSAGE_MAX_BYTES
from heliosfs.commands.options import Options
from heliosfs.errors import TooLarge, UsageError

_NAMES = ("-F", "--file")


def commit(argv: list[str], options: Options) -> list[str]:
    """Return the words of a commit with its message and its author.

    Without a message, and on a terminal, the editor of the user is opened.
    """
    from heliosfs.commands.commit import COMMIT_TEXT

    if "file" in options:
        argv = with_message(argv, options)
    elif not any(key in options for key in COMMIT_TEXT):
        from heliosfs.cli.editor import is_terminal, with_edited_message

        if is_terminal():
            argv = with_edited_message(argv, options)
    return with_author(argv, options)


def with_message(argv: Sequence[str], options: Options) -> list[str]:
    """Return the words of a commit with the content of the file in place of its name.

    Raise UsageError when the file is not UTF-8, or another message is given; OSError.
    """
    options.only_one("message", "file")
    name = options.value("file")
    assert name is not None
    if name == "-":
        data = sys.stdin.buffer.read(MESSAGE_MAX_BYTES + 1)
    else:
        with open(name, "rb") as file:
            data = file.read(MESSAGE_MAX_BYTES + 1)
    if len(data) > MESSAGE_MAX_BYTES:
        raise TooLarge(f"the message is longer than {MESSAGE_MAX_BYTES // 1024} KiB")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"usage: the message in {name} is not UTF-8: {error.reason}") from error
    return _replaced(argv, f"--message={text.strip()}")


def _replaced(argv: Sequence[str], message: str) -> list[str]:
    """Return the words with the first `-F FILE` among them replaced by the message."""
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    for at, word in enumerate(words[:end]):
        if word in _NAMES:
            return [*words[:at], message, *words[at + 2 :]]
        if word.startswith("--file="):
            return [*words[:at], message, *words[at + 1 :]]
        if word[:1] == "-" and word[:2] != "--" and "F" in word:
            flags, _, value = word.partition("F")
            rest = words[at + 1 :] if value else words[at + 2 :]
            return [*words[:at], *([flags] if flags != "-" else []), message, *rest]
    raise AssertionError("the words contain no -F option")


def with_author(argv: Sequence[str], options: Options) -> list[str]:
    """Return the words of a commit with the author that `-c user.name=… -c user.email=…` names."""
    name, email = (os.environ.get(f"HELIOS_USER_{key}") for key in ("NAME", "EMAIL"))
    if "author" in options or not (name or email):
        return list(argv)
    from heliosfs.cli.client import ask_in_current_directory

    name = name or ask_in_current_directory(["config", "user.name"]).rstrip("\n")
    email = email or ask_in_current_directory(["config", "user.email"]).rstrip("\n")
    return [argv[0], f"--author={name} <{email}>", *argv[1:]]
