"""Table of the verbs, and the ways into it: from a line of text, from a list of words.

The control files, the command line and the reference page all read this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from heliosfs.commands.colours import finished
from heliosfs.commands.declarations.agents import DECLARED_AGENTS
from heliosfs.commands.declarations.branches import DECLARED_BRANCH
from heliosfs.commands.declarations.commits import DECLARED
from heliosfs.commands.declarations.experiments import DECLARED_EXPERIMENTS
from heliosfs.commands.declarations.files import DECLARED_FILES
from heliosfs.commands.declarations.git import DECLARED_GIT
from heliosfs.commands.declarations.merging import DECLARED_MERGE
from heliosfs.commands.declarations.picking import DECLARED_PICK
from heliosfs.commands.declarations.plumbing import DECLARED_PLUMBING
from heliosfs.commands.declarations.remotes import DECLARED_REMOTES
from heliosfs.commands.declarations.running import DECLARED_RUNNING
from heliosfs.commands.declarations.search import DECLARED_SEARCH
from heliosfs.commands.declarations.settings import DECLARED_SETTINGS
from heliosfs.commands.declarations.upkeep import DECLARED_UPKEEP
from heliosfs.commands.refusal import tell_as_json
from heliosfs.commands.verb import NO_SCREEN, Request, Screen, Verb
from heliosfs.errors import (
    CorruptObject,
    HeliosError,
    MissingObject,
    PromisedObject,
    StoreError,
    Unfetched,
    UsageError,
)

if TYPE_CHECKING:
    from heliosfs.repo.repository import Repository
    from heliosfs.repo.view import View
    from heliosfs.steps import Progress, Steps

__all__ = [
    "VERBS",
    "CommandLine",
    "Request",
    "Verb",
    "begin",
    "find_verb",
    "parse_line",
    "run",
    "run_alone",
]

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        *DECLARED,
        *DECLARED_FILES,
        *DECLARED_BRANCH,
        *DECLARED_GIT,
        *DECLARED_REMOTES,
        *DECLARED_MERGE,
        *DECLARED_PICK,
        *DECLARED_SEARCH,
        *DECLARED_RUNNING,
        *DECLARED_PLUMBING,
        *DECLARED_EXPERIMENTS,
        *DECLARED_AGENTS,
        *DECLARED_SETTINGS,
        *DECLARED_UPKEEP,
    )
}

_USAGE = "usage: "
_FSCK = "'helios fsck'"
_COLUMNS = 10_000
"""Columns of the widest terminal."""


def find_verb(name: str) -> Verb:
    """Return the verb of that name.  Raise UsageError, which suggests a verb that exists."""
    verb = VERBS.get(name)
    if verb is None:
        from heliosfs.commands.instead import unknown_verb

        raise UsageError(_USAGE + unknown_verb(name, VERBS))
    return verb


def run(
    repository: Repository,
    view: View,
    argv: list[str],
    cwd: str = "",
    report: Callable[[Progress], None] = lambda progress: None,
    screen: Screen = NO_SCREEN,
) -> str:
    """Run a verb and return the reply; `argv` begins with the verb's name.

    The text of every UsageError begins with `usage: `, by which a client that has only the text
    recognizes it.  Bytes that are not UTF-8 are surrogates (PEP 383) in the words and in the
    reply.  `report` is called with the progress of a long verb.
    """
    try:
        reply = _verb_of(argv).run(Request(repository, view, cwd, screen), argv[1:], report)
        return finished(reply, is_for_terminal=screen.columns > 0)
    except HeliosError as error:
        told = _with_hint(error, argv, view)
        if told is error:
            raise
        raise told from error


def run_alone(
    repository: Repository,
    view: Callable[[], View],
    argv: list[str],
    cwd: str = "",
    report: Callable[[Progress], None] = lambda progress: None,
    screen: Screen = NO_SCREEN,
) -> str:
    """Run a verb as `run` does, again and again until all contents that it needs are here.

    For callers beside whom nobody waits for the store.  `view` returns the view each time.  Raise
    Unfetched, too.
    """
    from heliosfs.remote.repetition import repeated

    def attempt() -> str:
        return run(repository, view(), argv, cwd, report, screen)

    try:
        return repeated(repository, attempt, report)
    except Unfetched as error:
        tell_as_json(error, argv)
        raise


def begin(
    repository: Repository,
    view: View,
    argv: list[str],
    cwd: str = "",
    screen: Screen = NO_SCREEN,
) -> Steps[str]:
    """Run a long verb in steps; otherwise as `run`."""
    try:
        request = Request(repository, view, cwd, screen)
        reply = yield from _verb_of(argv).begin(request, argv[1:])
        return finished(reply, is_for_terminal=screen.columns > 0)
    except HeliosError as error:
        told = _with_hint(error, argv, view)
        if told is error:
            raise
        raise told from error


def _verb_of(argv: list[str]) -> Verb:
    if not argv:
        raise UsageError("the request is empty: begin it with a verb")
    return find_verb(argv[0])


def _with_hint(error: HeliosError, argv: list[str], view: View) -> HeliosError:
    """Return the error as the client tells it, with what to do about a damaged store."""
    if isinstance(error, PromisedObject):
        # It is run again once the content is here.
        return error
    if isinstance(error, UsageError):
        error = UsageError(_USAGE + str(error).removeprefix(_USAGE))
    # What fsck itself raises is its list.
    if isinstance(error, CorruptObject | MissingObject) and argv[0] != "fsck":
        error = _damage(error, view)
    tell_as_json(error, argv)
    return error


def _damage(error: StoreError, view: View) -> StoreError:
    if _FSCK in str(error):
        return error
    try:
        # Most verbs begin at HEAD; if that is what is damaged, there is a way out of it.
        view.read_head()
    except (CorruptObject, MissingObject) as of_head:
        return of_head
    return type(error)(
        f"{error}: {_FSCK} lists what is damaged, 'helios fsck --repair NEW' saves the rest"
    )


class CommandLine(NamedTuple):
    """Request as it was written."""

    argv: list[str]
    cwd: str = ""
    """The caller's directory below the view's root."""
    progress: bool = False
    """True if the reply of a long verb begins with lines that report its progress."""
    exit: bool = False
    """True if the reply begins with a line with the exit code, before the text."""
    screen: Screen = NO_SCREEN
    branch: str | None = None
    """Branch whose view is meant, in place of the one that the control file is in."""


def parse_line(text: str) -> CommandLine:
    """Parse a request.

    A line is shell-like words, a JSON list of words, or a JSON object
    `{"argv": [...], "cwd": "...", "branch": "...", "progress": true, "exit": true, "color": true,
    "columns": 80}`.
    Raise UsageError.

    >>> parse_line("reset --hard 'HEAD~1'").argv
    ['reset', '--hard', 'HEAD~1']
    >>> parse_line('{"argv": ["status"], "cwd": "src"}')[:4]
    (['status'], 'src', False, False)
    """
    line = text.strip()
    if "\0" in line:
        raise UsageError(f"{_USAGE}a request may not contain a NUL byte")
    if line.startswith(("{", "[")):
        return _parse_json(line)
    if not any(mark in line for mark in "'\"\\"):
        return CommandLine(line.split())
    import shlex

    try:
        return CommandLine(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"{_USAGE}{str(error).lower()} in {line[:80]!r}") from error


def _check_text(text: str) -> None:
    """Check that a word can be encoded: as UTF-8, or with surrogates (PEP 383).  Raise UsageError.

    JSON can contain half of a pair of surrogates; no file name, pattern or message can.
    """
    if "\0" in text:
        raise UsageError(f"{_USAGE}a request may not contain a NUL byte")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{_USAGE}a request is Unicode text: "
            f"U+{ord(text[error.start]):04X} is half of a character"
        ) from error


def _parse_json(line: str) -> CommandLine:
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_USAGE}not JSON: {error}") from error
    cwd: object = ""
    columns: object = 0
    branch: object = None
    flags: dict[str, object] = {"progress": False, "exit": False, "color": False}
    if isinstance(value, dict):
        cwd = value.pop("cwd", "")
        flags = {key: value.pop(key, False) for key in flags}
        columns = value.pop("columns", 0)
        branch = value.pop("branch", None)
        argv = value.pop("argv", None)
        if value:
            raise UsageError(f"{_USAGE}unknown key {next(iter(value))[:80]!r} in the request")
    else:
        argv = value
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise UsageError(f"{_USAGE}'argv' must be a list of strings")
    if not isinstance(cwd, str) or any(part in (".", "..") for part in cwd.split("/")):
        raise UsageError(f"{_USAGE}'cwd' must be the path of a directory below the view's root")
    for key, flag in flags.items():
        if not isinstance(flag, bool):
            raise UsageError(f"{_USAGE}{key!r} must be true or false")
    if isinstance(columns, bool) or not isinstance(columns, int) or not 0 <= columns <= _COLUMNS:
        raise UsageError(f"{_USAGE}'columns' must be a whole number from 0 to {_COLUMNS}")
    if not isinstance(branch, str | None):
        raise UsageError(f"{_USAGE}'branch' must be the name of a branch")
    for text in (cwd, branch or "", *argv):
        _check_text(text)
    screen = Screen(flags["color"] is True, columns)
    return CommandLine(
        argv, cwd.strip("/"), flags["progress"] is True, flags["exit"] is True, screen, branch
    )
