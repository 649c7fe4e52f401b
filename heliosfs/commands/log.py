"""`log`: the commits that led to a revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from heliosfs.commands.diff import changes_text, compared
from heliosfs.commands.graph import Graph
from heliosfs.commands.logfilter import filter_of
from heliosfs.commands.logform import Form, form_of
from heliosfs.commands.options import Options
from heliosfs.commands.patch import PATCH_MAX_BYTES
from heliosfs.commands.render import commit_document, json_reply
from heliosfs.commands.verb import Request
from heliosfs.commands.words import range_of, spec_of, split_words
from heliosfs.errors import NotFound, TooLarge
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import merge_bases
from heliosfs.repo.pathlog import PathLog
from heliosfs.repo.revisions import resolve
from heliosfs.repo.walks import Stepper, Visit, by_date, first_parent, hidden_by, topological, whole
from heliosfs.store.steps import TURN, Steps, Turn

_CHANGES = ("patch", "stat", "name-status", "name-only")


def log(request: Request, options: Options) -> Steps[str]:
    """The history in git's medium format, or another one."""
    options.only_one("oneline", "json", "format")
    options.only_one("graph", "json")
    options.only_one("graph", "reverse")
    form = form_of(request, options)
    entries = yield from _entries(request, options, form)
    if "reverse" in options:
        entries.reverse()
    if "json" in options:
        return json_reply([commit_document(each.visit.oid, each.visit.commit) for each in entries])
    if "graph" in options:
        reply = yield from _with_graph(entries, is_short=form.is_dense)
        return reply
    return form.join((each.head, each.changes) for each in entries)


class _Entry(NamedTuple):
    """A commit as the log shows it."""

    visit: Visit
    head: str
    changes: str
    """What it changed, if that was asked for."""


def _entries(request: Request, options: Options, form: Form) -> Steps[list[_Entry]]:
    """TooLarge when the changes take more than one reply may have."""
    limit = options.number("max-count")
    wanted = filter_of(options, _now_seconds(request))
    with_changes = any(each in options for each in _CHANGES)
    left_bytes = PATCH_MAX_BYTES
    walk = yield from _walk(request, options)
    found: list[_Entry] = []
    while limit is None or len(found) < limit:
        visit = next(walk, None)
        if visit is None:
            break
        yield TURN
        if isinstance(visit, Turn):
            continue
        if wanted is not None and not (yield from wanted(visit.commit)):
            continue
        changes = ""
        if with_changes:
            changes = yield from _changes(request, options, visit)
        left_bytes -= len(changes)
        if left_bytes < 0:
            raise TooLarge("the changes take more than 64 MiB: name paths, or limit with -n")
        found.append(_Entry(visit, form.show(visit.oid, visit.commit), changes))
    return found


def _changes(request: Request, options: Options, visit: Visit) -> Steps[str]:
    """What a commit changed; of a merge only with --first-parent, and then on that side."""
    repository = request.repository
    parents = visit.commit.parents
    if len(parents) > 1 and "first-parent" not in options:
        return ""
    old = repository.history.read(parents[0]).root if parents else None
    _, words = split_words(request, options)
    spec = spec_of(request, words)
    changes = yield from compared(request, options, old, visit.commit.root, spec)
    return (yield from changes_text(request, options, changes))


def _walk(request: Request, options: Options) -> Steps[Iterator[Visit | Turn]]:
    """The commits that the words ask for, in the order that the options ask for."""
    repository, view = request.repository, request.view
    history = repository.history
    revisions, words = split_words(request, options)
    spec = spec_of(request, words)
    tips, excluded = _tips(request, options, revisions)
    if "follow" in options and not (spec.is_plain and len(spec.items) == 1):
        raise options.misuse("--follow takes one path")
    if not tips:
        place = f"your current branch {view.branch!r}" if view.branch else "HEAD"
        raise NotFound(f"{place} does not have any commits yet")
    step: Stepper = first_parent if "first-parent" in options else whole
    if spec:
        follows = "follow" in options
        matches = None if spec.is_plain else spec.matches
        log_of = PathLog(repository.store, history, spec.places, step, matches, follows=follows)
        step = log_of.step
    hidden: set[CommitId] = set()
    if excluded:
        hidden = yield from hidden_by(history, tips, excluded)
    walk = topological if "graph" in options else by_date
    return walk(history, tips, hidden, step)


def _tips(
    request: Request, options: Options, revisions: list[str]
) -> tuple[list[CommitId], list[CommitId]]:
    """The commits that the walk begins at, and those whose history is left out."""
    repository, head = request.repository, request.view.head
    tips: list[CommitId] = []
    excluded: list[CommitId] = []
    for revision in revisions:
        found = range_of(revision)
        if found is None:
            tips.append(resolve(repository, revision, head))
            continue
        old, new = (resolve(repository, each, head) for each in (found.old, found.new))
        tips += [old, new] if found.is_symmetric else [new]
        if found.is_symmetric:
            excluded += merge_bases(repository.history, old, new)
        else:
            excluded.append(old)
    if "all" in options:
        branches = sorted(repository.refs, key=lambda branch: branch.name)
        named = [branch.head for branch in branches]
        named += [oid for _, oid in sorted(repository.refs.tags.items())]
        tips += [oid for oid in (*named, head) if oid is not None]
    elif not revisions and head is not None:
        tips.append(head)
    return tips, excluded


def _with_graph(entries: Iterable[_Entry], *, is_short: bool) -> Steps[str]:
    """The commits with the lines of history between them drawn on the left."""
    graph = Graph()
    lines: list[str] = []
    for visit, text, changes in entries:
        yield TURN
        graph.begin(visit.oid, visit.parents)
        if lines and not is_short:
            lines.append(graph.padding())
        first, *rest = text.removesuffix("\n").split("\n")
        is_commit = False
        while not is_commit:
            row, is_commit = graph.row()
            lines.append(row + first if is_commit else row)
        lines += [graph.row()[0] + line for line in rest]
        while not graph.is_done:
            lines.append(graph.row()[0])
        if changes:
            rest = [] if is_short else [""]
            rest += changes.removesuffix("\n").split("\n")
            lines += [graph.row()[0] + line for line in rest]
    return "".join(f"{line}\n" for line in lines)


def _now_seconds(request: Request) -> int:
    return request.repository.clock.now_ns() // 10**9
