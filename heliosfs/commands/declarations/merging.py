"""Declarations of the verbs that bring content together: merge, tag, restore."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    AT,
    E_AMBIGUOUS,
    E_FULL,
    E_USAGE,
    LISTED,
    QUIET,
    REF_LIST,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import REPLACES, REPLACES_ONCE, Verb

MERGE = Verb(
    name="merge",
    module="merge",
    summary="combine the changes of another branch or commit with this branch",
    synopsis=(
        "[--ours | --theirs | --markers] [--no-commit] [-m TEXT] BRANCH|REV",
        "(--no-ff | --ff-only) BRANCH|REV",
        "[--ours | --theirs] --squash [--base REV] BRANCH|REV",
        "--continue [-m TEXT] [--allow-markers]",
        "--abort",
        "--dry-run BRANCH|REV...",
    ),
    description=(
        "All or nothing: with a conflict the tree stays as it is, and the reply and\n"
        ".helios/conflicts list the paths. --markers writes the conflicts into the files\n"
        "instead and leaves the merge open: --continue, or the next commit, concludes it, with\n"
        "both parents. Uncommitted changes to other files are kept. Renamed files are\n"
        "followed. --dry-run shows which pairs of HEAD and the named branches would\n"
        "conflict, and on which paths; it changes nothing."
    ),
    options=(
        Option(("--ours",), "decide every conflict in favour of HEAD; merge the rest"),
        Option(("--theirs",), "decide every conflict in favour of the other side"),
        Option(("--markers",), "write conflicts into the files, in diff3 style"),
        Option(("--continue",), "commit the open merge, once its conflicts are resolved"),
        Option(("--allow-markers",), "--continue: also with conflict markers left in files"),
        Option(("--abort",), "go back to the state before the open merge"),
        Option(("--dry-run",), "only show which branches would conflict, and on which paths"),
        Option(("--squash",), "merge the files only, as uncommitted changes; HEAD stays"),
        Option(
            ("--base",),
            "--squash: merge what changed since REV, also into changed files",
            "REV",
        ),
        Option(("--no-ff",), "make a merge commit where a fast-forward is possible"),
        Option(("--ff",), "fast-forward HEAD where possible (the default)", is_for_text=True),
        Option(("--ff-only",), "refuse anything else"),
        Option(("--no-commit",), "leave the merge open for a look; --continue commits it"),
        Option(("--commit",), "commit the merge (the default)", is_for_text=True),
        Option(
            ("-X", "--strategy-option"),
            "ours or theirs: as --ours and --theirs",
            "NAME",
            is_repeated=True,
        ),
        Option(
            ("-s", "--strategy"), "accepted: 'ort' is the only strategy", "NAME", is_for_text=True
        ),
        Option(("-e", "--edit", "--no-edit"), "accepted: -m gives the message", is_for_text=True),
        Option(
            ("-n", "--no-stat", "--stat"), "accepted: no summary is ever shown", is_for_text=True
        ),
        Option(("--no-verify",), "accepted: there are no hooks", is_for_text=True),
        Option(("--allow-unrelated-histories",), "merge even without a common commit"),
        Option(
            ("-m", "--message"),
            "the message (default: 'Merge branch ...')",
            "TEXT",
            is_repeated=True,
        ),
        QUIET,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax; the histories have no common commit"),
        ("ENOENT", "the revision names no commit; --abort, --continue: no merge is open"),
        E_AMBIGUOUS,
        ("EAGAIN", "conflicts: nothing was changed; --continue: markers are left"),
        ("EBUSY", "a merge is open already, or uncommitted or staged changes are in the way"),
        E_FULL,
    ),
    example="idea-7",
    effect=REPLACES_ONCE,
    is_own=True,
    is_tool=True,
    barrier=True,
    is_reading=True,
)

TAG = Verb(
    name="tag",
    module="refs.tag",
    client="tag",
    summary="list, create and delete names for commits",
    synopsis=(
        "[-l] [-n[N]] [--contains REV] [--sort KEY] [--format FORM] [PATTERN]...",
        "[-a] [-f] [-m TEXT]... NAME [REV]",
        "-d NAME...",
    ),
    description=(
        "A tag is a name for a commit, by default HEAD, that does not move. With -m the tag\n"
        "records who made it, when, and why; an export makes a tag object of it in git."
    ),
    options=(
        Option(("-a", "--annotate"), "with a message; on a terminal an editor opens for it"),
        Option(
            ("-m", "--message"),
            "the message; each of several is a paragraph",
            "TEXT",
            is_repeated=True,
        ),
        Option(
            ("-F", "--file"),
            "read the message from a file, or - for the input",
            "FILE",
            is_for_text=True,
        ),
        Option(("-d", "--delete"), "delete tags; the commits stay"),
        Option(("-f", "--force"), "move a tag that exists"),
        Option(("-l", "--list"), "list the tags that match a pattern such as 'v1.*'"),
        Option(
            ("-n", "--lines"),
            "list with the first N lines of the message",
            "N",
            is_optional=True,
            is_for_text=True,
        ),
        *REF_LIST,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax, or a name that no tag may have"),
        ("EEXIST", "the name is taken"),
        ("ENOENT", "no such tag or revision"),
        E_AMBIGUOUS,
        E_FULL,
    ),
    example="-m 'the first one' v1.0 HEAD~2",
    effect=REPLACES_ONCE,
    is_tool=True,
    reading_options=("list", *LISTED),
)

RESTORE = Verb(
    name="restore",
    module="restore",
    summary="restore files from a commit, the stage or an automatic save",
    synopsis=(
        "[-s REV | --ours | --theirs] [--staged [--worktree]] PATH...",
        "(--saved | --at WHEN) [PATH]...",
    ),
    description=(
        "The paths become exactly what the commit, or the stage, has there; files that it does\n"
        "not have are removed. HEAD stays. 'undo' brings back what was uncommitted. With\n"
        "--staged the files stay as they are, and the paths are unstaged. With --saved each\n"
        "path comes from the last automatic save with another version of it, ignored files\n"
        "included; 'oplog --saved' lists the saves, at most 64 of each branch. --saved and --at\n"
        "without a path restore all files."
    ),
    options=(
        Option(("-s", "--source"), "the commit (default: the stage; with --staged: HEAD)", "REV"),
        Option(("-S", "--staged"), "change the stage, not the files"),
        Option(("-W", "--worktree"), "change the files, with --staged too"),
        Option(("--ours",), "in an open merge: take the paths as HEAD has them"),
        Option(("--theirs",), "in an open merge: take them as the merged commit has them"),
        Option(("--saved",), "take the paths from the last automatic save that differs"),
        AT,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "no such commit, path or save; nothing is known of that moment"),
        E_AMBIGUOUS,
        ("EEXIST", "a file lies where a directory of the path is needed"),
        E_FULL,
    ),
    example="-s HEAD~1 src/main.c",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
    takes_paths=True,
)

DECLARED_MERGE = (MERGE, TAG, RESTORE)
"""Declarations in the order of the reference page."""
