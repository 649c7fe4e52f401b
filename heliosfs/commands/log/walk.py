"""Walk of `log` and `rev-list`: its commits, and their order (git-rev-list(1))."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from heliosfs.commands.log.selection import Filter
from heliosfs.commands.options import Options
from heliosfs.commands.revision_words import range_of, spec_of, split_words
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import find_merge_bases
from heliosfs.repo.path_history import PathLog
from heliosfs.repo.revisions import resolve
from heliosfs.repo.walks import (
    Stepper,
    Visit,
    by_date,
    excluded_commits,
    first_parent,
    topological,
    whole,
)
from heliosfs.steps import TURN, Steps, Turn


class WalkTips(NamedTuple):
    """Commits at which a walk begins, and those that it leaves out."""

    shown: list[CommitId]
    hidden: list[CommitId]
    """Commits whose history is left out."""


def walk_of(request: Request, options: Options) -> Steps[Iterator[Visit | Turn]]:
    """Return the commits that the words ask for, in the order that the options ask for."""
    repository, view = request.repository, request.view
    history = repository.history
    revisions, words = split_words(request, options)
    spec = spec_of(request, words)
    tips = yield from tips_of(request, options, revisions)
    if "follow" in options and not (spec.is_plain and len(spec.items) == 1):
        raise options.misuse("--follow takes one path")
    if not tips.shown and not (tips.hidden or _names_refs(options)):
        place = f"your current branch {view.branch!r}" if view.branch else "HEAD"
        raise NotFound(f"{place} does not have any commits yet")
    step: Stepper = first_parent if "first-parent" in options else whole
    if spec:
        follows = "follow" in options
        matches = None if spec.is_plain else spec.matches
        log_of = PathLog(repository.store, history, spec.places, step, matches, follows=follows)
        step = log_of.step
    hidden: set[CommitId] = set()
    if tips.hidden:
        hidden = yield from excluded_commits(history, *tips)
    walk = topological if "graph" in options or "topo-order" in options else by_date
    return walk(history, tips.shown, hidden, step)


def next_wanted(walk: Iterator[Visit | Turn], wanted: Filter | None) -> Steps[Visit | None]:
    """Return the next commit of a walk that the filter lets through; None at the end."""
    for visit in walk:
        # Others have their turn for each commit, also where thousands in a row are left out.
        yield TURN
        if isinstance(visit, Turn):
            continue
        if wanted is None or (yield from wanted(visit.commit)):
            return visit
    return None


def tips_of(request: Request, options: Options, revisions: list[str]) -> Steps[WalkTips]:
    """Return the commits that revisions, ranges and options for many refs name."""
    repository, head = request.repository, request.view.head
    tips = WalkTips([], [])
    for revision in revisions:
        found = range_of(revision)
        if revision.startswith("^"):
            tips.hidden.append(resolve(repository, revision[1:], head, request.view))
        elif found is None:
            tips.shown.append(resolve(repository, revision, head, request.view))
        else:
            pair = (found.old, found.new)
            old, new = (resolve(repository, each, head, request.view) for each in pair)
            tips.shown.extend([old, new] if found.is_symmetric else [new])
            if found.is_symmetric:
                tips.hidden.extend((yield from find_merge_bases(repository.history, old, new)))
            else:
                tips.hidden.append(old)
    if _names_refs(options):
        tips.shown.extend(_refs(request, options))
    elif not tips.shown and head is not None and not revisions:
        tips.shown.append(head)
    return tips


def _names_refs(options: Options) -> bool:
    return any(key in options for key in ("all", "branches", "tags", "remotes"))


def _refs(request: Request, options: Options) -> Iterator[CommitId]:
    refs = request.repository.refs
    if "all" in options or "branches" in options:
        pattern = options.value("branches") or "*"
        for branch in sorted(refs, key=lambda branch: branch.name):
            if branch.head is not None and _matches(branch.name, pattern):
                yield branch.head
    if "all" in options or "remotes" in options:
        pattern = options.value("remotes") or "*"
        for name, oid in request.repository.remotes.branches():
            if _matches(name, pattern):
                yield oid
    if "all" in options or "tags" in options:
        pattern = options.value("tags") or "*"
        for name, oid in sorted(refs.tags.items()):
            if _matches(name, pattern):
                yield oid
    if "all" in options and request.view.head is not None:
        yield request.view.head


def _matches(name: str, pattern: str) -> bool:
    """Return True if a pattern fits a name; one without a wildcard fits all below it."""
    if any(mark in pattern for mark in "*?["):
        return fnmatchcase(name, pattern)
    return name == pattern or name.startswith(pattern.rstrip("/") + "/")
