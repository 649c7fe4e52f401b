"""`rev-parse`: from revisions to commit ids."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS
from heliosfs.commands.verb import Request
from heliosfs.repo.revisions import PREFIX_MIN_DIGITS, resolve


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
    if "short" not in options:
        return oid.hex()
    wanted = options.number("short") if options.value("short") else SHORT_DIGITS
    assert wanted is not None
    digits = max(wanted, PREFIX_MIN_DIGITS)
    while len(repository.history.with_prefix(oid.hex()[:digits])) > 1:
        digits += 1
    return oid.hex()[:digits]
