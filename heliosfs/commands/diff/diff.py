"""`diff`: the changed lines between two trees."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.diff.changes import FileChange, compare_in_steps, reversed_changes, within
from heliosfs.commands.diff.form import (
    changes_document,
    changes_text,
    chosen_changes,
    seen_changes,
)
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, is_magic
from heliosfs.commands.render import json_reply
from heliosfs.commands.revision_words import is_path, range_of, spec_of, split_words
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.ancestry import find_merge_bases
from heliosfs.repo.object_names import find_object
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Steps


class _Side(NamedTuple):
    """One of two compared trees, and its commit.

    `commit` is None for a tree without a commit, such as the stage.
    """

    root: Entry | None
    commit: CommitId | None = None


def diff(request: Request, options: Options) -> Steps[str]:
    """Show changes to the working tree, from the stage or a revision, or between two revisions."""
    if _names_objects(request, options):
        old, new, changes = yield from _objects(request, options)
    else:
        revisions, words = split_words(request, options)
        old, new = yield from _sides(request, options, revisions)
        assert new.root is not None
        spec = spec_of(request, words, old.root, new.root)
        changes = yield from compared(request, options, old.root, new.root, spec)
    if "reverse" in options:
        old, new, changes = new, old, reversed_changes(changes)
    changes = chosen_changes(options, changes)
    options.only_one("json", "quiet")
    exit_code = 0
    if "exit-code" in options or "quiet" in options:
        exit_code = 1 if (yield from seen_changes(request, options, changes)) else 0
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
    text = ""
    if "no-patch" not in options:
        text = yield from changes_text(request, options, changes)
    return answer(text, exit_code)


def _names_objects(request: Request, options: Options) -> bool:
    """Return True if two files or trees of commits are compared: A:PATH B:PATH."""
    return len(options.words) == 2 and any(
        (":" in word or word.endswith("^{tree}"))
        and not is_magic(word)
        and not is_path(request, word)
        for word in options.words
    )


def _objects(request: Request, options: Options) -> Steps[tuple[_Side, _Side, list[FileChange]]]:
    repository, view = request.repository, request.view
    old, new = (find_object(repository, view, word, request.cwd) for word in options.words)
    if old.entry is None or new.entry is None or old.entry.is_dir != new.entry.is_dir:
        raise options.misuse("a file can be compared with a file only, and a tree with a tree")
    sides = _Side(old.entry), _Side(new.entry)
    if not new.entry.is_dir:
        change = FileChange(new.path or new.oid.hex().encode(), old.entry, new.entry)
        return *sides, [change] if old.oid != new.oid else []
    spec = spec_of(request, options.paths or [])
    return *sides, (yield from compared(request, options, old.entry, new.entry, spec))


def compared(
    request: Request, options: Options, old: Entry | None, new: Entry, spec: Pathspec
) -> Steps[list[FileChange]]:
    """Compare two roots: the changes that `spec` means, with renames unless the options say no."""
    store = request.repository.store
    with_renames = "no-renames" not in options
    changes = yield from compare_in_steps(store, old, new, with_renames=with_renames)
    return within(changes, spec)


def _sides(request: Request, options: Options, revisions: list[str]) -> Steps[tuple[_Side, _Side]]:
    view = request.view
    pair = range_of(revisions[0]) if len(revisions) == 1 else None
    if pair is not None:
        revisions = [pair.old, pair.new]
    is_staged = "staged" in options
    most = 1 if is_staged else 2
    if len(revisions) > most:
        raise options.misuse(f"one revision too many: {revisions[most]!r}")
    if len(revisions) == 2 and revisions[0].startswith("^"):
        revisions = [revisions[0][1:], revisions[1]]
    named = [
        _side(request, resolve(request.repository, each, view.head, view)) for each in revisions
    ]
    if len(named) == 2:
        if pair is not None and pair.is_symmetric:
            return (yield from _common(request, *named)), named[1]
        return named[0], named[1]
    if is_staged:
        head = _side(request, view.head)
        return (named or [head])[0], _Side(view.base_root())
    first = _side(request, view.head) if view.stage.root is None else _Side(view.stage.root)
    old = (named or [first])[0]
    if old.commit is not None and old.commit == view.head:
        # With the times that its files have here: else each directory would have to be read.
        old = old._replace(root=view.head_root())
    return old, _Side(view.selected())


def _side(request: Request, oid: CommitId | None) -> _Side:
    return _Side(request.repository.history.read(oid).root if oid else None, oid)


def _common(request: Request, one: _Side, other: _Side) -> Steps[_Side]:
    """Find the merge base of two commits, the newest of several.  Raise NotFound."""
    assert one.commit is not None and other.commit is not None
    bases = yield from find_merge_bases(request.repository.history, one.commit, other.commit)
    if not bases:
        raise NotFound("the histories have no common commit")
    return _side(request, bases[-1])
