"""`grep`: lines that match, in the working tree or in commits."""

from __future__ import annotations

import stat

from heliosfs.commands.colours import Paint, paint_of
from heliosfs.commands.diff.patch import attributes_of, said_to_be_text
from heliosfs.commands.grep.form import Found, GrepForm
from heliosfs.commands.log.selection import syntax_of
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, files_below, is_magic, pathspec
from heliosfs.commands.render import bytes_of
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import HeliosError, NotFound, TooLarge
from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.text import is_text
from heliosfs.repo.regex.expressions import (
    SPANS_MAX,
    Expression,
    Span,
    compile_expression,
    line_steps,
    search_steps,
    span_steps,
)
from heliosfs.repo.revisions import resolve
from heliosfs.steps import TURN, Steps
from heliosfs.trees.files import read_file

SEARCH_MAX_BYTES = 256 * 1024 * 1024


def grep(request: Request, options: Options) -> Steps[str]:
    """Return the matching lines, as git grep shows them."""
    options.only_one("files-with-matches", "files-without-match", "count", "json", "quiet")
    words = list(options.words)
    patterns = options.values("regexp")
    if not patterns:
        if not words:
            raise options.misuse("give a pattern")
        patterns = [words.pop(0)]
    expression = _compile(patterns, options)
    paint = paint_of(request, options)
    search = _Search(request, options, expression, paint)
    revisions, spec = _split_words(request, options, words)
    roots = [(name, _root(request, name)) for name in revisions] or [("", _working(request))]
    for name, root in roots:
        yield from search.run(name, root, spec)
    text = yield from GrepForm(options, request.cwd, paint).text(search.files)
    return answer(text, 0 if search.files else 1)


class _Search:
    """Search that stops when it becomes too much for one request."""

    def __init__(
        self, request: Request, options: Options, expression: Expression, paint: Paint
    ) -> None:
        self._store = request.repository.store
        self._expression = expression
        self._inverted = "invert-match" in options
        self._without = "files-without-match" in options
        self._only_first = any(
            key in options for key in ("files-with-matches", "files-without-match", "quiet")
        )
        self._keeps_text = not (self._only_first or "count" in options)
        self._only_matching = "only-matching" in options
        self._is_coloured = paint.is_on
        self._as_text = "text" in options
        self._attributes = attributes_of(request.view)
        self._skips_binary = "I" in options
        self._is_quiet = "quiet" in options
        self._left_bytes = SEARCH_MAX_BYTES
        self._kept_bytes = 0
        self.files: list[Found] = []
        """The files that were found so far."""

    def run(self, revision: str, root: Entry, spec: Pathspec) -> Steps[None]:
        """Find matching files among those that are meant, in byte order.  Raise TooLarge."""
        for place, file in files_below(self._store, root, spec):
            if not stat.S_ISREG(file.mode) or (not file.size and not self._without):
                continue
            self._left_bytes -= file.size
            if self._left_bytes < 0:
                limit = f"{SEARCH_MAX_BYTES // 1024**2} MiB"
                raise TooLarge(f"more than {limit} to search: name paths, or use grep -r")
            found = yield from self._look(Found(revision, place), read_file(self._store, file))
            if found is not None:
                self.files.append(found)
                if self._is_quiet:
                    return
            yield TURN

    def _look(self, found: Found, data: bytes) -> Steps[Found | None]:
        """Return the file with its matches, or None if the options do not want it."""
        said = said_to_be_text(self._attributes, found.path)
        found.is_binary = not self._as_text and not (is_text(data) if said is None else said)
        if found.is_binary and self._skips_binary:
            return None
        if (found.is_binary or self._only_first) and not self._inverted:
            is_matching = yield from search_steps(self._expression, data)
            return found if is_matching != self._without else None
        numbers = [line.number for line in (yield from line_steps(self._expression, data))]
        if self._inverted:
            matching = set(numbers)
            count = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
            numbers = [number for number in range(1, count + 1) if number not in matching]
        if bool(numbers) == self._without:
            return None
        if self._only_first:
            return found
        found.numbers = numbers
        if self._keeps_text and not found.is_binary:
            self._kept_bytes += len(data)
            if self._kept_bytes > SEARCH_MAX_BYTES:
                raise TooLarge("the files that match are too large: name paths, or use grep -r")
            found.data = data
            if (self._only_matching or self._is_coloured) and not self._inverted:
                found.spans = yield from self._spans(data)
        return found

    def _spans(self, data: bytes) -> Steps[list[Span]]:
        """Return the matches; none if they are too many and needed for colours only."""
        try:
            return (yield from span_steps(self._expression, data, SPANS_MAX))
        except TooLarge:
            if self._only_matching:
                raise
            return []


def _compile(patterns: list[str], options: Options) -> Expression:
    return compile_expression(
        [bytes_of(each) for each in patterns],
        syntax_of(options),
        ignore_case="ignore-case" in options,
        whole_words="word-regexp" in options,
    )


def _split_words(
    request: Request, options: Options, words: list[str]
) -> tuple[list[str], Pathspec]:
    """Split words into revisions and paths; without `--`, paths begin at the first that is none."""
    revisions: list[str] = []
    paths = list(options.paths or [])
    for at, word in enumerate(words):
        if options.paths is None and is_magic(word):
            paths = words[at:]
            break
        try:
            resolve(request.repository, word, request.view.head, request.view)
        except HeliosError as error:
            if options.paths is not None or not isinstance(error, NotFound):
                raise
            paths = words[at:]
            break
        revisions.append(word)
    roots = [_root(request, name) for name in revisions] or [_working(request)]
    spec = pathspec(request.cwd, paths or ["."], default=request.cwd)
    for item in spec.items:
        there = (item.lies_in(request.repository.store, root) for root in roots)
        if item.fits is None and not any(there):
            raise NotFound(f"{item.word[:80]!r} is neither a revision nor a path")
    return revisions, spec


def _root(request: Request, revision: str) -> Entry:
    oid = resolve(request.repository, revision, request.view.head, request.view)
    return request.repository.history.read(oid).root


def _working(request: Request) -> Entry:
    return request.view.selected()
