"""Revisions: the ways to name a commit (gitrevisions(7), the part that people use)."""

from __future__ import annotations

import re

from heliosfs.errors import Ambiguous, NotFound, UsageError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo.repository import Repository
from heliosfs.repo.state import DETACHED

PREFIX_MIN_DIGITS = 4

_REVISION = re.compile(r"(?P<base>[^~^]+)(?P<steps>(?:[~^]\d*)*)")
_STEP = re.compile(r"([~^])(\d*)")
_HEX = re.compile(r"[0-9a-f]+")


def resolve(repository: Repository, text: str, head: CommitId | None) -> CommitId:
    """The commit that `text` names: an id, a unique prefix of one, a branch, a tag, HEAD, or
    `@{-1}` for what was checked out before, with `~n` and `^n` after it.

    `head` is what HEAD means.  UsageError, NotFound, Ambiguous.  Cost: a walk of n commits.
    """
    match = _REVISION.fullmatch(text)
    if match is None:
        raise UsageError(f"{text[:80]!r} is not a revision")
    oid = _base(repository, match["base"], head)
    for sign, digits in _STEP.findall(match["steps"]):
        count = int(digits[:9]) if digits else 1
        if sign == "~":
            for _ in range(count):
                oid = _parent(repository, oid, 1, text)
        elif count:
            oid = _parent(repository, oid, count, text)
    return oid


def is_stable(text: str) -> bool:
    """Whether a revision can only ever name the same commit: a full id."""
    return len(text) == 64 and _HEX.fullmatch(text) is not None


def _base(repository: Repository, name: str, head: CommitId | None) -> CommitId:
    if name in ("HEAD", "@"):
        if head is None:
            raise NotFound("HEAD names no commit yet: nothing was committed")
        return head
    if name == "@{-1}":
        return _previous(repository)
    if is_stable(name):
        oid = CommitId(Oid(bytes.fromhex(name)))
        if oid not in repository.history:
            raise NotFound(f"no commit {name}")
        return oid
    branch = repository.refs.find(name)
    if branch is not None:
        if branch.head is None:
            raise NotFound(f"branch {name!r} has no commit yet")
        return branch.head
    tag = repository.refs.tags.get(name)
    if tag is not None:
        return tag
    if _HEX.fullmatch(name) and PREFIX_MIN_DIGITS <= len(name) < 64:
        found = repository.history.with_prefix(name)
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(oid.hex()[: len(name) + 4] for oid in found[:4])
            raise Ambiguous(f"{name!r} is the beginning of {len(found)} ids: {ids}")
    raise NotFound(f"no revision {name[:80]!r}")


def _previous(repository: Repository) -> CommitId:
    """What was checked out before, as it is now."""
    slot, oid = repository.previous()
    branch = repository.refs.of_slot(slot)
    if branch is not None:
        oid = branch.head
    if oid is None or (branch is None and slot != DETACHED):
        raise NotFound("the branch that was checked out before was deleted, or has no commit")
    return oid


def _parent(repository: Repository, oid: CommitId, number: int, text: str) -> CommitId:
    parents = repository.history.read(oid).parents
    if number > len(parents):
        raise NotFound(f"{text[:80]!r}: {oid.hex()[:12]} has {len(parents)} parent(s)")
    return parents[number - 1]
