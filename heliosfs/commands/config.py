"""`config`: the settings, the file of the repository that sets them, and the author of commits."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, text_of
from heliosfs.commands.verb import Request, answer
from heliosfs.config.settings import DEFAULT, Setting
from heliosfs.errors import UsageError
from heliosfs.repo.configuration import Configuration

_ACTIONS = ("list", "get", "set", "unset")
_USER = ("user.name", "user.email")


def config(request: Request, options: Options) -> str:
    """Show or change settings; `set` and `unset` reply with what is in force now."""
    configuration = request.repository.configuration
    action, words = _action(options)
    if action == "list":
        _expect(options, words, 0, "'config list' takes no key")
        return _list(request, options)
    if action == "get":
        _expect(options, words, 1, "which key? config get KEY")
        return _get(request, options, words[0])
    if action == "set":
        _expect(options, words, 2, "which key and value? config set KEY VALUE")
        _check_user(words[0])
        return _line(configuration.set(words[0], words[1]))
    _expect(options, words, 1, "which key? config unset KEY")
    _check_user(words[0])
    return _line(configuration.unset(words[0]))


def _action(options: Options) -> tuple[str, list[str]]:
    """Return the action that is asked for, in our words or in git's, and its words."""
    options.only_one("get", "list", "unset")
    for key in ("get", "list", "unset"):
        if key in options:
            return key, options.words
    if not options.words:
        return "list", []
    first, *rest = options.words
    if first in _ACTIONS:
        return first, rest
    if "." not in first:
        raise options.misuse(f"give get, set, unset, list or a key, not {first[:80]!r}")
    return ("set" if rest else "get"), options.words


def _check_user(key: str) -> None:
    if key in _USER:
        raise UsageError(
            f"usage: {key} is what git's configuration or the account says when the workspace is "
            f"mounted: 'git config --global {key} …', or HELIOS_AUTHOR_NAME and _EMAIL, then "
            f"mount again; for one commit 'helios -c {key}=… commit', or --author"
        )


def _expect(options: Options, words: list[str], count: int, problem: str) -> None:
    if len(words) != count:
        raise options.misuse(problem)


def _list(request: Request, options: Options) -> str:
    configuration: Configuration = request.repository.configuration
    entries = configuration.settings.entries
    if "changed" in options:
        entries = tuple(entry for entry in entries if entry.source != DEFAULT)
    if "json" in options:
        return json_reply([_document(entry) for entry in entries])
    if "list" in options:
        lines = [f"{key}={_user(request, key)}\n" for key in _USER]
        return "".join([*lines, *(f"{each.key.path}={each.text}\n" for each in entries)])
    return "".join(_line(entry) for entry in entries)


def _get(request: Request, options: Options, key: str) -> str:
    if key in _USER:
        value = _user(request, key)
        return json_reply({"key": key, "value": value}) if "json" in options else f"{value}\n"
    is_asked_as_git = "get" in options or options.words[0] == key
    try:
        entry = request.repository.configuration.settings.find(key)
    except UsageError:
        if is_asked_as_git:
            return answer("", 1)
        raise
    if "json" in options:
        return json_reply(_document(entry))
    return f"{entry.text}\n"


def _user(request: Request, key: str) -> str:
    identity = request.repository.identity
    return text_of(identity.name if key == "user.name" else identity.email)


def _line(entry: Setting) -> str:
    origin = f"{entry.source} line {entry.line}" if entry.line else entry.source
    text = f"{entry.key.path} = {entry.text or '-'}  ({origin})"
    if entry.key.no_effect:
        text += f"  no effect: {entry.key.no_effect}"
    return text + "\n"


def _document(entry: Setting) -> dict[str, object]:
    return {
        "key": entry.key.path,
        "value": entry.value,
        "text": entry.text,
        "source": entry.source,
        "line": entry.line or None,
        "type": entry.key.type.summary,
        "default": entry.key.default,
        "effect": not entry.key.no_effect,
        "why": entry.key.no_effect or None,
    }
