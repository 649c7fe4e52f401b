"""The change of one commit, in the form in which a cherry-pick or a revert merges it."""

from __future__ import annotations

import re
from typing import NamedTuple

from heliosfs.errors import UsageError
from heliosfs.objects.commit import Signature
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.history import History
from heliosfs.repo.merge.text import Labels
from heliosfs.repo.pick_note import CHERRY_PICK, PickOptions
from heliosfs.trees.stored import EMPTY_TREE

_SHORT_DIGITS = 12
_TRAILER = re.compile(rb"[A-Za-z0-9-]+: |\(cherry picked from commit ")


class PickChange(NamedTuple):
    """The change of one commit, as the arguments of a merge."""

    base: Entry
    theirs: Entry
    labels: Labels
    author: Signature | None
    message: bytes


def change_of(history: History, source: CommitId, options: PickOptions) -> PickChange:
    """Return the change of a commit, or the one that takes it back.  UsageError, NotPermitted."""
    history.edge.check_whole(source, f"the change of {short_id(source)}")
    commit = history.read(source)
    count = len(commit.parents)
    if count > 1 and not options.mainline:
        raise UsageError(
            f"usage: {short_id(source)} is a merge: give the number of the parent that is its "
            f"main line with -m, 1 to {count}"
        )
    if options.mainline > max(count, 1):
        raise UsageError(f"usage: {short_id(source)} has no parent {options.mainline}")
    old = commit.root._replace(oid=EMPTY_TREE, size=0, links_below=False)
    if count:
        old = history.read(commit.parents[max(options.mainline - 1, 0)]).root
    name = f"{short_id(source)} ({commit.subject[:60]})"
    if options.verb == CHERRY_PICK:
        message = _traced(commit.message, source) if options.is_traced else commit.message
        labels = Labels("HEAD", f"parent of {name}", name)
        return PickChange(old, commit.root, labels, commit.author, message)
    labels = Labels("HEAD", name, f"parent of {name}")
    return PickChange(commit.root, old, labels, None, _revert_message(history, source, options))


def _traced(message: bytes, source: CommitId) -> bytes:
    """Return the message with a line, among its trailers, that names the source commit."""
    text = message.rstrip(b"\n")
    last = text.rpartition(b"\n\n")[2]
    is_footer = last != text and all(_TRAILER.match(line) for line in last.split(b"\n"))
    gap = b"\n" if is_footer else b"\n\n"
    return text + gap + b"(cherry picked from commit %s)\n" % source.hex().encode()


def _revert_message(history: History, source: CommitId, options: PickOptions) -> bytes:
    """Return the message of a revert, in git's words."""
    commit = history.read(source)
    subject = commit.subject.encode("utf-8", "surrogateescape")
    rest = b"."
    if len(commit.parents) > 1:
        parent = commit.parents[options.mainline - 1].hex().encode()
        rest = b", reversing\nchanges made to %s." % parent
    text = b'Revert "%s"\n\nThis reverts commit %s%s\n'
    return text % (subject, source.hex().encode(), rest)


def short_id(oid: CommitId) -> str:
    return oid.hex()[:_SHORT_DIGITS]
