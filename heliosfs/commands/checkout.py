"""`checkout` and `switch`: which branch, or which commit, is shown at the mount point."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.refs.branch import make_branch, move_branch
from heliosfs.commands.render import head_line, json_reply, text_of
from heliosfs.commands.restore import checkout_paths, side_of_merge
from heliosfs.commands.revision_words import is_path, named
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, HeliosError, NotFound, UsageError
from heliosfs.repo.detaching import checkout_commit
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve


def checkout(request: Request, options: Options) -> str:
    """Show what the words name; a branch goes before anything else of that name."""
    options.only_one("branch", "B", "detach")
    new = options.value("branch") or options.value("B")
    if options.paths is None and new is None:
        _find_paths(request, options)
    if options.paths is not None:
        return _paths(request, options, options.paths)
    if "ours" in options or "theirs" in options:
        raise options.misuse("--ours and --theirs need a path")
    return _show(request, options, new)


def switch(request: Request, options: Options) -> str:
    """Show a branch; anything else only with --detach."""
    options.only_one("create", "force-create", "detach")
    new = options.value("create") or options.value("force-create")
    if new is None and "detach" not in options and options.words:
        name = named(request, options.words[0])
        if name not in request.repository.refs and not _is_offered(request, name):
            if _is_revision(request, name):
                raise options.misuse(f"{name[:80]!r} is not a branch: use --detach to look at it")
            raise NotFound(f"no branch {name[:80]!r}")
    return _show(request, options, new)


def _show(request: Request, options: Options, new: str | None) -> str:
    """Show the one word at the mount point, or a branch that is created there."""
    options.at_most(1)
    repository, view = request.repository, request.view
    if new is not None:
        _check_root(request, new)
        base = named(request, options.words[0]) if options.words else None
        is_moved = ("B" in options or "force-create" in options) and new in repository.refs
        if is_moved:
            return _show_moved(request, options, new, base)
        make_branch(request, new, base, fork=base is None)
        repository.checkout_branch(new)
        return _reply(repository, options, f"Switched to a new branch '{new}'\n")
    if not options.words:
        raise options.misuse("give a branch or a revision")
    name = named(request, options.words[0])
    if name in repository.refs and "detach" not in options:
        if name == view.branch:
            return _reply(repository, options, f"Already on '{name}'\n")
        _check_root(request, name)
        repository.checkout_branch(name)
        return _reply(repository, options, f"Switched to branch '{name}'\n")
    if "detach" not in options and _is_offered(request, name):
        _check_root(request, name)
        far = repository.remotes.offering(name)
        make_branch(request, name, far)
        repository.checkout_branch(name)
        return _reply(repository, options, f"Switched to a new branch '{name}' from {far}\n")
    try:
        oid = resolve(repository, name, view.head)
    except NotFound as error:
        raise NotFound(f"{name[:80]!r} is neither a branch nor a revision: {error}") from error
    checkout_commit(repository, view, oid)
    return _reply(repository, options, head_line(repository, repository.root))


def _show_moved(request: Request, options: Options, name: str, base: str | None) -> str:
    """Let a branch that exists name another commit, and show it."""
    repository, view = request.repository, request.view
    oid = resolve(repository, base or "HEAD", view.head)
    if repository.refs.branch(name).slot == view.slot:
        if oid != view.head and view.has_changes():
            raise Busy(f"branch {name!r} has uncommitted changes: commit or 'stash' them first")
        view.reset(oid)
    else:
        move_branch(request, name, base)
        repository.checkout_branch(name)
    return _reply(repository, options, f"Reset branch '{name}'\n")


def _find_paths(request: Request, options: Options) -> None:
    """Split words without `--`: a word that is no revision, and all after a revision, are paths."""
    words = options.words
    count = 0 if words and not _is_revision(request, words[0]) else 1
    paths = words[count:]
    if paths and all(is_path(request, word) for word in paths):
        options.words, options.paths = words[:count], paths


def _is_revision(request: Request, word: str) -> bool:
    if word == "-" or word in request.repository.refs:
        return True
    try:
        resolve(request.repository, word, request.view.head)
    except HeliosError:
        return False
    return True


def _is_offered(request: Request, word: str) -> bool:
    """Return True if a word means nothing here, and is a branch of one remote."""
    offered = request.repository.remotes.offering(word)
    return offered is not None and not _is_revision(request, word)


def _paths(request: Request, options: Options, paths: list[str]) -> str:
    options.at_most(1)
    if not paths or "branch" in options or "B" in options or "detach" in options:
        raise options.misuse("give paths after --, and at most one revision before it")
    revision = options.words[0] if options.words else None
    place = "HEAD" if request.view.stage.root is None else "the stage"
    if "ours" in options or "theirs" in options:
        options.at_most(0)
        options.only_one("ours", "theirs")
        revision = place = side_of_merge(request, options)
    changed = checkout_paths(request, revision, paths)
    if "json" in options:
        return json_reply({"changed": [text_of(path) for path in changed]})
    if "quiet" in options:
        return ""
    count = "1 path" if len(changed) == 1 else f"{len(changed)} paths"
    return f"Updated {count} from {revision or place}\n"


def _check_root(request: Request, name: str) -> None:
    """Check that the view is the one at the mount point, which alone changes branches."""
    if request.view is not request.repository.root:
        raise UsageError(
            f"a live view cannot leave its branch, {request.view.branch!r}: "
            f"{name!r} can be checked out at the mount point"
        )


def _reply(repository: Repository, options: Options, text: str) -> str:
    if "json" in options:
        head = repository.root.head
        return json_reply({"branch": repository.root.branch, "head": head.hex() if head else None})
    return "" if "quiet" in options else text
