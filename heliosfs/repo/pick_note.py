"""The note of an open cherry-pick or revert: the commit that is picked, and those after it.

A working state names the commit that is merged into it (`State.merging`).  For a pick, that is a
note in the form of a commit which is never shown: its root is merged, its parents are the picked
commit and the later ones, and its author and message are those of the commit to be made.  So undo,
a remount and garbage collection treat a pick as they treat a merge.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry

CHERRY_PICK, REVERT = "cherry-pick", "revert"

_VERB = "\1verb"
"""Key of the verb.  It is not printable, so that no commit made by a user has it."""
_MAINLINE = "\1mainline"
_FLAGS = "\1flags"


class PickOptions(NamedTuple):
    """The options of a pick."""

    verb: str
    """`CHERRY_PICK` or `REVERT`."""
    mainline: int = 0
    """Parent of a merge relative to which the change is computed, from 1 on; 0 if the source must
    not be a merge."""
    is_traced: bool = False
    """True if the message names the commit that was picked."""
    keeps_empty: bool = False
    """True if a commit is made even if it changes nothing."""
    drops_empty: bool = False
    """True if such a commit is left out; otherwise it is refused."""


class OpenPick(NamedTuple):
    """An open pick."""

    options: PickOptions
    source: CommitId
    todo: tuple[CommitId, ...]
    """Commits to be picked after it."""
    author: Signature | None
    """Author of the commit to be made; None for the user that concludes the pick."""
    message: bytes


def note_of(pick: OpenPick, theirs: Entry, committer: Signature) -> Commit:
    """Return the note of a pick that merges `theirs`."""
    options = pick.options
    flags = [options.is_traced, options.keeps_empty, options.drops_empty, pick.author is not None]
    return Commit(
        theirs,
        (pick.source, *pick.todo),
        pick.author or committer,
        committer,
        pick.message,
        {
            _VERB: options.verb,
            _MAINLINE: str(options.mainline),
            _FLAGS: "".join("01"[flag] for flag in flags),
        },
    )


def pick_of(commit: Commit) -> OpenPick | None:
    """Return the pick of a note; None for a commit that is merged."""
    verb = commit.metadata.get(_VERB)
    if verb is None:
        return None
    *flags, has_author = (flag == "1" for flag in commit.metadata[_FLAGS])
    return OpenPick(
        PickOptions(verb, int(commit.metadata[_MAINLINE]), *flags),
        commit.parents[0],
        commit.parents[1:],
        commit.author if has_author else None,
        commit.message,
    )
