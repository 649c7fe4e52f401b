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
from heliosfs.workspace.trees import find_entry


class _Sides(NamedTuple):
    """What is compared: two commits, or one (None: nothing yet) and the working tree."""

    old: CommitId | None
    new: CommitId | None
    is_working: bool


def diff(request: Request, options: Options) -> str:
    """From HEAD or a revision to the working tree, or between two revisions."""
    repository, view = request.repository, request.view
    revisions, words = _split_words(request, options)
    sides = _sides(request, options, revisions)
    old_root = repository.history.read(sides.old).root if sides.old else None
    if sides.is_working:
        new_root = view.state().root
    else:
        assert sides.new is not None
        new_root = repository.history.read(sides.new).root
    paths = [below(request.cwd, word) for word in words]
    for path, word in zip(paths, words, strict=True):
        if not _exists(request, path, old_root, new_root):
            raise NotFound(f"no path {word[:80]!r} on either side")
    changes = within(compare(repository.store, old_root, new_root), paths)
    if "json" in options:
        return json_reply(
            {
                "old": sides.old.hex() if sides.old else None,
                "new": sides.new.hex() if sides.new else None,
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


def _split_words(request: Request, options: Options) -> tuple[list[str], list[str]]:
    """Which words are revisions and which are paths; without `--`, only if that is plain."""
    if options.paths is not None:
        return options.words, options.paths
    for count, word in enumerate(options.words):
        problem = _revision_problem(request, word)
        is_path = _is_path(request, word)
        if problem is None and is_path:
            raise options.misuse(f"{word[:80]!r} is a revision and a path: put -- before paths")
        if is_path:
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


def _is_path(request: Request, word: str) -> bool:
    try:
        path = below(request.cwd, word)
    except HeliosError:
        return False
    return _exists(request, path, request.view.head_root(), request.view.state().root)


def _exists(request: Request, path: bytes, *roots: Entry | None) -> bool:
    store = request.repository.store
    return any(root is not None and find_entry(store, root, path) is not None for root in roots)


def _sides(request: Request, options: Options, revisions: list[str]) -> _Sides:
    repository, head = request.repository, request.view.head
    pair = _range(revisions[0]) if len(revisions) == 1 else None
    if pair is not None:
        revisions = list(pair)
    if len(revisions) > 2:
        raise options.misuse(f"more than two revisions: {revisions[2]!r}")
    ids = [resolve(repository, revision, head) for revision in revisions]
    if not ids:
        return _Sides(head, None, is_working=True)
    if len(ids) == 1:
        return _Sides(ids[0], None, is_working=True)
    return _Sides(ids[0], ids[1], is_working=False)


def _range(word: str) -> tuple[str, str] | None:
    """`A..B`, where either may be left out and means HEAD then."""
    old, dots, new = word.partition("..")
    if not dots or new.startswith(".") or "/" in (old[-1:], new[:1]) or not (old or new):
        return None
    return old or "HEAD", new or "HEAD"
