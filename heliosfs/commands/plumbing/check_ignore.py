"""`check-ignore`: which paths are kept out of commits, and by which line of which file."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.options import Options
from heliosfs.commands.render import below, json_reply, quote_path, text_of
from heliosfs.commands.verb import Request, answer
from heliosfs.objects.tree import Entry
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.ignore import IgnoreRules, rules_in
from heliosfs.trees.patterns import without_spaces
from heliosfs.trees.stored import find_entry


class _Decision(NamedTuple):
    """Rule that decides about a path."""

    source: bytes
    line: int
    pattern: bytes
    is_ignored: bool


def check_ignore(request: Request, options: Options) -> Steps[str]:
    """Return the ignored ones of the paths, each on a line; the exit code is 1 if none is."""
    words = [*options.words, *(options.paths or [])]
    if not words:
        raise options.misuse("give a path")
    if "quiet" in options and len(words) > 1:
        raise options.misuse("-q takes exactly one path")
    work = request.view.state().root
    base = request.view.base_root()
    store = request.repository.store
    rows: list[tuple[str, _Decision | None]] = []
    is_any = False
    for word in words:
        path = below(request.cwd, word.rstrip("/") or word)
        is_tracked = "no-index" not in options and find_entry(store, base, path) is not None
        decision = None if is_tracked else _decide(store, work, path, is_dir=word.endswith("/"))
        is_ignored = decision is not None and decision.is_ignored
        is_any = is_any or is_ignored or (decision is not None and "verbose" in options)
        if is_ignored or "non-matching" in options or ("verbose" in options and decision):
            rows.append((word, decision))
        yield TURN
    text = "" if "quiet" in options else _text(options, rows)
    return answer(text, 0 if is_any else 1)


def _text(options: Options, rows: list[tuple[str, _Decision | None]]) -> str:
    if "json" in options:
        return json_reply(
            [
                {
                    "path": word,
                    "ignored": found.is_ignored if found else False,
                    "source": text_of(found.source) if found else None,
                    "line": found.line if found else None,
                    "pattern": text_of(found.pattern) if found else None,
                }
                for word, found in rows
            ]
        )
    end = "\0" if "null" in options else "\n"
    lines = []
    for word, found in rows:
        name = word if "null" in options else quote_path(word.encode("utf-8", "surrogateescape"))
        if "verbose" not in options:
            lines.append(name + end)
        elif "null" in options:
            fields = (
                (text_of(found.source), str(found.line), text_of(found.pattern))
                if found
                else ("",) * 3
            )
            lines.append("".join(f"{each}\0" for each in (*fields, name)))
        elif found is None:
            lines.append(f"::\t{name}\n")
        else:
            source = quote_path(found.source)
            lines.append(f"{source}:{found.line}:{text_of(found.pattern)}\t{name}\n")
    return "".join(lines)


def _decide(store: Store, work: Entry, path: bytes, *, is_dir: bool) -> _Decision | None:
    """Find the rule that decides: that of the topmost ignored directory, if there is one."""
    rules: IgnoreRules | None = None
    parts = path.split(b"/") if path else []
    for depth in range(len(parts)):
        place = b"/".join(parts[:depth])
        directory = find_entry(store, work, place)
        if directory is not None and directory.is_dir:
            rules = rules_in(store, directory, place + b"/" if place else b"", rules)
        here = b"/".join(parts[: depth + 1])
        is_last = depth == len(parts) - 1
        entry = find_entry(store, work, here)
        found = None
        if rules is not None:
            as_dir = not is_last or is_dir or (entry is not None and entry.is_dir)
            found = rules.match(here, is_dir=as_dir)
        if found is None:
            continue
        decision = _decision(store, work, *found)
        if is_last or decision.is_ignored:
            return decision
    return None


def _decision(store: Store, work: Entry, rules: IgnoreRules, line: int) -> _Decision:
    source = rules.source
    entry = find_entry(store, work, source)
    lines = read_file(store, entry).split(b"\n") if entry is not None else []
    pattern = without_spaces(lines[line - 1].removesuffix(b"\r")) if line <= len(lines) else b""
    return _Decision(source, line, pattern, line not in rules.patterns.negated)
