"""`fetch --contents`: bring contents that earlier fetches have left at a remote."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import below, json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.references import entry_references
from heliosfs.remote.contents import Brought, Contents, make_whole
from heliosfs.steps import Steps
from heliosfs.trees.stored import find_entry


def bring(request: Request, options: Options) -> Steps[str]:
    """Bring the contents of some paths, of all files, or all that is promised."""
    words = options.words
    if "all" in options and words:
        raise options.misuse("--all brings everything: name no path")
    if "prune" in options:
        raise options.misuse("--prune is about branches, --contents about files")
    if "all" in options:
        brought = yield from make_whole(request.repository)
    else:
        brought = yield from _of_paths(request, words or [""])
    if "json" in options:
        return json_reply(brought._asdict())
    return "" if "quiet" in options else _told(brought)


def _of_paths(request: Request, words: list[str]) -> Steps[Brought]:
    """Bring the contents of files, and of directories, as they are now."""
    store, root = request.repository.store, request.view.state().root
    contents = Contents(request.repository)
    for word in words:
        path = below(request.cwd, word) if word else b""
        entry = find_entry(store, root, path)
        if entry is None:
            raise NotFound(f"no file {word[:200]!r} in the working tree")
        yield from contents.want(entry_references(entry))
    return (yield from contents.bring())


def _told(brought: Brought) -> str:
    if not brought.content_count:
        return "All contents are here already\n"
    count = brought.content_count
    return f"{count} content{'s' * (count != 1)}, {brought.got_bytes} bytes received\n"
