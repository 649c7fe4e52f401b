"""`diff`: the changed lines between two trees."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.changes import FileChange, compare_in_steps, name_status, within
from heliosfs.commands.diffstat import diffstat, stat_document
from heliosfs.commands.options import Options
from heliosfs.commands.patch import DEFAULT_CONTEXT, Patch
from heliosfs.commands.pathspec import Pathspec
from heliosfs.commands.render import json_reply, text_of
from heliosfs.commands.verb import Request, answer
from heliosfs.commands.words import range_of, spec_of, split_words
from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.ancestry import merge_bases
from heliosfs.repo.revisions import resolve
from heliosfs.repo.staging import base_root
from heliosfs.store.steps import TURN, Steps


class _Side(NamedTuple):
    """A tree that is compared, and the commit that it is of; None of the stage, say."""

    root: Entry | None
    commit: CommitId | None = None


def diff(request: Request, options: Options) -> Steps[str]:
    """From the stage, HEAD or a revision to the working tree, or between two revisions."""
    revisions, words = split_words(request, options)
    old, new = _sides(request, options, revisions)
    assert new.root is not None
    spec = spec_of(request, words, old.root, new.root)
    changes = yield from compared(request, options, old.root, new.root, spec)
    options.only_one("json", "quiet")
    exit_code = 1 if changes and ("exit-code" in options or "quiet" in options) else 0
    if "quiet" in options:
        return answer("", exit_code)
    if "json" in options:
        document = yield from changes_document(request, options, changes)
        return answer(
            json_reply(
                {
                    "old": old.commit.hex() if old.commit else None,
                    "new": new.commit.hex() if new.commit else None,
                    "changes": document,
                }
            ),
            exit_code,
        )
    text = yield from changes_text(request, options, changes)
    return answer(text, exit_code)


def compared(
    request: Request, options: Options, old: Entry | None, new: Entry, spec: Pathspec
) -> Steps[list[FileChange]]:
    """The changes between two roots that are meant, with renames unless the options say no."""
    store = request.repository.store
    with_renames = "no-renames" not in options
    changes = yield from compare_in_steps(store, old, new, with_renames=with_renames)
    return within(changes, spec)


def changes_text(request: Request, options: Options, changes: list[FileChange]) -> Steps[str]:
    """Changes in the format that the options ask for."""
    options.only_one("stat", "name-status", "name-only")
    if "name-status" in options or "name-only" in options:
        return name_status(changes, letters="name-status" in options)
    context = options.number("unified")
    patch = Patch(request.repository.store, DEFAULT_CONTEXT if context is None else context)
    if "stat" in options:
        return (yield from diffstat(patch, changes))
    return text_of((yield from patch.text(changes)))


def changes_document(
    request: Request, options: Options, changes: list[FileChange]
) -> Steps[list[dict[str, object]]]:
    """Changes for programs; the lines are counted if --stat asks for it."""
    if "stat" not in options:
        return [change.document for change in changes]
    patch = Patch(request.repository.store)
    documents = []
    for change in changes:
        documents.append(change.document | stat_document(patch, change))
        yield TURN
    return documents


def _sides(request: Request, options: Options, revisions: list[str]) -> tuple[_Side, _Side]:
    view = request.view
    pair = range_of(revisions[0]) if len(revisions) == 1 else None
    if pair is not None:
        revisions = [pair.old, pair.new]
    is_staged = "staged" in options
    most = 1 if is_staged else 2
    if len(revisions) > most:
        raise options.misuse(f"one revision too many: {revisions[most]!r}")
    named = [_side(request, resolve(request.repository, each, view.head)) for each in revisions]
    if len(named) == 2:
        if pair is not None and pair.is_symmetric:
            return _common(request, *named), named[1]
        return named[0], named[1]
    if is_staged:
        head = _side(request, view.head)
        return (named or [head])[0], _Side(base_root(view))
    first = _side(request, view.head) if view.stage.root is None else _Side(view.stage.root)
    return (named or [first])[0], _Side(view.selected())


def _side(request: Request, oid: CommitId | None) -> _Side:
    return _Side(request.repository.history.read(oid).root if oid else None, oid)


def _common(request: Request, one: _Side, other: _Side) -> _Side:
    """What two commits have in common: their merge base, the newest of several."""
    assert one.commit is not None and other.commit is not None
    bases = merge_bases(request.repository.history, one.commit, other.commit)
    if not bases:
        raise NotFound("the histories have no commit in common")
    return _side(request, bases[-1])
