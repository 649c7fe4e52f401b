"""`log -L`: the commits that changed some lines of a file (line-log.c of git)."""

from __future__ import annotations

import re
import stat
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.commands.colours import Paint, paint_of
from heliosfs.commands.log.form import CommitPrinter
from heliosfs.commands.log.selection import filter_of
from heliosfs.commands.log.walk import tips_of
from heliosfs.commands.options import Options
from heliosfs.commands.render import below, bytes_of, quote_path, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.lines.compare import ChangedRange, Effort, changed_ranges, split_lines
from heliosfs.repo.lines.text import is_text
from heliosfs.repo.path_history import rename_source
from heliosfs.repo.walks import by_date
from heliosfs.steps import TURN, Steps, Turn
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry

_WORD = re.compile(r"(?P<start>\d{1,9}),(?P<sign>[+-]?)(?P<stop>\d{1,9}):(?P<path>.+)")
_NO_NEWLINE = b"\\ No newline at end of file\n"


class _Part(NamedTuple):
    """Range of lines, counted from 0: from `start` up to `stop`, which is not part of it."""

    path: bytes
    start: int
    stop: int


class _Step(NamedTuple):
    """Effect of one commit on the lines."""

    before: _Part | None
    """The lines in the parent; None if they were not there."""
    text: bytes
    """The diff; empty if the commit left the lines alone."""


def log_lines(request: Request, options: Options, form: CommitPrinter) -> Steps[str]:
    """Show the commits that changed the lines that -L names, each with its change of them."""
    if len(options.values("lines")) > 1 or options.paths:
        raise options.misuse("-L takes the lines of one file, and no other paths")
    repository = request.repository
    history = repository.history
    tips = yield from tips_of(request, options, options.words)
    if len(tips.shown) != 1 or tips.hidden:
        raise options.misuse("-L takes only one commit to begin at")
    lines = _Lines(request, paint_of(request, options))
    parts = {tips.shown[0]: lines.part(history.read(tips.shown[0]), options)}
    limit, skipped = options.number("max-count"), options.number("skip") or 0
    wanted = filter_of(options, request.repository.clock.now_ns() // SECOND_NS)
    found: list[tuple[str, str | None]] = []
    for visit in by_date(history, tips.shown):
        yield TURN
        part = None if isinstance(visit, Turn) else parts.pop(visit.oid, None)
        if isinstance(visit, Turn) or part is None:
            continue
        is_changed, text = lines.follow(visit.commit, part, parts)
        if not is_changed or (wanted is not None and not (yield from wanted(visit.commit))):
            if not parts:
                break
            continue
        if skipped:
            skipped -= 1
        else:
            before = "\n" if form.is_line else ""
            shown = before + text_of(text) if text else None
            head = form.show(visit.oid, visit.commit)
            found.append((head, None if "no-patch" in options else shown))
        if (limit is not None and len(found) >= limit) or not parts:
            break
    return form.join(found)


class _Lines:
    """Follower of lines from commits to their parents."""

    def __init__(self, request: Request, paint: Paint) -> None:
        self._request = request
        self._paint = paint
        self._store = request.repository.store
        self._effort = Effort()

    def part(self, commit: Commit, options: Options) -> _Part:
        """Return the lines that -L names.  Raise UsageError or NotFound."""
        word = options.value("lines") or ""
        found = _WORD.fullmatch(word)
        if found is None:
            raise options.misuse(
                f"-L takes START,STOP:PATH, as 10,20:src/main.c, not {word[:80]!r}"
            )
        path = below(self._request.cwd, found["path"])
        start, stop = int(found["start"]), int(found["stop"])
        if found["sign"] == "+":
            stop += start - 1
        elif found["sign"] == "-":
            start, stop = start - stop + 1, start
        start, stop = min(start, stop), max(start, stop)
        lines = self._read(commit, path)
        if lines is None:
            raise NotFound(f"no text {found['path'][:80]!r} in that commit")
        if not 1 <= start <= len(lines):
            raise NotFound(f"{found['path'][:80]!r} has {len(lines)} lines")
        return _Part(path, start - 1, min(stop, len(lines)))

    def follow(
        self, commit: Commit, part: _Part, parts: dict[CommitId, _Part]
    ) -> tuple[bool, bytes]:
        """Note where the lines were in the parents; return if they changed here, and how.

        A merge that has them as one parent has is that parent's affair alone.
        """
        history = self._request.repository.history
        steps = [self._step(history.read(each), commit, part) for each in commit.parents]
        if not steps:
            lines = self._read(commit, part.path) or []
            return True, _hunk(
                self._paint, None, part, [], lines, [ChangedRange(0, 0, 0, len(lines))]
            )
        for parent, step in zip(commit.parents, steps, strict=True):
            if not step.text and step.before is not None:
                parts[parent] = step.before
                return False, b""
        for parent, step in zip(commit.parents, steps, strict=True):
            if step.before is not None:
                parts[parent] = step.before
        return True, steps[0].text if len(steps) == 1 else b""

    def _step(self, parent: Commit, commit: Commit, part: _Part) -> _Step:
        path = part.path
        if find_entry(self._store, parent.root, path) is None:
            path = rename_source(self._store, parent.root, commit.root, path) or path
        old, new = self._read(parent, path), self._read(commit, part.path) or []
        if old is None:
            return _Step(
                None, _hunk(self._paint, None, part, [], new, [ChangedRange(0, 0, 0, len(new))])
            )
        ranges = changed_ranges(old, new, self._effort)
        touched = [each for each in ranges if _overlaps(each, part)]
        start, stop = _before(ranges, touched, part)
        before = _Part(path, start, stop)
        text = _hunk(self._paint, path, part, old, new, touched) if touched else b""
        return _Step(before if start < stop else None, text)

    def _read(self, commit: Commit, path: bytes) -> list[bytes] | None:
        entry = find_entry(self._store, commit.root, path)
        if entry is None or not stat.S_ISREG(entry.mode):
            return None
        data = read_file(self._store, entry)
        return split_lines(data) if is_text(data) else None


def _overlaps(change: ChangedRange, part: _Part) -> bool:
    """Return True if a change is within the lines; one that only removes must be inside."""
    return change.new_start < part.stop and part.start < change.new_stop


def _before(
    ranges: list[ChangedRange], touched: list[ChangedRange], part: _Part
) -> tuple[int, int]:
    """Return the place of the lines before the changes; replaced lines belong to it."""
    shift = sum(
        each.stop - each.start - (each.new_stop - each.new_start)
        for each in ranges
        if each.new_stop <= part.start and each not in touched
    )
    start = part.start + shift
    shift += sum(each.stop - each.start - (each.new_stop - each.new_start) for each in touched)
    stop = part.stop + shift
    if touched and touched[0].new_start < part.start:
        start = touched[0].start
    if touched and touched[-1].new_stop > part.stop:
        stop = touched[-1].stop
    return start, stop


def _hunk(
    paint: Paint,
    path: bytes | None,
    part: _Part,
    old: list[bytes],
    new: list[bytes],
    touched: list[ChangedRange],
) -> bytes:
    """Return the diff of the lines alone: one hunk without context around it."""
    first, last = touched[0], touched[-1]
    start = first.start - max(first.new_start - part.start, 0)
    stop = last.stop + max(part.stop - last.new_stop, 0)
    names = quote_path(path or part.path, around=b"a/"), quote_path(part.path, around=b"b/")
    head = [f"diff --git {names[0]} {names[1]}"]
    head += [f"--- {names[0] if path is not None else '/dev/null'}", f"+++ {names[1]}"]
    span = f"-{start + 1},{stop - start}" if start or stop else "-0,0"
    pieces = [bytes_of("".join(f"{line}\n" for line in paint.header(head)))]
    pieces.append(paint.hunk_head(f"{span} +{part.start + 1},{part.stop - part.start}", b""))
    at = part.start
    for each in touched:
        pieces += [_line(paint, b" ", line) for line in new[at : max(each.new_start, at)]]
        pieces += [_line(paint, b"-", line) for line in old[each.start : each.stop]]
        at = max(each.new_start, at)
        added = new[at : min(each.new_stop, part.stop)]
        pieces += [_line(paint, b"+", line) for line in added]
        at = max(min(each.new_stop, part.stop), at)
    pieces += [_line(paint, b" ", line) for line in new[at : part.stop]]
    return b"".join(pieces)


def _line(paint: Paint, sign: bytes, line: bytes) -> bytes:
    shown = paint.line(sign, line)
    return shown if line.endswith(b"\n") else shown + b"\n" + paint.note(_NO_NEWLINE)
