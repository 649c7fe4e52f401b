"""`restore`, and `checkout REV -- PATH`: single paths as they are in a commit."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS, below, json_reply, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.tree import Entry
from heliosfs.repo.revisions import resolve
from heliosfs.repo.staging import base_root, is_news, stage_paths
from heliosfs.workspace.graft import Grafted, graft
from heliosfs.workspace.trees import find_entry


def restore(request: Request, options: Options) -> str:
    """Make the paths exactly what the source has there: what it does not have goes."""
    words = [*options.words, *(options.paths or [])]
    if not words:
        raise options.misuse("which path?")
    is_staged = "staged" in options
    source, name = _source(request, options.value("source") or ("HEAD" if is_staged else None))
    if is_staged and "worktree" not in options:
        changed = unstage(request, source, name, words)
    else:
        changed = restore_paths(request, source, name, words, with_stage=is_staged)
    if "json" in options:
        return json_reply({"source": name, "changed": [text_of(path) for path in changed]})
    return ""


def checkout_paths(request: Request, revision: str | None, words: list[str]) -> list[bytes]:
    """Bring the paths from a commit, or from the stage; files that it does not have stay.

    Gives what changed.  Where something is staged, what comes from a commit is staged too.
    """
    source, name = _source(request, revision)
    with_stage = revision is not None
    return restore_paths(request, source, name, words, overlay=True, with_stage=with_stage)


def unstage(request: Request, source: Entry, name: str, words: list[str]) -> list[bytes]:
    """Make the paths in the stage what the source has there; gives what changed."""
    paths = _existing(request, words, name, base_root(request.view), source)
    return stage_paths(request.view, source, paths)


def restore_paths(
    request: Request,
    source: Entry,
    name: str,
    words: list[str],
    *,
    overlay: bool = False,
    with_stage: bool = False,
) -> list[bytes]:
    """Take paths of a tree into the working tree, as one operation; gives what changed.

    With `overlay` nothing is removed.  With `with_stage` the stage, if there is one, gets them
    too.  NotFound names a path that is on neither side (with `overlay`: not in the source).
    """
    view = request.view
    before, here = view.state(), view.selected()
    sides = (source,) if overlay else (here, source)
    paths = _existing(request, words, name, *sides)
    root, changed = _grafted(request, here, source, paths, overlay=overlay)
    staged = view.stage.root
    if staged is not None and with_stage:
        staged, unstaged = _grafted(request, staged, source, paths, overlay=overlay)
        changed = sorted({*changed, *unstaged})
        staged = staged if is_news(view, staged) else None
    if changed:
        text = f"{name[:SHORT_DIGITS]}: {' '.join(words)}"
        after = before._replace(root=view.ignoring.keep(root))
        view.move("restore", text, before, after, staged)
    return changed


def _source(request: Request, revision: str | None) -> tuple[Entry, str]:
    """The tree that a revision names, and its id; without one, the stage or HEAD."""
    view = request.view
    if revision is None and view.stage.root is not None:
        return view.stage.root, "stage"
    oid = resolve(request.repository, revision or "HEAD", view.head)
    return request.repository.history.read(oid).root, oid.hex()


def _existing(request: Request, words: list[str], name: str, *sides: Entry) -> list[bytes]:
    """The paths that the words mean.  NotFound names one that is on none of the sides."""
    paths = []
    for word in words:
        path = below(request.cwd, word)
        if all(find_entry(request.repository.store, root, path) is None for root in sides):
            raise NotFound(f"no path {word[:80]!r} in {name[:SHORT_DIGITS]}")
        paths.append(path)
    return paths


def _grafted(
    request: Request, target: Entry, source: Entry, paths: list[bytes], *, overlay: bool
) -> Grafted:
    repository = request.repository
    now = repository.clock.now_ns()
    return graft(repository.store, target, source, paths, now, overlay=overlay)
