"""`reset`: move a branch, with or without its files."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import head_line, json_reply
from heliosfs.commands.verb import Request
from heliosfs.repo.revisions import resolve


def reset(request: Request, options: Options) -> str:
    """Go to a commit, HEAD if none is named."""
    options.only_one("soft", "mixed", "hard")
    options.at_most(1)
    view = request.view
    target = options.words[0] if options.words else "HEAD"
    oid = resolve(request.repository, target, view.head)
    view.reset(oid, hard="hard" in options)
    if "json" in options:
        return json_reply({"branch": view.branch, "head": oid.hex()})
    return "" if "quiet" in options else head_line(request.repository, view)
