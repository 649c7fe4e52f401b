"""Declarations of the verbs that run a command in a branch: run, try, race."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_STORE
from heliosfs.commands.options import Option
from heliosfs.commands.verb import REPLACES, Verb

_SANDBOX = (
    Option(("--sandbox",), "let the command write nowhere but in the workspace and in /tmp"),
    Option(("--net",), "--sandbox: with the network"),
)
_E_RUNS = (
    ("EINVAL", "wrong syntax; asked for by a control file; a name that no branch may have"),
    ("ENOENT", "the workspace is not mounted; nothing was committed yet"),
)
_E_FORKS = (
    *_E_RUNS,
    ("EEXIST", "-b: the name is taken"),
    ("EBUSY", "a merge is open"),
    E_STORE,
)

RUN = Verb(
    name="run",
    module="client_verbs",
    client="run",
    summary="run a command in the workspace of a branch",
    synopsis=(
        "[-b BRANCH [--fork | --copy-ignored]] [-q] [--] COMMAND [ARGUMENT]...",
        "--sandbox [--net] [OPTION]... [--] COMMAND [ARGUMENT]...",
    ),
    description=(
        "The command finds the branch at the path of the mount point, in a mount namespace\n"
        "of its own: absolute paths of the workspace lead into the branch, and .helios is\n"
        "that of the branch. It starts in the same directory, if the branch has it. A\n"
        "branch that does not exist is created at HEAD; with --fork, with the uncommitted\n"
        "changes and the ignored files of the current branch; with --copy-ignored, with the\n"
        "ignored files alone. Where no namespace can be created, only the current directory\n"
        "is in the branch, and a line says so. The variable HELIOS_BRANCH is the name of the\n"
        "branch. The exit code is that of the command. Works only on the command line.\n"
        "--sandbox makes all that lies outside of the workspace read-only, with an empty /tmp and\n"
        "/run, and gives the command no network. Of .helios it leaves history, and control files\n"
        "for the verbs of this branch. It is made by bubblewrap (bwrap) or, if that is not\n"
        "installed, by namespaces and Landlock; a line says what holds, and one what does not."
    ),
    options=(
        Option(("-b", "--branch"), "the branch (default: the current one)", "BRANCH"),
        Option(("--fork",), "create the branch with the files as they are now"),
        Option(("--copy-ignored",), "create it with the ignored files, without changes"),
        *_SANDBOX,
        Option(("-q", "--quiet"), "do not report a new branch, or a missing namespace"),
    ),
    errors=(
        *_E_RUNS,
        E_STORE,
    ),
    example="-b idea-7 -- make test",
    effect=REPLACES,
    control_file=False,
    takes_command=True,
)

TRY = Verb(
    name="try",
    module="client_verbs",
    client="trial",
    summary="run a command in a throw-away fork, then keep or drop its changes",
    synopsis=("[-b NAME] [--keep | --drop] [OPTION]... [--] COMMAND [ARGUMENT]...",),
    description=(
        "The fork is a new branch with the files as they are, uncommitted changes and ignored\n"
        "files included. The command finds it at the path of the mount point, as with 'run';\n"
        "what it leaves running is ended. Then the changed files are listed, and a terminal is\n"
        "asked: 'keep' merges the changes into the branch and drops the fork. If the branch\n"
        "had uncommitted changes, they stay uncommitted, and the changes are merged into the\n"
        "files. 'leave' only says how to do either later; it is the default without a\n"
        "terminal. After a conflict the fork is left, too. Ignored files are not merged. The\n"
        "exit code is that of the command; 1 if a fork to be kept was left. Works only on the\n"
        "command line."
    ),
    options=(
        Option(("-b", "--branch"), "the name of the fork (default: try-1, try-2 ...)", "NAME"),
        Option(("--keep",), "keep the changes if the command succeeds; else leave them"),
        Option(("--drop",), "drop the changes"),
        *_SANDBOX,
        Option(("-q", "--quiet"), "do not list the changed files"),
    ),
    errors=(*_E_FORKS,),
    example="--keep -- make format",
    effect=REPLACES,
    control_file=False,
    takes_command=True,
)

RACE = Verb(
    name="race",
    module="client_verbs",
    client="race",
    summary="run a command in several forks side by side, and merge the best",
    synopsis=(
        "N [-b NAME] [--timeout SECONDS] [OPTION]... [--] COMMAND [ARGUMENT]...",
        "N --score COMMAND [--minimize] [OPTION]... [--] COMMAND [ARGUMENT]...",
    ),
    description=(
        "Makes N forks, as 'try' does, and runs the command in all of them at once. {i} in its\n"
        "words, and the variable HELIOS_RACE_INDEX, are the number of the fork, from 1. The\n"
        "first one that succeeds wins, and the others are ended with all that they started.\n"
        "With --score, all run to their end, and in each fork whose command succeeds the score\n"
        "command runs, in a shell; the last line it prints is a number such as 3, 0.93 or\n"
        "41/42, and the highest wins. The winner is merged as by 'try --keep'; the other forks\n"
        "are dropped. Each attempt is a commit of an experiment, with score, seconds and exit\n"
        "code: 'experiment show race-1'. Lines of output begin with the number of the fork.\n"
        "The input is empty. ^C ends all, drops the forks and abandons the experiment. The\n"
        "exit code is 0, or 1 if no fork succeeded or the winner could not be merged. Works\n"
        "only on the command line."
    ),
    options=(
        Option(("-b", "--branch"), "the name of the experiment (default: race-1 ...)", "NAME"),
        Option(("--score",), "the command whose output is the score of a fork", "COMMAND"),
        Option(("--minimize",), "the lowest score wins"),
        Option(("--timeout",), "end what still runs after this time", "SECONDS"),
        Option(("--output",), "write the output to DIR/1.log, DIR/2.log ...", "DIR"),
        *_SANDBOX,
        Option(("-q", "--quiet"), "do not list the attempts and the changed files"),
    ),
    errors=(*_E_FORKS,),
    example="3 -- claude -p 'make the tests pass'",
    effect=REPLACES,
    control_file=False,
    takes_command=True,
    before_command=1,
)

DECLARED_RUNNING = (RUN, TRY, RACE)
"""Declarations in the order of the reference page."""
