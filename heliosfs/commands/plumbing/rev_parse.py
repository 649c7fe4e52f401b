"""`rev-parse`: from names to ids of commits, trees and files."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS
from heliosfs.commands.revision_words import range_of
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import Ambiguous, NotFound, UsageError
from heliosfs.objects.ids import Oid
from heliosfs.repo.ancestry import find_merge_bases
from heliosfs.repo.object_names import find_object
from heliosfs.repo.revisions import PREFIX_MIN_DIGITS, resolve, upstream_of
from heliosfs.steps import Steps

OF_THE_CLIENT = (
    "show-toplevel",
    "show-prefix",
    "show-cdup",
    "git-dir",
    "absolute-git-dir",
    "git-common-dir",
    "is-inside-work-tree",
    "is-inside-git-dir",
    "is-bare-repository",
)
"""Options about the place of the caller, which only the command line knows."""


def rev_parse(request: Request, options: Options) -> Steps[str]:
    """Return a line for each name, in their order."""
    options.only_one("short", "abbrev-ref", "symbolic-full-name")
    if options.has_any(OF_THE_CLIENT):
        asked = [key for key in OF_THE_CLIENT if key in options]
        raise options.misuse(f"only the command line answers --{asked[0]}")
    words = options.words
    if options.has_any(("all", "branches", "tags")):
        words = [*words, *_refs(request, options)]
    elif not words:
        raise options.misuse("give a revision")
    is_one = "verify" in options
    if is_one:
        options.at_most(1)
    try:
        lines: list[str] = []
        for word in words:
            lines += yield from _lines(request, options, word)
        return "".join(f"{line}\n" for line in lines)
    except (NotFound, Ambiguous, UsageError):
        if "quiet" in options and is_one:
            return answer("", 1)
        raise


def _refs(request: Request, options: Options) -> Iterator[str]:
    refs = request.repository.refs
    if "all" in options or "branches" in options:
        for branch in sorted(refs, key=lambda branch: branch.name):
            if branch.head is not None:
                yield branch.head.hex()
    if "all" in options or "tags" in options:
        yield from (oid.hex() for _, oid in sorted(refs.tags.items()))


def _lines(request: Request, options: Options, word: str) -> Steps[list[str]]:
    repository, view = request.repository, request.view
    if "abbrev-ref" in options or "symbolic-full-name" in options:
        return [_name(request, options, word)]
    found = range_of(word) if word not in repository.refs else None
    if found is not None and ":" not in word:
        old, new = (resolve(repository, each, view.head, view) for each in (found.old, found.new))
        if found.is_symmetric:
            bases = yield from find_merge_bases(repository.history, old, new)
            sides = [_digits(request, options, each) for each in (old, new)]
            return sides + [f"^{_digits(request, options, each)}" for each in bases]
        return [_digits(request, options, new), f"^{_digits(request, options, old)}"]
    sign = "^" if word.startswith("^") else ""
    named = find_object(repository, view, word.removeprefix("^"), request.cwd)
    return [sign + _digits(request, options, named.oid)]


def _name(request: Request, options: Options, word: str) -> str:
    """Return the name of a branch or tag; of anything else, the id."""
    refs, view = request.repository.refs, request.view
    is_full = "symbolic-full-name" in options
    if word in ("HEAD", "@"):
        if view.branch is None:
            return "HEAD"
        word = view.branch
    if word in refs:
        return f"refs/heads/{word}" if is_full else word
    if word in refs.tags:
        return f"refs/tags/{word}" if is_full else word
    upstream = upstream_of(request.repository, word, view)
    far = upstream[0] if upstream is not None else word.removeprefix("remotes/")
    if request.repository.remotes.find(far) is not None:
        return f"refs/remotes/{far}" if is_full else far
    return _digits(request, options, resolve(request.repository, word, view.head, view))


def _digits(request: Request, options: Options, oid: Oid) -> str:
    if "short" not in options:
        return oid.hex()
    wanted = options.number("short") if options.value("short") else SHORT_DIGITS
    assert wanted is not None
    digits = max(wanted, PREFIX_MIN_DIGITS)
    while len(request.repository.history.with_prefix(oid.hex()[:digits])) > 1:
        digits += 1
    return oid.hex()[:digits]
