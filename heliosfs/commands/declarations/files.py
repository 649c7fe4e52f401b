"""Declarations of the verbs about files and stashed changes: rm, mv, stash, ls-files."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    COLOUR,
    COMPARISON,
    CONTEXT,
    E_FULL,
    E_STORE,
    E_USAGE,
    FORMATS,
    QUIET,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import READS, REPLACES, REPLACES_ONCE, Verb

RM = Verb(
    name="rm",
    module="rm",
    summary="remove files, and stage their removal",
    synopsis=("[--cached] [-r] [-f] [-n] [-q] [--] PATH...",),
    description=(
        "Removes the files that HEAD, or the stage, has at the paths from the workspace and from\n"
        "the next commit. With --cached the files stay in the workspace. 'undo' brings them\n"
        "back. A file with uncommitted changes is refused. rm(1) removes files as well; a\n"
        "commit of everything then records that they are gone."
    ),
    options=(
        Option(("--cached",), "remove it only from the next commit; the file stays"),
        Option(("-r", "--recursive"), "remove directories with everything in them"),
        Option(("-f", "--force"), "remove files with uncommitted changes, too"),
        Option(("-n", "--dry-run"), "change nothing; list what would be done"),
        Option(("--ignore-unmatch",), "a path that does not exist is not an error"),
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "neither HEAD nor the stage has such a path"),
        ("EBUSY", "a file was changed and not committed"),
        E_FULL,
    ),
    example="-r old",
    effect=REPLACES_ONCE,
    is_own=True,
    barrier=True,
    takes_paths=True,
)

MV = Verb(
    name="mv",
    module="client_verbs",
    client="move",
    summary="rename files and directories, and stage the renames",
    synopsis=("[-f] [-k] [-n] [-v] SOURCE TARGET", "[-f] [-k] [-n] [-v] SOURCE... DIRECTORY"),
    description=(
        "Does what mv(1) and then 'add' of both paths do. The file itself stays the same, so\n"
        "that programs which have it open are not disturbed. A rename by mv(1) alone is found\n"
        "by its content. Works only on the command line, in a mounted workspace."
    ),
    options=(
        Option(("-f", "--force"), "replace a target that exists"),
        Option(("-k",), "skip what cannot be renamed"),
        Option(("-n", "--dry-run"), "change nothing; list what would be done"),
        Option(("-v", "--verbose"), "list what is renamed"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file"),
        ("ENOENT", "there is no such path, or it is in no commit and not staged"),
        ("EEXIST", "the target is there"),
    ),
    example="old.c new.c",
    effect=REPLACES_ONCE,
    control_file=False,
)

STASH = Verb(
    name="stash",
    module="stash",
    summary="put uncommitted changes aside, and bring them back",
    synopsis=(
        "[push] [-k] [-m TEXT] [--] [PATH]...",
        "list [--json]",
        "show [-p] [stash@{N}]",
        "(pop | apply) [--index] [--markers | --ours | --theirs] [stash@{N}]",
        "drop [stash@{N}]",
        "clear",
        "branch NAME [stash@{N}]",
    ),
    description=(
        "'push' keeps the uncommitted changes in a commit that no branch names, and makes the\n"
        "files those of HEAD again. New files are part of it; ignored files stay where they\n"
        "are. All branches share one stash. 'pop' merges an entry into the files: after a\n"
        "conflict nothing is changed, unless an option says how to decide it. 'undo' takes\n"
        "each of these back, and a garbage collection keeps the stash. Each branch has\n"
        "uncommitted changes of its own, so a checkout does not need a stash."
    ),
    options=(
        Option(("-m", "--message"), "the description that 'list' shows", "TEXT"),
        Option(("-k", "--keep-index"), "keep staged changes in the files"),
        Option(("-u", "-a", "--include-untracked"), "accepted: new files are always part of it"),
        Option(("--index",), "stage again what was staged"),
        Option(("--markers",), "write conflicts into the files, and keep the entry"),
        Option(("--ours",), "in a conflict, keep the version in the workspace"),
        Option(("--theirs",), "in a conflict, take the version in the stash"),
        Option(("-p", "--patch"), "show: the changed lines"),
        CONTEXT,
        *FORMATS,
        *COMPARISON,
        *COLOUR,
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "no such entry; nothing was committed yet"),
        ("EAGAIN", "conflicts: nothing was changed"),
        ("EBUSY", "a merge is open"),
        E_FULL,
    ),
    example="push -m 'half of it'",
    effect=REPLACES,
    barrier=True,
    takes_paths=True,
    reading_words=("list", "show"),
)

LS_FILES = Verb(
    name="ls-files",
    module="plumbing.ls_files",
    summary="list the files of the next commit, or the new, changed or deleted ones",
    synopsis=("[-c] [-d] [-m] [-o] [-i] [-u] [-s] [-z] [--] [PATH]...",),
    description=(
        "Lists the files of HEAD, or of the stage if something was added, below the current\n"
        "directory. New files belong to the next commit and are listed by -o: 'ls-files -co'\n"
        "lists everything that a commit of everything contains."
    ),
    options=(
        Option(("-c", "--cached"), "files of HEAD, or of the stage (the default)"),
        Option(("-d", "--deleted"), "deleted files"),
        Option(("-m", "--modified"), "changed and deleted files"),
        Option(("-o", "--others"), "new files"),
        Option(("-i", "--ignored"), "ignored files"),
        Option(("-u", "--unmerged"), "files with conflicts of the open merge"),
        Option(("-s", "--stage"), "show mode and id, too"),
        Option(("-z", "--null"), "end each path with a NUL, and quote nothing"),
        Option(("--exclude-standard",), "accepted: -o never lists ignored files"),
        Option(("--full-name",), "show paths from the root of the workspace"),
        Option(("--error-unmatch",), "a path that does not exist is an error"),
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "--error-unmatch: a path does not exist"), E_STORE),
    example="-s src",
    effect=READS,
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

DECLARED_FILES = (RM, MV, STASH, LS_FILES)
"""Declarations in the order of the reference page."""
