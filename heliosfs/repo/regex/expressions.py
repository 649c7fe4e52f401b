"""Regular expressions of users, over bytes, in time linear in the text.

The engine is RE2, which follows all alternatives at once and never goes back, so no expression and
no text can make it slower than text times expression.  Python's `re` can take for ever, and holds
the interpreter's lock meanwhile.  The price is that back-references, look-around and possessive
repetition do not exist (docs/decisions).

A match never spans the end of a line: `^` and `$` are the ends of a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple, Protocol, cast

from heliosfs.errors import TooLarge, UsageError
from heliosfs.repo.regex.posix import quote, translate
from heliosfs.repo.regex.refusal import refusal
from heliosfs.steps import TURN, Steps, on_thread

_QUICK_COST = 1_000_000
"""Bytes of text times instructions of the expression that are searched at once: 4 ms at worst."""
_PIECE_COST = 50_000_000
"""Bytes times instructions of one search on a thread: until it ends, nobody can interrupt the
verb."""
_PIECE_MIN_BYTES = 4096
_PIECE_MAX_BYTES = 1024 * 1024
SPANS_MAX = 1_000_000
"""Largest number of matches in one file; more would fill the memory."""
_ABSOLUTE = re.compile(rb"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)
_ABSOLUTE_ENDS = {b"A": b"^", b"z": b"$", b"Z": b"$"}


class Syntax(Enum):
    """The languages in which an expression can be written."""

    BASIC = "basic"
    EXTENDED = "extended"
    PERL = "perl"
    FIXED = "fixed"


class Span(NamedTuple):
    """A match, by its start and end in bytes of the text."""

    start: int
    end: int


class MatchingLine(NamedTuple):
    """A line that matches."""

    number: int
    """Line number, from 1 on."""
    start: int
    end: int
    """Offset of its newline, or of the end of the text."""


Search = Callable[[int, int], Span | None]
"""A search of a text from one offset to another."""


class _Options(NamedTuple):
    """The options of an expression."""

    ignore_case: bool = False
    is_words: bool = False
    """True if the first group is the match, and its surroundings make it a whole word."""
    is_longest: bool = False
    """True if the longest match at a place counts, as in POSIX, and not the first alternative."""


class _Matcher(Protocol):
    """Attributes of the engine's compiled expression that this module uses."""

    @property
    def programsize(self) -> int: ...

    def search(self, text: bytes, pos: int, endpos: int) -> _Match | None: ...


class _Match(Protocol):
    def span(self, group: int) -> tuple[int, int]: ...


class Expression:
    """A compiled expression; `compile_expression` creates it.

    Text that is UTF-8 is matched by characters, other text by bytes.  A search releases the
    interpreter's lock and may run on any thread.
    """

    def __init__(self, source: bytes, options: _Options) -> None:
        self._source = source
        self._options = options
        self._is_text = _is_utf8(source)
        self._matchers: dict[bool, _Matcher] = {}
        self.size = self._matcher(self._is_text).programsize
        """Instructions of the program; times the bytes of a text, this bounds the cost of a
        search."""

    def bind(self, text: bytes) -> Search:
        """Return a search in one text.  Cost: one pass over it, to see whether it is UTF-8."""
        matcher = self._matcher(self._is_text and (text.isascii() or _is_utf8(text)))
        if self._options.is_words:
            return partial(_search_word, matcher, text)

        def search(start: int, stop: int) -> Span | None:
            found = matcher.search(text, start, stop)
            return None if found is None else Span(*found.span(0))

        return search

    def search(self, text: bytes, start: int = 0, end: int | None = None) -> Span | None:
        r"""Return the leftmost match that begins at `start` or later and lies before `end`.

        `^` and `\b` look at the text before `start`.  Cost: O(len(text) * size); for several
        matches in one text, use `finditer`.
        """
        return self.bind(text)(start, len(text) if end is None else end)

    def finditer(self, text: bytes, start: int = 0, end: int | None = None) -> Iterator[Span]:
        """Yield the matches from left to right; they do not overlap."""
        return _spans(self.bind(text), start, len(text) if end is None else end)

    def lines(self, text: bytes) -> Iterator[MatchingLine]:
        """Yield the lines that match."""
        return _lines(self.bind(text), text, 0, len(text))

    def is_quick(self, text_bytes: int) -> bool:
        """Return True if a text of this size may be searched without leaving the loop."""
        return text_bytes * self.size <= _QUICK_COST

    def _matcher(self, is_text: bool) -> _Matcher:
        found = self._matchers.get(is_text)
        if found is None:
            found = _compiled(self._source, self._options, is_text=is_text)
            self._matchers[is_text] = found
        return found


class _Fixed(Expression):
    """Plain bytes, compared exactly; the engine is not used."""

    def __init__(self, literal: bytes) -> None:
        self.literal = literal
        self.size = 1

    def bind(self, text: bytes) -> Search:
        def search(start: int, stop: int) -> Span | None:
            at = text.find(self.literal, start, stop)
            return None if at < 0 else Span(at, at + len(self.literal))

        return search


def compile_expression(
    patterns: Sequence[bytes],
    syntax: Syntax = Syntax.PERL,
    *,
    ignore_case: bool = False,
    whole_words: bool = False,
) -> Expression:
    """Return an expression that matches where any of the patterns does.

    A pattern of several lines is several patterns, as in git.  Raise UsageError, which quotes the
    pattern and says what is wrong with it.
    """
    parts = [line for pattern in patterns for line in pattern.split(b"\n")]
    if syntax is Syntax.FIXED and len(parts) == 1 and not (ignore_case or whole_words):
        return _Fixed(parts[0])
    sources = [_source_of(part, syntax) for part in parts]
    whole = b"|".join(b"(?:%s)" % source for source in sources)
    if whole_words:
        whole = rb"(?:^|\W)(%s)(?:\W|$)" % whole
    try:
        is_longest = whole_words or syntax is not Syntax.PERL
        return Expression(b"(?m)" + whole, _Options(ignore_case, whole_words, is_longest))
    except ValueError as error:
        raise refusal(_first_invalid(parts, sources), error) from error


def _first_invalid(parts: Sequence[bytes], sources: Sequence[bytes]) -> bytes:
    """Return the first pattern that does not compile alone."""
    for part, source in zip(parts, sources, strict=True):
        try:
            _compiled(source, _Options(), is_text=_is_utf8(source))
        except ValueError:
            return part
    return parts[0]


def search_steps(expression: Expression, text: bytes) -> Steps[bool]:
    """Return True if a text matches; search a long one on a thread, in pieces of whole lines."""
    if expression.is_quick(len(text)):
        return expression.search(text) is not None
    search = yield from on_thread(partial(expression.bind, text))
    for start, stop in _pieces(text, expression.size):
        if (yield from on_thread(partial(search, start, stop))) is not None:
            return True
        yield TURN
    return False


def line_steps(expression: Expression, text: bytes) -> Steps[list[MatchingLine]]:
    """Return the matching lines; search a long text on a thread, in pieces of whole lines."""
    if expression.is_quick(len(text)):
        return list(expression.lines(text))
    search = yield from on_thread(partial(expression.bind, text))
    found: list[MatchingLine] = []
    before = 0
    for start, stop in _pieces(text, expression.size):
        finding: Callable[[], list[MatchingLine]] = partial(list, _lines(search, text, start, stop))
        lines = yield from on_thread(finding)
        found += (line._replace(number=line.number + before) for line in lines)
        before += text.count(b"\n", start, stop)
        yield TURN
    return found


def span_steps(expression: Expression, text: bytes, limit: int = SPANS_MAX) -> Steps[list[Span]]:
    """Return the matches that are not empty.  Raise TooLarge for more than `limit` of them."""
    found: list[Span] = []

    def take(spans: list[Span]) -> None:
        found.extend(span for span in spans if span.end > span.start)
        if len(found) > limit:
            raise TooLarge(f"more than {limit} matches in one file: name other paths")

    yield from _all_spans(expression, text, take)
    return found


def count_steps(expression: Expression, text: bytes) -> Steps[int]:
    """Return the number of matches in a text, including empty ones."""
    # Faster than the engine, and the usual case of `log -S`.
    if isinstance(expression, _Fixed) and expression.literal:
        return text.count(expression.literal)
    counts = [0]

    def take(spans: list[Span]) -> None:
        counts[0] += len(spans)

    yield from _all_spans(expression, text, take)
    return counts[0]


def _all_spans(
    expression: Expression, text: bytes, take: Callable[[list[Span]], None]
) -> Steps[None]:
    """Pass on the matches, some at a time: each may cost as much as its line has bytes."""
    if expression.is_quick(len(text)):
        take(list(expression.finditer(text)))
        return
    search = yield from on_thread(partial(expression.bind, text))
    start: int | None = 0
    while start is not None:
        finding = partial(_some_spans, search, text, start, expression.size)
        spans, start = yield from on_thread(finding)
        take(spans)
        yield TURN


def _some_spans(
    search: Search, text: bytes, start: int, size: int
) -> tuple[list[Span], int | None]:
    """Return as many matches as one piece may cost, and where to continue; None at the end."""
    found: list[Span] = []
    cost, stop = 0, len(text)
    while cost < _PIECE_COST:
        if start > stop:
            return found, None
        span = search(start, stop)
        if span is None:
            return found, None
        found.append(span)
        line_end = text.find(b"\n", span.end)
        cost += ((stop if line_end < 0 else line_end) - start + 1) * size
        # An empty match would be found again at the same place for ever.
        start = span.end if span.end > span.start else span.end + 1
    return found, start


def _spans(search: Search, start: int, stop: int) -> Iterator[Span]:
    while start <= stop:
        found = search(start, stop)
        if found is None:
            return
        yield found
        start = found.end if found.end > found.start else found.end + 1


def _lines(search: Search, text: bytes, start: int, stop: int) -> Iterator[MatchingLine]:
    """Yield the matching lines, numbered from `start` on, which begins a line."""
    at, number, counted = start, 1, start
    while at < stop:
        found = search(at, stop)
        # An empty match after the last newline is on no line.
        if found is None or (found.start == stop and text[stop - 1 : stop] == b"\n"):
            return
        number += text.count(b"\n", counted, found.start)
        first = text.rfind(b"\n", at, found.start) + 1 or at
        last = text.find(b"\n", found.start, stop)
        yield MatchingLine(number, first, stop if last < 0 else last)
        if last < 0:
            return
        at, counted = last + 1, found.start


def _pieces(text: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield pieces of a text, cut at the ends of lines; a longer line is a piece of its own."""
    wanted = max(_PIECE_MIN_BYTES, min(_PIECE_MAX_BYTES, _PIECE_COST // size))
    start = 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + wanted) + 1
        if not end:
            # A line longer than a piece cannot be cut: an expression may match all of it.
            end = text.find(b"\n", start + wanted) + 1 or len(text)
        if len(text) - start <= wanted:
            end = len(text)
        yield start, end
        start = end


def _source_of(pattern: bytes, syntax: Syntax) -> bytes:
    """Return one pattern in the language of the engine, known to compile.  Raise UsageError."""
    if syntax is Syntax.FIXED:
        return quote(pattern)
    try:
        if syntax is Syntax.PERL:
            source = _ABSOLUTE.sub(_ends_of_line, pattern)
        else:
            source = translate(pattern, is_extended=syntax is Syntax.EXTENDED)
        if b"(" in source or b")" in source:
            # Alone, because a stray one could pair with those that are put around it.
            _compiled(source, _Options(), is_text=_is_utf8(source))
    except (ValueError, UsageError) as error:
        raise refusal(pattern, error) from error
    return source


def _ends_of_line(found: re.Match[bytes]) -> bytes:
    return _ABSOLUTE_ENDS.get(found[1] or b"", found[0])


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _search_word(matcher: _Matcher, text: bytes, start: int, stop: int) -> Span | None:
    """Search for the first group, between characters that belong to no word."""
    # The byte before `start` may be what parts the word from the one before.
    begin = max(start - 1, 0)
    while begin <= stop:
        found = matcher.search(text, begin, stop)
        if found is None:
            return None
        span = Span(*found.span(1))
        if span.start >= start and span.end > span.start:
            return span
        begin = max(begin + 1, span.start)  # nothing is no word, as in git
    return None


def _compiled(source: bytes, options: _Options, *, is_text: bool) -> _Matcher:
    """Return the engine's compiled expression (50 us).  Raise ValueError with its message."""
    import re2  # only verbs that search pay for it

    asked = re2.Options()
    asked.never_nl = True
    asked.log_errors = False
    # Without groups the engine need not follow where each begins, which is much faster.
    asked.never_capture = not options.is_words
    asked.case_sensitive = not options.ignore_case
    asked.longest_match = options.is_longest
    if not is_text:
        asked.encoding = re2.Options.Encoding.LATIN1
    try:
        return cast("_Matcher", re2.compile(source, asked))
    except re2.error as error:
        words = error.args[0]
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        raise ValueError(said) from error
    finally:
        re2.purge()  # it would keep 128 expressions, of 8 MiB each
