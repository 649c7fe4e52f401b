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
from heliosfs.commands.verb import Verb

RM = Verb(
    name="rm",
    module="rm",
    summary="remove files, and stage that they are gone",
    synopsis=("[--cached] [-r] [-f] [-n] [-q] [--] PATH...",),
    description=(
        "What HEAD, or the stage, has at the paths goes from the workspace, and the next commit\n"
        "is without it. With --cached the files stay, and only the next commit is without\n"
        "them. 'undo' brings them back. A file with changes that no commit has is refused.\n"
        "rm(1) removes files as well; then every commit of everything is without them."
    ),
    options=(
        Option(("--cached",), "only from the next commit; the file stays"),
        Option(("-r", "--recursive"), "directories with all that is in them"),
        Option(("-f", "--force"), "also what was changed and not committed"),
        Option(("-n", "--dry-run"), "only tell"),
        Option(("--ignore-unmatch",), "paths that are not there are no error"),
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
    barrier=True,
    takes_paths=True,
)

MV = Verb(
    name="mv",
    module="client_verbs",
    client="move",
    summary="rename files and directories, and stage that",
    synopsis=("[-f] [-k] [-n] [-v] SOURCE TARGET", "[-f] [-k] [-n] [-v] SOURCE... DIRECTORY"),
    description=(
        "The same as mv(1) in the mounted workspace, which keeps the file itself and all who\n"
        "have it open, and 'add' of both paths after it. Without it a rename is found by the\n"
        "content, too. Only the command line does this, in a mounted workspace."
    ),
    options=(
        Option(("-f", "--force"), "over a file that is there"),
        Option(("-k",), "leave out what cannot be renamed"),
        Option(("-n", "--dry-run"), "only tell"),
        Option(("-v", "--verbose"), "tell what is renamed"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file"),
        ("ENOENT", "there is no such path, or it is in no commit and not staged"),
        ("EEXIST", "the target is there"),
    ),
    example="old.c new.c",
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
        "What differs from HEAD becomes a commit that no branch names, and the files are those\n"
        "of HEAD again. New files are part of it; ignored ones stay where they are. The stash\n"
        "is one for all branches. 'pop' merges it into the files: with a conflict nothing is\n"
        "changed, unless an option says how. 'undo' takes each of these back, and a garbage\n"
        "collection keeps what is in the stash. A branch has uncommitted changes of its own, so\n"
        "to check out another one nothing has to be put aside."
    ),
    options=(
        Option(("-m", "--message"), "what 'list' says of it", "TEXT"),
        Option(("-k", "--keep-index"), "what is staged stays in the files"),
        Option(("-u", "-a", "--include-untracked"), "accepted: new files are always part of it"),
        Option(("--index",), "bring back what was staged as staged"),
        Option(("--markers",), "write conflicts into the files; the entry is kept"),
        Option(("--ours",), "keep the files where they collide"),
        Option(("--theirs",), "take the stash where they collide"),
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
    barrier=True,
    takes_paths=True,
    reading_words=("list", "show"),
)

LS_FILES = Verb(
    name="ls-files",
    module="plumbing.ls_files",
    summary="list the files of the next commit, or those that are new, changed or gone",
    synopsis=("[-c] [-d] [-m] [-o] [-i] [-u] [-s] [-z] [--] [PATH]...",),
    description=(
        "The files that HEAD has, or the stage if something was added, below the current\n"
        "directory. New files belong to the next commit and are listed by -o: 'ls-files -co'\n"
        "is what a commit of everything takes."
    ),
    options=(
        Option(("-c", "--cached"), "those of HEAD, or of the stage; the default"),
        Option(("-d", "--deleted"), "those that are gone"),
        Option(("-m", "--modified"), "those that were changed or are gone"),
        Option(("-o", "--others"), "new ones"),
        Option(("-i", "--ignored"), "what is ignored"),
        Option(("-u", "--unmerged"), "those with conflicts of the open merge"),
        Option(("-s", "--stage"), "with mode and id"),
        Option(("-z", "--null"), "NUL after each path, and nothing quoted"),
        Option(("--exclude-standard",), "accepted: ignored files are no others"),
        Option(("--full-name",), "paths from the root of the workspace"),
        Option(("--error-unmatch",), "a path that is not there is an error"),
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "--error-unmatch: nothing lies at a path"), E_STORE),
    example="-s src",
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

DECLARED_FILES = (RM, MV, STASH, LS_FILES)
"""Declarations in the order of the reference page."""
