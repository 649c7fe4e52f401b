"""Declarations of the verbs that take single commits: cherry-pick, revert."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_AMBIGUOUS, E_FULL, E_STORE, QUIET
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

_SYNOPSIS = (
    "[--ours | --theirs | --markers] [-n] [-m PARENT] REV|A..B...",
    "--continue [--allow-markers] | --skip | --abort",
)
_CONFLICTS = (
    "All or nothing, as 'merge': with a conflict nothing is changed, and the reply lists the\n"
    "paths. --markers commits what comes before, writes the conflicts into the files and stays\n"
    "open: --continue, or the next commit, goes on. Uncommitted changes elsewhere are kept.\n"
    "One 'undo' takes all of it back."
)
_OPTIONS = (
    Option(("-n", "--no-commit"), "change the files only: uncommitted, HEAD stays"),
    Option(("-m", "--mainline"), "of a merge: which parent, from 1, it is told from", "PARENT"),
    Option(("--ours",), "decide every conflict for HEAD"),
    Option(("--theirs",), "decide every conflict for the change"),
    Option(("-X", "--strategy-option"), "ours or theirs: as the options of that name", "NAME"),
    Option(("--markers",), "write conflicts into the files, in diff3 style, and stay open"),
    Option(("--continue",), "commit what is open, and go on with the rest"),
    Option(("--skip",), "leave out what is open, and go on with the rest"),
    Option(("--abort",), "back to the state before, uncommitted changes included"),
    Option(("--allow-empty",), "make a commit also of what changes nothing"),
    Option(("--empty",), "what changes nothing: stop (refuse), drop, keep", "HOW"),
    Option(("--allow-markers",), "--continue: also with conflict markers left in files"),
    Option(("--no-edit",), "nothing: the message is never asked for"),
    QUIET,
    JSON,
)
_ERRORS = (
    ("EINVAL", "wrong syntax; a merge without -m"),
    ("ENOENT", "a revision names no commit; nothing is open; nothing was committed yet"),
    E_AMBIGUOUS,
    ("EAGAIN", "conflicts: nothing was changed; --continue: markers are left"),
    ("EBUSY", "something is open already, or uncommitted or staged changes are in the way"),
    ("ENODATA", "the change is there already, so that the commit would be empty"),
    E_FULL,
    E_STORE,
)

CHERRY_PICK = Verb(
    name="cherry-pick",
    module="pick",
    summary="make the changes of single commits once more, on top of HEAD",
    synopsis=_SYNOPSIS,
    description=(
        "Each commit is merged over its parent: author, date and message are kept. A range is\n"
        f"taken from its oldest commit on.\n{_CONFLICTS}"
    ),
    options=(
        Option(("-x",), "add the id that it was picked from to the message"),
        *_OPTIONS,
    ),
    errors=_ERRORS,
    example="idea-7~2",
    barrier=True,
    is_reading=True,
)

REVERT = Verb(
    name="revert",
    module="pick",
    summary="take the changes of single commits back, by new commits",
    synopsis=_SYNOPSIS,
    description=(
        "Each commit's parent is merged over it; you are the author, and the message names\n"
        f"the commit. A range is taken from its newest commit back.\n{_CONFLICTS}"
    ),
    options=_OPTIONS,
    errors=_ERRORS,
    example="HEAD~1",
    barrier=True,
    is_reading=True,
)

DECLARED_PICK = (CHERRY_PICK, REVERT)
"""Declarations in the order of the reference page."""
