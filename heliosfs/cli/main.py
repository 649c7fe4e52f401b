"""The way from arguments to a verb, and from errors to the text that the user reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from heliosfs import __version__
from heliosfs.errors import HeliosError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from heliosfs.commands.options import Options

_INTERRUPTED = 130
_USAGE = "usage: "
"""Beginning of an error text that means wrong usage, where there is no class to tell it by."""

_PAGING = {
    "--no-pager": ("GIT_PAGER", "cat"),
    "-P": ("GIT_PAGER", "cat"),
    "--paginate": ("HELIOS_PAGINATE", "1"),
    "-p": ("HELIOS_PAGINATE", "1"),
    "--no-optional-locks": ("GIT_OPTIONAL_LOCKS", "0"),
}
"""Options before the verb -> variable that carries them, and its value."""

_OF_SETTING = {
    "user.name": "HELIOS_USER_NAME",
    "user.email": "HELIOS_USER_EMAIL",
    "core.editor": "HELIOS_EDITOR",
}
"""Settings of git that count for one call -> variable that carries them."""


class LocalVerb(NamedTuple):
    """A verb that the command line carries out itself."""

    summary: str
    module: str
    """Module of this package with a function of the verb's name, and one that makes its parser."""
    name: str

    def run(self, argv: Sequence[str]) -> int:
        """Carry the verb out and return the exit code; `argv` are the words after the verb."""
        code: int = self._of_module(self.name)(argv)
        return code

    def parser(self) -> ArgumentParser:
        """Return the parser of its arguments, which has its help as well."""
        parser: ArgumentParser = self._of_module(f"{self.name}_parser")()
        return parser

    def _of_module(self, name: str) -> Any:
        """Return a function of the module, imported only now: imports take most of the start."""
        return getattr(import_module(f"heliosfs.cli.{self.module}"), name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `helios`; return 0 when done, 1 refused, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        exit_code = _dispatch(list(words))
        sys.stdout.flush()
        return exit_code
    except HeliosError as error:
        text = str(error).removeprefix(_USAGE)
        return _complain(text, error.exit_code, words, error.errno)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # What is still buffered must not complain when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        text = f"{(error.strerror or str(error)).lower()}{where}"
        return _complain(text, 1, words, error.errno or 0)
    except Exception as error:  # noqa: BLE001 - the user reads a line, whatever it was
        if os.environ.get("HELIOS_DEBUG"):
            import traceback

            traceback.print_exc()
        text = f"a bug: {type(error).__name__}: {error} (HELIOS_DEBUG=1 shows where)"
        return _complain(text, 1, words, 0)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else UsageError.exit_code
    if argv[0] in ("-V", "--version"):
        print(f"helios {__version__}")
        return 0
    if argv[0].startswith("-"):
        return _dispatch(_after_option(argv))
    if argv[0] == "help":
        return _dispatch([*argv[1:2], "--help"])
    local = local_verbs().get(argv[0])
    if local is not None:
        return local.run(argv[1:])
    return _elsewhere(argv)


def _after_option(argv: list[str]) -> list[str]:
    """Take the effect of the option before the verb, and return the words after it."""
    name, *rest = argv
    if name in _PAGING:
        variable, value = _PAGING[name]
        os.environ[variable] = value
        return rest
    if name[:2] not in ("-C", "-c") or name.startswith("--"):
        raise UsageError(f"unknown option {name[:80]!r} before the verb; see 'helios --help'")
    if len(name) > 2 and name[:2] == "-c":
        rest = [name[2:], *rest]
    elif not rest or len(name) > 2:
        what = "a directory" if name[:2] == "-C" else "KEY=VALUE"
        raise UsageError(f"{name[:2]} needs {what}; see 'helios --help'")
    if name == "-C":
        os.chdir(rest[0])
    else:
        _set_for_this_call(rest[0])
    return rest[1:]


def _set_for_this_call(word: str) -> None:
    """Let a setting of git count for this call, as far as it means something here.

    Other settings are ignored, as git ignores keys that it does not know.
    """
    from heliosfs.cli.terminal import set_for_this_call
    from heliosfs.config.schema import KEYS

    key, _, value = word.partition("=")
    if set_for_this_call(key, value):
        return
    section, _, _ = key.partition(".")
    if section in {each.path.partition(".")[0] for each in KEYS}:
        raise UsageError(f"{key} belongs to the mount: 'helios config set {key} {value}'")
    variable = _OF_SETTING.get(key.lower())
    if variable is not None:
        os.environ[variable] = value


def _elsewhere(argv: list[str]) -> int:
    """Carry out a verb of the table: its help here, everything else where the workspace is."""
    from heliosfs.commands.table import VERBS

    verb = VERBS.get(argv[0])
    try:
        return _run_verb(argv)
    except HeliosError as error:
        if verb is not None and verb.exit_codes:
            # With 1 it would look like an answer.
            error.exit_code = UsageError.exit_code
        raise


def _run_verb(argv: list[str]) -> int:
    from heliosfs.commands.table import VERBS

    verb = VERBS.get(argv[0])
    if verb is None:
        from heliosfs.commands.instead import unknown_verb

        raise UsageError(unknown_verb(argv[0], [*VERBS, *local_verbs()]))
    parser = verb.parser()
    # Here too, so that help and wrong usage are told the same without a workspace.
    options = parser.parse(argv[1:])
    if "help" in options:
        print(parser.format_help(), end="")
        return 0
    if verb.name in _OF_THE_CLIENT:
        done = _OF_THE_CLIENT[verb.name](argv, options)
        if isinstance(done, int):
            return done
        argv = done
    from heliosfs.cli.client import run

    if not verb.is_long:
        if os.isatty(1) or "CLICOLOR_FORCE" in os.environ:
            from heliosfs.cli import terminal

            return terminal.run(argv, options)
        return run(argv)
    from heliosfs.cli.progress import ProgressLine

    line = ProgressLine()
    try:
        return run(argv, line.tell)
    finally:
        line.end()


def _materialize(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.materialize import materialize

    return materialize(options)


def _report(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.report import report

    return report(options)


def _run_command(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.run import run

    return run(options)


def _transfer(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.transfer import transfer

    return transfer(argv[0], argv, options)


def _version(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.commands.version import version_text

    options.at_most(0)
    print(version_text(as_json="json" in options), end="")
    return 0


def _move(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.move import move

    return move(options)


def _rev_parse(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.whereabouts import asks_where, whereabouts

    return whereabouts(argv, options) if asks_where(options) else argv


def _commit(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.message import with_author, with_message
    from heliosfs.commands.commit import COMMIT_TEXT

    if "file" in options:
        argv = with_message(argv, options)
    elif not any(key in options for key in COMMIT_TEXT) and _is_terminal():
        from heliosfs.cli.editor import with_edited_message

        argv = with_edited_message(argv, options)
    return with_author(argv, options)


def _tag(argv: list[str], options: Options) -> int | list[str]:
    if "file" in options:
        from heliosfs.cli.message import with_message

        return with_message(argv, options)
    if "annotate" in options and "message" not in options and options.words and _is_terminal():
        from heliosfs.cli.editor import with_edited_tag

        return with_edited_tag(argv)
    return argv


def _is_terminal() -> bool:
    return os.isatty(0) and os.isatty(1)


def _debug(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.debug import debug_journal, is_of_files

    return debug_journal(options) if is_of_files(options) else argv


def _archive(argv: list[str], options: Options) -> int | list[str]:
    from heliosfs.cli.archive import archive

    return archive(options)


def _check_ignore(argv: list[str], options: Options) -> int | list[str]:
    if "stdin" not in options:
        return argv
    from heliosfs.cli.lines import for_each_line

    return for_each_line(argv, options)


_OF_THE_CLIENT: dict[str, Callable[[list[str], Options], int | list[str]]] = {
    "archive": _archive,
    "check-ignore": _check_ignore,
    "commit": _commit,
    "debug": _debug,
    "export": _transfer,
    "import": _transfer,
    "materialize": _materialize,
    "mv": _move,
    "report": _report,
    "rev-parse": _rev_parse,
    "run": _run_command,
    "tag": _tag,
    "version": _version,
}
"""Verbs that the client carries out itself, giving the exit code, or whose words it completes."""


_LOCAL = (
    LocalVerb("make a repository without mounting it", "mount", "init"),
    LocalVerb("mount a workspace, made on first use", "mount", "mount"),
    LocalVerb("end a mount; everything is kept", "umount", "umount"),
    LocalVerb("list the workspaces on this machine, mounted and not", "listing", "ls"),
    LocalVerb("check what this machine offers, and say what to do", "doctor", "doctor"),
    LocalVerb("print what makes a shell complete verbs", "completion", "completion"),
    LocalVerb("write manual pages for man(1)", "man", "man"),
)


def local_verbs() -> dict[str, LocalVerb]:
    """Return the verbs that the command line carries out itself, by name."""
    return {verb.name: verb for verb in _LOCAL}


def _overview() -> str:
    from heliosfs.commands.table import VERBS

    lines = [
        "usage: helios [-C DIR] [-c KEY=VALUE] [-P] VERB [ARGUMENT…]",
        "",
        "A verb acts on the workspace that the current directory is in, or DIR after -C.",
        "-c user.name=NAME, user.email, core.editor, core.pager, color.ui count for one call.",
        "-P, --no-pager: no pager. -p, --paginate: a pager for every verb.",
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in local_verbs().items()),
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in VERBS.items()),
        "",
        "'helios VERB --help' tells more. Inside a workspace: cat .helios/README.",
    ]
    return "\n".join(lines)


def _complain(text: str, exit_code: int, words: Sequence[str], number: int) -> int:
    """Tell of a refusal: in words, or, where --json asks for it, on standard output in JSON."""
    if "--json" in words:
        from heliosfs.commands.refusal import asks_for_json, refusal

        if asks_for_json(words) and "run" not in words[:1]:
            print(refusal(text, number))
            return exit_code
    print(f"helios: {text}", file=sys.stderr)
    return exit_code
