"""Words of a request: the options that a verb declares, and those that a request contains.

Declared as data, because the same declarations make the help, the reference page and the
usage of the control files.  The rules are those of getopt_long(3) without abbreviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from heliosfs.errors import UsageError

_HELP_COLUMN = 26


class Option(NamedTuple):
    """One option of a verb."""

    names: tuple[str, ...]
    """Spellings, dashes included; code asks for the option by the last one."""
    summary: str
    value: str = ""
    """Name of its value in the help; empty for a flag."""
    is_number: bool = False
    """True if `-5` is another way to write `-n 5`."""
    is_optional: bool = False
    """True if its value may be left out; a value comes after `=` then."""
    is_last_optional: bool = False
    """True if its value may be left out where no word comes after it."""
    is_repeated: bool = False
    """True if all of its values count, not only the last one."""
    is_for_text: bool = False
    """True if it has no effect on a reply in JSON, or none at all, or works in the client only."""

    @property
    def key(self) -> str:
        """Return the key of the option in `Options`."""
        return self.names[-1].lstrip("-")

    @property
    def synopsis(self) -> str:
        """Spelling in the help: `-m, --message TEXT`."""
        names = ", ".join(self.names)
        if self.is_optional:
            return f"{names}[={self.value}]"
        if self.is_last_optional:
            return f"{names} [{self.value}]"
        return f"{names} {self.value}" if self.value else names


HELP = Option(("-h", "--help"), "show this text")
JSON = Option(("--json",), "reply with one JSON document", is_for_text=True)


def for_text(*options: Option) -> tuple[Option, ...]:
    """Return options as declared by a verb whose replies in JSON do not depend on them."""
    return tuple(option._replace(is_for_text=True) for option in options)


class Options:
    """Options, words and paths of a request."""

    __slots__ = ("_given", "paths", "verb", "words")

    def __init__(
        self,
        verb: str,
        given: Mapping[str, list[str]],
        words: list[str],
        paths: list[str] | None,
    ) -> None:
        self.verb = verb
        self._given = given
        self.words = words
        """Words that are no options, in order."""
        self.paths = paths
        """Words after `--`, if the verb takes paths; None without a `--`."""

    def __contains__(self, key: str) -> bool:
        return key in self._given

    def has_any(self, keys: Iterable[str]) -> bool:
        """Return True if at least one of these options is given."""
        return not self._given.keys().isdisjoint(keys)

    def add(self, key: str) -> None:
        """Take an option for given, which another one stands for."""
        self._given = {**self._given, key: [""]}

    def value(self, key: str) -> str | None:
        """Return the value of an option; the last one counts."""
        values = self._given.get(key)
        return values[-1] if values else None

    def values(self, key: str) -> list[str]:
        """Return all values of an option that may be repeated."""
        return self._given.get(key, [])

    def number(self, key: str) -> int | None:
        """Return the value of an option as a number from 0 on.  Raise UsageError."""
        text = self.value(key)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise self.misuse(f"{text!r} is not a number")
        return int(text)

    def only_one(self, *keys: str) -> None:
        """Check that at most one of these options is given.  Raise UsageError."""
        given = [f"-{key}" if len(key) == 1 else f"--{key}" for key in keys if key in self._given]
        if len(given) > 1:
            raise self.misuse(f"{' and '.join(given)} exclude each other")

    def at_most(self, count: int) -> None:
        """Check that there are at most `count` words.  Raise UsageError."""
        if len(self.words) > count:
            raise self.misuse(f"one argument too many: {self.words[count]!r}")

    def misuse(self, problem: str) -> UsageError:
        """Return the error to raise when the request makes no sense."""
        return misuse(self.verb, problem)


def misuse(verb: str, problem: str) -> UsageError:
    """Return the error about wrong syntax, in the one form that clients recognise."""
    return UsageError(f"usage: {problem}; see 'helios {verb} --help'")


class VerbParser:
    """Parser of the words of one verb."""

    __slots__ = ("_before_command", "_by_name", "_help", "_takes_command", "_takes_paths", "_verb")

    def __init__(
        self,
        verb: str,
        options: Sequence[Option],
        help_text: str,
        *,
        takes_paths: bool,
        takes_command: bool = False,
        before_command: int = 0,
    ) -> None:
        self._verb = verb
        self._by_name = {name: option for option in options for name in option.names}
        self._help = help_text
        self._takes_paths = takes_paths
        self._takes_command = takes_command
        self._before_command = before_command

    def format_help(self) -> str:
        """Return the help, newline included."""
        return self._help

    def parse(self, argv: Sequence[str]) -> Options:
        """Parse the words after the verb.  Raise UsageError."""
        given: dict[str, list[str]] = {}
        words: list[str] = []
        paths: list[str] | None = None
        rest = iter(argv)
        for word in rest:
            if word == "--":
                if self._takes_paths:
                    paths = list(rest)
                else:
                    words += rest
            elif word.startswith("--"):
                self._long(word, rest, given)
            elif word.startswith("-") and len(word) > 1:
                self._short(word, rest, given)
            else:
                words.append(word)
                if self._takes_command and len(words) > self._before_command:
                    words += rest
        return Options(self._verb, given, words, paths)

    def _long(self, word: str, rest: Iterator[str], given: dict[str, list[str]]) -> None:
        name, equals, value = word.partition("=")
        option = self._find(name)
        if option.value:
            text = value
            if not equals and option.is_last_optional:
                text = next(rest, "")
            elif not equals and not option.is_optional:
                text = self._next(name, rest)
            given.setdefault(option.key, []).append(text)
        elif equals:
            raise misuse(self._verb, f"{name} takes no value")
        else:
            given[option.key] = [""]

    def _short(self, word: str, rest: Iterator[str], given: dict[str, list[str]]) -> None:
        number = next((option for option in self._by_name.values() if option.is_number), None)
        if number is not None and word[1:].isdigit():
            given.setdefault(number.key, []).append(word[1:])
            return
        for at in range(1, len(word)):
            option = self._find(f"-{word[at]}")
            if option.value:
                text = word[at + 1 :]
                if not text and not option.is_optional:
                    text = self._next(f"-{word[at]}", rest)
                given.setdefault(option.key, []).append(text)
                return
            given[option.key] = [""]

    def _next(self, name: str, rest: Iterator[str]) -> str:
        text = next(rest, None)
        if text is None:
            raise misuse(self._verb, f"{name} needs a value")
        return text

    def _find(self, name: str) -> Option:
        option = self._by_name.get(name)
        if option is None:
            from heliosfs.commands.instead import unknown_option

            raise misuse(self._verb, unknown_option(self._verb, name))
        return option


def describe(options: Sequence[Option]) -> str:
    """Describe options as the help lists them, in a line or two each."""
    lines = []
    for option in options:
        synopsis = f"  {option.synopsis}"
        if len(synopsis) > _HELP_COLUMN - 2:
            lines += [synopsis, " " * _HELP_COLUMN + option.summary]
        else:
            lines.append(f"{synopsis:<{_HELP_COLUMN}}{option.summary}")
    return "\n".join(lines)
