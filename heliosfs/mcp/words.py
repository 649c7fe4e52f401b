"""Tool of a verb: the schema of its input, and the words that an input stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from heliosfs.commands.options import Option, misuse
from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import Verb
from heliosfs.errors import UsageError

ARGUMENTS = "arguments"
PATHS = "paths"
DIRECTORY = "directory"
LISTED_COUNT = 20
"""Commits or operations that a list has if the caller names no number."""

Schema = dict[str, Any]


def tool_verbs() -> list[Verb]:
    """Return the verbs that are tools, in the order of the table."""
    return [verb for verb in VERBS.values() if verb.is_tool]


def tool_description(verb: Verb) -> str:
    """Return what a model reads about a verb: its summary, description and forms."""
    text = verb.description.replace("\n", " ")
    forms = "\n".join(
        f"{verb.name} {words.replace('[--json]', '').strip()}".rstrip() for words in verb.synopsis
    )
    return f"{verb.summary[0].upper()}{verb.summary[1:]}.\n\n{text}\n\nForms:\n{forms}"


def input_schema(verb: Verb) -> Schema:
    """Return the JSON schema of the tool's input: a property for each option, and the words."""
    properties = {_name(option): _property(option) for option in tool_options(verb)}
    properties[ARGUMENTS] = _texts("words of a form that are no options, in order")
    if verb.takes_paths:
        properties[PATHS] = _texts("paths, which come after --")
    properties[DIRECTORY] = {
        "type": "string",
        "description": "where paths begin; .helios/branches/NAME acts on that branch",
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def tool_options(verb: Verb) -> list[Option]:
    """Return the options of a verb that matter to a reply in JSON."""
    return [option for option in verb.options if not option.is_for_text]


def words_of(verb: Verb, given: Mapping[str, Any]) -> list[str]:
    """Return the words of a request, `--json` among them.  Raise UsageError.

    >>> words_of(VERBS["reset"], {"hard": True, "arguments": ["HEAD~1"]})
    ['reset', '--json', '--hard', 'HEAD~1']
    """
    options = {_name(option): option for option in tool_options(verb)}
    given = {key.replace("-", "_"): value for key, value in given.items()}
    words = _list(verb, ARGUMENTS, given.get(ARGUMENTS))
    wrong = next((word for word in words if len(word) > 1 and word.startswith("-")), None)
    if wrong is not None:
        raise misuse(verb.name, f"{wrong[:80]!r} is an option, which is a property of its own")
    said = [verb.name, "--json"]
    for key, value in given.items():
        if key in options:
            said += _option_words(verb, options[key], value)
        elif key not in (ARGUMENTS, DIRECTORY) and (key != PATHS or not verb.takes_paths):
            known = ", ".join(input_schema(verb)["properties"])
            raise UsageError(f"usage: unknown property {key[:80]!r}: {verb.name!r} has {known}")
    said += _limit(verb, given, words)
    said += words
    if given.get(PATHS) is not None:
        said += ["--", *_list(verb, PATHS, given[PATHS])]
    return said


def directory_of(verb: Verb, given: Mapping[str, Any]) -> str:
    """Return the directory in which a tool acts; "" for that of the client.  Raise UsageError."""
    directory = given.get(DIRECTORY) or ""
    if not isinstance(directory, str) or "\0" in directory:
        raise misuse(verb.name, f"{DIRECTORY!r} is the path of a directory")
    return directory


def _name(option: Option) -> str:
    """Return the name of an option's property; not every model may write a dash in one."""
    return option.key.replace("-", "_")


def _property(option: Option) -> Schema:
    if not option.value:
        return {"type": "boolean", "description": option.summary}
    if option.is_repeated:
        return _texts(f"{option.summary} ({option.value})")
    if option.is_number:
        return {
            "type": "integer",
            "minimum": 0,
            "description": f"{option.summary.partition(';')[0]} (default: {LISTED_COUNT})",
        }
    if option.value == "N" and not option.is_optional:
        return {"type": "integer", "minimum": 0, "description": option.summary}
    hint = f"{option.value}, or empty" if _may_be_empty(option) else option.value
    return {"type": "string", "description": f"{option.summary} ({hint})"}


def _may_be_empty(option: Option) -> bool:
    return option.is_optional or option.is_last_optional


def _texts(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def _option_words(verb: Verb, option: Option, value: object) -> Iterator[str]:
    """Yield the words of an option; none for False and for null, which models write, too."""
    name = option.names[-1]
    if value is None or value is False:
        return
    if not option.value:
        if value is not True:
            raise misuse(verb.name, f"{_name(option)!r} is true or false")
        yield name
    elif value is True and _may_be_empty(option):
        yield f"{name}="
    elif isinstance(value, str) and not option.is_repeated:
        # As it is: a text such as '["a"]' is no list where one text is asked for.
        yield f"{name}={value}" if name[:2] == "--" else f"{name}{value}"
    else:
        values = _list(verb, _name(option), value)
        if len(values) > 1 and not option.is_repeated:
            raise misuse(verb.name, f"{_name(option)!r} takes one value")
        # Joined, so that no value passes for another option.
        yield from (f"{name}={each}" if name[:2] == "--" else f"{name}{each}" for each in values)


def _limit(verb: Verb, given: Mapping[str, Any], words: list[str]) -> Iterator[str]:
    """Yield the option that bounds a list, where the caller does not.

    With words, a verb that has other forms than a list does something else.
    """
    for option in tool_options(verb):
        is_list = verb.effect.is_read_only or not words
        if option.is_number and is_list and given.get(_name(option)) is None:
            yield f"{option.names[-1]}={LISTED_COUNT}"


def _list(verb: Verb, key: str, value: object) -> list[str]:
    """Return the texts that a value stands for.

    Some clients write a list as a JSON text, and some models a single value in place of a list.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return _texts_in(value)
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, (str, int, float)) or isinstance(item, bool):
            raise UsageError(f"usage: {key!r} is text, or a list of texts; not {item!r:.80}")
    return [str(item) for item in items]


def _texts_in(text: str) -> list[str]:
    """Return the texts of a list in JSON, or else the text itself."""
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        if all(isinstance(each, str) for each in found):
            return list(found)
    return [text]
