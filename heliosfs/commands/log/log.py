"""`log`: the commits that led to a revision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.commands.colours import PLAIN
from heliosfs.commands.diff.changes import FileChange
from heliosfs.commands.diff.diff import compared
from heliosfs.commands.diff.form import changes_text, wants_changes
from heliosfs.commands.diff.patch import PATCH_MAX_BYTES
from heliosfs.commands.log.form import CommitPrinter, form_of
from heliosfs.commands.log.graph import Graph
from heliosfs.commands.log.line_history import log_lines
from heliosfs.commands.log.pickaxe import ChangeFilter
from heliosfs.commands.log.reflog import reflog
from heliosfs.commands.log.selection import filter_of
from heliosfs.commands.log.walk import next_wanted, walk_of
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec
from heliosfs.commands.render import commit_document, json_reply
from heliosfs.commands.revision_words import spec_of, split_words
from heliosfs.commands.verb import Request
from heliosfs.errors import TooLarge
from heliosfs.repo.walks import Visit
from heliosfs.steps import TURN, Steps


def log(request: Request, options: Options) -> Steps[str]:
    """Show the history in git's medium format, or another one."""
    options.only_one("oneline", "json", "format")
    options.only_one("graph", "json")
    options.only_one("graph", "reverse")
    form = form_of(request, options)
    if "lines" in options:
        return (yield from log_lines(request, options, form))
    if "walk-reflogs" in options:
        return reflog(request, options, form_of(request, options, PLAIN))
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
    changes: str | None
    """Text of its changes, if there are any and they were asked for."""


def _entries(request: Request, options: Options, form: CommitPrinter) -> Steps[list[_Entry]]:
    """Return the commits to show.

    Raise TooLarge when their changes are more than one reply may have.
    """
    limit, skipped = options.number("max-count"), options.number("skip") or 0
    wanted = filter_of(options, _now_seconds(request))
    pick = ChangeFilter(request.repository.store, options)
    spec = spec_of(request, split_words(request, options)[1])
    is_shown = wants_changes(options) and "no-patch" not in options
    left_bytes = PATCH_MAX_BYTES
    walk = yield from walk_of(request, options)
    found: list[_Entry] = []
    while limit is None or len(found) < limit:
        visit = yield from next_wanted(walk, wanted)
        if visit is None:
            break
        text: str | None = None
        if is_shown or pick.is_active:
            changes = yield from changes_of(request, options, visit, spec)
            changes = yield from pick.run(changes)
            if pick.is_active and not changes:
                continue
            if is_shown and changes and not skipped:
                text = yield from changes_text(request, options, changes)
        if skipped:
            skipped -= 1
            continue
        left_bytes -= len(text or "")
        if left_bytes < 0:
            raise TooLarge("the changes take more than 64 MiB: name paths, or limit with -n")
        found.append(_Entry(visit, form.show(visit.oid, visit.commit), text))
    return found


def changes_of(
    request: Request, options: Options, visit: Visit, spec: Pathspec
) -> Steps[list[FileChange]]:
    """Return the changes of a commit; of a merge only with --first-parent, on that side."""
    history = request.repository.history
    parents = visit.commit.parents
    if len(parents) > 1 and "first-parent" not in options:
        return []
    old = history.read(parents[0]).root if parents else None
    return (yield from compared(request, options, old, visit.commit.root, spec))


def _with_graph(entries: Iterable[_Entry], *, is_short: bool) -> Steps[str]:
    """Show commits with the lines of history between them on the left."""
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
    return request.repository.clock.now_ns() // SECOND_NS
