"""The way from arguments to a verb, and from errors to the text that the user reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from heliosfs import __version__
from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.errors import HeliosError, UsageError

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
    "safe.directory": "HELIOS_SAFE_DIRECTORY",
}
"""Settings of git that count for one call -> variable that carries them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `helios`; return 0 when done, 1 refused, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    if os.isatty(1) or os.isatty(2):
        from heliosfs.cli.seen import guard_terminal

        guard_terminal()
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


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise the next file to be opened, one of a store for example, would be that stream.
    """
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


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
    local = LOCAL_VERBS.get(argv[0])
    if local is not None:
        return local.run(argv[1:])
    return _run_table_verb(argv)


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
        from heliosfs.cli.client import enter

        enter(rest[0])
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
        raise UsageError(
            f"{key} is a setting of the whole mount: 'helios config set {key} {value}'"
        )
    variable = _OF_SETTING.get(key.lower())
    if variable is not None:
        os.environ[variable] = value


def _run_table_verb(argv: list[str]) -> int:
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

        raise UsageError(unknown_verb(argv[0], [*VERBS, *LOCAL_VERBS]))
    parser = verb.parser()
    # Here too, so that help and wrong usage are told the same without a workspace.
    options = parser.parse(argv[1:])
    if "help" in options:
        print(parser.format_help(), end="")
        return 0
    if verb.client:
        module = import_module(f"heliosfs.cli.{verb.client}")
        done: int | list[str] = getattr(module, verb.function_name)(argv, options)
        if isinstance(done, int):
            return done
        argv = done
    from heliosfs.cli.client import plain_screen, run

    if not verb.is_long:
        if os.isatty(1) or "CLICOLOR_FORCE" in os.environ:
            from heliosfs.cli import terminal

            return terminal.run(argv, options)
        return run(argv)
    from heliosfs.cli.progress import ProgressLine

    line = ProgressLine()
    try:
        return run(argv, line.tell, screen=plain_screen())
    finally:
        line.end()


def _overview() -> str:
    from heliosfs.commands.table import VERBS

    lines = [
        "usage: helios [-C DIR] [-c KEY=VALUE] [-P] VERB [ARGUMENT…]",
        "",
        "A verb acts on the workspace that the current directory is in, or DIR after -C.",
        "-c user.name=NAME, user.email, core.editor, core.pager, color.ui count for one call.",
        "-P, --no-pager: no pager. -p, --paginate: a pager for every verb.",
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in LOCAL_VERBS.items()),
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in VERBS.items()),
        "",
        "'helios VERB --help' shows more. Inside a workspace: cat .helios/README.",
    ]
    return "\n".join(lines)


def _complain(text: str, exit_code: int, words: Sequence[str], number: int) -> int:
    """Tell of a refusal: in words, or, where --json asks for it, on standard output in JSON."""
    if "--json" in words:
        from heliosfs.commands.refusal import asks_for_json, refusal

        if asks_for_json(words):
            print(refusal(text, number))
            return exit_code
    from heliosfs.commands.visible import visible

    print(f"helios: {visible(text)}", file=sys.stderr)
    return exit_code
