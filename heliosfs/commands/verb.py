"""Verb as the table declares it, and a request to carry it out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from keyword import iskeyword
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from heliosfs.commands.options import HELP, Option, Options, VerbParser, describe
from heliosfs.errors import UsageError

if TYPE_CHECKING:
    from heliosfs.repo.repository import Repository
    from heliosfs.repo.view import View
    from heliosfs.steps import Progress, Steps

_parsers: dict[str, VerbParser] = {}


class Screen(NamedTuple):
    """Screen on which the caller shows the reply."""

    color: bool = False
    """True if replies have colours, unless the options say otherwise."""
    columns: int = 0
    """The width of the terminal; 0 if it is none."""


NO_SCREEN = Screen()


class Request(NamedTuple):
    """Caller of a verb: the repository, the view and the directory in which it acts."""

    repository: Repository
    view: View
    cwd: str
    """The caller's directory below the root of the view; "" at the root."""
    screen: Screen = NO_SCREEN


class Reply(str):
    """Reply with an exit code, by which the command line ends.

    A reply that is plain text ends it with 0.  Whoever writes to a control file is told the code
    if the request asks for it (`"exit": true`).
    """

    __slots__ = ("exit_code",)

    exit_code: int


def answer(text: str, exit_code: int) -> str:
    """Return the text as a reply with which the command line ends by that exit code."""
    if not exit_code:
        return text
    reply = Reply(text)
    reply.exit_code = exit_code
    return reply


def exit_code_of(reply: str) -> int:
    """Return the exit code that a reply stands for."""
    return reply.exit_code if isinstance(reply, Reply) else 0


class Effect(NamedTuple):
    """Effect of a verb in all its forms, by which a client decides whether to ask its user."""

    is_read_only: bool = False
    """True if no form changes a file, a commit, a name, a record or a setting."""
    is_destructive: bool = False
    """True if a form replaces or removes some of these, even if `undo` brings it back."""
    is_idempotent: bool = False
    """True if the same call again changes nothing more; a refusal changes nothing."""


READS = Effect(is_read_only=True, is_idempotent=True)
ADDS = Effect()
ADDS_ONCE = Effect(is_idempotent=True)
REPLACES = Effect(is_destructive=True)
REPLACES_ONCE = Effect(is_destructive=True, is_idempotent=True)


class Verb(NamedTuple):
    """Declaration of a verb, for programs and for people."""

    name: str
    module: str
    """The module of this package whose function of the same name carries it out."""
    summary: str
    synopsis: tuple[str, ...]
    """The ways to call it, without its name."""
    description: str
    options: tuple[Option, ...]
    errors: tuple[tuple[str, str], ...]
    """Pairs: names of errnos, and the situation in which they are the answer."""
    example: str
    """Words of a typical call, as a shell takes them."""
    effect: Effect
    barrier: bool = False
    """True if it captures or discards the working state.

    A caller through a mount must run the commit barrier first.
    """
    control_file: bool = True
    """True if it has a file in `.helios/ctl`."""
    takes_paths: bool = False
    """True if words after `--` are paths."""
    is_long: bool = False
    """True if the function returns steps instead of the reply, so that other requests run too."""
    is_reading: bool = False
    """True if the function returns steps that change nothing before they yield `ALONE`, or at all.

    Before `ALONE`, the verb runs at the same time as any other verb.
    """
    reading_words: tuple[str, ...] = ()
    """First words with which the verb reads only; "" stands for no word."""
    reading_options: tuple[str, ...] = ()
    """Options with which the verb reads only."""
    client: str = ""
    """Module of `heliosfs.cli` with a function of the verb's name, which the client calls first.

    That function runs the verb and returns the exit code, or returns the words for the daemon.
    Empty if the client only sends the words.
    """
    takes_command: bool = False
    """True if its first word begins a command, whose options are not its own."""
    before_command: int = 0
    """Number of words that come before the command."""
    is_tool: bool = False
    """True if `helios mcp` offers it to agents: a verb of history that replies in JSON."""
    is_own: bool = False
    """True if it changes nothing but the branch of the view and its files."""
    exit_codes: str = ""
    """Reason for exit code 1 although nothing was refused; a refusal has 2 then.  Empty: none."""

    @property
    def is_confined(self) -> bool:
        """Return True if a program in a sandbox may ask for it."""
        return self.control_file and (self.effect.is_read_only or self.is_own)

    @property
    def usage(self) -> str:
        """A line for each way to call it."""
        lines = [f"helios {self.name} {words}".rstrip() for words in self.synopsis]
        return "usage: " + "\n   or: ".join(lines)

    @property
    def details(self) -> str:
        """Return description and options, as the help shows them."""
        text = f"{self.description}\n\noptions:\n{describe((*self.options, self.help))}\n"
        if self.exit_codes:
            text += f"\nexit code:\n  1                       {self.exit_codes}\n"
        return text

    @property
    def help(self) -> Option:
        """The option that shows the help: -h, unless that means something else here."""
        own = {name for option in self.options for name in option.names}
        return HELP._replace(names=tuple(name for name in HELP.names if name not in own))

    def parser(self) -> VerbParser:
        """Return the parser of the words after the verb; it is made once."""
        parser = _parsers.get(self.name)
        if parser is None:
            text = f"{self.usage}\n\n{self.details}"
            options = (*self.options, self.help)
            parser = VerbParser(
                self.name,
                options,
                text,
                takes_paths=self.takes_paths,
                takes_command=self.takes_command,
                before_command=self.before_command,
            )
            _parsers[self.name] = parser
        return parser

    def run(
        self,
        request: Request,
        argv: list[str],
        report: Callable[[Progress], None] = lambda progress: None,
    ) -> str:
        """Carry the verb out, as one transaction, and return the reply.

        `argv` is what follows the verb.
        """
        if self.is_long or self.reads(argv):
            from heliosfs.steps import run_to_end

            return run_to_end(self.begin(request, argv), request.repository.store, report)
        parser = self.parser()
        options = parser.parse(argv)
        if "help" in options:
            return parser.format_help()
        with request.repository.transaction:
            reply: str | Steps[str] = self.function(request, options)
        if not isinstance(reply, str):
            from heliosfs.steps import run_to_end

            return run_to_end(reply, request.repository.store, report)
        return reply

    def begin(self, request: Request, argv: list[str]) -> Steps[str]:
        """Carry a long or reading verb out in steps, which result in the reply."""
        parser = self.parser()
        options = parser.parse(argv)
        if "help" in options:
            return parser.format_help()
        if self.is_long and not self._is_loaded:
            from heliosfs.steps import on_thread

            # Some import 10 ms of modules, and no request waits for a thread.
            yield from on_thread(self._load)
        reply: str | Steps[str] = self.function(request, options)
        return reply if isinstance(reply, str) else (yield from reply)

    @property
    def can_read(self) -> bool:
        """Return True if `reads` is True for some words."""
        return self.is_reading or bool(self.reading_words or self.reading_options)

    def reads(self, argv: list[str]) -> bool:
        """Return True if its steps run beside others when it is called with these words."""
        if self.reading_options:
            return self._has_reading_option(argv)
        if not self.reading_words:
            return self.is_reading
        try:
            words = self.parser().parse(argv).words
        except UsageError:
            return False
        return (words[0] if words else "") in self.reading_words

    def _has_reading_option(self, argv: list[str]) -> bool:
        for word in argv:
            if word.startswith("-"):
                break
        else:
            return False
        try:
            options = self.parser().parse(argv)
        except UsageError:
            return False
        return any(key in options for key in self.reading_options)

    @property
    def function(self) -> Callable[[Request, Options], Any]:
        """Return the verb's function; import the module of the function on first use."""
        module = sys.modules[self._module_name] if self._is_loaded else self._load()
        function: Callable[[Request, Options], Any] = getattr(module, self.function_name)
        return function

    @property
    def _module_name(self) -> str:
        return f"heliosfs.commands.{self.module}"

    @property
    def _is_loaded(self) -> bool:
        """True if the module is there, and no thread is still importing it."""
        return hasattr(sys.modules.get(self._module_name), self.function_name)

    def _load(self) -> ModuleType:
        return import_module(self._module_name)

    @property
    def function_name(self) -> str:
        """Name of the verb as a Python identifier: the name of its functions."""
        name = self.name.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name
