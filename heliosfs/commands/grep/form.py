"""Matching lines as git grep shows them, with the lines around them (git-grep(1))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from heliosfs.commands.colours import Paint, Role
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, quote_path, relative, text_of
from heliosfs.repo.lines.compare import split_lines
from heliosfs.repo.regex.expressions import Span
from heliosfs.steps import TURN, Steps


@dataclass(slots=True)
class Found:
    """File that matches or, if these are asked for, that does not."""

    revision: str
    """Name of the commit; empty for the working tree."""
    path: bytes
    is_binary: bool = False
    numbers: list[int] = field(default_factory=list)
    """Numbers of the matching lines, from 1 on."""
    data: bytes = b""
    """Content of the file, if lines of it are shown."""
    spans: list[Span] = field(default_factory=list)
    """Matches in the file, if only these are shown, or if they have a colour."""


class GrepForm:
    """Form of the reply, as the options ask for it."""

    def __init__(self, options: Options, cwd: str, paint: Paint) -> None:
        self._paint = paint
        self._options = options
        self._cwd = cwd
        self._named: tuple[Found, str] | None = None
        """The file that was shown last, with its name as it is shown."""
        around = options.number("context") or 0
        before, after = options.number("before-context"), options.number("after-context")
        self.before = around if before is None else before
        self.after = around if after is None else after
        self._end = "\0" if "null" in options else "\n"

    def text(self, files: Sequence[Found]) -> Steps[str]:
        """Make the reply, in a step for each file."""
        options = self._options
        if "quiet" in options:
            return ""
        if "json" in options:
            return json_reply([each for found in files for each in self._documents(found)])
        if "files-with-matches" in options or "files-without-match" in options:
            return "".join(f"{self._shown_place(each)}{self._end}" for each in files)
        if "count" in options:
            return "".join(f"{self._prefix(each, ':')}{_count(each)}\n" for each in files)
        parts: list[str] = []
        has_context = bool(self.before or self.after)
        for found in files:
            lines = list(self._lines(found))
            yield TURN
            if has_context and parts and lines:
                parts.append(self._gap)
            parts += lines
        return "".join(parts)

    def _lines(self, found: Found) -> Iterator[str]:
        if found.is_binary:
            yield f"Binary file {self._place(found)} matches\n"
            return
        if "only-matching" in self._options:
            yield from self._matches(found)
            return
        lines = split_lines(found.data)
        shown_to = 0
        matching = set(found.numbers)
        begins = _offsets(lines) if self._paint.is_on and found.spans else []
        spans = iter(found.spans)
        span = next(spans, None)
        heading = "heading" in self._options
        if heading:
            yield f"{self._shown_place(found)}\n"
        for number in found.numbers:
            first = max(number - self.before, shown_to + 1)
            if shown_to and first > shown_to + 1 and (self.before or self.after):
                yield self._gap
            last = min(number + self.after, len(lines))
            for at in range(first, last + 1):
                sign = ":" if at in matching else "-"
                line = lines[at - 1]
                if begins and at in matching:
                    inside: list[Span] = []
                    while span is not None and span.start < begins[at]:
                        inside.append(span)
                        span = next(spans, None)
                    line = self._marked(line, begins[at - 1], inside)
                yield self._line(found, at, line, sign)
            shown_to = max(shown_to, last)

    def _line(self, found: Found, number: int, line: bytes, sign: str) -> str:
        prefix = "" if "heading" in self._options else self._prefix(found, sign)
        shown = ""
        if "line-number" in self._options:
            shown = self._paint(Role.LINE_NUMBER, str(number)) + self._separator(sign)
        text = text_of(line.removesuffix(b"\n"))
        return f"{prefix}{shown}{text}\n"

    def _matches(self, found: Found) -> Iterator[str]:
        number, counted = 1, 0
        for start, end in found.spans:
            number += found.data.count(b"\n", counted, start)
            counted = start
            match = self._paint.raw(Role.MATCH, found.data[start:end])
            yield self._line(found, number, match, ":")

    def _prefix(self, found: Found, sign: str) -> str:
        if "no-filename" in self._options:
            return ""
        return self._shown_place(found) + self._separator(sign)

    def _shown_place(self, found: Found) -> str:
        return self._paint(Role.FILE_NAME, self._place(found))

    def _separator(self, sign: str) -> str:
        return self._paint(Role.SEPARATOR, sign)

    @property
    def _gap(self) -> str:
        return self._paint(Role.SEPARATOR, "--") + "\n"

    def _marked(self, line: bytes, begin: int, spans: list[Span]) -> bytes:
        """Return a line that begins at `begin` of its file, with its matches in colour."""
        pieces, at = [], 0
        for span in spans:
            start, end = max(span.start - begin, at), min(span.end - begin, len(line))
            pieces += [line[at:start], self._paint.raw(Role.MATCH, line[start:end])]
            at = max(end, at)
        return b"".join([*pieces, line[at:]])

    def _place(self, found: Found) -> str:
        if self._named is None or self._named[0] is not found:
            self._named = found, self._name(found)
        return self._named[1]

    def _name(self, found: Found) -> str:
        path = found.path if "full-name" in self._options else relative(self._cwd, found.path)
        shown = text_of(path) if "null" in self._options else quote_path(path)
        return f"{found.revision}:{shown}" if found.revision else shown

    def _documents(self, found: Found) -> Iterator[dict[str, object]]:
        lines = split_lines(found.data) if found.numbers else []
        for number in found.numbers or [0]:
            text = text_of(lines[number - 1].removesuffix(b"\n")) if number and lines else None
            yield {
                "revision": found.revision or None,
                "path": text_of(found.path),
                "line": number or None,
                "text": text,
            }


def _offsets(lines: list[bytes]) -> list[int]:
    """Return where each line begins in its file, and where the last one ends."""
    return list(accumulate(map(len, lines), initial=0))


def _count(found: Found) -> int:
    return len(found.numbers) or 1
