"""Declarations of the verbs that make and show changes: add, commit, status, diff, log, show."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    COLOUR,
    COMPARISON,
    CONTEXT,
    E_AMBIGUOUS,
    E_FULL,
    E_STORE,
    E_USAGE,
    FORMATS,
    PICKAXE,
    QUIET,
    SELECTION,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

_FORMATS = (
    Option(
        ("--pretty", "--format"),
        "oneline, short, full, fuller, or such as '%h %an %s'",
        "FORM",
    ),
    Option(("--date",), "default, iso, short, rfc, relative, unix or raw", "FORM"),
)
ADD = Verb(
    name="add",
    module="add",
    summary="stage paths: choose what the next commit takes",
    synopsis=("[-f] [-v] [--json] PATH...", "-A", "-u [PATH]..."),
    description=(
        "Every file belongs to the next commit, without being added. After 'add' a commit\n"
        "takes only what was added, as it was then; 'commit --work' takes everything all\n"
        "the same. A directory stands for all below it, a deleted path for its deletion.\n"
        "'reset' and 'restore --staged' unstage. While a merge is open nothing is staged:\n"
        "its commit takes everything."
    ),
    options=(
        Option(("-A", "--all"), "everything, wherever the current directory is"),
        Option(("-u", "--update"), "what changed or went, and nothing new"),
        Option(("-f", "--force"), "also what a .heliosignore names"),
        Option(("-v", "--verbose"), "reply with a line for each path"),
        Option(("-n", "--dry-run"), "stage nothing; reply with a line for each path"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "nothing lies at one of the paths, or ever did; nothing was staged"),
        ("EPERM", "a path is ignored, and -f was not given; nothing was staged"),
        E_FULL,
    ),
    example="src/main.c",
    barrier=True,
    takes_paths=True,
)

COMMIT = Verb(
    name="commit",
    module="commit",
    client="message",
    summary="make a commit of everything, or of what was added",
    synopsis=(
        "[-m TEXT]... [--amend] [--work] [--allow-empty] [--expect ID]",
        "[-m TEXT]... [--amend] [--expect ID] [--] PATH...",
    ),
    description=(
        "Every file is part of every commit: nothing has to be added first. If something\n"
        "was, only that is committed, unless --work says otherwise. Of named paths only\n"
        "these are committed, as they are now; '.' at the root is everything. The reply is\n"
        "the branch, the new id and the subject. Of several -m each is a paragraph."
    ),
    options=(
        Option(("-m", "--message"), "the message (snapshot, or that of the open merge)", "TEXT"),
        Option(("-F", "--file"), "read the message from a file, or - for the input", "FILE"),
        Option(("--no-edit",), "open no editor: on a terminal one is opened without -m"),
        Option(("--dry-run",), "commit nothing; reply with the status"),
        Option(("--message-only",), "with --dry-run, only the message of an open merge"),
        Option(("--no-verify",), "accepted: there are no hooks"),
        Option(("-s", "--signoff"), "add a line Signed-off-by"),
        Option(("--work",), "take everything, also if something was added"),
        Option(("-a", "--all"), "the same"),
        Option(("--amend",), "replace the last commit; what is not given stays as it was"),
        Option(("--allow-empty",), "also when nothing changed"),
        Option(("--expect",), "only if HEAD is still this commit: a full id", "ID"),
        Option(("--author",), "who wrote it: 'Name <email>'", "AUTHOR"),
        Option(("--meta",), "metadata of the commit; may be repeated", "KEY=VALUE"),
        Option(("--sync",), "reply when the commit is safe from a power cut"),
        Option(("--allow-markers",), "also with conflict markers left by an open merge"),
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "the message is empty, not UTF-8, or has a NUL byte"),
        ("ENODATA", "nothing to commit: nothing but times differs from HEAD"),
        ("EAGAIN", "conflict markers are left in files of the open merge"),
        ("ENOENT", "nothing lies at a path, or ever did; --amend: no commit yet"),
        ("EBUSY", "--amend, or paths, while a merge is open"),
        ("ESTALE", "--expect names a commit that is not HEAD"),
        ("EMSGSIZE", "the message is longer than 64 KiB"),
        E_FULL,
    ),
    example="-m 'fix the parser'",
    barrier=True,
    takes_paths=True,
)

STATUS = Verb(
    name="status",
    module="status.status",
    summary="what differs from HEAD",
    synopsis=("[-s | --porcelain[=V] | --json] [-b] [-z] [-u[MODE]] [--] [PATH]...",),
    description=(
        "The branch, and the changes since its last commit; if something was added, what\n"
        "is staged and what is not. A file that moved is shown as renamed, if half of it stayed.\n"
        "Times alone are no change. In a line of --short the first letter is for what is\n"
        "staged, the second for what is not. A new file is A there: it belongs to the next\n"
        "commit. While a merge is open, UU, AA, DU and UD are paths that are not resolved."
    ),
    options=(
        Option(("-s", "--short"), "a line for each path: letters of A, M, D, R, T or U"),
        Option(("-b", "--branch"), "with --short, begin with the branch"),
        Option(
            ("--porcelain",),
            "for programs: paths from the root; v1 (default) or v2",
            "V",
            is_optional=True,
        ),
        Option(("--long",), "in words; the default"),
        Option(("-z", "--null"), "for programs: NUL after each path, nothing quoted"),
        Option(
            ("-u", "--untracked-files"),
            "no, normal or all (default): no leaves out new files",
            "MODE",
            is_optional=True,
        ),
        Option(
            ("--ignored",),
            "also what a .heliosignore keeps out of commits",
            "MODE",
            is_optional=True,
        ),
        Option(("--no-renames",), "a renamed file as a deleted and a new one"),
        *COLOUR,
        JSON,
    ),
    errors=(E_USAGE, E_STORE),
    example="--short",
    barrier=True,
    takes_paths=True,
)

DIFF = Verb(
    name="diff",
    module="diff.diff",
    summary="the changed lines, for people, patch and git apply",
    synopsis=(
        "[OPTION]... [--] [PATH]...",
        "[OPTION]... REV [--] [PATH]...",
        "[OPTION]... REV REV [--] [PATH]...",
    ),
    description=(
        "From HEAD, or from what was added, to the working tree; from a revision to the\n"
        "working tree; from one revision to another, which can also be written A..B, or\n"
        "A...B to begin at what both have in common; with --staged from HEAD, or a\n"
        "revision, to what was added. Paths are relative to the current directory. What\n"
        "git's format cannot say (owners, permissions other than the executable bit, empty\n"
        "directories, devices) is told in lines that begin with #."
    ),
    options=(
        Option(("--cached", "--staged"), "what the next commit takes of what was added"),
        Option(("-R", "--reverse"), "from the new side to the old one"),
        Option(("-p", "-u", "--patch"), "the changed lines; the default"),
        Option(("-s", "--no-patch"), "nothing"),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        Option(("--exit-code",), "end with 1 when something differs"),
        Option(("-q", "--quiet"), "only that, and no text"),
        *COLOUR,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "a word is neither a revision nor a path"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the diff would be larger than 64 MiB"),
        E_STORE,
    ),
    example="HEAD~1 HEAD -- src",
    exit_codes="--exit-code, --quiet: something differs",
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

LOG = Verb(
    name="log",
    module="log.log",
    summary="the commits that led here, the newest first",
    synopsis=("[OPTION]... [REV | A..B | A...B]... [--] [PATH]...",),
    description=(
        "The history of HEAD, or of other revisions. A..B is what B has and A has not,\n"
        "A...B what only one of them has. With paths, the commits that changed something\n"
        "there; where a merge has it as one parent has, only that parent's side."
    ),
    options=(
        *SELECTION,
        Option(("--oneline",), "a line for each: id and subject"),
        *_FORMATS,
        Option(("--abbrev-commit",), "ids of 12 digits"),
        Option(("--no-abbrev-commit",), "whole ids, with --oneline too"),
        Option(("--graph",), "draw how the commits hang together, line by line of history"),
        Option(("--follow",), "of one file, also under the names it had before"),
        Option(
            ("--decorate",),
            "with the branches and tags that name a commit; no: without",
            "MODE",
            is_optional=True,
        ),
        Option(("--no-decorate",), "without; the default"),
        Option(("-g", "--walk-reflogs"), "what HEAD, or a branch, named before: HEAD@{N}"),
        Option(("-L", "--lines"), "the history of some lines of a file", "START,STOP:PATH"),
        *PICKAXE,
        Option(("-s", "--no-patch"), "without what they changed"),
        Option(
            ("-p", "-u", "--patch"), "with the changed lines; of merges only with --first-parent"
        ),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        *COLOUR,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "a word is neither a revision nor a path, or nothing was committed yet"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the changes would be larger than 64 MiB"),
        E_STORE,
    ),
    example="--oneline -5",
    takes_paths=True,
    is_reading=True,
)

SHOW = Verb(
    name="show",
    module="log.show",
    summary="a commit and what it changed, or a file as it was then",
    synopsis=("[OPTION]... [REV] [--] [PATH]...", "REV:PATH"),
    description=(
        "The commit and its changes since the first parent, or those of some paths.\n"
        "REV:PATH gives the bytes of a file, the names in a directory, the target of a\n"
        "link. There PATH is from the root, or from the current directory after ./"
    ),
    options=(
        Option(("-p", "-u", "--patch"), "the changed lines; the default"),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        Option(("-s", "--no-patch"), "only the commit, not what it changed"),
        Option(("--oneline",), "the commit in a line: id and subject"),
        Option(("--abbrev-commit",), "ids of 12 digits"),
        *_FORMATS,
        *COLOUR,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "the revision names no commit, or has no such path"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the file is larger than 64 MiB: read it below .helios/snapshots"),
        E_STORE,
    ),
    example="HEAD~1:src/main.c",
    takes_paths=True,
    is_reading=True,
)

DECLARED = (ADD, COMMIT, STATUS, DIFF, LOG, SHOW)
"""Declarations in the order of the reference page."""
