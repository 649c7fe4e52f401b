"""Throw-away forks: branches that begin with the files as they are, to be merged or dropped.

A fork has a commit `start` of all files as they were, so what a command changed is the difference
between `start` and the fork.  Where the base had uncommitted changes, `start` is a commit of the
fork alone, and they never become a commit of the base.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from heliosfs.cli.client import Refused, ask, ask_json
from heliosfs.cli.inside import Inside, mount_point
from heliosfs.cli.locate import Location, find_view
from heliosfs.errors import Busy, HeliosError, NotFound

_SUBJECT_MAX = 72
_SHOWN_DIGITS = 12
_NAMES_TRIED = 1000


class Base(NamedTuple):
    """View that forks are made from and merged into."""

    view: Location
    top: str
    """Mount point of the workspace."""
    branch: str | None
    """Branch of the view; None for a detached HEAD."""

    def now(self) -> Location:
        """Return the view that shows the branch now.  Raise NotFound if there is none."""
        if self.view.root == self.top and _branch_of(self.view) != self.branch:
            live = os.path.join(self.top, ".helios", "live", self.branch or "")
            found = find_view(live) if self.branch is not None else None
            if found is None or found.root != live:
                raise NotFound(f"{self} is not shown any more")
            return found
        return self.view

    def __str__(self) -> str:
        return f"branch {self.branch!r}" if self.branch else "the detached HEAD"


class TrialFork(NamedTuple):
    """A fork of a view's working state."""

    name: str
    base: Base
    start: str
    """Id of the commit of all files as they were."""
    has_changes: bool
    """True if `start` is no commit of the base, because that had uncommitted changes."""

    @property
    def inside(self) -> Inside:
        """Return the place in which a command works on the fork."""
        return Inside(self.base.top, self.name, is_shown=False, below=self.base.view.below)

    @property
    def view(self) -> Location:
        """Return the live view of the fork."""
        return Location(self.inside.live, "")

    @property
    def merge_words(self) -> list[str]:
        """Return the words of the verb that merges the fork into its base."""
        if self.has_changes:
            return ["merge", "--squash", "--base", self.start[:_SHOWN_DIGITS], self.name]
        return ["merge", self.name]


def find_base(view: Location) -> Base:
    """Return the base that a view is.

    Raise NotFound before its first commit, Busy while a merge is open there.
    """
    try:
        ask(view, ["rev-parse", "HEAD"])
    except Refused as error:
        if error.errno == errno.ENOENT:
            text = "nothing was committed yet, so nothing can be forked: commit first"
            raise NotFound(text) from error
        raise
    if ask_json(view, "status")["merging"] is not None:
        raise Busy("a merge is open: commit it, or give it up")
    return Base(view, mount_point(view), _branch_of(view))


def make_fork(base: Base, names: str, command: str) -> TrialFork:
    """TrialFork the working state of a base; `names` is a name with `{}` in it for a number.

    Raise Refused, for example if the name is taken or none that a branch may have.
    """
    name = _create(base.view, names)
    view = Location(os.path.join(base.top, ".helios", "live", name), "")
    try:
        start = commit_all(view, f"before: {command}")
        has_changes = start is not None
        start = start or _head(view)
    except BaseException:
        drop(base, name)
        raise
    return TrialFork(name, base, start, has_changes)


def fork_again(fork: TrialFork, name: str) -> TrialFork:
    """Make another fork that begins with the same files as one that no command has changed yet."""
    ask(fork.view, ["branch", "--fork", "--", name])
    return fork._replace(name=name)


def commit_all(view: Location, message: str, *, allow_empty: bool = False) -> str | None:
    """Commit all files of a view; return the id, or None if nothing had changed."""
    words = ["--work", "--allow-markers", "-m", subject(message)]
    try:
        made = ask_json(view, "commit", *words, *(["--allow-empty"] if allow_empty else []))
    except Refused as error:
        if error.errno == errno.ENODATA:
            return None
        raise
    oid: str = made["id"]
    return oid


def finish(fork: TrialFork, message: str) -> str | None:
    """Commit what a command left in a fork; return the head, or None if the files are as before."""
    commit_all(fork.view, message)
    head = _head(fork.view)
    return head if is_changed(fork, head) else None


def is_changed(fork: TrialFork, head: str) -> bool:
    """Return True if a commit has other files than the fork had at its beginning."""
    return ask(fork.view, ["diff", "--name-only", fork.start, head]) != b""


def changes_of(fork: TrialFork, head: str) -> str:
    """Return the summary of the changes between the beginning of a fork and a commit."""
    said = ask(fork.view, ["diff", "--stat", fork.start, head])
    return said.decode("utf-8", "surrogateescape")


def keep(fork: TrialFork) -> str:
    """Merge a finished fork into its base, and drop it; return a line about it.

    Raise HeliosError, with the fork left as it is, if that has conflicts or the base is in no
    state for it.
    """
    view = fork.base.now()
    squash = ["merge", "--squash", "--base", fork.start[:_SHOWN_DIGITS], fork.name]
    how = "uncommitted, beside your own changes"
    if fork.has_changes:
        ask(view, squash)
    else:
        try:
            said = ask(view, ["merge", fork.name])
            how = "a fast-forward" if b"\nFast-forward\n" in said else "with a merge commit"
        except Refused as error:
            if error.errno != errno.EBUSY:
                raise
            # Uncommitted changes to the same files: merge into the files themselves.
            ask(view, squash)
    drop(fork.base, fork.name)
    return f"merged {fork.name} into {fork.base}: {how}"


def drop(base: Base, name: str) -> None:
    """Delete a fork.  Its commits stay in `.helios/snapshots` until a garbage collection."""
    ask(base.view, ["branch", "-D", "--", name])


def ways(fork: TrialFork) -> str:
    """Return lines that tell how a fork that is left is looked at, kept and dropped."""
    merge = " ".join(fork.merge_words)
    lines = [
        f"fork {fork.name} is left:",
        f"  helios diff {fork.start[:_SHOWN_DIGITS]} {fork.name}   shows what changed",
        f"  helios {merge}   keeps it",
        f"  helios branch -D {fork.name}   drops it",
    ]
    return "\n".join(lines)


def subject(text: str) -> str:
    """Return a text as the subject of a commit: one line, and not a long one."""
    line = " ".join(text.split())
    return line if len(line) <= _SUBJECT_MAX else line[: _SUBJECT_MAX - 1] + "…"


def _create(view: Location, names: str) -> str:
    """Create a branch with the working state of a view, under the first name that is free."""
    for number in range(1, _NAMES_TRIED):
        name = names.replace("{}", str(number))
        try:
            ask(view, ["branch", "--fork", "--", name])
        except Refused as error:
            if error.errno != errno.EEXIST or name == names:
                raise
        else:
            return name
    raise HeliosError(f"too many forks: 'helios branch -D' drops those named {names!r}")


def _head(view: Location) -> str:
    return ask(view, ["rev-parse", "HEAD"]).decode().strip()


def _branch_of(view: Location) -> str | None:
    return ask(view, ["branch", "--show-current"]).decode().strip() or None
