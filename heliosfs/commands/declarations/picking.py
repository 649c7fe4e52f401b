"""Declarations of the verbs that take single commits: cherry-pick, revert."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_AMBIGUOUS, E_FULL, E_STORE, QUIET
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import REPLACES, Verb

_SYNOPSIS = (
    "[--ours | --theirs | --markers] [-n] [-m PARENT] REV|A..B...",
    "--continue [--allow-markers] | --skip | --abort",
)
_CONFLICTS = (
    "All or nothing, as 'merge': after a conflict nothing is changed, and the reply lists the\n"
    "paths. --markers commits what comes before the conflict, writes the conflict into the\n"
    "files, and stays open: --continue, or the next commit, goes on. Uncommitted changes to\n"
    "other files are kept. One 'undo' takes all of it back."
)
_OPTIONS = (
    Option(("-n", "--no-commit"), "change the files only: uncommitted, HEAD stays"),
    Option(
        ("-m", "--mainline"),
        "for a merge: the number, from 1, of the parent to compare with",
        "PARENT",
    ),
    Option(("--ours",), "decide every conflict in favour of HEAD"),
    Option(("--theirs",), "decide every conflict in favour of the picked change"),
    Option(
        ("-X", "--strategy-option"),
        "ours or theirs: as the options of that name",
        "NAME",
        is_repeated=True,
    ),
    Option(("--markers",), "write conflicts into the files, in diff3 style, and stay open"),
    Option(("--continue",), "commit what is open, and go on with the rest"),
    Option(("--skip",), "leave out what is open, and go on with the rest"),
    Option(("--abort",), "go back to the state before, uncommitted changes included"),
    Option(("--allow-empty",), "make a commit even of a change that changes nothing"),
    Option(("--empty",), "for a change that changes nothing: stop (refuse), drop or keep", "HOW"),
    Option(("--allow-markers",), "--continue: also with conflict markers left in files"),
    Option(("--no-edit",), "accepted: no editor is ever opened", is_for_text=True),
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
    summary="apply the changes of single commits again, on top of HEAD",
    synopsis=_SYNOPSIS,
    description=(
        "Each commit is merged with its parent as merge base; author, date and message are\n"
        f"kept. A range begins with its oldest commit.\n{_CONFLICTS}"
    ),
    options=(
        Option(("-x",), "add the id of the picked commit to the message"),
        *_OPTIONS,
    ),
    errors=_ERRORS,
    example="idea-7~2",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
    is_reading=True,
)

REVERT = Verb(
    name="revert",
    module="pick",
    summary="undo the changes of single commits, with new commits",
    synopsis=_SYNOPSIS,
    description=(
        "Each commit's parent is merged with the commit as merge base; you are the author, and\n"
        f"the message names the commit. A range begins with its newest commit.\n{_CONFLICTS}"
    ),
    options=_OPTIONS,
    errors=_ERRORS,
    example="HEAD~1",
    effect=REPLACES,
    is_own=True,
    is_tool=True,
    barrier=True,
    is_reading=True,
)

DECLARED_PICK = (CHERRY_PICK, REVERT)
"""Declarations in the order of the reference page."""
