"""Counts of changed lines for each file: `--stat` and the like (git-diff(1))."""

from __future__ import annotations

import stat
from typing import NamedTuple

from heliosfs.commands.colours import Role
from heliosfs.commands.diff.changes import FileChange, same_content
from heliosfs.commands.diff.patch import Patch, git_mode, git_part, special_text
from heliosfs.commands.render import quote_path, text_of
from heliosfs.objects.tree import Entry
from heliosfs.steps import TURN, Steps

_Counted = tuple[str, tuple[int, int] | None, FileChange]
"""Name of a file, its added and removed lines (None if it is binary), and the change."""


class StatWidth(NamedTuple):
    """The room that `--stat` may take, in columns; 0 stands for no limit of its own."""

    columns: int = 80
    """Width of a line, with the name and the bar."""
    name: int = 0
    """Largest width of a name."""
    files: int = 0
    """Largest number of files that are shown."""


class _Layout(NamedTuple):
    """Widths of the parts of a line."""

    name: int
    number: int
    bar: int
    largest: int
    """Number of changed lines that the longest bar stands for."""


def diffstat(patch: Patch, changes: list[FileChange], width: StatWidth | None = None) -> Steps[str]:
    """Return a line for each file, with a bar for its added and removed lines, and the totals."""
    counted = yield from _counted(patch, changes)
    if not counted:
        return ""
    width = width or StatWidth()
    shown = counted[: width.files or None]
    layout = _layout(shown, width)
    lines = []
    for name, counts, change in shown:
        if counts is None:
            what = f"{'Bin':>{layout.number}}"
            before, after = _sizes(change)
            if before or after:
                old = patch.paint(Role.REMOVED, str(before))
                new = patch.paint(Role.ADDED, str(after))
                what += f" {old} -> {new} bytes"
        else:
            added, removed = _bar(counts, layout)
            bar = patch.paint(Role.ADDED, added) + patch.paint(Role.REMOVED, removed)
            what = f"{sum(counts):>{layout.number}} {bar}".rstrip()
        lines.append(f" {_fitting(name, layout.name)} | {what}\n")
    if len(shown) < len(counted):
        lines.append(" ...\n")
    lines.append(_totals([counts for _, counts, _ in counted]))
    return "".join(lines)


def _layout(counted: list[_Counted], width: StatWidth) -> _Layout:
    """Share the columns out between names and bars, as git does (diff.c, `show_stats`)."""
    largest = max((sum(counts) for _, counts, _ in counted if counts), default=0)
    binary = [_sizes(change) for _, counts, change in counted if counts is None]
    number = max(len(str(largest)), 3 if binary else 0)
    columns = max(width.columns, 16 + 6 + number)
    # "Bin 12 -> 345 bytes" stands where other files have a bar.
    bar = max([largest, *(len(f"Bin {old} -> {new} bytes") - 4 for old, new in binary)])
    name = max(len(name) for name, _, _ in counted)
    name = min(name, width.name or name)
    rest = columns - number - 6
    if name + bar > rest:
        bar = min(bar, max(columns * 3 // 8 - number - 6, 6))
        if name > rest - bar:
            name = rest - bar
        else:
            bar = rest - name
    return _Layout(name, number, bar, largest)


def _fitting(name: str, width: int) -> str:
    """Return a name in so many columns; of a longer one the end, from a slash on if it has one."""
    if len(name) <= width:
        return name.ljust(width)
    room = max(width - 3, 0)
    end = name[len(name) - room :]
    return "..." + end[max(end.find("/"), 0) :].ljust(room)


def shortstat(patch: Patch, changes: list[FileChange]) -> Steps[str]:
    """Return the line of totals alone."""
    counted = yield from _counted(patch, changes)
    return _totals([counts for _, counts, _ in counted]) if counted else ""


def numstat(patch: Patch, changes: list[FileChange], *, is_plain: bool = False) -> Steps[str]:
    """Return added, removed and path of each file; with `is_plain`, a NUL ends each (-z)."""
    lines = []
    for name, counts, change in (yield from _counted(patch, changes)):
        added, removed = counts if counts is not None else ("-", "-")
        if not is_plain:
            lines.append(f"{added}\t{removed}\t{name}\n")
        elif change.source is None:
            lines.append(f"{added}\t{removed}\t{text_of(change.path)}\0")
        else:
            names = f"{text_of(change.source)}\0{text_of(change.path)}"
            lines.append(f"{added}\t{removed}\t\0{names}\0")
    return "".join(lines)


def summary(changes: list[FileChange]) -> str:
    """Return a line for each file that was added, deleted, renamed or has another mode."""
    lines = []
    for change in changes:
        old, new = git_part(change.old), git_part(change.new)
        if old is None or new is None:
            entry = old or new
            if entry is not None:
                verb = "create" if old is None else "delete"
                lines.append(f" {verb} mode {git_mode(entry)} {quote_path(change.path)}\n")
            continue
        if change.source is not None:
            lines.append(f" rename {stat_name(change)} ({change.percent}%)\n")
        if git_mode(old) != git_mode(new):
            name = "" if change.source is not None else f" {quote_path(change.path)}"
            lines.append(f" mode change {git_mode(old)} => {git_mode(new)}{name}\n")
    return "".join(lines)


def _counted(patch: Patch, changes: list[FileChange]) -> Steps[list[_Counted]]:
    """Return names and counts; a file of which nothing counts as changed is left out, as in git."""
    counted = []
    for change in changes:
        counts = patch.counts(change)
        if counts != (0, 0) or not is_unseen(change):
            counted.append((stat_name(change), counts, change))
        yield TURN
    return counted


def is_unseen(change: FileChange) -> bool:
    """Return True if a change is one of lines alone, and none where they count as equal."""
    old, new = git_part(change.old), git_part(change.new)
    return (
        change.letter == "M"
        and old is not None
        and new is not None
        and not same_content(old, new)
        and git_mode(old) == git_mode(new)
    )


def stat_document(patch: Patch, change: FileChange) -> dict[str, object]:
    """Return the counts of one file as values for JSON; null for a binary file."""
    added, removed = patch.counts(change) or (None, None)
    return {"insertions": added, "deletions": removed}


def stat_name(change: FileChange) -> str:
    """Return the path; for a renamed file both, their common parts once: `src/{a => b}.c`."""
    new = quote_path(change.path or b".")
    if change.source is None:
        return new
    old = quote_path(change.source)
    if '"' in (old[0], new[0]):
        return f"{old} => {new}"
    head = 0
    for at, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            break
        if one == "/":
            head = at + 1
    # A slash may be the end of the common beginning and the start of the common end at once.
    shared = max(head - 1, 0) if head else 0
    tail = 0
    for length in range(1, min(len(old), len(new)) - shared + 1):
        if old[-length] != new[-length]:
            break
        if old[-length] == "/":
            tail = length
    if not head and not tail:
        return f"{old} => {new}"
    middles = (name[head : max(len(name) - tail, head)] for name in (old, new))
    return f"{old[:head]}{{{' => '.join(middles)}}}{old[len(old) - tail :]}"


def _sizes(change: FileChange) -> tuple[int, int]:
    """Return the sizes of a binary file before and after; 0 and 0 if its bytes are the same."""
    old, new = git_part(change.old), git_part(change.new)
    if old is not None and new is not None and same_content(old, new):
        return 0, 0
    return _size(old), _size(new)


def _size(entry: Entry | None) -> int:
    """Return the number of bytes that git compares: of a link its target, of a submodule a line."""
    if entry is None:
        return 0
    return entry.size if stat.S_ISREG(entry.mode) else len(special_text(entry))


def _bar(counts: tuple[int, int], layout: _Layout) -> tuple[str, str]:
    """Return the signs for added and removed lines; whatever there is has one at least."""
    added, removed = counts
    if layout.bar <= layout.largest:
        total = _scaled(added + removed, layout)
        if added and removed:
            total = max(total, 2)
        smaller = _scaled(min(counts), layout)
        added, removed = (
            (smaller, total - smaller) if added < removed else (total - smaller, smaller)
        )
    return "+" * added, "-" * removed


def _scaled(count: int, layout: _Layout) -> int:
    return 1 + count * (layout.bar - 1) // layout.largest if count else 0


def _totals(all_counts: list[tuple[int, int] | None]) -> str:
    added = sum(counts[0] for counts in all_counts if counts)
    removed = sum(counts[1] for counts in all_counts if counts)
    parts = [f" {_plural(len(all_counts), 'file')} changed"]
    if added or not removed:
        parts.append(f" {_plural(added, 'insertion')}(+)")
    if removed or not added:
        parts.append(f" {_plural(removed, 'deletion')}(-)")
    return ",".join(parts) + "\n"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
