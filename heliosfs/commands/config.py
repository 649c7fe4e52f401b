"""`config`: the settings, and the file of the repository that sets them."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.config.settings import DEFAULT, Setting
from heliosfs.repo.configuration import Configuration


def config(request: Request, options: Options) -> str:
    """Show or change settings; `set` and `unset` reply with what is in force now."""
    configuration = request.repository.configuration
    action, *words = options.words or ["list"]
    if action == "list":
        _expect(options, words, 0, "'config list' takes no key")
        return _list(configuration, options)
    if action == "get":
        _expect(options, words, 1, "which key? config get KEY")
        return _get(configuration.settings.find(words[0]), options)
    if action == "set":
        _expect(options, words, 2, "which key and value? config set KEY VALUE")
        return _line(configuration.set(words[0], words[1]))
    if action == "unset":
        _expect(options, words, 1, "which key? config unset KEY")
        return _line(configuration.unset(words[0]))
    raise options.misuse(f"get, set, unset or list, not {action[:80]!r}")


def _expect(options: Options, words: list[str], count: int, problem: str) -> None:
    if len(words) != count:
        raise options.misuse(problem)


def _list(configuration: Configuration, options: Options) -> str:
    entries = configuration.settings.entries
    if "changed" in options:
        entries = tuple(entry for entry in entries if entry.source != DEFAULT)
    if "json" in options:
        return json_reply([_document(entry) for entry in entries])
    return "".join(_line(entry) for entry in entries)


def _get(entry: Setting, options: Options) -> str:
    if "json" in options:
        return json_reply(_document(entry))
    return f"{entry.text}\n"


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
