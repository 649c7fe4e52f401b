"""Changes in git's formats: patch, counts, names (git-diff(1))."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.commands.colours import COLOURED, paint_of
from heliosfs.commands.diff.changes import FileChange, name_status
from heliosfs.commands.diff.hunks import Spaces, Words
from heliosfs.commands.diff.patch import (
    DEFAULT_CONTEXT,
    PATCH_MAX_BYTES,
    Patch,
    attributes_of,
    git_mode,
    git_part,
    shown_id,
)
from heliosfs.commands.diff.stat import (
    StatWidth,
    diffstat,
    is_unseen,
    numstat,
    shortstat,
    stat_document,
    summary,
)
from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS, quote_path, text_of
from heliosfs.commands.verb import Request
from heliosfs.objects.tree import Entry
from heliosfs.steps import TURN, Steps

NAMES = ("name-status", "name-only", "raw")
COUNTS = ("numstat", "stat", "shortstat")
_SPACES = {
    "ignore-all-space": Spaces.IGNORED,
    "ignore-space-change": Spaces.AMOUNT_IGNORED,
    "ignore-space-at-eol": Spaces.AT_END_IGNORED,
}
_LETTERS = "ACDMRTUXB"


def wants_changes(options: Options) -> bool:
    """Return True if an option asks for changes to be shown."""
    return any(
        key in options
        for key in (*NAMES, *COUNTS, "summary", "word-diff", "color-words", "patch", "binary")
    )


def chosen_changes(options: Options, changes: list[FileChange]) -> list[FileChange]:
    """Return the changes that --diff-filter lets through.  Raise UsageError."""
    letters = options.value("diff-filter")
    if letters is None:
        return changes
    wrong = next((each for each in letters if each.upper() not in f"{_LETTERS}*"), None)
    if wrong is not None:
        raise options.misuse(f"--diff-filter takes letters of {_LETTERS}, not {wrong!r}")
    taken = {each for each in letters if each.isupper()}
    left = {each.upper() for each in letters if each.islower()}
    found = [
        each for each in changes if (not taken or each.letter in taken) and each.letter not in left
    ]
    # A star shows all where one of the letters is there.
    return changes if "*" in letters and found else found


def patch_of(request: Request, options: Options) -> Patch:
    """Return a maker of diffs that follows the options.  Raise UsageError."""
    spaces = next((kind for key, kind in _SPACES.items() if key in options), Spaces.ALL)
    mode = options.value("word-diff") if "word-diff" in options else "none"
    mode = "color" if "color-words" in options else mode
    try:
        words = Words(mode or "plain")
    except ValueError:
        raise options.misuse(
            f"--word-diff is plain, color, porcelain or none, not {mode!r}"
        ) from None
    context = options.number("unified")
    return Patch(
        request.repository.store,
        DEFAULT_CONTEXT if context is None else context,
        spaces,
        words,
        attributes=attributes_of(request.view),
        as_text="text" in options,
        with_binary="binary" in options,
        is_reversed="reverse" in options and options.verb == "diff",
        paint=COLOURED if words is Words.COLOUR else paint_of(request, options),
    )


def changes_text(
    request: Request, options: Options, changes: list[FileChange], *, default: str = "patch"
) -> Steps[str]:
    """Show changes in the formats that the options ask for, in git's order of them.

    Where they ask for none it is the `default`: patch or stat.
    """
    options.only_one(*NAMES)
    is_plain = "null" in options
    maker = patch_of(request, options)
    parts: list[str] = []
    if "raw" in options:
        parts.append("".join(_raw(changes, is_plain=is_plain)))
    elif "name-status" in options or "name-only" in options:
        letters = "name-status" in options
        parts.append(name_status(changes, letters=letters, is_plain=is_plain))
    if "numstat" in options:
        parts.append((yield from numstat(maker, changes, is_plain=is_plain)))
    is_asked = wants_changes(options)
    if "stat" in options or (default == "stat" and not is_asked):
        parts.append((yield from diffstat(maker, changes, _stat_width(request, options))))
    if "shortstat" in options:
        parts.append((yield from shortstat(maker, changes)))
    if "summary" in options:
        parts.append(summary(changes))
    is_patch = any(key in options for key in ("patch", "word-diff", "color-words", "binary"))
    if is_patch or (default == "patch" and not is_asked):
        lines = text_of((yield from maker.text(changes)))
        if lines and any(parts):
            parts.append("\n")
        parts.append(lines)
    return "".join(parts)


def _stat_width(request: Request, options: Options) -> StatWidth:
    """Return what --stat=WIDTH,NAME,COUNT asks for.  Raise UsageError."""
    text = options.value("stat") or ""
    numbers = text.split(",") if text else []
    is_sound = all(not each or (each.isascii() and each.isdigit()) for each in numbers)
    if len(numbers) > 3 or not is_sound or any(len(each) > 9 for each in numbers):
        raise options.misuse(f"--stat takes WIDTH, WIDTH,NAME or WIDTH,NAME,COUNT, not {text!r}")
    width, name, count = [*(int(each or 0) for each in numbers), 0, 0, 0][:3]
    return StatWidth(width or request.screen.columns or 80, name, count)


def changes_document(
    request: Request, options: Options, changes: list[FileChange]
) -> Steps[list[dict[str, object]]]:
    """Return changes as values for JSON: with counts if --stat, with lines if --patch asks for it.

    Raise TooLarge when the lines would exceed `PATCH_MAX_BYTES`.
    """
    with_counts = any(key in options for key in COUNTS)
    with_lines = "patch" in options
    if not (with_counts or with_lines):
        return [change.document for change in changes]
    patch = patch_of(request, options)
    documents = []
    left_bytes = PATCH_MAX_BYTES
    for change in changes:
        document = change.document
        if with_counts:
            document |= stat_document(patch, change)
        if with_lines:
            lines = yield from patch.text([change], left_bytes)
            left_bytes -= len(lines)
            document |= {"patch": text_of(lines)}
        documents.append(document)
        yield TURN
    return documents


def seen_changes(
    request: Request, options: Options, changes: list[FileChange]
) -> Steps[list[FileChange]]:
    """Return the changes that are left when spaces do not count, as far as the options say."""
    if not any(key in options for key in _SPACES):
        return changes
    patch = patch_of(request, options)
    found = []
    for change in changes:
        if not is_unseen(change) or patch.counts(change) != (0, 0):
            found.append(change)
        yield TURN
    return found


def _raw(changes: list[FileChange], *, is_plain: bool) -> Iterator[str]:
    for change in changes:
        old, new = git_part(change.old), git_part(change.new)
        if old is None and new is None:
            continue
        letter = change.letter if change.source is None else f"R{change.percent:03}"
        modes = " ".join(git_mode(each) if each else "000000" for each in (old, new))
        ids = " ".join(map(_short_id, (old, new)))
        paths = [change.path] if change.source is None else [change.source, change.path]
        if is_plain:
            names = "".join(f"{text_of(path)}\0" for path in paths)
            yield f":{modes} {ids} {letter}\0{names}"
        else:
            names = "\t".join(map(quote_path, paths))
            yield f":{modes} {ids} {letter}\t{names}\n"


def _short_id(entry: Entry | None) -> str:
    return "0" * SHORT_DIGITS if entry is None else shown_id(entry).hex()[:SHORT_DIGITS]
