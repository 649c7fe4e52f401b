"""`grep`: lines that match, in the working tree or in commits."""

from __future__ import annotations

import stat
from typing import NamedTuple

from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, files_below, is_magic, pathspec
from heliosfs.commands.render import bytes_of, json_reply, quote_path, relative, text_of
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import HeliosError, NotFound, TooLarge
from heliosfs.objects.tree import Entry
from heliosfs.repo.expressions import (
    Expression,
    Syntax,
    compile_expression,
    line_steps,
    search_steps,
)
from heliosfs.repo.revisions import resolve
from heliosfs.repo.textmerge import is_text
from heliosfs.store.steps import TURN, Steps
from heliosfs.workspace.trees import find_entry, read_file

SEARCH_MAX_BYTES = 256 * 1024 * 1024
_REPLY_MAX_BYTES = 64 * 1024 * 1024


class _Match(NamedTuple):
    revision: str
    """Empty for the working tree."""
    path: bytes
    number: int
    """From 1 on; 0 of a binary file."""
    line: bytes


def grep(request: Request, options: Options) -> Steps[str]:
    """The matching lines, as git grep shows them."""
    options.only_one("files-with-matches", "count", "json")
    words = list(options.words)
    patterns = options.values("regexp")
    if not patterns:
        if not words:
            raise options.misuse("which pattern?")
        patterns = [words.pop(0)]
    search = _Search(
        request, _compile(patterns, options), only_first="files-with-matches" in options
    )
    revisions, spec = _split_words(request, options, words)
    roots = [(name, _root(request, name)) for name in revisions] or [("", _working(request))]
    for name, root in roots:
        yield from search.run(name, root, spec)
    text = _text(request, options, search.matches)
    return answer(text, 0 if search.matches else 1)


def _text(request: Request, options: Options, matches: list[_Match]) -> str:
    if "json" in options:
        return json_reply([_document(match) for match in matches])
    if "files-with-matches" in options:
        return "".join(f"{_place(request, match)}\n" for match in matches)
    if "count" in options:
        counts: dict[str, int] = {}
        for match in matches:
            place = _place(request, match)
            counts[place] = counts.get(place, 0) + 1
        return "".join(f"{place}:{count}\n" for place, count in counts.items())
    return "".join(_line(request, match, with_number="line-number" in options) for match in matches)


class _Search:
    """A search that stops when it becomes too much for one request."""

    def __init__(self, request: Request, expression: Expression, *, only_first: bool) -> None:
        self._store = request.repository.store
        self._expression = expression
        self._only_first = only_first
        self._left_bytes = SEARCH_MAX_BYTES
        self._reply_bytes = 0
        self.matches: list[_Match] = []
        """Those that were found so far."""

    def run(self, revision: str, root: Entry, spec: Pathspec) -> Steps[None]:
        """Find the matches in what is meant, in byte order.  TooLarge."""
        for place, file in files_below(self._store, root, spec):
            if not stat.S_ISREG(file.mode) or not file.size:
                continue
            self._left_bytes -= file.size
            if self._left_bytes < 0:
                limit = f"{SEARCH_MAX_BYTES // 1024**2} MiB"
                raise TooLarge(f"more than {limit} to search: name paths, or use grep -r")
            data = read_file(self._store, file)
            yield from self._search(revision, place, data)
            yield TURN

    def _search(self, revision: str, place: bytes, data: bytes) -> Steps[None]:
        is_whole = not is_text(data)
        if is_whole or self._only_first:
            if (yield from search_steps(self._expression, data)):
                self.matches.append(_Match(revision, place, 0 if is_whole else 1, b""))
            return
        for number, start, end in (yield from line_steps(self._expression, data)):
            self._reply_bytes += end - start
            if self._reply_bytes > _REPLY_MAX_BYTES:
                raise TooLarge("more than 64 MiB of matches: name paths, or use grep -r")
            self.matches.append(_Match(revision, place, number, data[start:end]))


def _compile(patterns: list[str], options: Options) -> Expression:
    return compile_expression(
        [bytes_of(each) for each in patterns],
        Syntax.FIXED if "fixed-strings" in options else Syntax.PERL,
        ignore_case="ignore-case" in options,
        whole_words="word-regexp" in options,
    )


def _split_words(
    request: Request, options: Options, words: list[str]
) -> tuple[list[str], Pathspec]:
    """Which words are revisions; what is none is a path, if `--` does not say so."""
    revisions: list[str] = []
    paths = list(options.paths or [])
    for at, word in enumerate(words):
        if options.paths is None and is_magic(word):
            paths = words[at:]
            break
        try:
            resolve(request.repository, word, request.view.head)
        except HeliosError as error:
            if options.paths is not None or not isinstance(error, NotFound):
                raise
            paths = words[at:]
            break
        revisions.append(word)
    roots = [_root(request, name) for name in revisions] or [_working(request)]
    spec = pathspec(request.cwd, paths or ["."], default=request.cwd)
    for item in spec.items:
        there = (find_entry(request.repository.store, root, item.place) for root in roots)
        if item.fits is None and not any(there):
            raise NotFound(f"{item.word[:80]!r} is neither a revision nor a path")
    return revisions, spec


def _root(request: Request, revision: str) -> Entry:
    oid = resolve(request.repository, revision, request.view.head)
    return request.repository.history.read(oid).root


def _working(request: Request) -> Entry:
    return request.view.selected()


def _place(request: Request, match: _Match) -> str:
    path = quote_path(relative(request.cwd, match.path))
    return f"{match.revision}:{path}" if match.revision else path


def _line(request: Request, match: _Match, *, with_number: bool) -> str:
    place = _place(request, match)
    if not match.number:
        return f"Binary file {place} matches\n"
    number = f"{match.number}:" if with_number else ""
    return f"{place}:{number}{text_of(match.line)}\n"


def _document(match: _Match) -> dict[str, object]:
    return {
        "revision": match.revision or None,
        "path": text_of(match.path),
        "line": match.number or None,
        "text": text_of(match.line) if match.number else None,
    }
