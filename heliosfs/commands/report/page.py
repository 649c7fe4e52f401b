"""`report`: one page with experiments, scores and the graph of commits, which needs nothing else.

It is made in small steps, because others wait while it is made beside a running mount.
"""

from __future__ import annotations

import json

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.report.commits import ListedExperiment, ReportData, Row
from heliosfs.commands.report.details import DetailChunks
from heliosfs.commands.report.template import PAGE_BEGIN, PAGE_END
from heliosfs.commands.verb import Request
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps

_ROWS = 200
_DATE_MAX_SECONDS = 8_640_000_000_000
"""Largest moment of JavaScript's `Date`; a later one is shown as the epoch, as in `log`."""
_MARKUP = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def report(request: Request, options: Options) -> Steps[str]:
    """Return the page; the caller puts it where it belongs."""
    if options.words:
        raise options.misuse("only the command line writes outside of a workspace")
    return (yield from page_steps(request.repository))


def page_steps(repository: Repository) -> Steps[str]:
    """Make the page: 50 us a commit, and 1 ms for each diff that goes into it."""
    gathered = ReportData(repository)
    yield from gathered.gather()
    details = DetailChunks(repository)
    for row in gathered.by_interest():
        if not details.has_room:
            break
        yield from details.add(row)
    details.close()
    parts = yield from _encode(repository, gathered, details)
    return "".join([PAGE_BEGIN, *parts, PAGE_END])


def _encode(
    repository: Repository, gathered: ReportData, details: DetailChunks
) -> Steps[list[str]]:
    """Encode the data of the page as JSON that no HTML parser can mistake for markup."""
    places = {oid: at for at, oid in enumerate(gathered.rows)}
    authors = {row.author: 0 for row in gathered.rows.values()}
    authors = {author: at for at, author in enumerate(authors)}
    owners = {
        oid: at for at, own in reversed([*enumerate(gathered.experiments)]) for oid in own.commits
    }
    yield TURN
    head = {
        "made": repository.clock.now_ns() // SECOND_NS,
        "path": repository.path,
        "branch": repository.root.branch,
        "left_out": gathered.left_out,
        "authors": list(authors),
        "refs": [
            {
                "name": name,
                "kind": kind,
                "commit": places.get(oid, -1) if oid else -1,
                "here": kind == "branch" and name == repository.root.branch,
            }
            for kind, name, oid in gathered.refs
        ],
        "experiments": [
            _experiment(repository, own)
            | {"own": [places[oid] for oid in own.commits if oid in places]}
            for own in gathered.experiments
        ],
    }
    parts = [_json(head)[:-1], ',"chunks":', _json(details.chunks), ',"commits":[']
    rows: list[list[object]] = []
    separator = ""
    for oid, row in gathered.rows.items():
        rows.append(_row(row, places, authors[row.author], owners.get(oid, -1), details))
        if len(rows) == _ROWS:
            parts += [separator, _json(rows)[1:-1]]
            separator = ","
            rows.clear()
            yield TURN
    if rows:
        parts += [separator, _json(rows)[1:-1]]
    return [*parts, "]}"]


def _experiment(repository: Repository, own: ListedExperiment) -> dict[str, object]:
    each, branch = own.experiment, repository.refs.of_slot(own.experiment.slot)
    return {
        "name": each.name,
        "state": each.state,
        "branch": branch.name if branch else own.far and own.far.branch,
        "started": each.started_ns // SECOND_NS,
        "parameters": dict(each.parameters),
        "minimize": each.minimize,
    }


def _row(
    row: Row, places: dict[CommitId, int], author: int, owner: int, details: DetailChunks
) -> list[object]:
    """Return the fields in the order in which the script reads them (web/data.js)."""
    parents = [places.get(parent, -1) for parent in row.parents]
    chunk = details.places.get(row.oid, -1)
    seconds = row.seconds if abs(row.seconds) <= _DATE_MAX_SECONDS else 0
    return [row.shown_id, seconds, parents, row.subject, author, owner, dict(row.scores), chunk]


def _json(value: object) -> str:
    """Encode compactly, in ASCII, and without the characters that mean something in HTML."""
    return json.dumps(value, separators=(",", ":")).translate(_MARKUP)
