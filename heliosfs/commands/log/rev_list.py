"""`rev-list`: the ids of the commits that `log` would show."""

from __future__ import annotations

from heliosfs.clock import SECOND_NS
from heliosfs.commands.log.form import form_of
from heliosfs.commands.log.selection import filter_of
from heliosfs.commands.log.walk import next_wanted, walk_of
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, short
from heliosfs.commands.verb import Request
from heliosfs.repo.walks import Visit
from heliosfs.steps import Steps


def rev_list(request: Request, options: Options) -> Steps[str]:
    """Return the id of each commit on a line, or the number of commits."""
    names_refs = any(key in options for key in ("all", "branches", "tags", "remotes"))
    if not options.words and not names_refs:
        raise options.misuse("give a revision, as in 'rev-list HEAD'")
    limit, skipped = options.number("max-count"), options.number("skip") or 0
    wanted = filter_of(options, request.repository.clock.now_ns() // SECOND_NS)
    form = form_of(request, options) if "format" in options or "oneline" in options else None
    walk = yield from walk_of(request, options)
    found: list[str] = []
    count = 0
    while limit is None or count < limit:
        visit = yield from next_wanted(walk, wanted)
        if visit is None:
            break
        if skipped:
            skipped -= 1
            continue
        count += 1
        if "count" not in options:
            text = "" if form is None else form.show(visit.oid, visit.commit)
            if form is not None and not form.is_line:
                text = f"commit {visit.oid.hex()}\n{text}"
            found.append(text or f"{_line(options, visit)}\n")
    if "count" in options:
        return f"{count}\n"
    if "reverse" in options:
        found.reverse()
    if "json" in options:
        return json_reply([line.split()[0] for line in found])
    return "".join(found)


def _line(options: Options, visit: Visit) -> str:
    show = short if "abbrev-commit" in options else bytes.hex
    ids = [visit.oid]
    if "parents" in options:
        ids += visit.parents
    text = " ".join(map(show, ids))
    return f"{visit.commit.committer.seconds} {text}" if "timestamp" in options else text
