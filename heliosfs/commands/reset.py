"""`reset`: move a branch, with or without its files; unstage paths."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import head_line, json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.repo.revisions import resolve


def reset(request: Request, options: Options) -> str:
    """Go to a commit, HEAD if none is named; or, with paths, unstage what is there."""
    options.only_one("soft", "mixed", "hard")
    repository, view = request.repository, request.view
    oid, paths = _target(request, options)
    if paths and ("soft" in options or "hard" in options):
        raise options.misuse("with paths reset only unstages: 'restore' changes files")
    if paths:
        _unstage(request, oid, paths)
    elif oid is None:
        _unstage(request._replace(cwd=""), None, ["."])
    else:
        view.reset(oid, hard="hard" in options, soft="soft" in options)
    if "json" in options:
        return json_reply({"branch": view.branch, "head": view.head.hex() if view.head else None})
    return "" if "quiet" in options or paths else head_line(repository, view)


def _target(request: Request, options: Options) -> tuple[CommitId | None, list[str]]:
    """Return commit and paths; before the first commit it is None, and only the stage changes.

    A word is a revision if it can be one.  Raise NotFound.
    """
    repository, head = request.repository, request.view.head
    words, paths = options.words, options.paths
    if not words:
        if head is None and not ("soft" in options or "hard" in options):
            return None, paths or []
        return resolve(repository, "HEAD", head), paths or []
    try:
        oid = resolve(repository, words[0], head)
    except NotFound:
        from heliosfs.commands.revision_words import is_path

        if paths is not None or not all(is_path(request, word) for word in words):
            raise
        return head, words
    if paths is None:
        return oid, words[1:]
    options.at_most(1)
    return oid, paths


def _unstage(request: Request, oid: CommitId | None, words: list[str]) -> None:
    from heliosfs.commands.restore import unstage

    if oid is None:
        unstage(request, request.view.bare_root(), "HEAD", words)
    else:
        unstage(request, request.repository.history.read(oid).root, oid.hex(), words)
