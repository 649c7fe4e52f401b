"""From arguments to a verb, and from errors to what the user reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliosfs import __version__
from heliosfs.errors import HeliosError, UsageError

_INTERRUPTED = 130
_USAGE = "usage: "
"""How the texts of wrong usage begin where only the text is there to tell."""

_DOCUMENT = '{"error": '
"""How a refusal begins that is one JSON document, because --json asked for it."""


_OF_GIT = {
    "bisect": "every commit is a directory, .helios/snapshots/ID: test it there",
    "cherry-pick": "'helios show REV | git apply' brings in what one commit changed",
    "clean": "'helios reset --hard' leaves what HEAD has; 'helios undo' brings the rest back",
    "clone": "'helios import --from-git REPO' takes in all of a repository's history",
    "describe": "'helios log --decorate' shows tags",
    "fetch": "'helios import --from-git REPO' again takes in what is new",
    "ls-files": "'helios show HEAD:' lists what a commit has",
    "mv": "use mv: a rename is found by the content",
    "pull": "'helios import --from-git REPO' again takes in what is new",
    "push": "'helios export --to-git REPO BRANCH' writes branches into a git repository",
    "rebase": "'helios merge', or 'helios merge --squash', brings branches together",
    "reflog": "'helios oplog' lists what was done, 'helios undo' takes it back",
    "revert": "'helios show REV | git apply -R' takes back what one commit changed",
    "rm": "use rm: the next commit is without the file",
    "stash": "each branch keeps its uncommitted changes; 'helios branch --fork NAME' copies them",
    "worktree": "every branch is a directory, .helios/branches/NAME",
}
"""Verbs that a user of git may look for, and what there is instead."""


class LocalVerb(NamedTuple):
    """A verb that the command line carries out itself.  Called with the arguments after it."""

    summary: str
    run: Callable[[Sequence[str]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `helios`; gives the exit code: 0 done, 1 refused, 2 wrong usage, 130 interrupted."""
    try:
        exit_code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return exit_code
    except HeliosError as error:
        text = str(error).removeprefix(_USAGE)
        if text.startswith(_DOCUMENT):
            print(text)
            return error.exit_code
        return _complain(text, error.exit_code)
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
        return _complain(f"{(error.strerror or str(error)).lower()}{where}", 1)
    except Exception as error:  # noqa: BLE001 - the user reads a line, whatever it was
        if os.environ.get("HELIOS_DEBUG"):
            import traceback

            traceback.print_exc()
        text = f"a bug: {type(error).__name__}: {error} (HELIOS_DEBUG=1 shows where)"
        return _complain(text, 1)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else UsageError.exit_code
    if argv[0] in ("-V", "--version"):
        print(f"helios {__version__}")
        return 0
    if argv[0] == "-C":
        if len(argv) < 2:
            raise UsageError("-C needs a directory; see 'helios --help'")
        os.chdir(argv[1])
        return _dispatch(argv[2:])
    if argv[0] == "help":
        return _dispatch([*argv[1:2], "--help"])
    local = local_verbs().get(argv[0])
    if local is not None:
        return local.run(argv[1:])
    return _elsewhere(argv)


def _elsewhere(argv: list[str]) -> int:
    """A verb of the table: its help here, everything else where the workspace is."""
    from heliosfs.commands.table import VERBS

    verb = VERBS.get(argv[0])
    if verb is None:
        raise UsageError(_unknown(argv[0], [*VERBS, *local_verbs()]))
    parser = verb.parser()
    # Here too, so that help and wrong usage are told the same without a workspace.
    options = parser.parse(argv[1:])
    if "help" in options:
        print(parser.format_help(), end="")
        return 0
    if verb.name == "materialize":
        from heliosfs.cli.materialize import materialize

        return materialize(options)
    if verb.name == "report":
        from heliosfs.cli.report import report

        return report(options)
    if verb.name == "run":
        from heliosfs.cli.run import run as run_command

        return run_command(options)
    if verb.name in ("import", "export"):
        from heliosfs.cli.transfer import transfer

        return transfer(verb.name, argv, options)
    if verb.name == "version":
        from heliosfs.commands.version import version_text

        options.at_most(0)
        print(version_text(as_json="json" in options), end="")
        return 0
    if verb.name == "commit" and "file" in options:
        from heliosfs.cli.message import with_message

        argv = with_message(argv, options)
    if verb.name == "diff" and ("exit-code" in options or "quiet" in options):
        from heliosfs.cli.difference import difference

        return difference(argv, options)
    from heliosfs.cli.client import run

    if not verb.is_long:
        return run(argv)
    from heliosfs.cli.progress import ProgressLine

    line = ProgressLine()
    try:
        return run(argv, line.tell)
    finally:
        line.end()


def local_verbs() -> dict[str, LocalVerb]:
    """Imports wait until the verb is known: they are most of what starting up costs."""
    return {
        "init": LocalVerb("make a repository without mounting it", _init),
        "mount": LocalVerb("mount a workspace, made on first use", _mount),
        "umount": LocalVerb("end a mount; everything is kept", _umount),
        "doctor": LocalVerb("check what this machine offers, and say what to do", _doctor),
        "completion": LocalVerb("print what makes a shell complete verbs", _completion),
    }


def _init(argv: Sequence[str]) -> int:
    from heliosfs.cli.mount import init

    return init(argv)


def _mount(argv: Sequence[str]) -> int:
    from heliosfs.cli.mount import mount

    return mount(argv)


def _umount(argv: Sequence[str]) -> int:
    from heliosfs.cli.umount import umount

    return umount(argv)


def _doctor(argv: Sequence[str]) -> int:
    from heliosfs.cli.doctor import doctor

    return doctor(argv)


def _completion(argv: Sequence[str]) -> int:
    from heliosfs.cli.completion import completion

    return completion(argv)


def _overview() -> str:
    from heliosfs.commands.table import VERBS

    lines = [
        "usage: helios [-C DIR] VERB [ARGUMENT…]",
        "",
        "A verb acts on the workspace that the current directory is in, or DIR after -C.",
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in local_verbs().items()),
        "",
        *(f"  {name:<12} {verb.summary}" for name, verb in VERBS.items()),
        "",
        "'helios VERB --help' tells more. Inside a workspace: cat .helios/README.",
    ]
    return "\n".join(lines)


def _unknown(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    if name in _OF_GIT:
        return f"there is no verb {name!r} here: {_OF_GIT[name]}"
    near = get_close_matches(name, known, n=3)
    hint = f": did you mean {' or '.join(near)}?" if near else " ('helios --help' lists them)"
    return f"unknown verb {name!r}{hint}"


def _complain(text: str, exit_code: int) -> int:
    print(f"helios: {text}", file=sys.stderr)
    return exit_code
