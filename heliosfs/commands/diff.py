"""`diff`: the changed lines between two trees."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.changes import FileChange, compare, name_status, within
from heliosfs.commands.diffstat import diffstat, stat_document
from heliosfs.commands.options import Options
from heliosfs.commands.patch import DEFAULT_CONTEXT, Patch
from heliosfs.commands.render import below, json_reply, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import HeliosError, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.revisions import resolve
from heliosfs.repo.staging import base_root
from heliosfs.workspace.trees import find_entry


class _Side(NamedTuple):
    """A tree that is compared, and the commit that it is of; None of the stage, say."""

    root: Entry | None
    commit: CommitId | None = None


def diff(request: Request, options: Options) -> str:
    """From the stage, HEAD or a revision to the working tree, or between two revisions."""
    revisions, words = split_words(request, options)
    old, new = _sides(request, options, revisions)
    assert new.root is not None
    paths = [below(request.cwd, word) for word in words]
    for path, word in zip(paths, words, strict=True):
        if not _exists(request, path, old.root, new.root):
            raise NotFound(f"no path {word[:80]!r} on either side")
    changes = within(compare(request.repository.store, old.root, new.root), paths)
    if "json" in options:
        return json_reply(
            {
                "old": old.commit.hex() if old.commit else None,
                "new": new.commit.hex() if new.commit else None,
                "changes": changes_document(request, options, changes),
            }
        )
    return changes_text(request, options, changes)


def changes_text(request: Request, options: Options, changes: list[FileChange]) -> str:
    """Changes in the format that the options ask for."""
    options.only_one("stat", "name-status", "name-only")
    if "name-status" in options or "name-only" in options:
        return name_status(changes, letters="name-status" in options)
    context = options.number("unified")
    patch = Patch(request.repository.store, DEFAULT_CONTEXT if context is None else context)
    if "stat" in options:
        return diffstat(patch, changes)
    return text_of(patch.text(changes))


def changes_document(
    request: Request, options: Options, changes: list[FileChange]
) -> list[dict[str, object]]:
    """Changes for programs; the lines are counted if --stat asks for it."""
    if "stat" not in options:
        return [change.document for change in changes]
    patch = Patch(request.repository.store)
    return [change.document | stat_document(patch, change) for change in changes]


def split_words(request: Request, options: Options) -> tuple[list[str], list[str]]:
    """Which words are revisions and which are paths; without `--`, only if that is plain."""
    if options.paths is not None:
        return options.words, options.paths
    for count, word in enumerate(options.words):
        problem = _revision_problem(request, word)
        found = is_path(request, word)
        if problem is None and found:
            raise options.misuse(f"{word[:80]!r} is a revision and a path: put -- before paths")
        if found:
            return options.words[:count], options.words[count:]
        if isinstance(problem, NotFound):
            raise NotFound(f"{word[:80]!r} is neither a revision nor a path") from problem
        if problem is not None:
            raise problem
    return options.words, []


def _revision_problem(request: Request, word: str) -> HeliosError | None:
    """Why a word is no revision, nor two with dots between them."""
    try:
        for revision in _range(word) or (word,):
            resolve(request.repository, revision, request.view.head)
    except HeliosError as error:
        return error
    return None


def is_path(request: Request, word: str) -> bool:
    """Whether something lies there, in the stage or HEAD or in the working tree."""
    try:
        path = below(request.cwd, word)
    except HeliosError:
        return False
    return _exists(request, path, base_root(request.view), request.view.selected())


def _exists(request: Request, path: bytes, *roots: Entry | None) -> bool:
    store = request.repository.store
    return any(root is not None and find_entry(store, root, path) is not None for root in roots)


def _sides(request: Request, options: Options, revisions: list[str]) -> tuple[_Side, _Side]:
    view = request.view
    pair = _range(revisions[0]) if len(revisions) == 1 else None
    if pair is not None:
        revisions = list(pair)
    is_staged = "staged" in options
    most = 1 if is_staged else 2
    if len(revisions) > most:
        raise options.misuse(f"one revision too many: {revisions[most]!r}")
    named = [_side(request, resolve(request.repository, each, view.head)) for each in revisions]
    if len(named) == 2:
        return named[0], named[1]
    if is_staged:
        head = _side(request, view.head)
        return (named or [head])[0], _Side(base_root(view))
    first = _side(request, view.head) if view.stage.root is None else _Side(view.stage.root)
    return (named or [first])[0], _Side(view.selected())


def _side(request: Request, oid: CommitId | None) -> _Side:
    return _Side(request.repository.history.read(oid).root if oid else None, oid)


def _range(word: str) -> tuple[str, str] | None:
    """`A..B`, where either may be left out and means HEAD then."""
    old, dots, new = word.partition("..")
    if not dots or new.startswith(".") or "/" in (old[-1:], new[:1]) or not (old or new):
        return None
    return old or "HEAD", new or "HEAD"
