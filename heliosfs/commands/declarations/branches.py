"""Declarations of the verbs that move between states: branch, checkout, reset, undo and more."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    AT,
    COLOUR,
    E_AMBIGUOUS,
    E_FULL,
    E_USAGE,
    LISTED,
    NUMBER,
    QUIET,
    REF_LIST,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import READS, REPLACES, REPLACES_ONCE, Verb

BRANCH = Verb(
    name="branch",
    module="refs.branch",
    summary="list, create, rename and delete branches",
    synopsis=(
        "[-v] [-r | -a] [--json]",
        "--show-current",
        "--list [-v] [--merged [REV]] [--sort KEY] [--format F] [PATTERN]...",
        "[--fork | --copy-ignored | -f] NAME [BASE]",
        "(-m | -c) [OLD] NEW",
        "(-d | -D) NAME...",
    ),
    description=(
        "A new branch begins at HEAD, or at BASE, with nothing uncommitted and nothing ignored;\n"
        "with --fork, as the branch BASE is now, uncommitted changes and ignored files\n"
        "included; with --copy-ignored, with the ignored files alone, such as dependencies\n"
        "and .env. Its live workspace is .helios/branches/NAME. Nothing else moves:\n"
        "'checkout' shows a branch at the mount point."
    ),
    options=(
        Option(("--fork",), "begin with all files of the current branch, or BASE, as now"),
        Option(("--copy-ignored",), "begin with the ignored files of the current branch"),
        Option(("-f", "--force"), "move a branch that exists, with its files"),
        Option(("-m", "-M", "--move"), "rename a branch, or the current one"),
        Option(("-c", "-C", "--copy"), "create a branch of another name at the same commit"),
        Option(("-d", "--delete"), "delete branches, unless commits or changes would be lost"),
        Option(("-D", "--force-delete"), "delete branches, even if commits or changes are lost"),
        Option(
            ("--show-current",),
            "show the name of the current branch; nothing when detached",
            is_for_text=True,
        ),
        Option(("-l", "--list"), "list the branches, or those that match, such as 'idea-*'"),
        Option(
            ("-v", "--verbose"),
            "list with id, subject, and commits ahead of 'origin' or behind",
            is_for_text=True,
        ),
        Option(("-r", "--remotes"), "list the branches of remotes, as last fetched"),
        Option(("-a", "--all"), "list the branches of remotes, too"),
        *REF_LIST,
        *COLOUR,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax, a name that no branch may have; --fork: BASE is no branch"),
        ("EEXIST", "the name is taken"),
        ("ENOENT", "no such branch or base; nothing was committed yet"),
        E_AMBIGUOUS,
        ("EBUSY", "the branch is in use, or -d or -f would lose commits or changes"),
        E_FULL,
    ),
    example="idea-7 main",
    effect=REPLACES_ONCE,
    is_tool=True,
    barrier=True,
    reading_options=("delete", "force-delete", *LISTED),
)

CHECKOUT = Verb(
    name="checkout",
    module="checkout",
    summary="show another branch, or an old commit, at the mount point",
    synopsis=(
        "BRANCH",
        "-",
        "(-b | -B) NAME [BASE]",
        "[--detach] REV",
        "[REV | --ours | --theirs] [--] PATH...",
    ),
    description=(
        "Each branch has its own uncommitted changes, which are kept when another branch is\n"
        "shown. A revision that is no branch is shown exactly as it was committed, with HEAD\n"
        "detached. A dash stands for what was checked out before. With paths HEAD stays, and\n"
        "only the paths are replaced from REV, or from the stage, or from HEAD; paths that it\n"
        "does not have are left alone."
    ),
    options=(
        Option(
            ("-b", "--branch"),
            "create a branch first; without BASE, with uncommitted changes",
            "NAME",
        ),
        Option(("-B",), "the same, but a branch that exists is moved there", "NAME"),
        Option(("--detach",), "show the commit of a branch, not the branch"),
        Option(("--ours",), "in an open merge: take the paths as HEAD has them"),
        Option(("--theirs",), "in an open merge: take them as the merged commit has them"),
        Option(
            ("-f", "--force"),
            "accepted: uncommitted changes stay with their branch",
            is_for_text=True,
        ),
        QUIET,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax; a live view always shows its own branch"),
        ("ENOENT", "neither a branch nor a revision nor a path; REV has no such path"),
        ("EEXIST", "-b: the name is taken"),
        E_AMBIGUOUS,
        ("EBUSY", "the live view of the branch has open files"),
        E_FULL,
    ),
    example="idea-7",
    effect=REPLACES,
    is_tool=True,
    barrier=True,
    takes_paths=True,
)

SWITCH = Verb(
    name="switch",
    module="checkout",
    summary="show another branch at the mount point",
    synopsis=("BRANCH", "-", "(-c | -C) NAME [BASE]", "--detach REV"),
    description="Does the same as 'checkout', but never with paths.",
    options=(
        Option(
            ("-c", "--create"),
            "create a branch first; without BASE, with uncommitted changes",
            "NAME",
        ),
        Option(
            ("-C", "--force-create"), "the same, but a branch that exists is moved there", "NAME"
        ),
        Option(("-d", "--detach"), "show a commit, with HEAD detached"),
        QUIET,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax; a live view always shows its own branch; no branch"),
        ("ENOENT", "no such branch or revision"),
        ("EEXIST", "-c: the name is taken"),
        E_AMBIGUOUS,
        ("EBUSY", "the live view of the branch has open files"),
        E_FULL,
    ),
    example="idea-7",
    effect=REPLACES,
    barrier=True,
)

RESET = Verb(
    name="reset",
    module="reset",
    summary="move the branch to another commit, with or without the files",
    synopsis=("[--soft | --mixed | --hard] [REV]", "[REV] [--] PATH..."),
    description=(
        "Without --hard the files stay as they are, and their differences from REV are\n"
        "uncommitted changes. With --hard the files become exactly those of REV. 'undo' takes\n"
        "both back, and restores uncommitted changes, too. With paths the branch does not\n"
        "move: the paths are unstaged."
    ),
    options=(
        Option(("--soft",), "keep the files and the stage"),
        Option(("--mixed",), "keep the files, and unstage everything (the default)"),
        Option(("--hard",), "make the files equal to REV"),
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "the revision names no commit; there is no such path"),
        E_AMBIGUOUS,
        E_FULL,
    ),
    example="--hard HEAD~1",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
    takes_paths=True,
)

UNDO = Verb(
    name="undo",
    module="operations.oplog",
    summary="take back the last operation, or the last N",
    synopsis=("[N] [--json]", "--at WHEN"),
    description=(
        "Brings back the state before the last commit, reset, checkout of a commit or redo:\n"
        "HEAD and all files, uncommitted changes included. Called again, it goes back one\n"
        "more. Changes made since the last operation are listed, and kept for 'redo'.\n"
        "Ignored files stay as they are. --at brings back the state of a moment, as far as\n"
        "operations and automatic saves recorded it; 'undo' takes that back."
    ),
    options=(AT, JSON),
    errors=(
        E_USAGE,
        ("ENOENT", "nothing to undo, or not so much; nothing is known of that moment"),
        ("EBUSY", "it leads to a branch whose live view has open files"),
        E_FULL,
    ),
    example="",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
)

REDO = Verb(
    name="redo",
    module="operations.oplog",
    summary="take back the last undo, or the last N",
    synopsis=("[N] [--json]",),
    description=(
        "Brings back the state before the last undo that was not taken back. Any other\n"
        "operation after an undo leaves nothing to redo."
    ),
    options=(JSON,),
    errors=(E_USAGE, ("ENOENT", "nothing to redo, or not so much"), E_FULL),
    example="",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
)

OPLOG = Verb(
    name="oplog",
    module="operations.oplog",
    summary="show what was done in this workspace, newest first",
    synopsis=(
        "[-n N] [--json]",
        "--saved [-n N] [--json]",
        "restore ([--before] NUMBER | --at WHEN | --saved)",
    ),
    description=(
        "Shows a line for each operation: number, time, verb, HEAD before and after, text.\n"
        "With --saved, a line for each automatic save: at most 64 are kept of a branch, the\n"
        "last 10, and before these the last of each minute (30) and of each hour (24) in\n"
        "which something changed. 'restore' brings HEAD and all files back to what they were\n"
        "after an operation, or in the last save that differs; 'undo' takes that back."
    ),
    options=(
        NUMBER,
        Option(("--saved",), "list the automatic saves; restore: use the last one that differs"),
        Option(("--before",), "restore: the state before the operation"),
        AT,
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "no such operation or save"), E_FULL),
    example="-n 10",
    effect=REPLACES,
    is_tool=True,
    barrier=True,
    reading_words=("",),
)

REV_PARSE = Verb(
    name="rev-parse",
    module="plumbing.rev_parse",
    client="whereabouts",
    summary="show the id of a revision, or of a path in one",
    synopsis=(
        "[--short[=N] | --abbrev-ref | --verify [-q]] REV...",
        "--show-toplevel | --git-dir | --is-inside-work-tree",
    ),
    description=(
        "A revision is a full id, a unique prefix of 4 digits or more, a branch, a tag, HEAD,\n"
        "ORIG_HEAD (before the last reset or merge), MERGE_HEAD, or @{-1} for what was\n"
        "checked out before; after HEAD or a branch @{N} is what it named N changes ago, and\n"
        "@{u} its upstream; after all of these, ~N goes back N first parents and ^N to the N-th\n"
        "parent. REV^{tree} is its tree, REV:PATH a file or directory in it, :PATH one of the\n"
        "stage. A..B gives two ids.\n"
        "The options about the place of the workspace work only on the command line."
    ),
    options=(
        Option(("--short",), "only the first 12 digits, or N", "N", is_optional=True),
        Option(("--abbrev-ref",), "the name of the branch; HEAD when detached"),
        Option(("--symbolic-full-name",), "the same in full: refs/heads/main"),
        Option(("--verify",), "exactly one revision"),
        Option(("-q", "--quiet"), "with --verify, print nothing if there is none"),
        Option(("--all",), "the ids of all branches and tags"),
        Option(("--branches",), "of all branches"),
        Option(("--tags",), "of all tags"),
        Option(("--show-toplevel",), "the root of the workspace"),
        Option(("--show-prefix",), "the current directory below the root"),
        Option(("--show-cdup",), "the way up to the root"),
        Option(("--git-dir",), "the directory .helios of the workspace"),
        Option(("--absolute-git-dir",), "the same, in full"),
        Option(("--git-common-dir",), "the same as --git-dir"),
        Option(("--is-inside-work-tree",), "true, or false below .helios"),
        Option(("--is-inside-git-dir",), "true below .helios, else false"),
        Option(("--is-bare-repository",), "false"),
    ),
    errors=(E_USAGE, ("ENOENT", "the revision names nothing"), E_AMBIGUOUS),
    example="HEAD~2",
    effect=READS,
    exit_codes="--verify -q: there is no such revision",
    is_reading=True,
)

DECLARED_BRANCH = (BRANCH, CHECKOUT, SWITCH, RESET, UNDO, REDO, OPLOG, REV_PARSE)
"""Declarations in the order of the reference page."""
