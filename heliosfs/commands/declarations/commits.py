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
from heliosfs.commands.options import JSON, Option, for_text
from heliosfs.commands.verb import ADDS, ADDS_ONCE, READS, Verb

_FORMATS = (
    Option(
        ("--pretty", "--format"),
        "oneline, short, full, fuller, or such as '%h %an %s'",
        "FORM",
        is_for_text=True,
    ),
    Option(
        ("--date",), "default, iso, short, rfc, relative, unix or raw", "FORM", is_for_text=True
    ),
)
ADD = Verb(
    name="add",
    module="add",
    summary="stage paths: choose what goes into the next commit",
    synopsis=("[-f] [-v] [--json] PATH...", "-A", "-u [PATH]..."),
    description=(
        "Every file belongs to the next commit, without being added. After 'add' a commit\n"
        "contains only what was added, as it was then; 'commit --work' still commits\n"
        "everything. A directory stands for everything below it, a deleted path for its\n"
        "deletion. 'reset' and 'restore --staged' unstage. While a merge is open nothing can\n"
        "be staged: its commit contains everything."
    ),
    options=(
        Option(("-A", "--all"), "stage everything, wherever the current directory is"),
        Option(("-u", "--update"), "stage changed and deleted files, but no new ones"),
        Option(("-f", "--force"), "stage ignored files, too"),
        Option(("-v", "--verbose"), "reply with a line for each path"),
        Option(("-n", "--dry-run"), "stage nothing; reply with a line for each path"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "a path does not exist, and never did; nothing was staged"),
        ("EPERM", "a path is ignored, and -f was not given; nothing was staged"),
        E_FULL,
    ),
    example="src/main.c",
    effect=ADDS_ONCE,
    is_own=True,
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
        "was added, only that is committed, unless --work is given. With paths, only these\n"
        "are committed, as they are now; '.' at the root is everything. The reply is the\n"
        "branch, the new id and the subject. Each -m is a paragraph of the message."
    ),
    options=(
        Option(
            ("-m", "--message"),
            "the message (default: 'snapshot', or that of the open merge)",
            "TEXT",
            is_repeated=True,
        ),
        Option(
            ("-F", "--file"),
            "read the message from a file, or - for the input",
            "FILE",
            is_for_text=True,
        ),
        Option(
            ("--no-edit",), "do not open an editor, as a terminal without -m does", is_for_text=True
        ),
        Option(("--dry-run",), "commit nothing; reply with the status"),
        Option(
            ("--message-only",),
            "with --dry-run, only the message of an open merge",
            is_for_text=True,
        ),
        Option(("--no-verify",), "accepted: there are no hooks", is_for_text=True),
        Option(("-s", "--signoff"), "add a line Signed-off-by"),
        Option(("--work",), "commit everything, even if something was added"),
        Option(("-a", "--all"), "the same as --work"),
        Option(("--amend",), "replace the last commit; what is not given stays"),
        Option(("--allow-empty",), "commit even if nothing changed"),
        Option(("--expect",), "only if HEAD is still this commit: a full id", "ID"),
        Option(("--author",), "who wrote it: 'Name <email>'", "AUTHOR"),
        Option(
            ("--meta",), "metadata of the commit; may be repeated", "KEY=VALUE", is_repeated=True
        ),
        Option(("--sync",), "reply only when the commit is safe from a power cut"),
        Option(
            ("--allow-markers",), "commit even if files have conflict markers of the open merge"
        ),
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "the message is empty, not UTF-8, or has a NUL byte"),
        ("ENODATA", "nothing to commit: at most times differ from HEAD"),
        ("EAGAIN", "conflict markers are left in files of the open merge"),
        ("ENOENT", "a path does not exist, and never did; --amend: no commit yet"),
        ("EBUSY", "--amend, or paths, while a merge is open"),
        ("ESTALE", "--expect names a commit that is not HEAD"),
        ("EMSGSIZE", "the message is longer than 64 KiB"),
        E_FULL,
    ),
    example="-m 'fix the parser'",
    effect=ADDS,
    is_own=True,
    is_tool=True,
    barrier=True,
    takes_paths=True,
)

STATUS = Verb(
    name="status",
    module="status.status",
    summary="show what differs from HEAD",
    synopsis=("[-s | --porcelain[=V] | --json] [-b] [-z] [-u[MODE]] [--] [PATH]...",),
    description=(
        "Shows the branch, and the changes since its last commit; if something was added,\n"
        "staged and unstaged ones apart. A file that moved is shown as renamed, if at least\n"
        "half of it is the same.\n"
        "A change of times alone is not a change. In a line of --short the first letter is\n"
        "for the staged change, the second for the unstaged one. A new file is A: it belongs\n"
        "to the next commit. While a merge is open, UU, AA, DU and UD mark unresolved paths."
    ),
    options=(
        Option(
            ("-s", "--short"),
            "a line for each path: letters of A, M, D, R, T or U",
            is_for_text=True,
        ),
        Option(("-b", "--branch"), "with --short, begin with the branch", is_for_text=True),
        Option(
            ("--porcelain",),
            "for programs: paths from the root; v1 (default) or v2",
            "V",
            is_optional=True,
            is_for_text=True,
        ),
        Option(("--long",), "in words; the default", is_for_text=True),
        Option(
            ("-z", "--null"),
            "for programs: end each path with a NUL, quote nothing",
            is_for_text=True,
        ),
        Option(
            ("-u", "--untracked-files"),
            "no, normal or all (default): no leaves out new files",
            "MODE",
            is_optional=True,
        ),
        Option(
            ("--ignored",),
            "show ignored files, too",
            "MODE",
            is_optional=True,
        ),
        Option(("--no-renames",), "show a renamed file as a deleted and a new one"),
        *COLOUR,
        JSON,
    ),
    errors=(E_USAGE, E_STORE),
    example="--short",
    effect=READS,
    is_tool=True,
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

DIFF = Verb(
    name="diff",
    module="diff.diff",
    summary="show changed lines, for people, patch(1) and git apply",
    synopsis=(
        "[OPTION]... [--] [PATH]...",
        "[OPTION]... REV [--] [PATH]...",
        "[OPTION]... REV REV [--] [PATH]...",
    ),
    description=(
        "Without a revision, compares the working tree with the stage, if something was\n"
        "added, else with HEAD; with one revision, the working tree with that; with two, or\n"
        "A..B, the second with the first; A...B compares B with the merge base of both.\n"
        "--staged compares the stage with HEAD, or with a revision. Paths are relative to\n"
        "the current directory. What git's format cannot express (owners, permissions other\n"
        "than the executable bit, empty directories, devices) is in lines that begin with #."
    ),
    options=(
        Option(("--cached", "--staged"), "compare the stage with HEAD, or with REV"),
        Option(("-R", "--reverse"), "swap the two sides"),
        Option(("-p", "-u", "--patch"), "show the changed lines (the default, but not in JSON)"),
        Option(("-s", "--no-patch"), "show nothing", is_for_text=True),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        Option(("--exit-code",), "end with exit code 1 if something differs", is_for_text=True),
        Option(("-q", "--quiet"), "the same, and show nothing", is_for_text=True),
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
    effect=READS,
    is_tool=True,
    exit_codes="--exit-code, --quiet: something differs",
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

LOG = Verb(
    name="log",
    module="log.log",
    summary="show the commits that led here, newest first",
    synopsis=("[OPTION]... [REV | A..B | A...B]... [--] [PATH]...",),
    description=(
        "Shows the history of HEAD, or of other revisions. A..B is the commits of B that A\n"
        "does not have, A...B those that only one of the two has. With paths, only commits\n"
        "that changed something there; where a merge agrees with one of its parents there,\n"
        "only the history of that parent."
    ),
    options=(
        *SELECTION,
        Option(
            ("--agent",),
            "only commits of agents; WORD is in their session or prompt",
            "WORD",
            is_optional=True,
        ),
        Option(("--oneline",), "one line for each commit: id and subject", is_for_text=True),
        *_FORMATS,
        Option(("--abbrev-commit",), "show 12 digits of each id", is_for_text=True),
        Option(("--no-abbrev-commit",), "show whole ids, with --oneline too", is_for_text=True),
        Option(("--graph",), "draw the graph of the commits beside them", is_for_text=True),
        Option(("--follow",), "follow one file across renames"),
        Option(
            ("--decorate",),
            "show the branches and tags that name a commit; 'no' hides them",
            "MODE",
            is_optional=True,
            is_for_text=True,
        ),
        Option(("--no-decorate",), "do not show them (the default)", is_for_text=True),
        Option(
            ("-g", "--walk-reflogs"),
            "show the commits that HEAD, or a branch, named before: HEAD@{N}",
            is_for_text=True,
        ),
        Option(
            ("-L", "--lines"),
            "show the history of some lines of a file",
            "START,STOP:PATH",
            is_for_text=True,
        ),
        *PICKAXE,
        Option(("-s", "--no-patch"), "do not show what they changed", is_for_text=True),
        Option(
            ("-p", "-u", "--patch"),
            "show the changed lines; of merges only with --first-parent",
            is_for_text=True,
        ),
        *for_text(CONTEXT, *FORMATS, *COMPARISON),
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
    effect=READS,
    is_tool=True,
    takes_paths=True,
    is_reading=True,
)

SHOW = Verb(
    name="show",
    module="log.show",
    summary="show a commit and what it changed, or a file as it was then",
    synopsis=("[OPTION]... [REV] [--] [PATH]...", "REV:PATH"),
    description=(
        "Shows the commit and its changes since the first parent, or those of some paths.\n"
        "REV:PATH shows the bytes of a file, the names in a directory, the target of a\n"
        "link. This PATH is relative to the root, or to the current directory after ./"
    ),
    options=(
        Option(("-p", "-u", "--patch"), "show the changed lines (the default, but not in JSON)"),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        Option(("-s", "--no-patch"), "show only the commit, not what it changed", is_for_text=True),
        Option(("--oneline",), "show the commit in one line: id and subject", is_for_text=True),
        Option(("--abbrev-commit",), "show 12 digits of each id", is_for_text=True),
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
    effect=READS,
    is_tool=True,
    takes_paths=True,
    is_reading=True,
)

DECLARED = (ADD, COMMIT, STATUS, DIFF, LOG, SHOW)
"""Declarations in the order of the reference page."""
