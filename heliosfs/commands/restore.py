"""`restore`, and `checkout REV -- PATH`: single paths as they are in a commit."""

from __future__ import annotations

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import chosen, is_magic
from heliosfs.commands.render import (
    SHORT_DIGITS,
    below,
    iso_time,
    json_reply,
    quote_path,
    text_of,
)
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.tree import Entry
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Steps
from heliosfs.trees.graft import GraftResult, graft
from heliosfs.trees.stored import find_entry


def restore(request: Request, options: Options) -> str | Steps[str]:
    """Make the paths exactly what the source has there: what it does not have goes."""
    words = [*options.words, *(options.paths or [])]
    is_saved = "saved" in options or "at" in options
    if not words and is_saved:
        request, words = request._replace(cwd=""), ["."]
    if not words:
        raise options.misuse("give a path")
    is_staged = "staged" in options
    if is_saved:
        options.only_one("saved", "at", "source", "staged", "ours", "theirs")
        return _restore_saved(request, options, words)
    if "ours" in options or "theirs" in options:
        options.only_one("ours", "theirs", "source")
        options.only_one("ours", "theirs", "staged")
        source, name = _source(request, side_of_merge(request, options))
        changed = restore_paths(request, source, name, words)
        return _reply(options, name, changed)
    source, name = _source(request, options.value("source") or ("HEAD" if is_staged else None))
    if is_staged and "worktree" not in options:
        changed = unstage(request, source, name, words)
    else:
        changed = restore_paths(request, source, name, words, with_stage=is_staged)
    return _reply(options, name, changed)


def _restore_saved(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Restore an automatic save; the reply names its time."""
    from heliosfs.commands.operations.past import described, restored

    found = yield from restored(request, options, words)
    if "json" in options:
        changed = [text_of(path) for _, paths in found for path in paths]
        times = [iso_time(past.time_ns // SECOND_NS) for past, _ in found]
        return json_reply({"time": times[0], "times": times, "changed": changed})
    return "".join(
        f"{quote_path(path) if path else '.'} is as in {described(request, past)}\n"
        for past, paths in found
        for path in paths
    )


def _reply(options: Options, name: str, changed: list[bytes]) -> str:
    if "json" in options:
        return json_reply({"revision": name, "changed": [text_of(path) for path in changed]})
    return ""


def side_of_merge(request: Request, options: Options) -> str:
    """Return the commit of the side that --ours or --theirs means.

    Raise NotFound without a merge.
    """
    view = request.view
    if view.merging is None:
        raise NotFound("--ours and --theirs need an open merge, and none is open")
    if "ours" in options:
        return "HEAD"
    return view.merging.hex()


def checkout_paths(request: Request, revision: str | None, words: list[str]) -> list[bytes]:
    """Take paths from a commit, or from the stage; files that it does not have stay.

    Return the paths that changed.  Where something is staged, paths of a commit are staged, too.
    """
    source, name = _source(request, revision)
    with_stage = revision is not None
    return restore_paths(request, source, name, words, overlay=True, with_stage=with_stage)


def unstage(request: Request, source: Entry, name: str, words: list[str]) -> list[bytes]:
    """Make paths in the stage as they are in the source; return those that changed."""
    sides = request.view.base_root(), source
    paths = chosen(request, words, sides, f"in {name[:SHORT_DIGITS]}")
    return request.view.stage_paths(source, paths)


def restore_paths(
    request: Request,
    source: Entry,
    name: str,
    words: list[str],
    *,
    overlay: bool = False,
    with_stage: bool = False,
) -> list[bytes]:
    """Take paths of a tree into the working tree, as one operation; return those that changed.

    With `overlay` nothing is removed.  With `with_stage` the stage, if there is one, gets them
    too.  Raise NotFound for a path on neither side (with `overlay`: not in the source).
    """
    view = request.view
    store = request.repository.store
    before, here = view.state(), view.selected()
    problem = f"in {name[:SHORT_DIGITS]}"
    if overlay:
        # What only the working tree has is not meant.
        for word in words:
            if not is_magic(word) and find_entry(store, source, below(request.cwd, word)) is None:
                raise NotFound(f"no path {word[:80]!r} {problem}")
    paths = chosen(request, words, (here, source), problem)
    if any(map(is_magic, words)):
        # A pattern takes nothing away that no commit has, and that nobody named.
        known = (source, view.base_root())
        paths = [path for path in paths if any(find_entry(store, each, path) for each in known)]
    root, changed = _grafted(request, here, source, paths, overlay=overlay)
    staged = view.stage.root
    if staged is not None and with_stage:
        staged, unstaged = _grafted(request, staged, source, paths, overlay=overlay)
        changed = sorted({*changed, *unstaged})
        staged = staged if view.differs(view.head, staged) else None
    if changed:
        text = f"{name[:SHORT_DIGITS]}: {' '.join(words)}"
        after = before._replace(root=view.ignoring.keep(root, before.root))
        view.move("restore", text, before, after, staged)
    return changed


def _source(request: Request, revision: str | None) -> tuple[Entry, str]:
    """Return the tree that a revision names, and its id; without one, that of the stage or HEAD."""
    view = request.view
    if revision is None and view.stage.root is not None:
        return view.stage.root, "stage"
    oid = resolve(request.repository, revision or "HEAD", view.head, view)
    return request.repository.history.read(oid).root, oid.hex()


def _grafted(
    request: Request, target: Entry, source: Entry, paths: list[bytes], *, overlay: bool
) -> GraftResult:
    repository = request.repository
    now = repository.clock.now_ns()
    return graft(repository.store, target, source, paths, now, overlay=overlay)
