"""`helios hook`: events that the launcher leaves to Python, and those outside of a workspace.

A client that asks for a worktree has given up its own way to make one.  In a project that is no
mounted workspace, git makes it here, where the client would have put it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple

from heliosfs.cli.client import current_directory, print_bytes
from heliosfs.cli.locate import Location, find_view
from heliosfs.commands.agents.payload import (
    MOMENTS,
    HookMoment,
    HookPayload,
    read_payload,
    text_at,
)
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError

_HOOK = ".helios/ctl/hook"
_ANSWER_PART_BYTES = 64 * 1024
_WORKTREE_SECONDS = 120


class _HookAnswer(NamedTuple):
    """Answer of the daemon to a hook."""

    text: str
    is_refused: bool


def hook(argv: list[str], options: Options) -> int:
    """Pass an event on to the workspace, and print its answer; return the exit code.

    It is 0 but for a worktree that could not be made.
    """
    options.at_most(1)
    if not options.words:
        raise options.misuse("name the event")
    moment = MOMENTS.get(options.words[0])
    is_needed = moment is HookMoment.WORKTREE_CREATE
    try:
        given = options.value("payload")
        text = given if given is not None else _standard_input()
        print_bytes(os.fsencode(_answer(argv, options, moment, text)))
    except (HeliosError, OSError, subprocess.SubprocessError) as error:
        if not is_needed:
            return 0
        print(f"helios: {error}", file=sys.stderr)
        return 1
    return 0


def _standard_input() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _answer(argv: list[str], options: Options, moment: HookMoment | None, text: str) -> str:
    payload = read_payload(text)
    view = _view(text_at(payload, "worktree_path", "cwd"), is_known=moment is not None)
    if view is None:
        return _by_git(moment, payload)
    words = [options.words[0]]
    if client := options.value("client"):
        words.append(f"--client={client}")
    answer = _ask(view, " ".join(words), text)
    if answer.is_refused:
        raise HeliosError(answer.text)
    if moment is HookMoment.WORKTREE_CREATE:
        return os.path.realpath(os.path.join(view.root, answer.text.strip())) + "\n"
    return answer.text


def _view(directory: str, *, is_known: bool) -> Location | None:
    """Return the view of the current directory, else that of the directory in the payload."""
    if not is_known:
        return None
    found = find_view(current_directory())
    if found is None and os.path.isabs(directory):
        return find_view(os.path.realpath(directory))
    return found


def _ask(view: Location, line: str, payload: str) -> _HookAnswer:
    """Write an event to the control file of a view, and return the answer.  Raise OSError."""
    fd = os.open(os.path.join(view.root, _HOOK), os.O_RDWR | os.O_CLOEXEC)
    try:
        data = f"{line}\n{payload}".encode("utf-8", "surrogateescape")
        while data:
            data = data[os.write(fd, data) :]
        parts = []
        try:
            while part := os.read(fd, _ANSWER_PART_BYTES):
                parts.append(part)
        except OSError:
            # The read that ended the request refused it; the next one has the reason.
            parts = [os.read(fd, _ANSWER_PART_BYTES)]
    finally:
        os.close(fd)
    text = b"".join(parts).decode("utf-8", "replace")
    if text.startswith("error: "):
        return _HookAnswer(text.removeprefix("error: ").strip(), is_refused=True)
    return _HookAnswer(text, is_refused=False)


def _by_git(moment: HookMoment | None, payload: HookPayload) -> str:
    """Make or remove a worktree of git; return its path, or "".  Raise HeliosError."""
    if moment is HookMoment.WORKTREE_CREATE:
        return _create_by_git(text_at(payload, "name"))
    path = text_at(payload, "worktree_path", "worktreePath")
    if moment is HookMoment.WORKTREE_REMOVE and path:
        done = _git("worktree", "remove", "--", path)
        if done.returncode:
            return json.dumps({"systemMessage": f"git keeps {path}: {done.stderr.strip()}"}) + "\n"
    return ""


def _create_by_git(name: str) -> str:
    if not name or name.startswith(("-", "/")) or ".." in name.split("/"):
        raise HeliosError(f"no worktree can have the name {name[:80]!r}")
    top = _git("rev-parse", "--path-format=absolute", "--git-common-dir")
    if top.returncode:
        raise HeliosError(f"neither a mounted workspace nor a git repository: {os.getcwd()}")
    path = os.path.join(os.path.dirname(top.stdout.strip()), ".claude", "worktrees", name)
    if os.path.isdir(path):
        return f"{path}\n"
    branch = f"worktree-{name.replace('/', '+')}"
    base = "origin/HEAD"
    if _git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}").returncode:
        base = "HEAD"
    done = _git("worktree", "add", "-B", branch, "--", path, base)
    if done.returncode:
        raise HeliosError(f"git worktree add: {done.stderr.strip()}")
    return f"{path}\n"


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=_WORKTREE_SECONDS,
        check=False,
    )
