"""The table of verbs, and the ways into it: from a line of text, from a list of words.

The control files, the command line and the reference page all read this table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliosfs.commands.declared import DECLARED
from heliosfs.commands.declared_git import DECLARED_GIT
from heliosfs.commands.declared_merge import DECLARED_MERGE
from heliosfs.commands.declared_search import DECLARED_SEARCH
from heliosfs.commands.declared_settings import DECLARED_SETTINGS
from heliosfs.commands.verb import Request, Verb
from heliosfs.errors import UsageError

if TYPE_CHECKING:
    from heliosfs.repo.repository import Repository
    from heliosfs.repo.view import View

__all__ = ["VERBS", "Request", "Verb", "find_verb", "parse_line", "run"]

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (*DECLARED, *DECLARED_GIT, *DECLARED_MERGE, *DECLARED_SEARCH, *DECLARED_SETTINGS)
}

_USAGE = "usage: "


def find_verb(name: str) -> Verb:
    """The verb of that name.  UsageError suggests what it may have meant."""
    verb = VERBS.get(name)
    if verb is None:
        from difflib import get_close_matches

        near = get_close_matches(name, VERBS, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{_USAGE}unknown verb {name[:80]!r}{hint}")
    return verb


def run(repository: Repository, view: View, argv: list[str], cwd: str = "") -> str:
    """Carry out a verb and give its reply; `argv` begins with the verb's name.

    The text of every UsageError begins with `usage: `, which is how a client that has only
    the text knows it.  Text that is not UTF-8 is in surrogates (PEP 383), in the words and in
    the reply.
    """
    if not argv:
        raise UsageError(f"{_USAGE}a request names a verb")
    try:
        return find_verb(argv[0]).run(Request(repository, view, cwd), argv[1:])
    except UsageError as error:
        text = str(error)
        if text.startswith(_USAGE):
            raise
        raise UsageError(_USAGE + text) from error


def parse_line(text: str) -> tuple[list[str], str]:
    """The words of a request, and the caller's directory below the view's root.

    A line is shell-like words, a JSON list of words, or a JSON object
    `{"argv": [...], "cwd": "..."}`.  UsageError.

    >>> parse_line("reset --hard 'HEAD~1'")
    (['reset', '--hard', 'HEAD~1'], '')
    >>> parse_line('{"argv": ["status"], "cwd": "src"}')
    (['status'], 'src')
    """
    line = text.strip()
    if "\0" in line:
        raise UsageError(f"{_USAGE}a request may not contain a NUL byte")
    if line.startswith(("{", "[")):
        return _parse_json(line)
    if not any(mark in line for mark in "'\"\\"):
        return line.split(), ""
    import shlex

    try:
        return shlex.split(line), ""
    except ValueError as error:
        raise UsageError(f"{_USAGE}{str(error).lower()} in {line[:80]!r}") from error


def _parse_json(line: str) -> tuple[list[str], str]:
    import json

    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_USAGE}not JSON: {error}") from error
    cwd: object = ""
    if isinstance(value, dict):
        cwd = value.pop("cwd", "")
        argv = value.pop("argv", None)
        if value:
            raise UsageError(f"{_USAGE}unknown key {next(iter(value))[:80]!r} in the request")
    else:
        argv = value
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise UsageError(f"{_USAGE}'argv' must be a list of strings")
    if not isinstance(cwd, str) or any(part in (".", "..") for part in cwd.split("/")):
        raise UsageError(f"{_USAGE}'cwd' must be the path of a directory below the view's root")
    if "\0" in cwd or any("\0" in word for word in argv):
        raise UsageError(f"{_USAGE}a request may not contain a NUL byte")
    return argv, cwd.strip("/")
