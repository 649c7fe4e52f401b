"""`add`: what the next commit takes."""

from __future__ import annotations

from heliosfs.commands.changes import compare, within
from heliosfs.commands.options import Options
from heliosfs.commands.render import below, json_reply, quote_path, relative, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, NotPermitted
from heliosfs.objects.tree import Entry
from heliosfs.repo.staging import base_root, stage_paths
from heliosfs.workspace.trees import find_entry


def add(request: Request, options: Options) -> str:
    """Stage the paths as they are now.

    While a merge is open nothing needs to be staged: its commit takes everything.
    """
    words = [*options.words, *(options.paths or [])]
    options.only_one("all", "update")
    if not words and "all" not in options and "update" not in options:
        raise options.misuse("which path? 'add .' takes all below the current directory")
    view = request.view
    source = view.state().root if "force" in options else view.selected()
    paths = [b""] if not words else _existing(request, words, source)
    if "update" in options:
        paths = _known(request, source, paths)
    changed = [] if view.merging is not None else stage_paths(view, source, paths)
    if "json" in options:
        return json_reply({"staged": [text_of(path) for path in changed]})
    if "verbose" not in options:
        return ""
    store = request.repository.store
    lines = []
    for path in changed:
        verb = "remove" if find_entry(store, source, path) is None else "add"
        lines.append(f"{verb} {quote_path(relative(request.cwd, path))!r}\n")
    return "".join(lines)


def _known(request: Request, source: Entry, paths: list[bytes]) -> list[bytes]:
    """What changed below the paths of what was there before: nothing new."""
    changes = compare(request.repository.store, base_root(request.view), source, with_renames=False)
    return [each.path for each in within(changes, paths) if each.old is not None]


def _existing(request: Request, words: list[str], source: Entry) -> list[bytes]:
    """The paths that the words mean.  NotFound names one that nothing has, or had."""
    store = request.repository.store
    base = base_root(request.view)
    paths = []
    for word in words:
        path = below(request.cwd, word)
        if all(find_entry(store, root, path) is None for root in (source, base)):
            if find_entry(store, request.view.state().root, path) is not None:
                raise NotPermitted(f"{word[:80]!r} is ignored: 'add -f' stages it all the same")
            raise NotFound(f"no path {word[:80]!r}: nothing was staged")
        paths.append(path)
    return paths
