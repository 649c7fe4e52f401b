"""Distinction of the words of a request that may be revisions or paths."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, is_magic, pathspec
from heliosfs.commands.render import below
from heliosfs.commands.verb import Request
from heliosfs.errors import HeliosError, NotFound
from heliosfs.objects.tree import Entry
from heliosfs.repo.revisions import resolve
from heliosfs.trees.stored import find_entry


class RevisionRange(NamedTuple):
    """Two revisions with dots between them."""

    old: str
    new: str
    is_symmetric: bool
    """True for three dots: the common ancestor counts as the older one."""


def range_of(word: str) -> RevisionRange | None:
    """`A..B` or `A...B`, where either may be left out and means HEAD then.

    >>> range_of("main...")
    RevisionRange(old='main', new='HEAD', is_symmetric=True)
    """
    old, dots, new = word.partition("..")
    is_symmetric = new.startswith(".")
    new = new[is_symmetric:]
    if not dots or new.startswith(".") or "/" in (old[-1:], new[:1]) or not (old or new):
        return None
    return RevisionRange(old or "HEAD", new or "HEAD", is_symmetric)


def named(request: Request, word: str) -> str:
    """Return the name that a word means: `-` is the branch or commit that was checked out before.

    Raise NotFound.
    """
    if word != "-":
        return word
    branch = request.repository.refs.of_slot(request.repository.previous()[0])
    return branch.name if branch is not None else "@{-1}"


def split_words(request: Request, options: Options) -> tuple[list[str], list[str]]:
    """Split words into revisions and paths; without `--`, only if that is unambiguous."""
    if options.paths is not None:
        return options.words, options.paths
    for count, word in enumerate(options.words):
        problem = _revision_problem(request, word)
        found = is_path(request, word)
        if problem is None and found:
            raise options.misuse(f"{word[:80]!r} is a revision and a path: put -- before paths")
        if found:
            return options.words[:count], options.words[count:]
        if isinstance(problem, NotFound):
            # Such as how far HEAD~9 would go back; that a name is unknown need not be said twice.
            why = "" if str(problem).startswith("no revision") else f": {problem}"
            raise NotFound(f"{word[:80]!r} is neither a revision nor a path{why}") from problem
        if problem is not None:
            raise problem
    return options.words, []


def _revision_problem(request: Request, word: str) -> HeliosError | None:
    """Return the reason why a word is no revision or range; None if it is one."""
    try:
        found = range_of(word)
        for revision in (found.old, found.new) if found else (word.removeprefix("^"),):
            resolve(request.repository, revision, request.view.head, request.view)
    except HeliosError as error:
        return error
    return None


def is_path(request: Request, word: str) -> bool:
    """Return True if a file or directory is there, in the stage, HEAD or the working tree.

    What has wildcards or the magic of a pathspec counts as a path.
    """
    if is_magic(word):
        return True
    try:
        path = below(request.cwd, word)
    except HeliosError:
        return False
    return exists(request, path, request.view.base_root(), request.view.selected())


def exists(request: Request, path: bytes, *roots: Entry | None) -> bool:
    """Return True if one of the trees has an entry at the path."""
    store = request.repository.store
    return any(root is not None and find_entry(store, root, path) is not None for root in roots)


def spec_of(request: Request, words: list[str], *roots: Entry | None) -> Pathspec:
    """Return the pathspecs of a request.  Raise NotFound for a plain one that no tree has."""
    spec = pathspec(request.cwd, words)
    for item in spec.items if roots else ():
        if item.fits is None and not any(
            item.lies_in(request.repository.store, root) for root in roots if root is not None
        ):
            raise NotFound(f"no path {item.word[:80]!r} on either side")
    return spec
