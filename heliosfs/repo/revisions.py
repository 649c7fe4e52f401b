"""Revisions: the names of commits (gitrevisions(7), the part in common use)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from heliosfs.errors import Ambiguous, NotFound, UsageError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo.edge import UNSHALLOW
from heliosfs.repo.operation import Operation
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.pick_note import CHERRY_PICK, REVERT
from heliosfs.repo.repository import Repository
from heliosfs.repo.stash import find_stashed
from heliosfs.repo.view import View
from heliosfs.repo.working_state import DETACHED

PREFIX_MIN_DIGITS = 4

_REVISION = re.compile(r"(?P<base>[^~^]+)(?P<steps>(?:[~^]\d*|\^\{(?:commit|object)?\})*)")
_STEP = re.compile(r"([~^])(\d*)(\{\w*\})?")
_HEX = re.compile(r"[0-9a-f]+")
_UPSTREAM = ("@{u}", "@{upstream}")
_EARLIER = re.compile(r"(?P<name>.*)@\{(?P<count>\d{1,9})\}")


def resolve(
    repository: Repository, text: str, head: CommitId | None, view: View | None = None
) -> CommitId:
    """Return the commit for a revision.

    That is an id, a unique prefix of one, a branch, a tag, a branch of a remote such as
    `origin/main`, HEAD, ORIG_HEAD, MERGE_HEAD, or `@{-1}` for the previous checkout; after a branch
    or HEAD, `@{n}` for its commit n changes ago, `@{u}` for its upstream; and after any of these
    `~n`, `^n`, `^{commit}`.  `head` is the commit of HEAD, and `view` the view whose HEAD that is
    (None for that of the mount point).  Raise UsageError, NotFound or Ambiguous.

    Cost: for `~n` up to 127 commits, and n / 4,096 + 128 records; for `@{n}` n operations.
    """
    match = _REVISION.fullmatch(text)
    if match is None:
        raise UsageError(f"{text[:80]!r} is not a revision")
    oid = _base(repository, match["base"], head, view or repository.root)
    for sign, digits, kind in _STEP.findall(match["steps"]):
        count = int(digits[:9]) if digits else 1
        if sign == "~":
            oid = _below(repository, oid, count, text)
        elif count and not kind:
            oid = _parent(repository, oid, count, text)
    return oid


def is_stable(text: str) -> bool:
    """Return True if a revision always names the same commit, because it is a full id."""
    return len(text) == 64 and _HEX.fullmatch(text) is not None


def _base(repository: Repository, name: str, head: CommitId | None, view: View) -> CommitId:
    if name in ("HEAD", "@"):
        if head is None:
            raise NotFound("HEAD names no commit yet: nothing was committed")
        return head
    if name == "@{-1}":
        return _previous(repository)
    if name in _REMEMBERED:
        return _remembered(view, name)
    if "@{" in name:
        return _earlier(repository, name, head, view)
    if is_stable(name):
        oid = CommitId(Oid(bytes.fromhex(name)))
        # What is merged by an open pick is a note, which no list of commits has.
        if oid not in repository.history and view.merging != oid:
            raise NotFound(f"no commit {name}")
        return oid
    branch = repository.refs.find(name)
    if branch is not None:
        if branch.head is None:
            raise NotFound(f"branch {name!r} has no commit yet")
        return branch.head
    tag = repository.refs.tags.get(name) or repository.remotes.find(name)
    if tag is not None:
        return tag
    if _HEX.fullmatch(name) and PREFIX_MIN_DIGITS <= len(name) < 64:
        found = _with_prefix(repository, name)
        if found is not None:
            return found
    if name == "stash":
        return find_stashed(repository.store, 0).oid
    raise NotFound(f"no revision {name[:80]!r}")


def _with_prefix(repository: Repository, name: str) -> CommitId | None:
    """Return the only commit whose id begins like this, or None.  Raise Ambiguous."""
    found = repository.history.with_prefix(name)
    if len(found) > 1:
        ids = ", ".join(oid.hex()[: len(name) + 4] for oid in found[:4])
        raise Ambiguous(f"{name!r} is the beginning of {len(found)} ids: {ids}")
    return found[0] if found else None


_OPEN = {"CHERRY_PICK_HEAD": CHERRY_PICK, "REVERT_HEAD": REVERT}
_REMEMBERED = ("ORIG_HEAD", "MERGE_HEAD", *_OPEN)


def head_moves(log: OperationLog) -> Iterator[Operation]:
    """Return the operations that moved HEAD to another commit, the newest first."""
    return (each for each in log.operations() if each.before.head != each.after.head)


def _remembered(view: View, name: str) -> CommitId:
    """Return the commit that is merged now, or HEAD before the last reset or merge."""
    if name == "MERGE_HEAD":
        if view.merging is None or view.pick is not None:
            raise NotFound("MERGE_HEAD: no merge is open")
        return view.merging
    if name in _OPEN:
        if view.pick is None or view.pick.options.verb != _OPEN[name]:
            raise NotFound(f"{name}: no {_OPEN[name]} is open")
        return view.pick.source
    for operation in head_moves(view.log):
        if operation.verb in ("reset", "merge") and operation.before.head is not None:
            return operation.before.head
    raise NotFound("ORIG_HEAD: neither 'reset' nor 'merge' has moved HEAD")


def _earlier(repository: Repository, text: str, head: CommitId | None, view: View) -> CommitId:
    """Return the commit of `BRANCH@{n}`, `HEAD@{n}` or `@{n}`, n changes ago, or of `@{u}`."""
    upstream = upstream_of(repository, text, view)
    if upstream is not None:
        return upstream[1]
    found = _EARLIER.fullmatch(text)
    if found is None:
        raise NotFound(f"no revision {text[:80]!r}: after @ comes a number of changes, as @{{1}}")
    name, count = found["name"], int(found["count"])
    if name == "stash" and name not in repository.refs:
        return find_stashed(repository.store, count).oid
    log = view.log
    if name not in ("", "HEAD", "@"):
        branch = repository.refs.branch(name)
        shown = repository.view_of(branch)
        head = branch.head
        log = (
            shown.log if shown else OperationLog(repository.store, repository.history, branch.slot)
        )
    at = head
    passed = 0
    for operation in head_moves(log):
        if passed == count:
            break
        passed += 1
        at = operation.before.head
    if passed < count or at is None:
        raise NotFound(f"{text[:80]!r}: its history has {passed} changes")
    return at


def upstream_of(repository: Repository, text: str, view: View) -> tuple[str, CommitId] | None:
    """Return name and commit of the upstream for `@{u}` or `BRANCH@{u}`; None for another word.

    NotFound if there is no upstream.
    """
    if not text.endswith(_UPSTREAM):
        return None
    name = text[: text.rindex("@")]
    branch = name if name not in ("", "HEAD", "@") else view.require_branch()
    found = repository.remotes.upstream(branch)
    if found is None:
        raise NotFound(
            f"branch {branch[:80]!r} is at no remote that was seen: 'helios push' or 'helios fetch'"
        )
    return found


def _previous(repository: Repository) -> CommitId:
    """Return the current commit of the branch, or HEAD, that was checked out before."""
    slot, oid = repository.previous()
    branch = repository.refs.of_slot(slot)
    if branch is not None:
        oid = branch.head
    if oid is None or (branch is None and slot != DETACHED):
        raise NotFound("the branch that was checked out before was deleted, or has no commit")
    return oid


def _below(repository: Repository, oid: CommitId, count: int, text: str) -> CommitId:
    first_parents = repository.history.first_parents
    found = first_parents.below(oid, count)
    if found is None:
        place = first_parents.place(oid)
        has = f"has only {place.depth}" if place is not None else "has fewer"
        wanted = f"{text[:80]!r} goes back {count} first parents"
        raise NotFound(f"{wanted}, but {oid.hex()[:12]} {has} below it{_edge_hint(repository)}")
    return found


def _edge_hint(repository: Repository) -> str:
    return f" here: {UNSHALLOW}" if repository.history.edge else ""


def _parent(repository: Repository, oid: CommitId, number: int, text: str) -> CommitId:
    parents = repository.history.read(oid).parents
    if number > len(parents):
        hint = _edge_hint(repository) if oid in repository.history.edge else ""
        raise NotFound(f"{text[:80]!r}: {oid.hex()[:12]} has {len(parents)} parent(s){hint}")
    return parents[number - 1]
