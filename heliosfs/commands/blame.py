"""`blame`: the author and time of each line of a file."""

from __future__ import annotations

import re
import stat

from heliosfs.clock import SECOND_NS
from heliosfs.commands.agent_trace import trace_of
from heliosfs.commands.agents.payload import one_line
from heliosfs.commands.moments import iso_words
from heliosfs.commands.options import Options
from heliosfs.commands.render import (
    SHORT_DIGITS,
    below,
    iso_time,
    json_reply,
    quote_path,
    text_of,
)
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, TooLarge
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.blame import Blame, LineOrigin
from heliosfs.repo.lines.compare import split_lines
from heliosfs.repo.lines.text import is_text
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Steps
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry

_NOT_COMMITTED = "Not Committed Yet"
_PROMPT_WIDTH = 40
_LINES = re.compile(r"(\d{1,9})(?:,(\+?)(\d{1,9}))?")


def blame(request: Request, options: Options) -> Steps[str]:
    """Return each line of the file with the commit that it comes from, as git blame shows it."""
    repository, view = request.repository, request.view
    words = [*options.words, *(options.paths or [])]
    if not words:
        raise options.misuse("give a file")
    if len(words) > 2:
        raise options.misuse(f"one argument too many: {words[2]!r}")
    revision, word = words if len(words) == 2 else (None, words[0])
    path = below(request.cwd, word)
    head = resolve(repository, revision or "HEAD", view.head)
    root = view.state().root if revision is None else repository.history.read(head).root
    entry = find_entry(repository.store, root, path)
    if entry is None or not stat.S_ISREG(entry.mode):
        raise NotFound(f"no file {word[:80]!r} in {revision or 'the working tree'}")
    data = _data(request, entry, word)
    origins = yield from Blame(repository.store, repository.history).run(head, path, data)
    rows = list(zip(range(1, len(origins) + 1), origins, split_lines(data), strict=True))
    start, stop = _range(options, len(rows))
    if "json" in options:
        return json_reply([_document(request, *row) for row in rows[start:stop]])
    return _text(request, options, rows[start:stop], path)


def _data(request: Request, entry: Entry, word: str) -> bytes:
    data = read_file(request.repository.store, entry)
    if not is_text(data):
        raise TooLarge(f"{word[:80]!r} is binary, or larger than 8 MiB")
    return data


def _range(options: Options, count: int) -> tuple[int, int]:
    """Return the indices that -L START[,STOP] or -L START,+COUNT means."""
    text = options.value("lines")
    if text is None:
        return 0, count
    found = _LINES.fullmatch(text)
    if found is None or not int(found[1]):
        raise options.misuse(f"{text[:80]!r} is not START,STOP")
    start = int(found[1]) - 1
    if found[3] is None:
        return start, count
    return start, int(found[3]) + (start if found[2] else 0)


def _text(
    request: Request,
    options: Options,
    rows: list[tuple[int, LineOrigin | None, bytes]],
    path: bytes,
) -> str:
    is_of_agents = "agent" in options
    with_paths = any(origin is not None and origin.path != path for _, origin, _ in rows)
    shown = path if with_paths else None
    heads = [_head(request, origin, shown, with_agent=is_of_agents) for _, origin, _ in rows]
    name_width = max((len(name) for _, name, _, _ in heads), default=0)
    path_width = max((len(place) for _, _, _, place in heads), default=0)
    number_width = len(str(rows[-1][0])) if rows else 1
    lines = []
    for (number, _, line), (oid, name, date, place) in zip(rows, heads, strict=True):
        column = f" {place:<{path_width}}" if with_paths else ""
        text = text_of(line.removesuffix(b"\n"))
        lines.append(
            f"{oid}{column} ({name:<{name_width}} {date} {number:>{number_width}}) {text}\n"
        )
    return "".join(lines)


def _head(
    request: Request, origin: LineOrigin | None, path: bytes | None, *, with_agent: bool
) -> tuple[str, str, str, str]:
    """Return id, author, date and path of a line."""
    place = "" if path is None else quote_path(origin.path if origin else path)
    if origin is None:
        clock = request.repository.clock
        now = clock.now_ns() // SECOND_NS
        return "0" * SHORT_DIGITS, _NOT_COMMITTED, iso_words(now, clock.utc_offset_minutes()), place
    commit = request.repository.history.read(origin.commit)
    author = commit.author
    name = (_agent(commit) if with_agent else "") or text_of(author.name)
    digits = origin.commit.hex()[:SHORT_DIGITS]
    oid = f"^{digits[:-1]}" if origin.is_boundary else digits
    return oid, name, iso_words(author.seconds, author.offset_minutes), place


def _agent(commit: Commit) -> str:
    """Return the agent that made the changes of a commit, and the prompt; "" if none did."""
    trace = trace_of(commit)
    if trace is None or not trace.is_made:
        return ""
    return f"{trace.who}: {one_line(trace.cause, _PROMPT_WIDTH)}" if trace.cause else trace.who


def _agent_document(commit: Commit) -> dict[str, object] | None:
    trace = trace_of(commit)
    if trace is None or not trace.is_made:
        return None
    return {
        "agent": trace.agent,
        "session": trace.session,
        "subagent": trace.subagent,
        "turn": trace.after_turn if trace.is_before else trace.turn,
        "prompt": trace.cause,
    }


def _document(
    request: Request, number: int, origin: LineOrigin | None, line: bytes
) -> dict[str, object]:
    document: dict[str, object] = {"line": number, "text": text_of(line.removesuffix(b"\n"))}
    if origin is None:
        return document | {"id": None}
    oid: CommitId = origin.commit
    commit = request.repository.history.read(oid)
    return document | {
        "id": oid.hex(),
        "path": text_of(origin.path),
        "author": text_of(commit.author.name),
        "time": iso_time(commit.author.seconds, commit.author.offset_minutes),
        "seconds": commit.author.seconds,
        "subject": commit.subject,
        "boundary": origin.is_boundary,
        "by": _agent_document(commit),
    }
