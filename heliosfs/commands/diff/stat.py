"""Counts of changed lines for each file: `--stat` and the like (git-diff(1))."""

from __future__ import annotations

from heliosfs.commands.colours import Role
from heliosfs.commands.diff.changes import FileChange, same_content
from heliosfs.commands.diff.patch import Patch, git_mode, git_part
from heliosfs.commands.render import quote_path, text_of
from heliosfs.steps import TURN, Steps


def diffstat(patch: Patch, changes: list[FileChange], columns: int = 80) -> Steps[str]:
    """Return a line for each file, with a bar for its added and removed lines, and the totals."""
    counted = yield from _counted(patch, changes)
    if not counted:
        return ""
    name_width = max(len(name) for name, _, _ in counted)
    largest = max((sum(counts) for _, counts, _ in counted if counts), default=0)
    number_width = max(len(str(largest)), 3 if any(not counts for _, counts, _ in counted) else 1)
    bar_width = max(columns - name_width - number_width - 5, 10)
    lines = []
    for name, counts, change in counted:
        if counts is None:
            old = patch.paint(Role.REMOVED, str(_size(change.old)))
            new = patch.paint(Role.ADDED, str(_size(change.new)))
            what = f"{'Bin':>{number_width}} {old} -> {new} bytes"
        else:
            added, removed = _bar(counts, largest, bar_width)
            bar = patch.paint(Role.ADDED, added) + patch.paint(Role.REMOVED, removed)
            what = f"{sum(counts):>{number_width}} {bar}".rstrip()
        lines.append(f" {name:<{name_width}} | {what}\n")
    lines.append(_totals([counts for _, counts, _ in counted]))
    return "".join(lines)


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


def _counted(
    patch: Patch, changes: list[FileChange]
) -> Steps[list[tuple[str, tuple[int, int] | None, FileChange]]]:
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


def _size(entry: object) -> int:
    return getattr(entry, "size", 0)


def _bar(counts: tuple[int, int], largest: int, width: int) -> tuple[str, str]:
    if largest <= width:
        return "+" * counts[0], "-" * counts[1]
    added, removed = (-(-count * width // largest) for count in counts)
    return "+" * added, "-" * min(removed, width - added)


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
