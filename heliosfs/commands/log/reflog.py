"""`log -g`: which commits HEAD, or a branch, named before, as the operation log knows them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from heliosfs.commands.colours import Role, paint_of
from heliosfs.commands.log.form import CommitPrinter
from heliosfs.commands.options import Options
from heliosfs.commands.render import bytes_of, text_of
from heliosfs.commands.verb import Request
from heliosfs.objects.ids import CommitId
from heliosfs.repo.operation_log import OperationLog
from heliosfs.repo.revisions import head_moves


def reflog(request: Request, options: Options, form: CommitPrinter) -> str:
    """List the commits that a name stood for, the newest first, with `HEAD@{N}` before each."""
    options.at_most(1)
    name = options.words[0] if options.words else "HEAD"
    skipped = options.number("skip") or 0
    limit = options.number("max-count")
    stop = None if limit is None else skipped + limit
    identity = request.repository.identity
    who = f"{text_of(identity.name)} <{text_of(identity.email)}>"
    entries = []
    paint = paint_of(request, options)
    for count, (oid, said) in islice(enumerate(_positions(request, name)), skipped, stop):
        head = form.show(oid, request.repository.history.read(oid))
        at = f"{name}@{{{count}}}"
        if form.is_line:
            oid_text, _, rest = head.partition(" ")
            names = rest[: rest.find(")") + 1] + " " if rest.startswith("(") else ""
            entries.append(f"{paint(Role.COMMIT, oid_text)} {names}{at}: {said}\n")
        else:
            first, newline, rest = head.partition("\n")
            lines = f"Reflog: {at} ({who})\nReflog message: {said}\n"
            if first.startswith("commit "):
                rest, first = lines + rest, paint(Role.COMMIT, first)
            entries.append(f"{first}{newline}{rest}")
    return form.join((entry, None) for entry in entries)


def _positions(request: Request, name: str) -> Iterator[tuple[CommitId, str]]:
    """Yield the commits that the name stood for, the newest first, each with its operation."""
    log = request.view.log
    head = request.view.head
    if name not in ("HEAD", "@"):
        repository = request.repository
        branch = repository.refs.branch(name)
        view = repository.view_of(branch)
        head = branch.head
        log = view.log if view else OperationLog(repository.store, repository.history, branch.slot)
    at = head
    for operation in head_moves(log):
        if at is not None:
            yield at, f"{operation.verb}: {_line(operation.text)}"
        at = operation.before.head
    if at is not None:
        yield at, "start"


def _line(text: str) -> str:
    return text_of(bytes_of(text.partition("\n")[0]))
