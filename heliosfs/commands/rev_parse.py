"""`rev-parse`: from revisions to commit ids."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import short
from heliosfs.commands.verb import Request
from heliosfs.repo.revisions import resolve


def rev_parse(request: Request, options: Options) -> str:
    """A line for each revision, in their order."""
    options.only_one("short", "abbrev-ref")
    if not options.words:
        raise options.misuse("which revision?")
    if "verify" in options:
        options.at_most(1)
    return "".join(f"{_line(request, options, word)}\n" for word in options.words)


def _line(request: Request, options: Options, word: str) -> str:
    repository, view = request.repository, request.view
    if "abbrev-ref" in options:
        if word in ("HEAD", "@"):
            return view.branch or "HEAD"
        if word in repository.refs:
            return word
    oid = resolve(repository, word, view.head)
    return short(oid) if "short" in options else oid.hex()
