"""The note of a cherry-pick or revert that is open: what is picked, and what comes after it.

A working state names the commit that is merged into it (`State.merging`).  For a pick that is
a note in the form of a commit which nobody ever sees: its root is what is merged, its parents
are the commit that is picked and those that come later, its author and message are those that
the commit will get.  So undo, a remount and garbage collection know of it as they know of a merge.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry

CHERRY_PICK, REVERT = "cherry-pick", "revert"

_VERB = "\1verb"
"""Not printable, so that no commit has it which somebody made."""
_MAINLINE = "\1mainline"
_FLAGS = "\1flags"


class PickOptions(NamedTuple):
    """How to pick."""

    verb: str
    """`CHERRY_PICK` or `REVERT`."""
    mainline: int = 0
    """Which parent of a merge the change is told from, counted from 1; 0: it must be no merge."""
    is_traced: bool = False
    """Whether the message says which commit it was picked from."""
    keeps_empty: bool = False
    """Whether a commit that changes nothing is made all the same."""
    drops_empty: bool = False
    """Whether one is left out; otherwise it is refused."""


class OpenPick(NamedTuple):
    """A pick that is open."""

    options: PickOptions
    source: CommitId
    todo: tuple[CommitId, ...]
    """What is to be picked after it."""
    author: Signature | None
    """None: who concludes it."""
    message: bytes


def note_of(pick: OpenPick, theirs: Entry, committer: Signature) -> Commit:
    """The note of a pick that merges `theirs`."""
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
    """What a note says; None of a commit that is merged."""
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
